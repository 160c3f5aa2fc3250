//! `ponos dead list`.

use super::{
    choice::{Conditions, Queues, SeenLetters},
    next, open,
};
use crate::{
    connection::Options,
    exit::Exit,
    layout::{self, Segment},
    output::{self, Paint, shortened},
    trouble::Trouble,
};
use ponos::{
    clock::Clock,
    dead::Letter,
    event::Timestamp,
    text::{ago, counted},
};

/// Lists dead letters and leaves them in place.
///
/// AMQP can't list queues, so name the work queues. While ponos reads, no other consumer sees the letters that it
/// holds: all of them, or --limit many if no other filter is given.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    queues: Queues,
    #[command(flatten)]
    conditions: Conditions,
    /// Prints one JSON object per line
    #[arg(long)]
    json: bool,
}

/// Characters of a reason in a line.
const REASON: usize = 200;

pub(super) async fn run(options: &Options, args: Args) -> Result<Exit, Trouble> {
    let filter = args.conditions.filter()?;
    let transport = options.transport("ponos dead").await?;
    let mut left = filter.wanted();
    let (mut found, mut seen) = (0_u64, SeenLetters::default());
    let queues = args.queues.names();
    for queue in &queues {
        let mut reader = open(&transport, queue, filter.to_read(left)).await?;
        let mut letters = Vec::new();
        while left > 0
            && let Some(held) = next(&mut reader, &filter, &mut seen).await?
        {
            letters.push(held.letter);
            left -= 1;
        }
        // first of all they go back
        reader.close().await?;
        found += letters.len() as u64;
        print(&letters, args.json)?;
    }
    if !args.json {
        output::complain(&counted(found, "dead letter"));
    }
    let is_unknown = seen.complain(&filter, &queues, left);
    Ok(if is_unknown { Exit::Findings } else { Exit::Done })
}

fn print(letters: &[Letter], as_json: bool) -> Result<(), Trouble> {
    let (now, paint) = (Clock::system().now(), Paint::stdout());
    if as_json {
        return output::print(|out| letters.iter().try_for_each(|one| writeln!(out, "{}", one.json())));
    }
    output::print_styled(|out| {
        letters.iter().try_for_each(|letter| writeln!(out, "{}", line(letter, now, paint)))
    })
}

/// `3 h ago  docker.time.one-day.passed  time.one-day.passed  6f1c…  attempts (5)  connection refused`
///
/// In a narrow terminal several lines, of which the further ones are set in.
pub(super) fn line(letter: &Letter, now: Timestamp, paint: Paint) -> String {
    let ago = letter.at.map_or_else(|| "-".into(), |at| format!("{} ago", ago(now.since(at).max(0))));
    let or_none = |text: &str| if text.is_empty() { "-".into() } else { shortened(text, 255) };
    let kind = match letter.attempt {
        Some(attempt) => format!("{} (attempt {attempt})", shortened(&letter.kind, 40)),
        None => shortened(&letter.kind, 40),
    };
    let requeued = match letter.requeued {
        ..=0 => String::new(),
        1 => "(requeued once before)".into(),
        times => format!("(requeued {times} times before)"),
    };
    let parts = [
        Segment::faint(ago),
        Segment::plain(or_none(&letter.queue)),
        Segment::plain(or_none(&letter.name)),
        Segment::plain(or_none(&letter.id)),
        Segment::strong(kind),
        Segment::plain(shortened(&letter.reason, REASON)),
        Segment::plain(requeued),
    ];
    layout::fitted(&parts, paint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::{HOSTILE, assert_harmless};

    #[test]
    fn with_styles_nothing_but_the_styles_is_obeyed() {
        let text = || HOSTILE.to_owned();
        let letter = Letter {
            queue: text(),
            id: text(),
            name: text(),
            kind: text(),
            reason: text(),
            ..Letter::default()
        };
        let line = line(&letter, Timestamp::from_millis(0), Paint::always());
        assert!(line.contains("\u{1b}[1m"), "{line}");
        let plain =
            ["\u{1b}[1m", "\u{1b}[2m", "\u{1b}[0m"].iter().fold(line, |line, code| line.replace(code, ""));
        assert_harmless("dead list", &plain);
    }
}
