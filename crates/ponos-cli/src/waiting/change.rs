//! `ponos waiting run`, `move` and `drop`. What a relay is sending at this moment stays as it is, and the answer says so.

use super::choice::Selection;
use crate::{exit::Exit, inbox::trouble, later::instant, output, trouble::Trouble};
use ponos::{
    event::Timestamp,
    inbox::{
        InboxError,
        postgres::{Waiting, WaitingChange, WaitingCount},
    },
    text::counted,
};
use serde_json::json;
use std::io::{self, BufRead, IsTerminal, Write};

/// Has messages that wait sent now.
///
/// So are those that are parked, or that could not be sent and are to be tried again later.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    selection: Selection,
}

/// Has messages that wait sent at another instant.
#[derive(Debug, clap::Args)]
pub(crate) struct MoveArgs {
    #[command(flatten)]
    selection: Selection,
    /// When they are sent, such as 2026-12-24T17:00:00Z
    #[arg(long = "to", value_name = "INSTANT", value_parser = due)]
    to: Timestamp,
}

fn due(text: &str) -> Result<Timestamp, String> {
    let due = instant(text)?;
    if due < Timestamp::HORIZON { Ok(due) } else { Err("nothing is due from 2100 on".into()) }
}

/// Drops messages that wait, for good, after asking for confirmation.
#[derive(Debug, clap::Args)]
pub(crate) struct DropArgs {
    #[command(flatten)]
    selection: Selection,
    /// Drops without asking for confirmation
    #[arg(long)]
    yes: bool,
}

/// What is done to them.
#[derive(Debug, Clone, Copy)]
enum Change {
    Run,
    Move(Timestamp),
    Drop,
}

pub(super) async fn run_now(args: RunArgs) -> Result<Exit, Trouble> {
    change(&args.selection, Change::Run, true).await
}

pub(super) async fn move_to(args: MoveArgs) -> Result<Exit, Trouble> {
    change(&args.selection, Change::Move(args.to), true).await
}

pub(super) async fn drop(args: DropArgs) -> Result<Exit, Trouble> {
    let DropArgs { selection, yes } = args;
    selection.filter()?;
    if !selection.dry_run && !yes && !io::stdin().is_terminal() {
        return Err(Trouble::usage(
            "can't ask for confirmation without a terminal: give --yes, or --dry-run to see how many would be dropped",
        ));
    }
    change(&selection, Change::Drop, yes).await
}

async fn change(selection: &Selection, change: Change, yes: bool) -> Result<Exit, Trouble> {
    let waiting = selection.place.waiting(selection.filter()?).await?;
    if selection.dry_run || !yes {
        let found = waiting.count().await.map_err(failed)?;
        if selection.dry_run || found.count == 0 {
            return tell_count(selection, change, &found);
        }
        if !asked(&found).await {
            output::complain(&format!("{} left as they were", found.count));
            return Ok(Exit::Findings);
        }
    }
    let mut all = WaitingChange { changed: 0, under_way: 0, more: true };
    while all.more {
        let one = change.make(&waiting).await.map_err(failed)?;
        all = WaitingChange { changed: all.changed + one.changed, ..one };
        // those under way would be found again and again
        all.more = one.more && one.changed > 0;
    }
    tell_change(selection, change, all)
}

impl Change {
    async fn make(self, waiting: &Waiting) -> Result<WaitingChange, InboxError> {
        match self {
            Self::Run => waiting.run_now().await,
            Self::Move(instant) => waiting.move_to(instant).await,
            Self::Drop => waiting.drop().await,
        }
    }

    fn done(self) -> String {
        match self {
            Self::Run => "sent now".into(),
            Self::Move(to) => format!("moved to {to}"),
            Self::Drop => "dropped".into(),
        }
    }
}

fn failed(error: InboxError) -> Trouble {
    trouble("ponos waiting", &error)
}

/// Says what would be changed; an id that nothing has is a finding.
fn tell_count(selection: &Selection, change: Change, found: &WaitingCount) -> Result<Exit, Trouble> {
    if selection.json {
        let WaitingCount { count, first, last } = found;
        let line = json!({ "would_change": count, "first_due": first, "last_due": last });
        output::print(|out| writeln!(out, "{line}"))?;
    } else {
        output::complain(&format!("{} would be {}{}", found.count, change.done(), between(found)));
    }
    Ok(known(selection, found.count))
}

fn tell_change(selection: &Selection, change: Change, made: WaitingChange) -> Result<Exit, Trouble> {
    let WaitingChange { changed, under_way, .. } = made;
    if selection.json {
        let line = json!({ "changed": changed, "under_way": under_way });
        output::print(|out| writeln!(out, "{line}"))?;
    } else {
        output::complain(&format!("{changed} {}", change.done()));
    }
    if under_way > 0 {
        output::fail(&format!(
            "{under_way} stayed as they were: they are under way, being sent at this moment or sent already; see ponos waiting list"
        ));
        return Ok(Exit::Findings);
    }
    Ok(known(selection, changed))
}

/// Whether what was named is there.
fn known(selection: &Selection, count: u64) -> Exit {
    if count > 0 || selection.ids.is_empty() {
        return Exit::Done;
    }
    output::fail("nothing that waits for later has such an id; see ponos waiting list");
    Exit::Findings
}

/// When they are due.
fn between(found: &WaitingCount) -> String {
    match (found.first, found.last) {
        (Some(first), Some(last)) if first != last => format!("; due from {first} to {last}"),
        (Some(due), _) => format!("; due {due}"),
        _ => String::new(),
    }
}

async fn asked(found: &WaitingCount) -> bool {
    let question = format!("Drop {} for good{}? [y/N] ", counted(found.count, "message"), between(found));
    let answer = tokio::task::spawn_blocking(move || {
        let mut out = io::stderr().lock();
        let _ = write!(out, "{question}").and_then(|()| out.flush());
        let mut line = String::new();
        let _ = io::stdin().lock().read_line(&mut line);
        matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes")
    });
    // no answer is a no
    answer.await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_changed_is_told_with_its_times() {
        let at = |first: Option<i64>, last: Option<i64>| {
            let [first, last] = [first, last].map(|millis| millis.map(Timestamp::from_millis));
            between(&WaitingCount { count: 2, first, last })
        };
        assert_eq!(at(None, None), "");
        assert_eq!(at(Some(0), Some(0)), "; due 1970-01-01T00:00:00.000Z");
        assert_eq!(
            at(Some(0), Some(1_000)),
            "; due from 1970-01-01T00:00:00.000Z to 1970-01-01T00:00:01.000Z"
        );
    }
}
