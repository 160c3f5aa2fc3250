//! `khronos next`: when schedules are due, or a timing that stands in no file; and why then, or not at all.

mod keda;

use super::{Globals, chosen::chosen, exit::Exit, output, report, table, when, zone_data};
use crate::{
    clock,
    ops::next::{Coming, Entry, Fold, OccurrenceView, Timed, coming, finished, reason, wall},
    schedule::{Fault, Timing, parse_instant_with, parse_length},
    sources::Source,
};
use ponos::event::Timestamp;
use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
};

/// Shows the next occurrences.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The schedules; all that are not paused if left out
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// How many occurrences in all
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: u32,
    /// What is due after this instant (exclusive): 2026-12-01T09:00:00Z, or a local time with --time-zone; now if left
    /// out
    #[arg(long, value_name = "INSTANT")]
    from: Option<String>,
    /// A cron expression that stands in no file
    #[arg(long, value_name = "EXPR", conflicts_with_all = ["names", "every"])]
    cron: Option<String>,
    /// A duration that stands in no file
    #[arg(long, value_name = "DURATION", conflicts_with = "names")]
    every: Option<String>,
    /// The zone of --cron and --every, UTC if left out, and of a local --from: an IANA name
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// The folder of schedule files, instead of the configured one
    #[arg(long, value_name = "DIR")]
    schedules: Option<String>,
    /// One JSON object a line; what was left out is one line for each local day and reason
    #[arg(long)]
    json: bool,
    /// Prints KEDA's cron triggers instead, which start a worker so long before it is due in the year to come, as values of the
    /// chart ponos-worker; 5m if no time is given
    #[arg(
        long,
        value_name = "BEFORE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "5m",
        conflicts_with_all = ["json", "count"]
    )]
    keda: Option<String>,
}

fn shown(instant: Timestamp) -> String {
    instant.to_string().replace(".000Z", "Z")
}

pub(super) fn run(globals: &Globals, args: Args) -> ExitCode {
    match show(globals, &args) {
        Ok(()) => Exit::Done.into(),
        Err(exit) => exit.into(),
    }
}

fn show(globals: &Globals, args: &Args) -> Result<(), Exit> {
    let zone = args.time_zone.as_deref();
    let store = zone_data::configured(globals)?;
    let from = match args.from.as_deref() {
        None => clock::now(),
        Some(text) => {
            let from = parse_instant_with(text, zone, "--from", Some(when::ZONE), store.zones());
            from.map_err(|fault| refuse(args, &fault))?
        }
    };
    let rows = match (&args.cron, &args.every) {
        (Some(expression), _) => {
            vec![alone(
                Timing::from_cron_with(expression, zone, &store).map_err(|fault| refuse(args, &fault))?,
            )]
        }
        (None, Some(every)) => {
            vec![alone(Timing::from_every_with(every, zone, &store).map_err(|fault| refuse(args, &fault))?)]
        }
        (None, None) => from_files(globals, args)?,
    };
    if let Some(before) = &args.keda {
        return show_triggers(args, &rows, from, before);
    }
    let fold = if args.json { Fold::Days } else { Fold::Neighbours };
    let Coming { entries, due, is_cut, ends } = coming(&rows, from, args.count, fold);
    output::print(|out| match args.json {
        true => output::lines(out, &entries.into_iter().map(OccurrenceView::from).collect::<Vec<_>>()),
        false => table(out, &entries, from),
    })?;
    if due == 0 {
        output::complain(&format!("nothing is due after {from}"));
    }
    let note = |note: String| output::complain(&format!("note: {note}"));
    if is_cut {
        note("more was left out than is shown; name the schedule, or ask for fewer occurrences".to_owned());
    }
    if due == 0 || !args.names.is_empty() {
        finished(&rows, from).for_each(note);
    }
    ends.into_iter().for_each(note);
    Ok(())
}

fn show_triggers(args: &Args, rows: &[Timed], from: Timestamp, before: &str) -> Result<(), Exit> {
    if args.names.is_empty() && args.cron.is_none() && args.every.is_none() {
        output::complain("error: --keda is about the schedules that a worker waits for: name them");
        return Err(Exit::Usage);
    }
    let lead = parse_length(before, keda::LONGEST, "--keda");
    let lead = lead.map_err(|fault| report::refuse("--keda", before, &fault))?;
    let mut found = Vec::new();
    for row in rows {
        let name = row.name.as_deref().unwrap_or("it");
        let (triggers, until) = keda::triggers(&row.timing, from, lead).map_err(|why| {
            output::complain(&format!("error: KEDA's cron can't say when {name} is due: {why}"));
            Exit::Usage
        })?;
        if triggers.is_empty() {
            output::complain(&format!("note: {name} is not due until {until}"));
        }
        found.extend(triggers.into_iter().map(|trigger| (row.timing.zone().name(), trigger)));
    }
    output::print(|out| {
        writeln!(out, "scale:\n  cron:{}", if found.is_empty() { " []" } else { "" })?;
        found.iter().try_for_each(|(zone, keda::Trigger { start, end })| {
            writeln!(
                out,
                "    - {{timezone: {zone}, start: \"{start}\", end: \"{end}\", desiredReplicas: 1}}"
            )
        })
    })
}

fn alone(timing: Timing) -> Timed {
    Timed { name: None, event: None, timing, paused: false }
}

fn from_files(globals: &Globals, args: &Args) -> Result<Vec<Timed>, Exit> {
    let row = |source: Source| Timed {
        name: Some(Arc::clone(&source.schedule.name)),
        event: Some(source.schedule.event.to_string()),
        paused: source.schedule.paused,
        timing: source.schedule.timing,
    };
    Ok(chosen(globals, args.schedules.as_deref(), &args.names, !args.json)?.into_iter().map(row).collect())
}

fn table(out: &mut dyn Write, entries: &[Entry<'_>], from: Timestamp) -> io::Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let named = entries.iter().any(|entry| entry.row.name.is_some());
    let mut header = vec!["LOCAL TIME", "ZONE", "UTC", "IN"];
    header.extend(named.then_some(["SCHEDULE", "EVENT"]).into_iter().flatten());
    header.extend(entries.iter().any(|entry| !reasons(entry).is_empty()).then_some("WHY"));
    let mut rows = vec![header.into_iter().map(str::to_owned).collect()];
    for entry in entries {
        let local = entry.local();
        let mut cells = match entry.why.first().filter(|_| !entry.due) {
            Some(one) => {
                vec![wall(one, entry.last.as_ref()), one.zone.to_string(), "-".to_owned(), "-".to_owned()]
            }
            None => vec![
                format!("{}{}", when::local(&local), if local.fold == 1 { " (second pass)" } else { "" }),
                format!("{} {}", local.offset, local.zone),
                match entry.send_at() {
                    None => shown(entry.about),
                    Some(send) => format!("{}, sent {}", shown(entry.about), shown(send)),
                },
                length(entry.about.since(from)),
            ],
        };
        if let (Some(name), Some(event)) = (&entry.row.name, &entry.row.event) {
            cells.push(format!("{name}{}", if entry.row.paused { " (paused)" } else { "" }));
            cells.push(event.clone());
        }
        cells.push(reasons(entry));
        rows.push(cells);
    }
    table::table(out, &rows)
}

/// Why, in words; the same reason once.
fn reasons(entry: &Entry<'_>) -> String {
    let words = |one| reason(one, entry.last.as_ref());
    let mut reasons: Vec<String> = entry.why.iter().map(words).filter(|reason| !reason.is_empty()).collect();
    reasons.dedup();
    let times = if entry.times > 1 { format!(" ({} times)", entry.times) } else { String::new() };
    format!("{}{times}", reasons.join("; "))
}

/// The two largest units of a length in milliseconds.
fn length(millis: i64) -> String {
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let mut rest = millis.max(0);
    let mut parts = Vec::new();
    for (unit, size) in units {
        if rest >= size && parts.len() < 2 {
            parts.push(format!("{}{unit}", rest / size));
        } else if !parts.is_empty() {
            break;
        }
        rest %= size;
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

/// Shows what is wrong with a flag's value.
fn refuse(args: &Args, fault: &Fault) -> Exit {
    let (name, value) = match fault.key {
        "cron" => ("--cron", &args.cron),
        "every" => ("--every", &args.every),
        "time_zone" => (when::ZONE, &args.time_zone),
        _ => ("--from", &args.from),
    };
    report::refuse(name, value.as_deref().unwrap_or_default(), fault)
}

#[cfg(test)]
mod tests {
    use super::length;

    #[test]
    fn a_length_is_shown_in_its_two_largest_units() {
        for (millis, shown) in [
            (0, "0s"),
            (1, "1ms"),
            (1_500, "1s 500ms"),
            (60_000, "1m"),
            (3_661_000, "1h 1m"),
            (86_400_000 + 60_000, "1d"),
            (400 * 86_400_000 + 3_600_000, "400d 1h"),
        ] {
            assert_eq!(length(millis), shown);
        }
    }
}
