//! `khronos next`: when schedules are due, or a timing that stands in no file.

use super::{Globals, chosen::chosen, exit::Exit, output, report, when};
use crate::{
    clock,
    schedule::{Fault, Local, Timing, parse_instant},
    sources::Source,
};
use ponos::event::Timestamp;
use serde::Serialize;
use std::{
    cmp::Reverse,
    collections::BinaryHeap,
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
    /// The zone of --cron, --every and a local --from: an IANA name; UTC if left out
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// The folder of schedule files, instead of the configured one
    #[arg(long, value_name = "DIR")]
    schedules: Option<String>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Something with a timing.
struct Row {
    name: Option<Arc<str>>,
    event: Option<String>,
    timing: Timing,
    paused: bool,
}

/// One occurrence, as `--json` shows it.
#[derive(Serialize)]
struct Occurrence<'a> {
    schedule: Option<&'a str>,
    event: Option<&'a str>,
    due_at: Timestamp,
    local_time: String,
    utc_offset: String,
    time_zone: &'static str,
    fold: u8,
    paused: bool,
}

pub(super) fn run(globals: &Globals, args: Args) -> ExitCode {
    match show(globals, &args) {
        Ok(()) => Exit::Done.into(),
        Err(exit) => exit.into(),
    }
}

fn show(globals: &Globals, args: &Args) -> Result<(), Exit> {
    let zone = args.time_zone.as_deref();
    let from = match args.from.as_deref() {
        None => clock::now(),
        Some(text) => parse_instant(text, zone, "--from").map_err(|fault| refuse(args, &fault))?,
    };
    let rows = match (&args.cron, &args.every) {
        (Some(expression), _) => {
            vec![alone(Timing::from_cron(expression, zone).map_err(|fault| refuse(args, &fault))?)]
        }
        (None, Some(every)) => {
            vec![alone(Timing::from_every(every, zone).map_err(|fault| refuse(args, &fault))?)]
        }
        (None, None) => from_files(globals, args)?,
    };
    let mut any = false;
    output::print(|out| {
        let due = merged(&rows, from, args.count).inspect(|_| any = true);
        if args.json { lines(out, due) } else { table(out, due, from) }
    })?;
    if !any {
        output::complain(&format!("nothing is due after {from}"));
    }
    Ok(())
}

fn alone(timing: Timing) -> Row {
    Row { name: None, event: None, timing, paused: false }
}

fn from_files(globals: &Globals, args: &Args) -> Result<Vec<Row>, Exit> {
    let row = |source: Source| Row {
        name: Some(Arc::clone(&source.schedule.name)),
        event: Some(source.schedule.event.to_string()),
        paused: source.schedule.paused,
        timing: source.schedule.timing,
    };
    Ok(chosen(globals, args.schedules.as_deref(), &args.names)?.into_iter().map(row).collect())
}

/// What is due after `from`, in the order of DESIGN §2: due time, then name.
fn merged(rows: &[Row], from: Timestamp, count: u32) -> impl Iterator<Item = (&Row, Timestamp, Local)> {
    let key = |row: &Row, due, index| Reverse((due, row.name.clone(), index));
    let first = |(index, row): (usize, &Row)| row.timing.after(from).map(|due| key(row, due, index));
    let mut heap: BinaryHeap<_> = rows.iter().enumerate().filter_map(first).collect();
    std::iter::from_fn(move || {
        let Reverse((due, _, index)) = heap.pop()?;
        let row = rows.get(index)?;
        if let Some(next) = row.timing.after(due) {
            heap.push(key(row, next, index));
        }
        Some((row, due, row.timing.local(due)?))
    })
    .take(count as usize)
}

fn lines<'a>(out: &mut dyn Write, due: impl Iterator<Item = (&'a Row, Timestamp, Local)>) -> io::Result<()> {
    for (row, due_at, local) in due {
        let occurrence = Occurrence {
            schedule: row.name.as_deref(),
            event: row.event.as_deref(),
            due_at,
            local_time: local.time,
            utc_offset: local.offset,
            time_zone: local.zone,
            fold: local.fold,
            paused: row.paused,
        };
        serde_json::to_writer(&mut *out, &occurrence)?;
        writeln!(out)?;
    }
    Ok(())
}

fn table<'a>(
    out: &mut dyn Write,
    due: impl Iterator<Item = (&'a Row, Timestamp, Local)>,
    from: Timestamp,
) -> io::Result<()> {
    let mut rows = vec![Vec::new()];
    let mut named = false;
    for (row, due, local) in due {
        let pass = if local.fold == 1 { " (second pass)" } else { "" };
        let mut cells = vec![
            format!("{}{pass}", when::local(&local)),
            format!("{} {}", local.offset, local.zone),
            due.to_string().replace(".000Z", "Z"),
            length(due.since(from)),
        ];
        if let (Some(name), Some(event)) = (&row.name, &row.event) {
            named = true;
            cells.push(format!("{name}{}", if row.paused { " (paused)" } else { "" }));
            cells.push(event.clone());
        }
        rows.push(cells);
    }
    let titles: &[&str] = &["LOCAL TIME", "ZONE", "UTC", "IN", "SCHEDULE", "EVENT"];
    let shown = if named { titles } else { titles.get(..4).unwrap_or_default() };
    if rows.len() == 1 {
        return Ok(());
    }
    if let Some(header) = rows.first_mut() {
        *header = shown.iter().map(|title| (*title).to_owned()).collect();
    }
    output::table(out, &rows)
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
        "time_zone" => ("--time-zone", &args.time_zone),
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
