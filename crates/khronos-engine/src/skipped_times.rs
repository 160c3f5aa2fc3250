//! The time of pauses that were ended by skipping: what of a schedule's occurrences lies in it.
//!
//! Skipping takes only what lies above what had been reached when the pause began, and at or below the instant at which it
//! ended: whatever was due before is caught up with all the same. A pause does not concern what began after it. Which time
//! is skipped is kept for as long as a name that was away when the pause ended may come back unchanged: then what was due
//! since it went joins the set. Before that it goes only to make room for another one, and only once W has passed it and no
//! span holds any of it.
//!
//! Where the clock is set back, what lies above the reading comes again when it is due, and no pause is in effect then: of
//! all skipped times that had ended nothing is left above it. They stay as they are, however many they are: where the clock
//! was set back to is kept once, and what it leaves of each is found when it is asked for. A pause that has not ended goes on
//! from the reading: of what is made since then it skips nothing that was due before.

use super::{
    backlog::Backlog,
    faults::{Fault, planted},
    state::Era,
};
use ponos_event::Timestamp;
use serde::{Deserialize, Serialize};

/// Up to which send times something may have been handed over when a pause began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// Of what began since the clock was set back last.
    pub lately: Timestamp,
    /// Of what began before.
    pub ever: Timestamp,
    /// How often the clock had been set back.
    pub set_backs: u32,
}

/// The time of a pause that has ended, in which what fell due is skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedPause {
    /// Send times above this …
    pub reached: Reached,
    /// … and at or below this instant, at which it ended.
    pub through: Timestamp,
    /// How often the clock had been set back by then.
    // Follows in the store what older stores hold.
    #[serde(skip)]
    pub set_backs: u32,
}

impl SkippedPause {
    /// Up to which instant it skips, since the clock was set back to these.
    pub(super) fn lasts(&self, set_backs: &[(u32, Timestamp)]) -> Timestamp {
        // The first of them is the lowest, or stands for one that was.
        let lowest = set_backs.iter().find(|(number, _)| *number > self.set_backs);
        lowest.map_or(self.through, |(_, to)| self.through.min(*to))
    }

    /// Whether something that began then, on a clock that had been set back so often, began before its end.
    fn concerns(&self, set_backs: u32, began: Timestamp) -> bool {
        (set_backs, began) < (self.set_backs, self.through)
    }

    /// Whether a span has some of it, as it was when it ended.
    pub(super) fn holds_of(&self, Backlog { span, era, schedule, .. }: &Backlog) -> bool {
        let begin = schedule.timing.due_by(self.reached.of(era.set_backs, &[], false));
        span.after < schedule.timing.due_by(self.through) && begin < span.through
    }
}

impl Reached {
    /// Of a revision that began after the clock had been set back so many times, of all times to these: of one that began
    /// since the pause did, nothing was handed over. But what is made then for an instant that is gone may be due before the
    /// lowest that the clock showed in the pause.
    fn of(&self, set_backs: u32, set_back: &[(u32, Timestamp)], by_name: bool) -> Timestamp {
        let fault = if by_name { Fault::SkipOfANameWhatWasDueBefore } else { Fault::SkipWhatWasDueBefore };
        if planted(fault) {
            Timestamp::EPOCH.plus(-1)
        } else if set_backs > self.set_backs {
            // The first of them is the lowest, if it is kept; else the next lies no lower.
            let mut kept = set_back.chunk_by(|(_, one), (_, next)| one == next).filter_map(<[_]>::first);
            let lowest = kept.find(|(number, _)| *number > self.set_backs);
            lowest.map_or(Timestamp::EPOCH.plus(-1), |(_, to)| *to)
        } else if set_backs == self.set_backs {
            self.lately
        } else {
            self.ever
        }
    }
}

/// The skipped times of a revision.
#[derive(Debug, Clone, Copy)]
pub(super) struct SkippedTimes<'a> {
    /// Of all schedules, and of the one.
    of: [&'a [SkippedPause]; 2],
    /// Where the clock was set back to.
    set_back: &'a [(u32, Timestamp)],
    set_backs: u32,
    counts_from: Timestamp,
}

impl<'a> SkippedTimes<'a> {
    /// Of a revision of this era, on a clock that was set back to these.
    pub(super) fn new(of: [&'a [SkippedPause]; 2], set_back: &'a [(u32, Timestamp)], era: Era) -> Self {
        Self { of, set_back, set_backs: era.set_backs, counts_from: era.counts_from }
    }

    /// What has this send time is skipped, and what is to be sent after it, up to the instant that is given.
    pub(super) fn over(&self, send: Timestamp) -> Option<Timestamp> {
        let over = self.all().filter(|(begin, through)| *begin < send && send <= *through);
        over.map(|(_, through)| through).max()
    }

    /// Where each begins and ends, of those that ended after it began: a one-shot may be made for an instant that is gone.
    fn all(&self) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let all = self
            .of
            .into_iter()
            .zip([false, true])
            .flat_map(|(of, by_name)| of.iter().map(move |one| (one, by_name)));
        all.filter(|(one, _)| one.concerns(self.set_backs, self.counts_from)).map(|(one, by_name)| {
            let is_anew = by_name && planted(Fault::SkipOfANameWhatIsDueAnew);
            let lasts = if is_anew { one.through } else { one.lasts(self.set_back) };
            (one.reached.of(self.set_backs, self.set_back, by_name), lasts)
        })
    }

    /// What is to be sent after this instant is skipped, up to some later one; the first such instant not before `send`.
    pub(super) fn begin_after(&self, send: Timestamp) -> Option<Timestamp> {
        let begins = self.all().filter(|(begin, through)| through > begin);
        begins.map(|(begin, _)| begin).filter(|begin| *begin >= send).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Pauses;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_millis(minute * 60_000)
    }

    /// What a pause that began and ended after so many set-backs skips, of what is made since the last one.
    fn skipped(set_back: &[(u32, Timestamp)], (began, ended): (u32, u32)) -> Vec<i64> {
        let reached = Reached { lately: at(0), ever: at(0), set_backs: began };
        let pauses = [SkippedPause { reached, through: at(60), set_backs: ended }];
        let (set_backs, now) = set_back.last().copied().unwrap();
        let era = Era { set_backs, ..Era::first(1, now) };
        let times = SkippedTimes::new([&pauses, &[]], set_back, era);
        (0..=61).filter(|minute| times.over(at(*minute)).is_some()).collect()
    }

    #[test]
    fn a_pause_skips_nothing_that_was_due_before_it_however_often_the_clock_was_set_back() {
        let mut pauses = Pauses::default();
        for number in 1..=20 {
            pauses.note_set_back(number, at(i64::from(number)));
            assert!(pauses.set_backs.len() <= 3, "{:?}", pauses.set_backs);
        }
        let above = |minute: i64| (minute + 1..=60).collect::<Vec<_>>();
        assert_eq!(skipped(&pauses.set_backs, (0, 20)), above(1), "the lowest reading in it is kept");
        assert_eq!(skipped(&pauses.set_backs, (19, 20)), above(20), "and so is the latest");
        // In these it was 2, and 19: what is not known any more is sent.
        for began in [1, 18] {
            assert_eq!(skipped(&pauses.set_backs, (began, 20)), above(20));
        }
        // Once more, behind what is not kept.
        pauses.note_set_back(21, at(10));
        assert_eq!(skipped(&pauses.set_backs, (1, 21)), above(10));
        assert_eq!(skipped(&pauses.set_backs, (0, 21)), above(1));
        pauses.note_set_back(22, at(0));
        assert_eq!(skipped(&pauses.set_backs, (1, 22)), above(0));
        assert_eq!(pauses.set_backs, [(22, at(0))]);
    }

    #[test]
    fn of_a_pause_that_has_ended_nothing_is_left_above_any_reading_since_however_many_there_were() {
        let mut pauses = Pauses::default();
        for number in 1..=20 {
            pauses.note_set_back(number, at(i64::from(number)));
        }
        let lasts = |ended: u32| {
            let reached = Reached { lately: at(0), ever: at(0), set_backs: 0 };
            SkippedPause { reached, through: at(60), set_backs: ended }.lasts(&pauses.set_backs)
        };
        assert_eq!([0, 1, 17, 18, 19, 20].map(lasts), [1, 1, 1, 1, 20, 60].map(at));
    }
}
