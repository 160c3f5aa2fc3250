//! What the clock on a wall shows: the spans of constant offset of a zone, of IANA or of the file's own `VTIMEZONE`. All in
//! seconds.

use crate::zone::Zone;
use std::rc::Rc;

/// Offsets are shorter than this, and so are the gaps and folds between them.
const WIDEST: i64 = 26 * 3600;

/// A clock; copies share its spans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Clock {
    /// From when on, and the offset. Ascending; the first one begins with time.
    spans: Rc<[(i64, i64)]>,
}

impl Clock {
    pub(super) fn utc() -> Self {
        Self::fixed(0)
    }

    /// The same offset for ever.
    pub(super) fn fixed(offset: i64) -> Self {
        Self { spans: Rc::new([(i64::MIN, offset)]) }
    }

    pub(super) fn of(zone: &Zone) -> Self {
        let spans = zone.segments().iter().enumerate();
        let start = |at: usize, millis: i64| if at == 0 { i64::MIN } else { millis.div_euclid(1000) };
        Self { spans: spans.map(|(at, one)| (start(at, one.start), one.offset / 1000)).collect() }
    }

    /// From the offset before the first change, and the changes.
    pub(super) fn changing(first: i64, mut changes: Vec<(i64, i64)>) -> Self {
        changes.sort_unstable();
        changes.dedup_by_key(|(from, _)| *from);
        Self { spans: std::iter::once((i64::MIN, first)).chain(changes).collect() }
    }

    fn offset_before(&self, index: usize) -> i64 {
        let before = index.checked_sub(1).and_then(|before| self.spans.get(before));
        before.or(self.spans.first()).map_or(0, |one| one.1)
    }

    /// What the clock shows at this instant.
    pub(super) fn wall(&self, instant: i64) -> i64 {
        let next = self.spans.partition_point(|(from, _)| *from <= instant);
        instant.saturating_add(self.offset_before(next))
    }

    /// When the clock shows this: the first time if it comes twice; with the offset from before if it is skipped (RFC 5545
    /// §3.3.5).
    pub(super) fn instant(&self, wall: i64) -> i64 {
        let first =
            self.spans.partition_point(|(from, _)| *from <= wall.saturating_sub(WIDEST)).saturating_sub(1);
        let end = |index: usize| self.spans.get(index + 1).map_or(i64::MAX, |one| one.0);
        for (index, &(_, offset)) in self.spans.iter().enumerate().skip(first) {
            let instant = wall.saturating_sub(offset);
            // At or before the end of this span: within it, or skipped by the clock just before it.
            if instant < end(index) {
                let begun = self.spans.get(index).is_some_and(|one| one.0 <= instant);
                return if begun { instant } else { wall.saturating_sub(self.offset_before(index)) };
            }
        }
        wall.saturating_sub(self.offset_before(self.spans.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_time_that_comes_twice_is_the_first_and_a_skipped_one_has_the_offset_from_before() {
        let paris = Clock::of(&Zone::parse("Europe/Paris").unwrap());
        // 2026-03-29 at 01:00 UTC from +01 to +02, 2026-10-25 at 01:00 UTC back.
        let (spring, autumn) = (1_774_746_000, 1_792_890_000);
        for (instant, wall) in [
            (spring - 1, spring + 3599),
            (spring, spring + 7200),
            (autumn - 1, autumn + 7199),
            (autumn, autumn + 3600),
        ] {
            assert_eq!(paris.wall(instant), wall);
        }
        assert_eq!(paris.instant(spring + 3600 + 1800), spring + 1800);
        assert_eq!(paris.instant(autumn + 3600), autumn - 3600);
        assert_eq!(paris.instant(autumn + 7200), autumn + 3600);
        for instant in (spring - 10_000..spring + 10_000).step_by(777) {
            assert_eq!(paris.instant(paris.wall(instant)), instant);
        }
        // Long before and after.
        assert_eq!(paris.instant(paris.wall(-1_000_000_000)), -1_000_000_000);
        assert_eq!(paris.wall(i64::MAX), i64::MAX);
        assert_eq!(Clock::fixed(-3600).instant(0), 3600);
    }
}
