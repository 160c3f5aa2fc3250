//! The local times of a timing that a coming change of the clocks skips, and what becomes of them.

use super::{Timing, day_rules::DayRules, on_days::OnDays, rule::Rule};
use crate::{
    months::DAY,
    zone::{
        Segment, Zone,
        dst::{CORRECTION, Dst, Gap},
        local_times::LocalTimes,
    },
};
use chrono::DateTime;
use ponos_event::Timestamp;

/// A local time that does not exist, because the clock is put forward past it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// `2027-03-28 02:30`, as the schedule says it.
    pub local: String,
    /// The zone.
    pub zone: Zone,
    /// When it is due instead; `None` if it is left out.
    pub due: Option<Timestamp>,
    /// The same on the wall clock: `03:00`, with its date where that is another.
    pub instead: Option<String>,
}

impl Timing {
    /// The local times that do not exist of the changes of the clocks in (after, through], oldest first, at most
    /// `most`. What stands for every real instant (`*/5 * * * *`) is only told where a whole day is left out.
    pub fn gaps(&self, after: Timestamp, through: Timestamp, most: usize) -> Vec<Skipped> {
        let bounds = self.bounds();
        let span = (after.max(bounds.from.plus(-1)), through.min(bounds.end.plus(-1)));
        let mut found = Vec::new();
        match &self.rule {
            Rule::Union(union) => {
                for member in union.members() {
                    of_rule(&member.rule, &member.zone, self.days(), span, most, &mut found);
                }
                found.sort_by(|a, b| (&a.local, a.zone.name()).cmp(&(&b.local, b.zone.name())));
                found.dedup();
            }
            rule => of_rule(rule, &self.zone, self.days(), span, most, &mut found),
        }
        found.truncate(most);
        found
    }
}

fn of_rule(
    rule: &Rule,
    zone: &Zone,
    days: Option<&DayRules>,
    span: (Timestamp, Timestamp),
    most: usize,
    found: &mut Vec<Skipped>,
) {
    match (rule, days) {
        (Rule::Cron(times, dst), None) => {
            of_local_times(times, zone, *dst, times.is_wild(), span, most, found)
        }
        (Rule::Cron(times, dst), Some(rules)) => {
            of_local_times(&OnDays { times, rules }, zone, *dst, times.is_wild(), span, most, found);
        }
        (Rule::Calendar(times, dst), None) => of_local_times(times, zone, *dst, false, span, most, found),
        (Rule::Calendar(times, dst), Some(rules)) => {
            of_local_times(&OnDays { times, rules }, zone, *dst, false, span, most, found);
        }
        _ => {}
    }
}

fn of_local_times(
    times: &impl LocalTimes,
    zone: &Zone,
    dst: Dst,
    wild: bool,
    (after, through): (Timestamp, Timestamp),
    most: usize,
    found: &mut Vec<Skipped>,
) {
    let segments = zone.segments().get(zone.segment_at(after.millis().max(0))..).unwrap_or_default();
    let end = found.len().saturating_add(most);
    for pair in segments.windows(2) {
        let [before, now] = pair else { break };
        if now.start > through.millis() {
            break;
        }
        if !(1..=CORRECTION).contains(&(now.offset - before.offset)) {
            continue;
        }
        let (mut low, high) = (now.start + before.offset, now.start + now.offset);
        let day = low.div_euclid(DAY) * DAY;
        if wild && times.count(day, day + DAY) != times.count(low, high) {
            continue;
        }
        while let Some(local) = times.next(low).filter(|&local| local < high) {
            if found.len() == end {
                return;
            }
            found.push(skipped(local, zone, *before, *now, dst));
            low = local + 1;
        }
    }
}

fn skipped(local: i64, zone: &Zone, before: Segment, now: Segment, dst: Dst) -> Skipped {
    let due = match dst.gap {
        Gap::After => Some(now.start),
        Gap::Shift => Some(local - before.offset),
        Gap::Skip => None,
    };
    let instead = due.map(|due| {
        let there = due + now.offset;
        let text = wall_text(there);
        let same_day = there.div_euclid(DAY) == local.div_euclid(DAY);
        if same_day { text.get(11..).unwrap_or_default().to_owned() } else { text }
    });
    let (local, zone) = (wall_text(local), zone.clone());
    Skipped { local, zone, due: due.map(Timestamp::from_millis), instead }
}

/// Milliseconds on a wall clock as `2027-03-28 02:30`, with seconds where there are any.
pub(crate) fn wall_text(local: i64) -> String {
    let form = if local % 60_000 == 0 { "%Y-%m-%d %H:%M" } else { "%Y-%m-%d %H:%M:%S%.f" };
    DateTime::from_timestamp_millis(local).map_or_else(String::new, |at| at.format(form).to_string())
}
