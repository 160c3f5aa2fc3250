//! What a member knows of the database's clock: by how much it is ahead of the member's boot-time clock. Reckoned so, a step of
//! the member's own wall clock is seen at once.

use crate::Reading;
use ponos_event::Timestamp;

/// Between these bounds, in milliseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct DatabaseClock(Option<(i64, i64)>);

impl DatabaseClock {
    /// The database read its clock somewhen between these two instants of the boot-time clock. What was known before narrows
    /// it, unless it disagrees.
    pub(super) fn note(&mut self, now: Timestamp, (sent, came): (i64, i64)) {
        let (low, high) = (now.millis() - came, now.millis() - sent);
        let narrowed = self.0.map(|(l, h)| (l.max(low), h.min(high))).filter(|(l, h)| l <= h);
        self.0 = Some(narrowed.unwrap_or((low, high)));
    }

    /// By how much the wall clock is ahead of the database's, at least and at most.
    pub(super) fn skew(&self, reading: Reading) -> Option<(i64, i64)> {
        let ahead = reading.wall.millis() - reading.boot;
        self.0.map(|(low, high)| (ahead - high, ahead - low))
    }

    /// Whether the two surely differ by more.
    pub(super) fn is_off(&self, reading: Reading, limit: i64) -> bool {
        self.skew(reading).is_some_and(|(least, most)| least > limit || most < -limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_quick_call_narrows_what_a_slow_one_left_open_and_a_step_of_either_clock_is_seen() {
        let reading = |wall, boot| Reading { wall: at(wall), boot };
        let mut clock = DatabaseClock::default();
        assert_eq!(clock.skew(reading(1_000, 0)), None);
        clock.note(at(1_100), (0, 300));
        assert_eq!(clock.skew(reading(1_300, 300)), Some((-100, 200)));
        clock.note(at(1_400), (395, 405));
        assert_eq!(clock.skew(reading(1_405, 405)), Some((-5, 5)));
        clock.note(at(1_500), (400, 800));
        assert_eq!(clock.skew(reading(1_800, 800)), Some((-5, 5)), "the slow one says nothing new");
        assert_eq!(clock.skew(reading(3_800, 800)), Some((1_995, 2_005)), "its own clock was set");
        clock.note(at(9_000), (900, 910));
        assert_eq!(clock.skew(reading(1_910, 910)), Some((-7_100, -7_090)), "the database's was set");
    }
}
