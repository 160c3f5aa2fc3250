//! A plan for people.

use super::compare::{ByZoneData, Instant, Kind, One, Plan, Shown, Sum};
use crate::diagnostic::counted;
use ponos::terminal::line;
use serde_json::Value;
use std::io::{self, Write};

/// How many schedules are shown.
const MOST: usize = 200;
/// How many characters of a key's value.
const WIDE: usize = 60;

/// Writes it.
pub(super) fn write(out: &mut dyn Write, plan: &Plan, length: &str) -> io::Result<()> {
    writeln!(out, "{} → {}, {length} after {}\n", plan.old, plan.new, plan.from)?;
    for one in plan.schedules.iter().take(MOST) {
        schedule(out, one)?;
    }
    if plan.schedules.len() > MOST {
        let more = counted(plan.schedules.len() - MOST, "schedule");
        writeln!(out, "… and {more} more (--json has them all)")?;
    }
    if !plan.schedules.is_empty() {
        writeln!(out)?;
    }
    let of = |kind| plan.schedules.iter().filter(|one| one.change == kind).count();
    writeln!(
        out,
        "schedules: {} added, {} removed, {} changed, {} unchanged",
        of(Kind::Added),
        of(Kind::Removed),
        of(Kind::Changed),
        plan.unchanged
    )?;
    if let Some(ByZoneData { data, schedules, sum }) = &plan.zone_data {
        writeln!(out, "tzdata {data}: {} in {length} ({})", brief(sum), counted(*schedules, "schedule"))?;
    }
    write!(out, "{} in {length}", sum(&plan.sum))?;
    let gap = plan.schedules.iter().find_map(|one| one.gaps.first());
    match gap {
        None => writeln!(out),
        Some(gap) => {
            let falls = if plan.in_gaps == 1 { "1 falls" } else { "fall" };
            let count = if plan.in_gaps == 1 { String::new() } else { format!("{} ", plan.in_gaps) };
            let instead = gap.instead.as_deref().unwrap_or("left out");
            writeln!(
                out,
                "; {count}{falls} into a DST gap ({} {} → {instead})",
                gap.local_time, gap.time_zone
            )
        }
    }
}

/// `+12 −3 ~4`; with `≥` where it was only counted.
fn sum(sum: &Sum) -> String {
    let least = if sum.at_least { "≥ " } else { "" };
    format!("{least}+{} −{} ~{}", sum.added, sum.removed, sum.moved)
}

/// `~4`: what is not 0.
fn brief(sum: &Sum) -> String {
    let parts = [('+', sum.added), ('−', sum.removed), ('~', sum.moved)];
    let parts = parts.into_iter().filter(|(_, count)| *count > 0);
    let mut parts: Vec<String> = parts.map(|(sign, count)| format!("{sign}{count}")).collect();
    if parts.is_empty() {
        parts.push(if sum.at_least { "+0" } else { "no occurrence differs" }.to_owned());
    }
    format!("{}{}", if sum.at_least { "≥ " } else { "" }, parts.join(" "))
}

fn schedule(out: &mut dyn Write, one: &One) -> io::Result<()> {
    let mark = match one.change {
        Kind::Added => '+',
        Kind::Removed => '-',
        Kind::Changed => '~',
    };
    let times = match (one.change, one.sum) {
        (Kind::Changed, Sum { added: 0, removed: 0, moved: 0, at_least: false }) => {
            "due as before".to_owned()
        }
        (_, Sum { at_least: true, .. }) => format!(
            "{}: {} before, {} now, too many to compare one by one",
            sum(&one.sum),
            one.occurrences_before,
            one.occurrences_now
        ),
        _ => sum(&one.sum),
    };
    writeln!(out, "{mark} {}: {times}", line(&one.name))?;
    for key in &one.keys {
        writeln!(out, "    {}: {} → {}", key.key, line(&value(&key.old)), line(&value(&key.new)))?;
    }
    if !one.zones.is_empty() {
        writeln!(out, "    other rules of {}", line(&one.zones.join(", ")))?;
    }
    for shown in &one.first {
        occurrence(out, shown)?;
    }
    let more = one.sum.added + one.sum.removed + one.sum.moved;
    let more = more.saturating_sub(one.first.len() as u64);
    if more > 0 && !one.first.is_empty() {
        writeln!(out, "    … and {more} more")?;
    }
    for gap in one.gaps.iter().take(one.first.len().max(1)) {
        let instead = gap.instead.as_ref().map_or("left out".to_owned(), |at| format!("due at {at}"));
        writeln!(out, "    in a gap: {} {}, {instead}", gap.local_time, gap.time_zone)?;
    }
    Ok(())
}

fn occurrence(out: &mut dyn Write, shown: &Shown) -> io::Result<()> {
    match (&shown.was, &shown.now) {
        // The same time on the wall, at another instant: the rules of the zone are others.
        (Some(was), Some(now)) if (&was.local_time, &was.time_zone) == (&now.local_time, &now.time_zone) => {
            writeln!(out, "    ~ {} ({} → {})", instant(was), was.due_at, now.due_at)
        }
        (Some(was), Some(now)) => {
            let same = was.time_zone == now.time_zone && was.local_time.get(..10) == now.local_time.get(..10);
            let to = if same { time(now).to_owned() } else { instant(now) };
            writeln!(out, "    ~ {} → {to}", instant(was))
        }
        (Some(was), None) => writeln!(out, "    − {}", instant(was)),
        (None, Some(now)) => writeln!(out, "    + {}", instant(now)),
        (None, None) => Ok(()),
    }
}

fn instant(instant: &Instant) -> String {
    format!("{} {}", instant.local_time.replace('T', " "), instant.time_zone)
}

fn time(instant: &Instant) -> &str {
    instant.local_time.get(11..).unwrap_or_default()
}

fn value(value: &Value) -> String {
    if value.is_null() {
        return "left out".to_owned();
    }
    let text = value.to_string();
    match text.char_indices().nth(WIDE) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
