//! Which wall clock readings are believed (`[clock]` of config.toml).
//!
//! The *effective now* is the highest reading believed so far: it never goes back by itself, so that nothing fires
//! twice after a small step back and nothing is early. A leap ahead that the boot-time clock does not share is held
//! until it has proved stable. Absent: what happens to occurrences then; that is the catch-up's business.

use super::{
    Notice, Reading,
    faults::{Fault, planted},
};
use ponos_event::Timestamp;

/// More than this past the last known progress at the start is held like a leap ahead.
const STALE: i64 = 24 * 60 * 60 * 1000;

/// Limits in milliseconds, from the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockRules {
    /// How long a leap ahead must last before it is believed.
    pub settle: i64,
    /// A larger leap ahead is held.
    pub max_forward: i64,
    /// A larger step back makes the clock not ready.
    pub max_backward: i64,
    /// After a larger step back, go on from the lower reading, unless other clocks on the same store may live.
    pub resume_backward: bool,
}

/// What the guard makes of the readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockState {
    /// Believed.
    Steady,
    /// Leapt ahead; believed when stable since `since` (boot time).
    Held {
        /// Boot time of the latest leap.
        since: i64,
    },
    /// More than the limit behind the highest reading.
    Behind,
}

#[derive(Debug)]
pub(super) struct ClockGuard {
    rules: ClockRules,
    state: ClockState,
    /// The latest reading, for seeing steps.
    last: Option<Reading>,
    /// The latest reading that was believed: while held, the line that a correction would come back to.
    trusted: Option<Reading>,
    highest: Timestamp,
    /// Other clocks on the same store may live: what they sent, or may still send, lies above a lower reading.
    among_others: bool,
}

/// What a reading changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) notice: Option<Notice>,
    /// The operator wants the clock to go on from this lower reading.
    pub(super) resumed_at: Option<Timestamp>,
}

impl ClockGuard {
    /// `progress`: what the store says was reached.
    pub(super) fn new(rules: ClockRules, progress: Option<Timestamp>) -> Self {
        let highest = progress.unwrap_or(Timestamp::EPOCH);
        Self { rules, state: ClockState::Steady, last: None, trusted: None, highest, among_others: false }
    }

    /// Whether other clocks on the same store may live.
    pub(super) fn note_others(&mut self, live: bool) {
        self.among_others = live;
    }

    /// The effective now.
    pub(super) fn now(&self) -> Timestamp {
        self.highest
    }

    pub(super) fn state(&self) -> ClockState {
        self.state
    }

    pub(super) fn see(&mut self, reading: Reading) -> Seen {
        let leapt = self.leap(reading);
        self.last = Some(reading);
        if let Some(ahead) = leapt {
            let news = self.state == ClockState::Steady;
            self.state = ClockState::Held { since: reading.boot };
            return Seen { notice: news.then_some(Notice::ClockHeld { ahead }), resumed_at: None };
        }
        if let ClockState::Held { since } = self.state {
            let corrected = self.trusted.is_some_and(|t| ahead_of(t, reading) <= self.rules.max_forward);
            if !corrected && reading.boot - since < self.rules.settle {
                return Seen::default();
            }
            self.state = ClockState::Steady;
            let mut seen = self.believe(reading);
            seen.notice.get_or_insert(Notice::ClockReleased);
            return seen;
        }
        self.believe(reading)
    }

    /// By how much the wall clock ran ahead since the last reading (at the start: since the progress), if by too much.
    fn leap(&self, reading: Reading) -> Option<i64> {
        match self.last {
            Some(last) => Some(ahead_of(last, reading)).filter(|ahead| *ahead > self.rules.max_forward),
            None if self.highest == Timestamp::EPOCH => None,
            None => Some(reading.wall.since(self.highest)).filter(|ahead| *ahead > STALE),
        }
    }

    fn believe(&mut self, reading: Reading) -> Seen {
        self.trusted = Some(reading);
        let behind = self.highest.since(reading.wall);
        if behind <= self.rules.max_backward {
            let recovered = self.state == ClockState::Behind;
            self.state = ClockState::Steady;
            self.highest = self.highest.max(reading.wall);
            return Seen { notice: recovered.then_some(Notice::ClockReleased), resumed_at: None };
        }
        let highest = self.highest;
        let is_alone = !self.among_others || planted(Fault::GoBackAmongOthers);
        if self.rules.resume_backward && is_alone {
            self.highest = reading.wall;
            self.state = ClockState::Steady;
            let notice = Some(Notice::ClockResumed { highest, now: reading.wall });
            return Seen { notice, resumed_at: Some(reading.wall) };
        }
        let news = self.state != ClockState::Behind;
        self.state = ClockState::Behind;
        Seen { notice: news.then_some(Notice::ClockBehind { behind, highest }), resumed_at: None }
    }
}

/// How much further the wall clock went than the boot-time clock.
fn ahead_of(earlier: Reading, later: Reading) -> i64 {
    later.wall.since(earlier.wall) - (later.boot - earlier.boot)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: ClockRules =
        ClockRules { settle: 60_000, max_forward: 60_000, max_backward: 300_000, resume_backward: false };
    const START: i64 = 1_700_000_000_000;

    fn at(wall: i64, boot: i64) -> Reading {
        Reading { wall: Timestamp::from_millis(START + wall), boot }
    }

    fn guard() -> ClockGuard {
        let mut guard = ClockGuard::new(RULES, Some(Timestamp::from_millis(START)));
        assert_eq!(guard.see(at(0, 0)), Seen::default());
        guard
    }

    #[test]
    fn a_leap_ahead_is_held_until_it_has_proved_stable() {
        let mut guard = guard();
        assert_eq!(guard.see(at(3_600_000, 0)).notice, Some(Notice::ClockHeld { ahead: 3_600_000 }));
        assert_eq!(guard.now().millis(), START);
        guard.see(at(3_659_999, 59_999));
        assert_eq!(guard.now().millis(), START);
        assert_eq!(guard.see(at(3_660_000, 60_000)).notice, Some(Notice::ClockReleased));
        assert_eq!(guard.now().millis(), START + 3_660_000);
    }

    #[test]
    fn a_second_leap_starts_the_wait_again() {
        let mut guard = guard();
        guard.see(at(3_600_000, 0));
        guard.see(at(7_250_000, 50_000));
        guard.see(at(7_300_000, 100_000));
        assert!(matches!(guard.state(), ClockState::Held { since: 50_000 }));
    }

    #[test]
    fn a_leap_that_is_taken_back_leaves_no_trace() {
        let mut guard = guard();
        guard.see(at(3_600_000, 0));
        assert_eq!(guard.see(at(10_000, 10_000)).notice, Some(Notice::ClockReleased));
        assert_eq!(guard.now().millis(), START + 10_000);
    }

    #[test]
    fn a_suspend_that_the_boot_clock_shares_is_no_leap() {
        let mut guard = guard();
        assert_eq!(guard.see(at(7_200_000, 7_200_000)), Seen::default());
        assert_eq!(guard.now().millis(), START + 7_200_000);
    }

    #[test]
    fn a_small_step_back_keeps_the_highest_reading() {
        let mut guard = guard();
        guard.see(at(400_000, 400_000));
        assert_eq!(guard.see(at(200_000, 400_001)), Seen::default());
        assert_eq!(guard.now().millis(), START + 400_000);
        assert_eq!(guard.state(), ClockState::Steady);
    }

    #[test]
    fn a_large_step_back_waits_or_resumes_as_configured() {
        let mut guard = guard();
        guard.see(at(400_000, 400_000));
        let seen = guard.see(at(0, 400_001));
        assert!(matches!(seen.notice, Some(Notice::ClockBehind { behind: 400_000, .. })));
        assert_eq!(guard.state(), ClockState::Behind);
        assert_eq!(guard.see(at(1, 400_002)), Seen::default(), "said once");
        assert_eq!(guard.see(at(100_000, 500_001)).notice, Some(Notice::ClockReleased));

        let rules = ClockRules { resume_backward: true, ..RULES };
        let mut guard = ClockGuard::new(rules, Some(Timestamp::from_millis(START)));
        guard.see(at(400_000, 400_000));
        assert_eq!(guard.see(at(0, 400_001)).resumed_at, Some(Timestamp::from_millis(START)));
        assert_eq!(guard.now().millis(), START);
    }

    #[test]
    fn a_large_step_back_waits_while_other_clocks_on_the_store_may_live() {
        let rules = ClockRules { resume_backward: true, ..RULES };
        let mut guard = ClockGuard::new(rules, Some(Timestamp::from_millis(START)));
        guard.note_others(true);
        guard.see(at(400_000, 400_000));
        assert_eq!(guard.see(at(0, 400_001)).resumed_at, None);
        assert_eq!((guard.state(), guard.now().millis()), (ClockState::Behind, START + 400_000));
        guard.note_others(false);
        assert_eq!(guard.see(at(1, 400_002)).resumed_at, Some(Timestamp::from_millis(START + 1)));
    }

    #[test]
    fn a_first_reading_more_than_a_day_past_the_progress_is_held() {
        let mut guard = ClockGuard::new(RULES, Some(Timestamp::from_millis(START)));
        assert!(matches!(guard.see(at(STALE + 1, 5)).notice, Some(Notice::ClockHeld { .. })));
        let mut fresh = ClockGuard::new(RULES, None);
        assert_eq!(fresh.see(at(0, 0)), Seen::default());
        assert_eq!(fresh.now().millis(), START);
    }
}
