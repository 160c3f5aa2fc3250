//! `khronos audit`: the record against the arithmetic.

use super::{
    Globals,
    error::{CliError, finish},
    exit::Exit,
    output,
    reach::ClockArgs,
    table,
};
use crate::{
    clock,
    diagnostic::counted,
    engine::audit::{DelayedReport, Finding, Report, ScheduleReport, Tally},
    ops::audit::Window,
    telemetry::colours,
};
use ponos::{
    event::Timestamp,
    terminal::{Cleaned, line},
};
use std::{
    io::{self, Write},
    process::ExitCode,
};

/// Compares the record with the arithmetic, and counts delayed events; ends with 1 on a hole or a surplus.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this schedule
    #[arg(value_name = "NAME")]
    schedule: Option<String>,
    /// Due times after this instant (2026-12-01T09:00:00Z); all that the record knows if left out
    #[arg(long, value_name = "INSTANT")]
    from: Option<Timestamp>,
    /// Due times up to this instant
    #[arg(long, value_name = "INSTANT")]
    to: Option<Timestamp>,
    #[command(flatten)]
    clock: ClockArgs,
    /// One JSON object a line: each schedule, then all together
    #[arg(long)]
    json: bool,
}

pub(super) fn run(globals: &Globals, args: Args) -> ExitCode {
    finish(show(globals, args))
}

async fn show(globals: &Globals, args: Args) -> Result<Exit, CliError> {
    let window = Window::new(args.from, args.to, clock::now())?;
    let source = args.clock.reach(globals).await?;
    let audited = source.audit(window, args.schedule.as_deref()).await;
    source.close().await?;
    let report = audited?;
    let coloured = colours(&io::stdout());
    output::print_styled(|out| match args.json {
        true => json(&mut Cleaned::new(out), &report),
        false => people(out, &report, coloured),
    })?;
    Ok(if report.agrees() { Exit::Done } else { Exit::Findings })
}

fn json(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    output::lines(out, &report.schedules)?;
    let all = serde_json::json!({
        "from": report.from,
        "to": report.to,
        "rows": report.rows,
        "agrees": report.agrees(),
        "totals": report.totals,
        "notes": report.notes,
        "delayed": report.delayed,
    });
    output::lines(out, &[all])
}

fn people(out: &mut dyn Write, report: &Report, coloured: bool) -> io::Result<()> {
    let header = [
        "SCHEDULE",
        "EXPECTED",
        "CONFIRMED",
        "COALESCED",
        "SKIPPED",
        "PARKED",
        "DROPPED",
        "PENDING",
        "LOST DETAILS",
        "HOLES",
        "SURPLUS",
        "RESENT",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(report.schedules.iter().map(|schedule| cells(&schedule.schedule, &schedule.tally)));
    rows.push(cells("(all)", &report.totals));
    table::table(out, &rows)?;
    writeln!(out)?;
    for schedule in &report.schedules {
        findings(out, schedule)?;
    }
    for note in &report.notes {
        writeln!(out, "note: {}", line(note))?;
    }
    let coloured = |is_right: bool| match (coloured, is_right) {
        (false, _) => ("", ""),
        (true, true) => ("\x1b[32m", "\x1b[0m"),
        (true, false) => ("\x1b[31m", "\x1b[0m"),
    };
    if let Some(delayed) = &report.delayed {
        let (colour, plain) = coloured(delayed.agrees());
        writeln!(out, "{colour}{}{plain}", line(&of_delayed(delayed)))?;
    }
    let agree = report.totals.holes == 0 && report.totals.surplus == 0;
    let (colour, plain) = coloured(agree);
    let verdict = if agree { "record and arithmetic agree" } else { "record and arithmetic do not agree" };
    let Report { from, to, .. } = report;
    let rows = counted(report.rows, "row");
    writeln!(out, "{colour}{verdict}{plain} after {from} through {to} ({rows})")
}

/// What is said of delayed events, and whether it is so.
fn of_delayed(delayed: &DelayedReport) -> String {
    if let Some(why) = &delayed.unreadable {
        return format!("delayed events could not be counted: {why}");
    }
    let DelayedReport { accepted, settled, cancelled, pending, counted, .. } = delayed;
    let said = format!(
        "delayed events: {accepted} accepted = {settled} settled + {cancelled} cancelled + {pending} pending; {counted} counted"
    );
    let missing = (delayed.missing > 0).then(|| format!("{} missing", delayed.missing));
    let surplus = (delayed.surplus > 0).then(|| format!("{} too many", delayed.surplus));
    let balance = (!delayed.is_balanced).then(|| "the balance does not add up".to_owned());
    match [missing, surplus, balance].into_iter().flatten().collect::<Vec<_>>() {
        wrong if wrong.is_empty() => format!("{said}, which agrees"),
        wrong => format!("{said}, which does not agree: {}", wrong.join(", ")),
    }
}

fn cells(name: &str, tally: &Tally) -> Vec<String> {
    let skipped = match tally.skipped.len() {
        0 => "0".to_owned(),
        _ => {
            let reasons: Vec<_> =
                tally.skipped.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
            reasons.join(", ")
        }
    };
    let lost = tally.details_lost + tally.clock_set_back;
    let mut cells = vec![name.to_owned()];
    let counts = [tally.expected, tally.confirmed, tally.coalesced];
    cells.extend(counts.iter().map(u64::to_string));
    cells.push(skipped);
    let counts = [tally.parked, tally.dropped, tally.pending, lost, tally.holes, tally.surplus, tally.resent];
    cells.extend(counts.iter().map(u64::to_string));
    cells
}

fn findings(out: &mut dyn Write, report: &ScheduleReport) -> io::Result<()> {
    let span = |finding: &Finding| {
        if finding.first == finding.last {
            finding.first.to_string()
        } else {
            let count = counted(finding.count, "occurrence");
            format!("{} … {} ({count})", finding.first, finding.last)
        }
    };
    let schedule = line(&report.schedule);
    for finding in &report.missing {
        writeln!(out, "hole: {schedule} {}: {}", span(finding), line(&finding.what))?;
    }
    for finding in &report.extra {
        let row = finding.sequence.map_or(String::new(), |sequence| format!(" (row {sequence})"));
        writeln!(out, "surplus: {schedule} {}{row}: {}", span(finding), line(&finding.what))?;
    }
    Ok(())
}
