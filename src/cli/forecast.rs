//! `khronos forecast`: how many occurrences are coming, and when most of them.

use super::{Globals, chosen::chosen, exit::Exit, output, report, table, terminal, when, zone_data};
use crate::{
    schedule::{CalendarStore, LoadForecast, Peak, Timing},
    sources::Source,
    telemetry,
};
use ponos::{event::Timestamp, terminal::Cleaned};
use serde::Serialize;
use std::{
    collections::HashMap,
    io::{self, Write},
    process::ExitCode,
};

/// Shows how many occurrences are coming, and when most of them
///
/// Counted are due times after --from (exclusive) through its end. Paused schedules are left out unless they are named.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The schedules; all that are not paused if left out
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// From when on (exclusive): 2026-12-01T09:00:00Z, or a local time with --time-zone; now if left out
    #[arg(long, value_name = "INSTANT")]
    from: Option<String>,
    /// How far ahead: "1 day", "7 days", at most "31 days"
    #[arg(long = "for", value_name = "DURATION", default_value = "1 day")]
    length: String,
    /// The zone in which times are shown, UTC if left out, and a local --from is read: an IANA name
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// The folder of schedule files, instead of the configured one
    #[arg(long, value_name = "DIR")]
    schedules: Option<String>,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// The longest span: its seconds take 11 MB.
const LONGEST: i64 = 31 * 86_400_000;
/// How many of the busiest seconds are shown, and how many schedules of each.
const BUSIEST: usize = 5;
const BEHIND: usize = 5;
/// The lengths of a row of the chart, in seconds: the first that makes few enough rows is taken. From half an hour on, rows
/// begin where this is due in the zone that is shown.
const ROWS: [(i64, Option<&str>); 14] = [
    (1, None),
    (5, None),
    (10, None),
    (30, None),
    (60, None),
    (300, None),
    (600, None),
    (900, None),
    (1800, Some("*/30 * * * *")),
    (3600, Some("0 * * * *")),
    (10_800, Some("0 */3 * * *")),
    (21_600, Some("0 */6 * * *")),
    (43_200, Some("0 */12 * * *")),
    (86_400, AT_MIDNIGHT),
];
const AT_MIDNIGHT: Option<&str> = Some("0 0 * * *");
const MOST_ROWS: i64 = 32;

#[derive(Serialize)]
struct Forecast {
    from: Timestamp,
    through: Timestamp,
    schedules: usize,
    occurrences: u64,
    per_second: Rate,
    per_minute: Rate,
    row_seconds: i64,
    rows: Vec<Row>,
    busiest: Vec<Busy>,
}

#[derive(Serialize)]
struct Rate {
    mean: f64,
    peak: u64,
    peak_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct Row {
    at: Timestamp,
    occurrences: u64,
}

#[derive(Serialize)]
struct Busy {
    at: Timestamp,
    occurrences: u64,
    schedules: Vec<Behind>,
    /// How many schedules more.
    more: usize,
}

#[derive(Serialize)]
struct Behind {
    name: String,
    event: String,
    occurrences: u64,
}

pub(super) fn run(globals: &Globals, args: Args) -> ExitCode {
    match show(globals, &args) {
        Ok(()) => Exit::Done.into(),
        Err(exit) => exit.into(),
    }
}

fn show(globals: &Globals, args: &Args) -> Result<(), Exit> {
    let zone = args.time_zone.as_deref();
    // Any timing of the zone tells its local time.
    let store = zone_data::configured(globals)?;
    let wall = Timing::from_every_with("1 day", zone, &store)
        .map_err(|fault| report::refuse("--time-zone", zone.unwrap_or_default(), &fault))?;
    let from = when::start(args.from.as_deref(), zone, Some(when::ZONE), &store)?;
    let through = when::end(from, &args.length, LONGEST)?;
    let schedules = chosen(globals, args.schedules.as_deref(), &args.names, !args.json)?;
    let forecast = foretell(&schedules, (from, through), zone, &store);
    output::print_styled(|out| {
        if args.json {
            return output::lines(&mut Cleaned::new(out), &[forecast]);
        }
        text(out, &forecast, &wall, &args.length)
    })
}

fn foretell(
    schedules: &[Source],
    (from, through): (Timestamp, Timestamp),
    zone: Option<&str>,
    store: &CalendarStore,
) -> Forecast {
    let mut load = LoadForecast::new(from, through);
    for (timing, times) in grouped(schedules) {
        load.add(timing, times);
    }
    let per = |unit: f64, peak: Option<Peak>| Rate {
        mean: load.total() as f64 * unit / (load.span() as f64).max(1.0),
        peak: peak.map_or(0, |peak| peak.count),
        peak_at: peak.map(|peak| peak.at),
    };
    let row = ROWS.into_iter().find(|(row, _)| load.span() / 1000 / row < MOST_ROWS);
    let (row, starts) = row.unwrap_or((86_400, AT_MIDNIGHT));
    let starts = starts.and_then(|cron| Timing::from_cron_with(cron, zone, store).ok());
    let rows: Vec<Peak> = match &starts {
        Some(starts) => load.slices_at(starts).collect(),
        None => load.slices(row).collect(),
    };
    let busiest = load.busiest(BUSIEST).into_iter().map(|peak| busy(schedules, peak, from, through));
    Forecast {
        from,
        through,
        schedules: schedules.len(),
        occurrences: load.total(),
        per_second: per(1000.0, load.peak_second()),
        per_minute: per(60_000.0, load.peak_minute()),
        row_seconds: row,
        rows: rows.into_iter().map(|one| Row { at: one.at, occurrences: one.count }).collect(),
        busiest: busiest.collect(),
    }
}

/// Each timing once, with how many schedules have it: a million minutely schedules are one.
fn grouped(schedules: &[Source]) -> impl Iterator<Item = (&Timing, u32)> {
    let mut groups: HashMap<String, (&Timing, u32)> = HashMap::new();
    for source in schedules {
        let group = groups.entry(source.definition.timing_key()).or_insert((&source.schedule.timing, 0));
        group.1 = group.1.saturating_add(1);
    }
    groups.into_values()
}

/// The schedules behind a second, the busiest first.
fn busy(schedules: &[Source], peak: Peak, from: Timestamp, through: Timestamp) -> Busy {
    let (after, end) = (peak.at.plus(-1).max(from), peak.at.plus(999).min(through));
    let count = |source: &Source| source.schedule.timing.count(after, end);
    let mut found: Vec<_> =
        schedules.iter().map(|source| (count(source), source)).filter(|one| one.0 > 0).collect();
    found.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.schedule.name.cmp(&b.1.schedule.name)));
    let more = found.len().saturating_sub(BEHIND);
    let behind = found.into_iter().take(BEHIND).map(|(occurrences, source)| Behind {
        name: source.schedule.name.to_string(),
        event: source.schedule.event.to_string(),
        occurrences,
    });
    Busy { at: peak.at, occurrences: peak.count, schedules: behind.collect(), more }
}

fn text(out: &mut dyn Write, forecast: &Forecast, wall: &Timing, length: &str) -> io::Result<()> {
    let Forecast { per_second, per_minute, .. } = forecast;
    let local =
        |at: Timestamp| wall.local(at).map_or_else(|| at.to_string(), |local| local.time.replace('T', " "));
    let schedules = if forecast.schedules == 1 { "schedule" } else { "schedules" };
    let occurrences = if forecast.occurrences == 1 { "occurrence" } else { "occurrences" };
    writeln!(
        out,
        "{} {schedules}, {} {occurrences} in {length} after {}\n",
        grouped_digits(forecast.schedules as u64),
        grouped_digits(forecast.occurrences),
        forecast.from
    )?;
    let mut rows = vec![["", "MEAN", "PEAK", "AT"].map(str::to_owned).to_vec()];
    for (unit, rate) in [("a second", per_second), ("a minute", per_minute)] {
        let at = rate.peak_at.map_or("-".to_owned(), local);
        rows.push(vec![unit.to_owned(), decimal(rate.mean), grouped_digits(rate.peak), at]);
    }
    table::table(out, &rows)?;
    writeln!(out)?;
    chart(out, forecast, wall, local)?;
    if forecast.busiest.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let mut rows = vec![["BUSIEST SECONDS", "COUNT", "SCHEDULES"].map(str::to_owned).to_vec()];
    for busy in &forecast.busiest {
        let mut names: Vec<_> = busy.schedules.iter().map(named).collect();
        if busy.more > 0 {
            names.push(format!("and {} more", grouped_digits(busy.more as u64)));
        }
        rows.push(vec![local(busy.at), grouped_digits(busy.occurrences), names.join(", ")]);
    }
    table::table(out, &rows)
}

fn named(behind: &Behind) -> String {
    match behind.occurrences {
        1 => behind.name.clone(),
        count => format!("{} ({count} times)", behind.name),
    }
}

/// A bar for each row; in colour on a terminal.
fn chart(
    out: &mut dyn Write,
    forecast: &Forecast,
    wall: &Timing,
    local: impl Fn(Timestamp) -> String,
) -> io::Result<()> {
    let most = forecast.rows.iter().map(|row| row.occurrences).max().unwrap_or(0);
    let counts: Vec<String> = forecast.rows.iter().map(|row| grouped_digits(row.occurrences)).collect();
    let wide = counts.iter().map(String::len).max().unwrap_or(0).max("COUNT".len());
    let label =
        |at| local(at).get(..if forecast.row_seconds < 60 { 19 } else { 16 }).unwrap_or_default().to_owned();
    let columns = terminal::width().saturating_sub(label(forecast.from).len() + wide + 4);
    let (unicode, colours) = (terminal::unicode(), telemetry::colours(&io::stdout()));
    let zone = wall.zone().name();
    writeln!(out, "{:<width$}  {:>wide$}", zone, "COUNT", width = label(forecast.from).len())?;
    for (row, count) in forecast.rows.iter().zip(&counts) {
        let bar = terminal::bar(row.occurrences, most, columns, unicode);
        let bar = if colours && !bar.is_empty() { format!("\x1b[36m{bar}\x1b[0m") } else { bar };
        writeln!(out, "{}", format!("{}  {count:>wide$}  {bar}", label(row.at)).trim_end())?;
    }
    Ok(())
}

/// `12,345`.
fn grouped_digits(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// With as many decimals as say something.
fn decimal(number: f64) -> String {
    match number {
        n if n >= 100.0 => grouped_digits(n.round() as u64),
        n if n >= 10.0 => format!("{n:.1}"),
        n if n >= 0.1 => format!("{n:.2}"),
        0.0 => "0".to_owned(),
        n => format!("{n:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        let shown: Vec<_> = [0, 12, 999, 1000, 1_234_567].into_iter().map(grouped_digits).collect();
        assert_eq!(shown, ["0", "12", "999", "1,000", "1,234,567"]);
        let shown: Vec<_> = [0.0, 0.0123, 0.5, 12.34, 1234.5].into_iter().map(decimal).collect();
        assert_eq!(shown, ["0", "0.0123", "0.50", "12.3", "1,235"]);
    }
}
