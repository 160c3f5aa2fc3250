//! `ponos dead drop`.

use super::{
    choice::{SeenLetters, Selection},
    list, next, open,
};
use crate::{connection::Options, exit::Exit, output, trouble::Trouble};
use ponos::{clock::Clock, dead::HeldLetter, text::counted};
use std::io::{self, BufRead, IsTerminal, Write};

/// Drops dead letters for good, after asking for confirmation.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    selection: Selection,
    /// Drops without asking for confirmation
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(options: &Options, args: Args) -> Result<Exit, Trouble> {
    let Args { selection, yes } = args;
    let filter = selection.filter()?;
    if !selection.dry_run && !yes && !io::stdin().is_terminal() {
        return Err(Trouble::usage(
            "can't ask for confirmation without a terminal: give --yes, or --dry-run to see which would be dropped",
        ));
    }
    let transport = options.transport("ponos dead").await?;
    let (mut found, mut left, mut seen) = (Vec::new(), filter.wanted(), SeenLetters::default());
    let queues = selection.queues.names();
    for queue in &queues {
        let mut reader = open(&transport, queue, filter.to_read(left)).await?;
        let mut chosen = Vec::new();
        while left > 0
            && let Some(mut one) = next(&mut reader, &filter, &mut seen).await?
        {
            // many may be held
            one.message.body = Vec::new();
            chosen.push(one);
            left -= 1;
        }
        found.push((reader, chosen));
    }
    for (_, chosen) in &found {
        match print(chosen, selection.json) {
            // what is to be done does not depend on who reads of it
            Ok(()) | Err(Trouble::Unread) => {}
            Err(trouble) => return Err(trouble),
        }
    }
    let is_unknown = seen.complain(&filter, &queues, left);
    let count: usize = found.iter().map(|(_, chosen)| chosen.len()).sum();
    let go = count > 0 && !selection.dry_run && (yes || asked(count).await);
    for (reader, chosen) in found {
        for one in chosen.iter().filter(|_| go) {
            reader.remove(one).await?;
        }
        reader.close().await?;
    }
    if !selection.json {
        let did = match (selection.dry_run, go || count == 0) {
            (true, _) => "would be dropped",
            (false, true) => "dropped",
            (false, false) => "left in place",
        };
        output::complain(&format!("{count} {did}"));
    }
    let is_done = go || selection.dry_run || count == 0;
    Ok(if is_done && !is_unknown { Exit::Done } else { Exit::Findings })
}

fn print(letters: &[HeldLetter], as_json: bool) -> Result<(), Trouble> {
    let (now, paint) = (Clock::system().now(), output::Paint::stdout());
    let mut letters = letters.iter().map(|chosen| &chosen.letter);
    if as_json {
        return output::print(|out| letters.try_for_each(|letter| writeln!(out, "{}", letter.json())));
    }
    output::print_styled(|out| {
        letters.try_for_each(|letter| writeln!(out, "{}", list::line(letter, now, paint)))
    })
}

async fn asked(count: usize) -> bool {
    let answer = tokio::task::spawn_blocking(move || {
        let mut out = io::stderr().lock();
        let _ = write!(out, "Drop {} for good? [y/N] ", counted(count as u64, "dead letter"))
            .and_then(|()| out.flush());
        let mut line = String::new();
        let _ = io::stdin().lock().read_line(&mut line);
        matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes")
    });
    // no answer is a no
    answer.await.unwrap_or(false)
}
