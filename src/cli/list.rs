//! `khronos list`: the schedules as they run.

use super::{
    Globals,
    error::{CliError, finish},
    exit::Exit,
    get::through,
    output,
    reach::ClockArgs,
    source::ClockSource,
    table,
};
use crate::ops::{ORIGINS, STATES, ScheduleList, ScheduleView, schedules::ScheduleQuery};
use crate::schedule::Definition;
use ponos::event::Timestamp;
use std::process::ExitCode;

/// Lists the schedules as they run.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    clock: ClockArgs,
    /// Only those whose names begin so
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// Only those whose events are of this domain: "billing" (or "billing.*") is that of
    /// billing.invoice.due, and so are "billing.invoice" and "*.invoice"
    #[arg(long, value_name = "WORDS")]
    domain: Option<String>,
    /// Only those in this state
    #[arg(long, value_name = "STATE", value_parser = STATES)]
    state: Option<String>,
    /// Only those that this owner created at run time
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// Only those from there: file, or client (created at run time)
    #[arg(long, value_name = "WORD", value_parser = ORIGINS)]
    origin: Option<String>,
    /// Only those with this label: team:billing; with any value of it: team; with several: team:billing,stage
    #[arg(long, value_name = "LABEL")]
    label: Option<String>,
    /// Where each comes from, too: its file and line; or who created it at run time, and by which door
    #[arg(long, conflicts_with = "json")]
    wide: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(globals: &Globals, args: Args) -> ExitCode {
    finish(show(globals, args))
}

async fn show(globals: &Globals, args: Args) -> Result<Exit, CliError> {
    let source = args.clock.reach(globals).await?;
    let Args { prefix, domain, state, owner, origin, label, .. } = args;
    let all = [&prefix, &domain, &state, &owner, &origin, &label].into_iter().all(Option::is_none);
    let wanted = ScheduleQuery { prefix, domain, state, owner, origin, label, ..ScheduleQuery::default() };
    let ScheduleList { paused, schedules, .. } = source.schedules_of(wanted).await?;
    let stopped = matches!(source, ClockSource::Stopped(_));
    source.close().await?;
    if stopped {
        output::complain("no clock runs on this store; this is what it holds");
    }
    if let Some(pause) = &paused {
        output::complain(&format!("the clock is {pause}; nothing is sent before it ends"));
    }
    output::print(|out| {
        if args.json {
            return output::lines(out, &schedules);
        }
        if schedules.is_empty() {
            return writeln!(out, "there are no {}schedules", if all { "" } else { "such " });
        }
        let header = ["NAME", "EVENT", "TIMING", "NEXT DUE", "LAST SENT", "CONFIRMED", "TO NOBODY", "STATE"];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        rows.extend(schedules.iter().map(|one| cells(one, paused.is_some())));
        if schedules.iter().any(|one| one.definition.labels.is_some()) {
            let labels = std::iter::once("LABELS".to_owned()).chain(schedules.iter().map(labels));
            rows.iter_mut().zip(labels).for_each(|(row, labels)| row.push(labels));
        }
        if args.wide {
            let from = std::iter::once("FROM".to_owned()).chain(schedules.iter().map(from));
            rows.iter_mut().zip(from).for_each(|(row, from)| row.push(from));
        }
        table::table(out, &rows)
    })?;
    Ok(Exit::Done)
}

/// As a filter has them.
fn labels(schedule: &ScheduleView) -> String {
    let labels = schedule.definition.labels.iter().flatten();
    labels.map(|(key, value)| format!("{key}:{value}")).collect::<Vec<_>>().join(", ")
}

/// Where it comes from.
fn from(schedule: &ScheduleView) -> String {
    match (&schedule.owner, &schedule.place) {
        (Some(owner), _) => format!("{owner}{}", through(schedule)),
        (None, Some(place)) => place.clone(),
        (None, None) => "a file".to_owned(),
    }
}

fn names_calendars(definition: &Definition) -> bool {
    definition.at.is_none() && (definition.only.is_some() || definition.exclude.is_some())
}

/// `all_paused`: the clock is, with all schedules.
fn cells(schedule: &ScheduleView, all_paused: bool) -> Vec<String> {
    let instant = |at: Option<Timestamp>| at.map_or("-".to_owned(), |at| at.to_string());
    let state = if let Some(pause) = &schedule.pause {
        pause.to_string()
    } else if let Some(refused) = &schedule.refused {
        format!("refused since {}: {}", refused.since, refused.reason)
    } else if let Some(finished) = &schedule.finished {
        finished.to_string()
    } else if all_paused && !schedule.paused {
        "paused with all".to_owned()
    } else if let Some(span) = &schedule.outstanding {
        format!("catching up since {}", span.after)
    } else if schedule.paused {
        "paused".to_owned()
    } else if schedule.next_due_at.is_none() && names_calendars(&schedule.definition) {
        // It is not finished: there may be days again.
        "its calendars leave no day".to_owned()
    } else {
        String::new()
    };
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
