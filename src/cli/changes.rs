//! `khronos changes`: what was changed at run time, and by whom.

use super::{
    Globals,
    error::{CliError, finish},
    exit::Exit,
    output,
    reach::ClockArgs,
    table,
};
use crate::{
    ops::changes::{ChangeView, ChangesQuery, MOST, VersionView},
    position::Position,
};
use std::process::ExitCode;

/// Lists what was created, changed, deleted, paused, triggered or done else at run time, and by whom: the newest first, with --after the oldest. `khronos delayed changes` has those of delayed events.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only changes after this position, oldest first: "position" of one that was shown, or its number
    #[arg(long, value_name = "POSITION")]
    after: Option<Position>,
    /// Only of this schedule
    #[arg(long, value_name = "NAME")]
    schedule: Option<String>,
    /// Only of this calendar
    #[arg(long, value_name = "NAME", conflicts_with = "schedule")]
    calendar: Option<String>,
    /// Only those that this owner asked for
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
    #[command(flatten)]
    clock: ClockArgs,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(globals: &Globals, args: Args) -> ExitCode {
    finish(show(globals, args))
}

async fn show(globals: &Globals, args: Args) -> Result<Exit, CliError> {
    let source = args.clock.reach(globals).await?;
    let most = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let Args { after, schedule, calendar, by, .. } = args;
    let mut wanted = ChangesQuery { schedule, calendar, by, after, ..ChangesQuery::default() };
    let mut changes: Vec<ChangeView> = Vec::new();
    loop {
        wanted.limit = Some(MOST.min(most - changes.len()));
        let page = source.changes(&wanted).await?;
        changes.extend(page.changes);
        let (Some(next), true) = (page.next, changes.len() < most) else { break };
        match after {
            Some(_) => wanted.after = Some(next),
            None => wanted.before = Some(next),
        }
    }
    source.close().await?;
    output::print(|out| {
        if args.json {
            return output::lines(out, &changes);
        }
        if changes.is_empty() {
            return writeln!(out, "no such change is kept");
        }
        let header = ["NUMBER", "AT", "BY", "DOOR", "WHAT", "SCHEDULE", "REVISION", "WAS"];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        rows.extend(changes.iter().map(cells));
        table::table(out, &rows)
    })?;
    Ok(Exit::Done)
}

/// The schedule, and how many others; what was done besides where it was done to no definition.
fn schedules(change: &ChangeView) -> String {
    let ChangeView { schedule, others, note, .. } = change;
    let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
    let note = if note.is_empty() { String::new() } else { format!(" ({note})") };
    format!("{schedule}{more}{note}").trim_start().to_owned()
}

fn cells(change: &ChangeView) -> Vec<String> {
    let revision = |version: &Option<VersionView>| {
        version.as_ref().map_or("-".into(), |version| version.revision.to_string())
    };
    vec![
        change.sequence.to_string(),
        change.at.to_string(),
        change.by.clone(),
        change.door.clone(),
        change.what.clone(),
        schedules(change),
        revision(&change.after),
        revision(&change.before),
    ]
}
