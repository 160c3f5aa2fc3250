//! `khronos history`: how occurrences ended.

use super::{
    Globals,
    error::{CliError, finish},
    exit::Exit,
    output,
    reach::ClockArgs,
    table,
};
use crate::{
    ops::{
        RowView, ScheduleView,
        history::{HistoryQuery, MOST},
    },
    position::Position,
};
use ponos::event::{EventKind, Timestamp};
use std::process::ExitCode;

/// Shows how occurrences ended. `khronos delayed history` has how delayed events did.
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
    /// Due times after this instant (2026-12-01T09:00:00Z)
    #[arg(long, value_name = "INSTANT")]
    from: Option<Timestamp>,
    /// Due times up to this instant
    #[arg(long, value_name = "INSTANT")]
    to: Option<Timestamp>,
    /// Only events sent later than this, such as ">1s"
    #[arg(long, value_name = "DURATION")]
    late: Option<String>,
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
    let mut left = args.limit as usize;
    let words = [&args.kind, &args.outcome, &args.late];
    let by_name_alone = words.iter().all(|word| word.is_none())
        && (args.from, args.to, args.after, args.before) == (None, None, None, None);
    let all = by_name_alone && args.schedule.is_none();
    let mut wanted = HistoryQuery {
        schedule: args.schedule,
        kind: args.kind,
        outcome: args.outcome,
        from: args.from,
        to: args.to,
        late: args.late,
        after: args.after,
        before: args.before,
        limit: None,
    };
    let mut first = true;
    while left > 0 {
        wanted.limit = Some(left.min(MOST));
        let page = source.history(&wanted).await?;
        // Where no such row is recorded, there may be no schedule of this name. Rows that concern all schedules stand under
        // '*'.
        if page.rows.is_empty()
            && page.next.is_none()
            && first
            && let Some(name) = wanted.schedule.as_deref().filter(|name| *name != "*")
        {
            source.check_known(name, by_name_alone).await?;
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
    let asked = wanted.schedule.as_deref().filter(|name| *name != "*");
    // Of one that is finished no further row will come: whoever waits for one should know.
    if let Some(name) = asked.filter(|_| !args.json)
        && let Ok(ScheduleView { finished: Some(finished), confirmed, last_sent_at, .. }) =
            source.schedule(name).await
    {
        let sent = last_sent_at.map_or(String::new(), |at| format!(", the last at {at}"));
        output::complain(&format!("note: {name} is {finished}; events sent: {confirmed}{sent}"));
    }
    source.close().await?;
    Ok(Exit::Done)
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
