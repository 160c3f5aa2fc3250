//! How two timings of one schedule differ over a span, occurrence by occurrence: what `plan` shows.
//!
//! *Moved* is an occurrence that is gone and another that is new on the same local day of the new timing's zone: the
//! first gone one goes with the first new one, and so on; what is left over is removed or added.

use super::Timing;
use crate::{months::DAY, zone::Zone};
use ponos_event::Timestamp;

/// One occurrence that is not as before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Due now, and not before.
    Added(Timestamp),
    /// Due before, and not now.
    Removed(Timestamp),
    /// Due at `to` instead of `from`, on the same local day.
    Moved {
        /// The due time before.
        from: Timestamp,
        /// The due time now.
        to: Timestamp,
    },
}

/// How many occurrences differ, and the first of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Occurrences of the old timing.
    pub before: u64,
    /// Occurrences of the new timing.
    pub now: u64,
    /// New ones.
    pub added: u64,
    /// Gone ones.
    pub removed: u64,
    /// Those that are due at another time of the same day.
    pub moved: u64,
    /// There were too many to compare one by one: `added` or `removed` is only by how many there are more or less.
    pub counted: bool,
    /// The first ones, in the order of their days.
    pub first: Vec<Change>,
}

/// Compares what the two call for in (after, through]; an absent timing calls for nothing. More than `most` occurrences
/// of both together are counted, not compared. Keeps the `keep` first changes.
pub fn difference(
    old: Option<&Timing>,
    new: Option<&Timing>,
    (after, through): (Timestamp, Timestamp),
    most: u64,
    keep: usize,
) -> Difference {
    let count = |timing: Option<&Timing>| timing.map_or(0, |timing| timing.count(after, through));
    let mut found = Difference { before: count(old), now: count(new), ..Difference::default() };
    if old == new {
        return found;
    }
    let (Some(old), Some(new)) = (old, new) else {
        (found.added, found.removed) = (found.now, found.before);
        let only = old.or(new).into_iter().flat_map(|timing| walk(timing, after, through));
        let change = if new.is_some() { Change::Added } else { Change::Removed };
        found.first.extend(only.take(keep).map(change));
        return found;
    };
    if found.before.saturating_add(found.now) > most {
        found.counted = true;
        (found.added, found.removed) =
            (found.now.saturating_sub(found.before), found.before.saturating_sub(found.now));
        return found;
    }
    let (mut gone, mut fresh) = (walk(old, after, through).peekable(), walk(new, after, through).peekable());
    let mut day = Day::default();
    loop {
        let (is_gone, at) = match (gone.peek().copied(), fresh.peek().copied()) {
            (None, None) => break,
            (Some(a), Some(b)) if a == b => {
                gone.next();
                fresh.next();
                continue;
            }
            (Some(a), b) if b.is_none_or(|b| a < b) => (true, a),
            (a, Some(b)) if a.is_none_or(|a| b < a) => (false, b),
            _ => break,
        };
        let number = local_day(&new.zone, at);
        if number != day.number {
            day.end(&mut found, keep);
            day.number = number;
        }
        if is_gone {
            day.gone.extend(gone.next());
        } else {
            day.fresh.extend(fresh.next());
        }
    }
    day.end(&mut found, keep);
    found
}

/// What differs on one local day.
#[derive(Default)]
struct Day {
    number: i64,
    gone: Vec<Timestamp>,
    fresh: Vec<Timestamp>,
}

impl Day {
    fn end(&mut self, found: &mut Difference, keep: usize) {
        let pairs = self.gone.len().min(self.fresh.len());
        found.moved += pairs as u64;
        found.removed += (self.gone.len() - pairs) as u64;
        found.added += (self.fresh.len() - pairs) as u64;
        let moved = self.gone.iter().zip(&self.fresh).map(|(&from, &to)| Change::Moved { from, to });
        let removed = self.gone.iter().skip(pairs).map(|&at| Change::Removed(at));
        let added = self.fresh.iter().skip(pairs).map(|&at| Change::Added(at));
        let room = keep.saturating_sub(found.first.len());
        found.first.extend(moved.chain(removed).chain(added).take(room));
        self.gone.clear();
        self.fresh.clear();
    }
}

fn walk(timing: &Timing, after: Timestamp, through: Timestamp) -> impl Iterator<Item = Timestamp> {
    let next = move |&at: &Timestamp| timing.after(at).filter(|&due| due <= through);
    std::iter::successors(next(&after), next)
}

fn local_day(zone: &Zone, at: Timestamp) -> i64 {
    let offset = zone.segments().get(zone.segment_at(at.millis().max(0))).map_or(0, |segment| segment.offset);
    (at.millis() + offset).div_euclid(DAY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_instant;

    const MOST: u64 = 1000;

    fn at(text: &str) -> Timestamp {
        parse_instant(text, Some("Europe/Paris"), "at", None).unwrap()
    }

    fn cron(expression: &str) -> Timing {
        Timing::from_cron(expression, Some("Europe/Paris")).unwrap()
    }

    fn week() -> (Timestamp, Timestamp) {
        (at("2026-11-23T00:00"), at("2026-11-30T00:00"))
    }

    fn compared(old: Option<&Timing>, new: Option<&Timing>) -> (u64, u64, u64) {
        let found = difference(old, new, week(), MOST, 3);
        assert_eq!(found.now + found.removed, found.before + found.added, "{found:?}");
        (found.added, found.removed, found.moved)
    }

    #[test]
    fn occurrences_are_added_removed_or_moved_within_their_local_day() {
        let nine = cron("0 9 * * *");
        assert_eq!(compared(None, Some(&nine)), (7, 0, 0));
        assert_eq!(compared(Some(&nine), None), (0, 7, 0));
        assert_eq!(compared(Some(&nine), Some(&cron("0 9 * * 1-7"))), (0, 0, 0));
        assert_eq!(compared(Some(&nine), Some(&cron("30 9 * * *"))), (0, 0, 7));
        assert_eq!(compared(Some(&nine), Some(&cron("0 9,10 * * *"))), (7, 0, 0));
        assert_eq!(compared(Some(&nine), Some(&cron("0 9 * * 1-5"))), (0, 2, 0));
        assert_eq!(compared(Some(&nine), Some(&cron("30 8,12 * * 1-5"))), (5, 2, 5));
        // 23:30 in Paris and 00:30 in Paris are two days.
        assert_eq!(compared(Some(&cron("30 23 * * 1")), Some(&cron("30 0 * * 2"))), (1, 1, 0));
    }

    #[test]
    fn the_first_changes_are_kept() {
        let found = difference(Some(&cron("0 9 * * 1")), Some(&cron("0 10,11 * * 1,2")), week(), MOST, 3);
        let expected = [
            Change::Moved { from: at("2026-11-23T09:00"), to: at("2026-11-23T10:00") },
            Change::Added(at("2026-11-23T11:00")),
            Change::Added(at("2026-11-24T10:00")),
        ];
        assert_eq!(found.first, expected);
    }

    #[test]
    fn too_many_are_only_counted() {
        let (minutely, quick) = (cron("* * * * *"), Timing::from_every("100ms", None).unwrap());
        let found = difference(Some(&minutely), Some(&quick), week(), MOST, 3);
        assert!(found.counted && found.first.is_empty());
        assert_eq!((found.before, found.now, found.added), (10_080, 6_048_000, 6_037_920));
    }
}
