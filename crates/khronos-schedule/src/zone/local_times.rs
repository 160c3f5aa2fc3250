//! Local times → instants. [`LocalTimes`] is a set of times on the wall clock; here it meets a zone, whose gaps and
//! repeated hours are resolved as [`Dst`] says.
//!
//! The line of instants is cut into the zone's spans of constant offset. Within each, the occurrences are those local
//! times of the set that lie between two bounds (a repeated hour moves one of them), and what a gap before the span
//! leaves over for it. `after`, `before` and `count` read the same cut, which is what makes them agree.

use super::{
    Segment, Zone,
    dst::{CORRECTION, Dst, Fold, Gap},
};
use ponos_event::Timestamp;

/// A set of local times, in milliseconds since 1970-01-01T00:00 on the wall clock. All days that have any have the same
/// times of the day; so that days can be exchanged for others (`on_days`) without looking at every time.
pub(crate) trait LocalTimes {
    /// The first one at or after `from`.
    fn next(&self, from: i64) -> Option<i64>;
    /// The last one before `until`.
    fn previous(&self, until: i64) -> Option<i64>;
    /// How many lie in `[from, until)`.
    fn count(&self, from: i64, until: i64) -> u64;
}

/// One span of constant offset, as a set of local times sees it.
struct Pass {
    /// The first instant.
    start: i64,
    offset: i64,
    /// Local times that count: `[low, high)`.
    low: i64,
    high: i64,
    gap: Option<Skipped>,
}

/// The local times `[low, high)` that the clock skipped just before a span.
struct Skipped {
    low: i64,
    high: i64,
    /// The offset that was in force before.
    offset: i64,
    shift: bool,
}

impl Pass {
    fn new(segments: &[Segment], index: usize, dst: Dst) -> Option<Self> {
        let Segment { start, offset } = *segments.get(index)?;
        let next = segments.get(index + 1);
        let end = next.map_or(Timestamp::HORIZON.millis(), |next| next.start);
        let mut pass = Self { start, offset, low: start + offset, high: end + offset, gap: None };
        if let Some(before) = index.checked_sub(1).and_then(|before| segments.get(before)) {
            let change = offset - before.offset;
            if (1..=CORRECTION).contains(&change) && dst.gap != Gap::Skip {
                pass.gap = Some(Skipped {
                    low: start + before.offset,
                    high: (start + offset).min(end + before.offset),
                    offset: before.offset,
                    shift: dst.gap == Gap::Shift,
                });
            } else if (-CORRECTION..0).contains(&change) && dst.fold == Fold::First {
                pass.low = start + before.offset;
            }
        }
        if let Some(next) = next
            && (-CORRECTION..0).contains(&(next.offset - offset))
            && dst.fold == Fold::Last
        {
            pass.high = end + next.offset;
        }
        Some(pass)
    }
}

/// Looks a set up from positions that mostly ascend (or descend), asking it again only where the last answer does
/// not cover the new question: a yearly set passes many spans on one look-up.
struct Seen {
    asked: i64,
    answer: Option<i64>,
    fresh: bool,
}

impl Seen {
    const NOTHING: Self = Self { asked: 0, answer: None, fresh: true };

    fn next(&mut self, times: &impl LocalTimes, from: i64) -> Option<i64> {
        let covered = !self.fresh && from >= self.asked && self.answer.is_none_or(|answer| answer >= from);
        if !covered {
            *self = Self { asked: from, answer: times.next(from), fresh: false };
        }
        self.answer
    }

    fn previous(&mut self, times: &impl LocalTimes, until: i64) -> Option<i64> {
        let covered = !self.fresh && until <= self.asked && self.answer.is_none_or(|answer| answer < until);
        if !covered {
            *self = Self { asked: until, answer: times.previous(until), fresh: false };
        }
        self.answer
    }
}

/// The first instant at or after `from`, before the horizon.
pub(crate) fn next(times: &impl LocalTimes, zone: &Zone, dst: Dst, from: i64) -> Option<i64> {
    let from = from.max(0);
    if from >= Timestamp::HORIZON.millis() {
        return None;
    }
    let segments = zone.segments();
    let mut seen = Seen::NOTHING;
    for index in zone.segment_at(from)..segments.len() {
        let pass = Pass::new(segments, index, dst)?;
        let mut found = None;
        if let Some(gap) = &pass.gap {
            let low = if gap.shift { gap.low.max(from + gap.offset) } else { gap.low };
            // An occurrence at the first instant after the gap is behind us when the search starts later.
            if low < gap.high && (gap.shift || from <= pass.start) {
                found = seen.next(times, low).filter(|&local| local < gap.high);
                found = found.map(|local| if gap.shift { local - gap.offset } else { pass.start });
            }
        }
        let low = pass.low.max(from.saturating_add(pass.offset));
        if low < pass.high {
            let regular = seen.next(times, low).filter(|&local| local < pass.high);
            let regular = regular.map(|local| local - pass.offset);
            found = found.into_iter().chain(regular).min();
        }
        if found.is_some() {
            return found;
        }
    }
    None
}

/// The last instant before `until`, at the epoch or after it.
pub(crate) fn previous(times: &impl LocalTimes, zone: &Zone, dst: Dst, until: i64) -> Option<i64> {
    let until = until.min(Timestamp::HORIZON.millis());
    if until <= 0 {
        return None;
    }
    let segments = zone.segments();
    let mut seen = Seen::NOTHING;
    for index in (0..=zone.segment_at(until - 1)).rev() {
        let pass = Pass::new(segments, index, dst)?;
        let high = pass.high.min(until.saturating_add(pass.offset));
        let mut found = None;
        if pass.low < high {
            found = seen.previous(times, high).filter(|&local| local >= pass.low);
            found = found.map(|local| local - pass.offset);
        }
        if let Some(gap) = &pass.gap {
            let high = if gap.shift { gap.high.min(until + gap.offset) } else { gap.high };
            if gap.low < high && (gap.shift || until > pass.start) {
                let skipped = seen.previous(times, high).filter(|&local| local >= gap.low);
                let skipped = skipped.map(|local| if gap.shift { local - gap.offset } else { pass.start });
                found = found.into_iter().chain(skipped).max();
            }
        }
        if found.is_some() {
            return found;
        }
    }
    None
}

/// How many instants lie in `[from, until)`.
pub(crate) fn count(times: &impl LocalTimes, zone: &Zone, dst: Dst, from: i64, until: i64) -> u64 {
    let (from, until) = (from.max(0), until.min(Timestamp::HORIZON.millis()));
    if from >= until {
        return 0;
    }
    let segments = zone.segments();
    let mut total = 0;
    for index in zone.segment_at(from)..=zone.segment_at(until - 1) {
        let Some(pass) = Pass::new(segments, index, dst) else { break };
        let (low, high) = (pass.low.max(from + pass.offset), pass.high.min(until + pass.offset));
        if low < high {
            total += times.count(low, high);
        }
        let Some(gap) = &pass.gap else { continue };
        let regular = |instant: i64| {
            let local = instant + pass.offset;
            (pass.low..pass.high).contains(&local) && times.next(local) == Some(local)
        };
        if gap.shift {
            let (mut low, high) = (gap.low.max(from + gap.offset), gap.high.min(until + gap.offset));
            while let Some(local) = times.next(low).filter(|&local| local < high) {
                total += u64::from(!regular(local - gap.offset));
                low = local + 1;
            }
        } else if (from..until).contains(&pass.start) && times.next(gap.low).is_some_and(|l| l < gap.high) {
            total += u64::from(!regular(pass.start));
        }
    }
    total
}

/// Where one local time lies on the line of instants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It exists once.
    Once(i64),
    /// It comes twice.
    Twice(i64, i64),
    /// It is skipped: the first instant after the gap, and the same local time read with the offset before it.
    Gap { after: i64, shifted: i64 },
    /// A correction of the calendar left it out, or it is before 1970 or beyond the horizon.
    Nowhere,
}

/// Where `local` (milliseconds on the wall clock) lies in `zone`.
pub(crate) fn place(zone: &Zone, local: i64) -> Place {
    let segments = zone.segments();
    let mut first = None;
    // No offset is larger than 26 hours.
    let start = zone.segment_at(local.saturating_sub(26 * 3_600_000).max(0));
    for index in start..segments.len() {
        let Some(pass) = Pass::new(segments, index, Dst { gap: Gap::Shift, fold: Fold::Both }) else { break };
        if pass.low > local.saturating_add(52 * 3_600_000) {
            break;
        }
        if let Some(gap) = &pass.gap
            && (gap.low..gap.high).contains(&local)
        {
            return Place::Gap { after: pass.start, shifted: local - gap.offset };
        }
        if (pass.low..pass.high).contains(&local) {
            match first {
                None => first = Some(local - pass.offset),
                Some(first) => return Place::Twice(first, local - pass.offset),
            }
        }
    }
    first.map_or(Place::Nowhere, Place::Once)
}
