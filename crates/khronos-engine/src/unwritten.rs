//! What changed since the last write.

use super::{
    Answered, CreatedCalendar, LoggedChange, MessageKey, OneShot, Operation, Outcome, Parked, Pauses,
    Revision, Row, SkipReason, Span, TriggerKey, progress::SpanKey,
};
use khronos_schedule::Timing;
use ponos_event::{CommandId, Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Bytes of definitions after which commands wait for the next write.
pub(super) const BYTES: usize = 4 << 20;

/// Rows among which one is looked for that a run of a paused schedule goes on from.
const RECENT: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Unwritten {
    pub(super) revisions: BTreeMap<SpanKey, Revision>,
    pub(super) forgotten: BTreeSet<SpanKey>,
    pub(super) spans: BTreeMap<SpanKey, Option<Span>>,
    pub(super) one_shots: BTreeMap<Arc<str>, Option<OneShot>>,
    pub(super) parked: BTreeMap<u64, Option<Parked>>,
    pub(super) pauses: Option<Pauses>,
    pub(super) named_pauses: BTreeMap<Arc<str>, Option<Pauses>>,
    pub(super) triggers: BTreeMap<TriggerKey, Option<Timestamp>>,
    pub(super) operations: BTreeMap<CommandId, Option<Operation>>,
    pub(super) rows: Vec<Row>,
    pub(super) messages: BTreeMap<MessageKey, Option<Answered>>,
    pub(super) changes: Vec<LoggedChange>,
    pub(super) calendars: BTreeMap<Arc<str>, Option<Arc<CreatedCalendar>>>,
    /// Revisions and verdicts, and bytes of definitions.
    written: (usize, usize),
}

impl Unwritten {
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.is_empty_but_for_rows()
    }

    pub(super) fn is_empty_but_for_rows(&self) -> bool {
        let Self {
            revisions,
            forgotten,
            spans,
            one_shots,
            parked,
            pauses,
            named_pauses,
            triggers,
            operations,
            messages,
            changes,
            calendars,
            rows: _,
            written: _,
        } = self;
        revisions.is_empty()
            && forgotten.is_empty()
            && spans.is_empty()
            && one_shots.is_empty()
            && parked.is_empty()
            && pauses.is_none()
            && named_pauses.is_empty()
            && triggers.is_empty()
            && operations.is_empty()
            && messages.is_empty()
            && changes.is_empty()
            && calendars.is_empty()
    }

    pub(super) fn revision(&mut self, key: SpanKey, revision: Revision) {
        let (count, bytes) = self.written;
        self.written = (count + 1, bytes + revision.definition.bytes());
        // The number of a name that was forgotten and comes back in the same write.
        self.forgotten.remove(&key);
        self.revisions.insert(key, revision);
    }

    pub(super) fn message(&mut self, key: MessageKey, answered: Option<Answered>) {
        self.written.0 += answered.as_ref().map_or(0, |answered| answered.verdicts.len());
        self.messages.insert(key, answered);
    }

    pub(super) fn calendar(&mut self, name: Arc<str>, calendar: Option<Arc<CreatedCalendar>>) {
        let (count, bytes) = self.written;
        self.written = (count + 1, bytes + calendar.as_ref().map_or(0, |one| one.text.text.len()));
        self.calendars.insert(name, calendar);
    }

    /// A schedule that changes has two revisions.
    pub(super) fn is_full_of_changes(&self, piece: usize) -> bool {
        let (count, bytes) = self.written;
        count >= piece.saturating_mul(2).max(1) || bytes >= BYTES
    }

    /// A row about what a paused schedule skips. It joins the run that it goes on from, or leads to: what stood in the set may
    /// come after what was due since. Runs between which something is due stay apart, for that may go down later.
    pub(super) fn skip_paused(&mut self, row: Row, timing: &Timing) {
        let joins = |earlier: &&mut Row| {
            earlier.outcome == Outcome::Skipped(SkipReason::Paused)
                && earlier.revision == row.revision
                && earlier.schedule == row.schedule
                && (timing.after(earlier.last) == Some(row.first)
                    || timing.after(row.last) == Some(earlier.first))
        };
        // What was skipped before the clock was set back, and is skipped again after it, is two runs.
        let since = |earlier: &&mut Row| earlier.outcome != Outcome::ClockSetBack;
        match self.rows.iter_mut().rev().take(RECENT).take_while(since).find(joins) {
            Some(earlier) => {
                earlier.first = earlier.first.min(row.first);
                earlier.last = earlier.last.max(row.last);
                earlier.count += row.count;
            }
            None => self.rows.push(row),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use khronos_schedule::{Definition, Packed};
    use ponos_event::Timestamp;

    /// What lies between two runs may go down with a later write: until then neither speaks of it.
    #[test]
    fn runs_of_a_paused_schedule_join_only_what_they_go_on_from() {
        let every = Definition {
            name: "a".into(),
            event: Some("test.often.passed".into()),
            every: Some("1s".into()),
            ..Definition::default()
        };
        let timing = Packed::build(&every).unwrap().timing();
        let at = |second: i64| Timestamp::from_millis(second * 1_000);
        let mut unwritten = Unwritten::default();
        let mut skip = |first: i64, last: i64| -> Vec<(i64, i64, u64)> {
            let stands_for =
                crate::Coalesced { first: at(first), last: at(last), count: (last - first + 1) as u64 };
            let outcome = Outcome::Skipped(SkipReason::Paused);
            let row = crate::progress::row(at(9), (&("a".into(), 1), 0), stands_for, outcome);
            unwritten.skip_paused(row, &timing);
            let seconds = |at: Timestamp| at.millis() / 1_000;
            unwritten.rows.iter().map(|row| (seconds(row.first), seconds(row.last), row.count)).collect()
        };
        assert_eq!(skip(1, 2), [(1, 2, 2)]);
        assert_eq!(skip(3, 3), [(1, 3, 3)]);
        assert_eq!(skip(6, 6), [(1, 3, 3), (6, 6, 1)]);
        assert_eq!(skip(5, 5), [(1, 3, 3), (5, 6, 2)]);
        assert_eq!(skip(7, 9), [(1, 3, 3), (5, 9, 5)]);
    }
}
