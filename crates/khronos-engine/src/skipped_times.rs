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
        // The first of them is the lowest.
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
            // The first of them is the lowest.
            let lowest = set_back.iter().find(|(number, _)| *number > self.set_backs);
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
