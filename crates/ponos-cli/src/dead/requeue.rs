//! `ponos dead requeue`.

use super::{
    choice::{SeenLetters, Selection},
    list, next, open,
};
use crate::{
    connection::Options,
    exit::Exit,
    inbox, output,
    sending::{Sender, Sent},
    span,
    trouble::Trouble,
};
use ponos::{
    clock::Clock,
    dead::{HeldLetter, LetterFilter, LetterReader},
    inbox::Inbox,
    shutdown::{Shutdown, Stage, shutdown},
    worker::Rate,
};
use std::time::Duration;

/// Sends dead letters back to their queues.
///
/// Each keeps its id, properties and body, starts at the first attempt, and gets headers that say who requeued it
/// (requeued-by, requeued-at, requeued-count). It is removed from the dead letters once its queue has confirmed it; if
/// that queue no longer exists, it stays. If ponos is ended in between, it may be in both.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    selection: Selection,
    /// At most this many per time, such as 10/s
    #[arg(long, value_name = "N/TIME", value_parser = span::rate)]
    rate: Option<Rate>,
    /// Who requeues them, for the header requeued-by; USER@HOST if left out
    #[arg(long = "as", value_name = "NAME")]
    by: Option<String>,
    /// Removes them from this inbox too, so that they run again: sled:PATH (its worker must not run) or
    /// postgres://user:password@host/database; without a value, the inbox that PONOS_INBOX names
    #[arg(long, value_name = "INBOX", num_args = 0..=1, default_missing_value = "")]
    inbox: Option<String>,
    /// With --inbox: the name or pattern of the handler; the queue's name without the service if left out
    #[arg(long, value_name = "PATTERN", requires = "inbox")]
    handler: Option<String>,
}

/// A requeue in progress.
struct Requeue<'a> {
    args: &'a Args,
    filter: LetterFilter,
    seen: SeenLetters,
    sender: Sender,
    inbox: Option<Inbox>,
    by: String,
    shutdown: Shutdown,
    /// How many letters are still wanted.
    left: u64,
    sent: u64,
    stayed: u64,
}

pub(super) async fn run(options: &Options, args: Args) -> Result<Exit, Trouble> {
    let filter = args.selection.filter()?;
    let inbox = match args.inbox.as_deref() {
        Some("") => Some(inbox::InboxLocation::from_variable()?),
        Some(text) => Some(inbox::InboxLocation::read(text)?),
        None => None,
    };
    let transport = options.transport("ponos dead").await?;
    let sender = Sender::open(&transport).await?;
    let inbox = match inbox {
        Some(place) => Some(place.open("ponos", 1, true).await?),
        None => None,
    };
    let (signals, shutdown) = shutdown();
    signals.advance_on_signals(|| output::complain("stopping after this one"));
    let by = args.by.clone().unwrap_or_else(user_and_host);
    let (left, seen) = (filter.wanted(), SeenLetters::default());
    let mut requeue =
        Requeue { args: &args, filter, seen, sender, inbox, by, shutdown, left, sent: 0, stayed: 0 };
    let queues = args.selection.queues.names();
    for queue in &queues {
        let most = requeue.filter.to_read(requeue.left);
        let mut reader = open(&transport, queue, most).await?;
        let ended = requeue.all_of(&mut reader).await;
        // whatever happened, letters that were read go back and those that were sent are removed
        let closed = reader.close().await;
        ended?;
        closed?;
    }
    let Requeue { filter, seen, sender, shutdown, left, sent, stayed, .. } = requeue;
    sender.close().await;
    let Selection { dry_run, json, .. } = args.selection;
    if !json {
        let would = if dry_run { "would be requeued" } else { "requeued" };
        output::complain(&format!("{sent} {would}, {stayed} stayed"));
    }
    if shutdown.was_interrupted() {
        return Ok(Exit::Interrupted);
    }
    let is_stopped = shutdown.stage() > Stage::Running;
    let is_unknown = !is_stopped && seen.complain(&filter, &queues, left);
    Ok(if stayed > 0 || is_stopped || is_unknown { Exit::Findings } else { Exit::Done })
}

impl Requeue<'_> {
    /// Requeues the letters of one queue that the filter chooses.
    async fn all_of(&mut self, reader: &mut LetterReader) -> Result<(), Trouble> {
        while self.left > 0 && self.shutdown.stage() == Stage::Running {
            let Some(held) = next(reader, &self.filter, &mut self.seen).await? else { return Ok(()) };
            self.left -= 1;
            if self.args.selection.dry_run {
                self.sent += 1;
                print_requeued(self.args, &held, None)?;
                continue;
            }
            if let Some(inbox) = &self.inbox {
                forget(self.args, inbox, &held).await?;
            }
            let message = held.requeued(&self.by, Clock::system().now());
            // by the default exchange: its key is the queue's name, and nobody else gets a copy
            let why = match self.sender.send("", message).await? {
                Sent::Arrived => None,
                Sent::Nowhere => Some(format!("the queue '{}' does not exist", held.letter.queue)),
                Sent::Refused(why) => Some(why),
            };
            if why.is_none() {
                reader.remove(&held).await?;
                self.sent += 1;
            } else {
                self.stayed += 1;
            }
            match print_requeued(self.args, &held, why.as_deref()) {
                // what is requeued does not depend on who reads the output
                Ok(()) | Err(Trouble::Unread) => {}
                Err(trouble) => return Err(trouble),
            }
            if let Some(Rate { tasks, per }) = self.args.rate {
                pause(per / tasks, &self.shutdown).await;
            }
        }
        Ok(())
    }
}

/// So that an interrupt ends the pause.
async fn pause(wait: Duration, shutdown: &Shutdown) {
    tokio::select! {
        () = shutdown.reached(Stage::Draining) => {}
        () = tokio::time::sleep(wait) => {}
    }
}

async fn forget(args: &Args, inbox: &Inbox, held: &HeldLetter) -> Result<(), Trouble> {
    let Some(key) = held.inbox_key(args.handler.as_deref()) else { return Ok(()) };
    match inbox.forget(&key).await {
        Ok(_) => Ok(()),
        Err(error) => Err(inbox::trouble("stopped requeueing", &error)),
    }
}

fn print_requeued(args: &Args, held: &HeldLetter, stayed: Option<&str>) -> Result<(), Trouble> {
    let letter = &held.letter;
    if args.selection.json {
        let mut line = letter.json();
        line["requeued_now"] = (stayed.is_none() && !args.selection.dry_run).into();
        line["stayed"] = stayed.into();
        return output::print(|out| writeln!(out, "{line}"));
    }
    if let Some(why) = stayed {
        let line = |text: &str| output::shortened(text, 400);
        output::complain(&format!("{} stayed: {}", line(&letter.id), line(why)));
        return Ok(());
    }
    let line = list::line(letter, Clock::system().now(), output::Paint::stdout());
    output::print_styled(|out| writeln!(out, "{line}"))
}

/// `user@host`, as far as the system tells.
pub(crate) fn user_and_host() -> String {
    let variable = |names: [&str; 2]| {
        names.iter().find_map(|name| std::env::var(name).ok().filter(|text| !text.is_empty()))
    };
    let user = variable(["USER", "USERNAME"]).unwrap_or_else(|| "somebody".into());
    format!("{user}@{}", host().unwrap_or_else(|| "somewhere".into()))
}

#[cfg(unix)]
fn host() -> Option<String> {
    Some(rustix::system::uname().nodename().to_string_lossy().into_owned())
}

#[cfg(not(unix))]
fn host() -> Option<String> {
    std::env::var("COMPUTERNAME").ok()
}
