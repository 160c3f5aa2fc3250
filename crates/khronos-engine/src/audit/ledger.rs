//! One revision's account: what its rows cover, and what its arithmetic calls for.

use super::{
    EXAMPLES,
    ranges::{Range, Ranges},
    report::{Finding, ScheduleReport, Tally},
};
use crate::{Outcome, RecordRow, Revision, SkipReason};
use khronos_schedule::{Timing, diagnostic::counted};
use ponos_event::Timestamp;
use std::collections::BTreeMap;

/// Which due times a revision calls for. [`Timing`] is the real one; the tests count with plain numbers, so that the
/// audit is checked against something else than itself.
pub(super) trait Arithmetic: Send + Sync {
    /// See [`Timing::after`].
    fn after(&self, t: Timestamp) -> Option<Timestamp>;
    /// See [`Timing::before`].
    fn before(&self, t: Timestamp) -> Option<Timestamp>;
    /// See [`Timing::count`].
    fn count(&self, after: Timestamp, through: Timestamp) -> u64;
    /// See [`Timing::is_one_shot`].
    fn is_one_shot(&self) -> bool {
        false
    }
    /// See [`Timing::due_by`].
    fn due_by(&self, t: Timestamp) -> Timestamp {
        t
    }
}

impl Arithmetic for Timing {
    fn after(&self, t: Timestamp) -> Option<Timestamp> {
        self.after(t)
    }
    fn before(&self, t: Timestamp) -> Option<Timestamp> {
        self.before(t)
    }
    fn count(&self, after: Timestamp, through: Timestamp) -> u64 {
        self.count(after, through)
    }
    fn is_one_shot(&self) -> bool {
        self.is_one_shot()
    }
    fn due_by(&self, t: Timestamp) -> Timestamp {
        self.due_by(t)
    }
}

/// What is known of one revision.
pub(super) struct Ledger {
    revision: u32,
    arithmetic: Box<dyn Arithmetic>,
    /// Its occurrences lie in here.
    own: Range,
    singles: Ranges,
    /// By their own due time: what they begin after, and how many they stand for.
    coalesced: BTreeMap<Timestamp, (Timestamp, u64)>,
    skipped: Vec<(SkipReason, Ranges)>,
    dropped: Ranges,
    parked: Ranges,
    pending: Ranges,
    lost: Ranges,
    set_back: Ranges,
    surplus: u64,
    resent: u64,
    extra: Vec<Finding>,
}

/// What holds for all schedules at once.
#[derive(Debug, Default)]
pub(super) struct Everywhere {
    pub(super) lost: Ranges,
    pub(super) set_back: Ranges,
}

impl Ledger {
    pub(super) fn new(revision: &Revision, arithmetic: Box<dyn Arithmetic>) -> Self {
        // A first revision's one-shot is owed even if its due time was gone when it was first seen (`past`).
        let owed_from_the_start = arithmetic.is_one_shot() && revision.number == 1;
        let from = if owed_from_the_start { Timestamp::EPOCH.plus(-1) } else { revision.effective_from };
        Self {
            revision: revision.number,
            arithmetic,
            own: (from, revision.ended.unwrap_or(Timestamp::HORIZON)),
            singles: Ranges::default(),
            coalesced: BTreeMap::new(),
            skipped: Vec::new(),
            dropped: Ranges::default(),
            parked: Ranges::default(),
            pending: Ranges::default(),
            lost: Ranges::default(),
            set_back: Ranges::default(),
            surplus: 0,
            resent: 0,
            extra: Vec::new(),
        }
    }

    /// How many separate pieces are held: what bounds the memory.
    pub(super) fn pieces(&self) -> usize {
        let skipped: usize = self.skipped.iter().map(|(_, ranges)| ranges.len()).sum();
        let others = [&self.singles, &self.dropped, &self.parked, &self.lost, &self.set_back];
        skipped + self.coalesced.len() + others.iter().map(|ranges| ranges.len()).sum::<usize>()
    }

    /// Occurrences in here are still to be sent.
    pub(super) fn owe(&mut self, range: Range) {
        self.pending.insert(range, |a, b| a >= b);
    }

    /// Occurrences in here are parked now.
    pub(super) fn park(&mut self, range: Range) {
        self.parked.insert(range, |a, b| a >= b);
    }

    /// Takes a row in. Where the clock was set back, in `set_back` (send times), what one event stood for may have come
    /// again singly, or in another one.
    pub(super) fn row(&mut self, entry: &RecordRow, set_back: &[Range]) {
        let row = &entry.row;
        let range = (row.first.plus(-1), row.last);
        if let Some(what) = self.stranger(row.first, row.last) {
            self.fault(entry, what);
            return;
        }
        let called_for = self.arithmetic.count(range.0, range.1);
        if called_for != row.count {
            self.fault(
                entry,
                format!(
                    "it counts {}, but the schedule calls for {called_for}",
                    counted(row.count, "occurrence")
                ),
            );
        }
        match &row.outcome {
            Outcome::Confirmed { .. } => {
                let due = |send| self.arithmetic.due_by(send);
                let again = set_back.iter().any(|(a, b)| range.0 < due(*b) && due(*a) < range.1);
                match row.first == row.last {
                    true => self.single(entry, range, again),
                    false => self.coalesce(entry, range, again),
                }
            }
            Outcome::Skipped(reason) => {
                let at = self.skipped.iter().position(|(known, _)| known == reason).unwrap_or_else(|| {
                    self.skipped.push((*reason, Ranges::default()));
                    self.skipped.len() - 1
                });
                let arithmetic = &*self.arithmetic;
                self.skipped[at].1.insert(range, |a, b| nothing_due(arithmetic, a, b));
            }
            Outcome::Parked(_) => self.parked.insert(range, |a, b| nothing_due(&*self.arithmetic, a, b)),
            Outcome::Dropped | Outcome::DroppedAtLimit => {
                self.dropped.insert(range, |a, b| nothing_due(&*self.arithmetic, a, b))
            }
            Outcome::DetailsLost => self.lost.insert(range, |a, b| nothing_due(&*self.arithmetic, a, b)),
            Outcome::ClockSetBack => self.set_back.insert(range, |a, b| nothing_due(&*self.arithmetic, a, b)),
        }
    }

    /// Adds this revision's account over (lower, upper] to the schedule's; gives the last due time in a hole.
    pub(super) fn close(
        &self,
        (lower, upper): Range,
        settled: Timestamp,
        everywhere: &Everywhere,
        into: &mut ScheduleReport,
    ) -> Option<Timestamp> {
        let mut tally = Tally { surplus: self.surplus, resent: self.resent, ..Tally::default() };
        // W and the rows of all schedules speak of send times, all else of due times.
        let due = |send| self.arithmetic.due_by(send);
        let window = (lower.max(self.own.0), upper.min(self.own.1).min(due(settled)));
        let mut open = Ranges::of(window);
        if window.0 < window.1 {
            tally.expected = self.arithmetic.count(window.0, window.1);
        }
        // What is final comes first: an occurrence that was parked, then released and confirmed, is confirmed.
        tally.confirmed = self.settle(&mut open, self.singles.iter());
        tally.coalesced =
            self.settle(&mut open, self.coalesced.iter().map(|(last, (after, _))| (*after, *last)));
        tally.dropped = self.settle(&mut open, self.dropped.iter());
        for (reason, ranges) in &self.skipped {
            let count = self.settle(&mut open, ranges.iter());
            if count > 0 {
                tally.skipped.insert(skip_word(*reason).into(), count);
            }
        }
        tally.parked = self.settle(&mut open, self.parked.iter());
        tally.pending = self.settle(&mut open, self.pending.iter());
        tally.details_lost = self
            .settle(&mut open, self.lost.iter().chain(everywhere.lost.iter().map(|(a, b)| (due(a), due(b)))));
        tally.clock_set_back = self.settle(
            &mut open,
            self.set_back.iter().chain(everywhere.set_back.iter().map(|(a, b)| (due(a), due(b)))),
        );
        let mut last_hole = None;
        for (after, through) in open.iter() {
            let count = self.arithmetic.count(after, through);
            let ends = (self.arithmetic.after(after), self.arithmetic.before(through.plus(1)));
            if let (1.., (Some(first), Some(last))) = (count, ends) {
                tally.holes += count;
                last_hole = Some(last);
                let what = "the record does not mention it".into();
                let finding = Finding { revision: self.revision, first, last, count, sequence: None, what };
                keep(&mut into.missing, finding);
            }
        }
        self.extra.iter().for_each(|finding| keep(&mut into.extra, finding.clone()));
        into.tally.add(&tally);
        last_hole
    }

    /// Whether these due times lie where the revision holds. A one-shot is settled by its row alone, wherever the edits of
    /// its definition lie.
    pub(super) fn holds(&self, first: Timestamp, last: Timestamp) -> bool {
        self.arithmetic.is_one_shot() || first > self.own.0 && last <= self.own.1
    }

    /// Why no occurrence of this revision begins at `first` or ends at `last`.
    fn stranger(&self, first: Timestamp, last: Timestamp) -> Option<String> {
        if first > last {
            return Some(format!("it ends at {last}, before it begins"));
        }
        for due in [first, last] {
            if self.arithmetic.after(due.plus(-1)) != Some(due) {
                return Some(format!("revision {} is not due at {due}", self.revision));
            }
        }
        if !self.holds(first, last) {
            let (from, to) = self.own;
            return Some(format!("revision {} holds after {from} through {to} only", self.revision));
        }
        None
    }

    fn single(&mut self, entry: &RecordRow, range: Range, again: bool) {
        if !self.singles.within(range).is_empty() {
            self.resent += 1;
            return;
        }
        if let Some(other) = self.coalesced_over(range).filter(|_| !again) {
            self.fault(entry, format!("confirmed by itself, and within the coalesced event of {other}"));
        }
        self.singles.insert(range, |a, b| nothing_due(&*self.arithmetic, a, b));
    }

    fn coalesce(&mut self, entry: &RecordRow, range: Range, again: bool) {
        let content = (range.0, entry.row.count);
        if self.coalesced.get(&range.1) == Some(&content) {
            self.resent += 1;
            return;
        }
        if again {
            // Both stand: of one due time what reaches further back.
            let other = self.coalesced.get(&range.1).copied().filter(|(after, _)| *after < range.0);
            self.coalesced.insert(range.1, other.unwrap_or(content));
            return;
        }
        if let Some(other) = self.coalesced_over(range) {
            self.fault(entry, format!("it overlaps the coalesced event of {other}"));
        } else if let Some((_, due)) = self.singles.within(range).first() {
            self.fault(entry, format!("confirmed within this coalesced event, and by itself ({due})"));
        }
        self.coalesced.insert(range.1, content);
    }

    /// The coalesced event that stands for something in the range.
    fn coalesced_over(&self, (after, through): Range) -> Option<Timestamp> {
        let (last, (begin, _)) = self.coalesced.range(after.plus(1)..).next()?;
        (*begin < through).then_some(*last)
    }

    fn fault(&mut self, entry: &RecordRow, what: String) {
        self.surplus += 1;
        let row = &entry.row;
        let sequence = Some(entry.sequence);
        let (first, last, count) = (row.first, row.last, row.count);
        keep(&mut self.extra, Finding { revision: self.revision, first, last, count, sequence, what });
    }

    fn settle(&self, open: &mut Ranges, ranges: impl Iterator<Item = Range>) -> u64 {
        let parts = ranges.flat_map(|range| open.take(range));
        parts.map(|(after, through)| self.arithmetic.count(after, through)).sum()
    }
}

fn nothing_due(arithmetic: &dyn Arithmetic, after: Timestamp, through: Timestamp) -> bool {
    after >= through || arithmetic.after(after).is_none_or(|due| due > through)
}

fn keep(examples: &mut Vec<Finding>, finding: Finding) {
    if examples.len() < EXAMPLES {
        examples.push(finding);
    }
}

/// The reason as people read it, such as `too-old`.
pub fn skip_word(reason: SkipReason) -> &'static str {
    match reason {
        SkipReason::Paused => "paused",
        SkipReason::Missed => "missed",
        SkipReason::TooOld => "too-old",
        SkipReason::Past => "past",
        SkipReason::Removed => "removed",
    }
}
