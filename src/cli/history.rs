//! `khronos history`: how occurrences ended.

use super::{
    Globals,
    exit::Exit,
    output,
    reach::{Source, Trouble, Which, finish},
    table,
};
use crate::{
    diagnostic::nearest,
    engine::Revision,
    http::{
        LISTED, RowView, ScheduleView,
        client::{ClientError, encode},
        history::{self, History, MOST, Wanted},
    },
    position::Position,
};
use ponos::event::EventKind;
use std::{collections::BTreeSet, process::ExitCode};

/// Where all names are.
const LIST: &str = "khronos list shows all";

/// Shows how occurrences ended.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this schedule
    #[arg(value_name = "NAME")]
    schedule: Option<String>,
    /// Only this kind
    #[arg(long, value_parser = EventKind::WORDS)]
    kind: Option<String>,
    /// Only this outcome
    #[arg(long, value_parser = ["confirmed", "skipped", "parked", "dropped", "details-lost", "clock-set-back"])]
    outcome: Option<String>,
    /// Rows after this position (or number), oldest first; else the newest first
    #[arg(long, value_name = "POSITION", conflicts_with = "before")]
    after: Option<Position>,
    /// Rows before this position (or number), newest first
    #[arg(long, value_name = "POSITION")]
    before: Option<Position>,
    /// How many rows
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
    #[command(flatten)]
    which: Which,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(globals: &Globals, args: Args) -> ExitCode {
    finish(show(globals, args))
}

async fn show(globals: &Globals, args: Args) -> Result<Exit, Trouble> {
    let source = args.which.reach(globals).await?;
    let mut left = args.limit as usize;
    let chosen = [&args.schedule, &args.kind, &args.outcome];
    let all = chosen.iter().all(|word| word.is_none()) && args.after.is_none() && args.before.is_none();
    let mut wanted = Wanted {
        schedule: args.schedule,
        kind: args.kind,
        outcome: args.outcome,
        after: args.after,
        before: args.before,
        limit: None,
    };
    let mut first = true;
    while left > 0 {
        wanted.limit = Some(left.min(MOST));
        let page = match &source {
            Source::Clock(client) => client.get::<History>(&path(&wanted)).await?,
            Source::Store(kept) => history::read(&kept.record, &kept.clock, &wanted).await?,
        };
        if page.rows.is_empty() && page.next.is_none() && first {
            known(&source, wanted.schedule.as_deref()).await?;
        }
        left = left.saturating_sub(page.rows.len());
        // Of many rows without one that is wanted, nothing is shown.
        if !page.rows.is_empty() || page.next.is_none() {
            output::print(|out| {
                if args.json {
                    return output::lines(out, &page.rows);
                }
                // Only the last page has neither a row nor a next one.
                if first && page.rows.is_empty() {
                    let none = if all { "nothing is recorded" } else { "no such row is recorded" };
                    return writeln!(out, "{none}");
                }
                let header =
                    ["NUMBER", "DUE", "SCHEDULE", "KIND", "OUTCOME", "LATE", "COUNT", "ID OR REASON"];
                let mut rows = vec![header.map(str::to_owned).to_vec()];
                rows.extend(page.rows.iter().map(cells));
                if first { table::table(out, &rows) } else { table::more(out, &rows) }
            })?;
            first = false;
        }
        match (page.next, wanted.after.is_some()) {
            (Some(next), true) => wanted.after = Some(next),
            (Some(next), false) => wanted.before = Some(next),
            (None, _) => break,
        }
    }
    if let Source::Store(kept) = source {
        kept.close().await?;
    }
    Ok(Exit::Done)
}

/// Where nothing is recorded of a schedule: whether there is one of this name at all.
async fn known(source: &Source, schedule: Option<&str>) -> Result<(), Trouble> {
    // Rows that concern all schedules stand under '*'.
    let Some(name) = schedule.filter(|name| *name != "*") else { return Ok(()) };
    match source {
        Source::Clock(client) => {
            let found = client.get::<ScheduleView>(&format!("/schedules/{}", encode(name))).await;
            found.map(drop).map_err(|error| match error {
                ClientError::Refused { status, detail } => {
                    ClientError::Refused { status, detail: detail.replace(LISTED, LIST) }
                }
                other => other,
            })?;
        }
        Source::Store(kept) => {
            let names: BTreeSet<&str> = kept.snapshot.revisions.iter().map(Revision::name).collect();
            if !names.contains(name) {
                let help = nearest(name, names)
                    .map_or_else(|| LIST.to_owned(), |near| format!("did you mean '{near}'?"));
                return Err(Trouble::Usage(format!("there is no schedule '{name}'; {help}")));
            }
        }
    }
    Ok(())
}

fn path(wanted: &Wanted) -> String {
    let mut path = format!("/history?limit={}", wanted.limit.unwrap_or(MOST));
    let words = [("schedule", &wanted.schedule), ("kind", &wanted.kind), ("outcome", &wanted.outcome)];
    for (key, value) in words {
        if let Some(value) = value {
            path.push_str(&format!("&{key}={}", encode(value)));
        }
    }
    for (key, value) in [("after", wanted.after), ("before", wanted.before)] {
        if let Some(value) = value {
            path.push_str(&format!("&{key}={value}"));
        }
    }
    path
}

fn cells(row: &RowView) -> Vec<String> {
    let late = row.lateness_ms.map_or("-".to_owned(), |late| format!("{late} ms"));
    let outcome = if row.returned == Some(true) { "to nobody".to_owned() } else { row.outcome.clone() };
    let detail = row.id.clone().or_else(|| row.reason.clone()).unwrap_or_default();
    vec![
        row.sequence.to_string(),
        row.due_at.to_string(),
        row.schedule.clone(),
        row.kind.clone(),
        outcome,
        late,
        row.count.to_string(),
        detail,
    ]
}
