//! `khronos list`: the schedules as they run.

use super::{
    Globals,
    error::{CliError, finish},
    exit::Exit,
    output,
    reach::ClockArgs,
    source::ClockSource,
    table,
};
use crate::ops::ScheduleView;
use ponos::event::Timestamp;
use std::process::ExitCode;

/// Lists the schedules as they run.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
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
    let schedules = source.schedules().await?.schedules;
    let stopped = matches!(source, ClockSource::Stopped(_));
    source.close().await?;
    if stopped {
        output::complain("no clock runs on this store; this is what it holds");
    }
    output::print(|out| {
        if args.json {
            return output::lines(out, &schedules);
        }
        if schedules.is_empty() {
            return writeln!(out, "there are no schedules");
        }
        let header = ["NAME", "EVENT", "TIMING", "NEXT DUE", "LAST SENT", "CONFIRMED", "TO NOBODY", "STATE"];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        rows.extend(schedules.iter().map(cells));
        table::table(out, &rows)
    })?;
    Ok(Exit::Done)
}

fn cells(schedule: &ScheduleView) -> Vec<String> {
    let instant = |at: Option<Timestamp>| at.map_or("-".to_owned(), |at| at.to_string());
    let refused = schedule.refused.as_ref();
    let refused = refused.map(|refused| format!("refused since {}: {}", refused.since, refused.reason));
    let state =
        refused.unwrap_or_else(|| match (&schedule.outstanding, &schedule.finished, schedule.paused) {
            (Some(span), ..) => format!("catching up since {}", span.after),
            (None, Some(finished), _) => finished.to_string(),
            (None, None, true) => "paused".to_owned(),
            (None, None, false) => String::new(),
        });
    vec![
        schedule.name.clone(),
        schedule.event.clone().unwrap_or_else(|| "?".to_owned()),
        schedule.timing.clone(),
        instant(schedule.next_due_at),
        instant(schedule.last_sent_at),
        schedule.confirmed.to_string(),
        schedule.returned.to_string(),
        state,
    ]
}
