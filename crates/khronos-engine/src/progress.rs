//! What is to be written, and how far the durable state has come.
//!
//! W (`settled`): everything with send time ≤ W is settled or stands in the set. H (`handed`): nothing with send time
//! above H was handed over. R (`reached`): the highest H that ever was durable. H goes back when a clock that was set
//! back goes on from the lower reading, and R does not: *what is handed over goes by H, and what may have been sent by
//! R*. That is so of what ran before the clock was set back; of what began since, nothing was sent above H. Only the clean
//! end lowers R, to what was really handed over. All three go down in the same atomic write as everything that they rest on, and there is at
//! most one write under way.

mod promises;
mod run_time;

use super::{
    Action, Coalesced, Commit, OneShot, Outcome, Parked, Revision, Row, Span,
    faults::{Fault, planted},
    unwritten::Unwritten,
};
use khronos_schedule::Timing;
use ponos_event::{EventKind, Timestamp};
pub(super) use promises::Kept;
use promises::Promises;
use std::sync::Arc;

/// A span is written under (schedule, revision).
pub(super) type SpanKey = (Arc<str>, u32);

#[derive(Debug)]
pub(super) struct Progress {
    unwritten: Unwritten,
    /// The write under way.
    saving: Option<Saving>,
    last_ticket: u64,
    /// W, H and R as durable. After a step back W and H are lower here than on the disk, until that is written: so that
    /// nothing is handed over by an H that is about to go.
    settled: Timestamp,
    handed: Timestamp,
    reached: Timestamp,
    /// H as wanted.
    wanted: Timestamp,
    /// Something should go down now rather than at the next opportunity.
    urgent: bool,
    last_save: Timestamp,
    /// Something was settled since the last write.
    moved: bool,
    /// The highest send time that was handed over, or skipped: since a clock that was set back went on last, and ever. At
    /// the start all that was reserved counts.
    lately: Timestamp,
    ever: Timestamp,
    /// How often the clock was set back; and up to which send time what ran before that may have been sent.
    set_backs: u32,
    before: Timestamp,
    /// The write with the latest change of a definition.
    changed: u64,
    /// Whom the writes are waited for by.
    promises: Promises,
    /// The highest creation number that was given; and that was given before the clock was set back. What was before the start
    /// counts as before that: there it is not kept.
    created: u64,
    created_before: u64,
}

#[derive(Debug)]
struct Saving {
    ticket: u64,
    settled: Timestamp,
    handed: Timestamp,
    reached: Timestamp,
}

/// Progress that nobody waits for is written this much later (milliseconds).
const LAZY: i64 = 1_000;
/// What paused schedules skip goes down with the next write, or this much later by one of its own (milliseconds).
pub(super) const PAUSED: i64 = 10_000;
/// The mark moves with time even when nothing is due, so that a restart can tell a long stop from a wrong clock.
pub(super) const IDLE: i64 = 60 * 60 * 1_000;

impl Progress {
    pub(super) fn new(
        settled: Timestamp,
        handed: Timestamp,
        reached: Timestamp,
        (set_backs, created): (u32, u64),
    ) -> Self {
        Self {
            unwritten: Unwritten::default(),
            saving: None,
            last_ticket: 0,
            settled,
            handed,
            reached,
            wanted: handed,
            urgent: false,
            last_save: settled,
            moved: false,
            lately: handed,
            ever: reached,
            set_backs,
            before: if reached > handed { reached } else { Timestamp::EPOCH },
            changed: 0,
            promises: Promises::default(),
            created,
            created_before: created,
        }
    }

    /// H as durable.
    pub(super) fn handed(&self) -> Timestamp {
        self.handed
    }

    /// H as asked for.
    pub(super) fn wanted(&self) -> Timestamp {
        self.wanted
    }

    /// W as durable.
    pub(super) fn settled(&self) -> Timestamp {
        self.settled
    }

    /// Up to this send time something may have been sent, ever: R, less what was reserved since the start and not used.
    pub(super) fn may_have_been_sent(&self) -> Timestamp {
        self.ever
    }

    /// The same of a revision that began after the clock had been set back so many times.
    pub(super) fn may_have_been_sent_of(&self, set_backs: u32) -> Timestamp {
        if set_backs < self.set_backs { self.ever } else { self.lately }
    }

    /// Up to this send time it may have been sent, singly, before the clock was set back last; `None` if it began since.
    pub(super) fn sent_before_set_back(&self, set_backs: u32) -> Option<Timestamp> {
        let old = set_backs < self.set_backs && !planted(Fault::CoalesceWhatWasSentBefore);
        old.then_some(self.before)
    }

    /// How often the clock was set back.
    pub(super) fn set_backs(&self) -> u32 {
        self.set_backs
    }

    /// Something with this send time goes out.
    pub(super) fn hand_over(&mut self, send: Timestamp) {
        self.lately = self.lately.max(send);
        self.ever = self.ever.max(send);
    }

    /// What has this send time is skipped. Its row may be durable before W has passed it: after a restart with a clock that
    /// is behind, an edit must not end the revision before what its rows are about.
    pub(super) fn skip(&mut self, send: Timestamp) {
        self.wanted = self.wanted.max(send);
        self.hand_over(send);
    }

    /// A definition changes: with this write.
    pub(super) fn change(&mut self) -> u64 {
        self.changed = self.next_ticket();
        self.changed
    }

    /// Asks for H to be raised at once.
    pub(super) fn reserve(&mut self, handed: Timestamp) {
        self.wanted = self.wanted.max(handed);
        self.urgent = true;
    }

    /// Sets W and H down to `now`, where they are above: the operator lets the clock go on from a lower reading. `settled` is
    /// W as it stands. Gives up to where something was settled or reserved.
    pub(super) fn set_back(&mut self, now: Timestamp, settled: Timestamp) -> Timestamp {
        let highest = self.wanted.max(settled);
        // What was decided under an H that was only asked for goes down with the next write all the same.
        self.reached = self.reached.max(highest);
        self.ever = self.ever.max(highest);
        self.before = self.before.max(self.ever);
        self.set_backs = self.set_backs.saturating_add(1);
        self.lately = self.lately.min(now);
        self.created_before = self.created;
        for mark in [&mut self.settled, &mut self.handed, &mut self.wanted] {
            *mark = now.min(*mark);
        }
        if let Some(saving) = &mut self.saving {
            saving.settled = now.min(saving.settled);
            saving.handed = now.min(saving.handed);
        }
        self.last_save = now;
        self.urgent = true;
        highest
    }

    /// Lowers H and R to what was really handed over, lately and ever: before the end, so that a restart sends nothing
    /// again.
    pub(super) fn trim(&mut self) {
        self.wanted = self.lately;
        self.reached = self.ever;
        if let Some(saving) = &mut self.saving {
            saving.reached = self.ever;
        }
        self.urgent = true;
    }

    /// The ticket of the next write: what is marked now is durable with it.
    pub(super) fn next_ticket(&self) -> u64 {
        self.last_ticket + 1
    }

    pub(super) fn revision(&mut self, revision: &Revision) {
        let key = (revision.name().into(), revision.number);
        self.unwritten.revision(key, revision.clone());
        self.urgent = true;
    }

    /// Whether this revision goes down with the next write.
    pub(super) fn is_to_write(&self, key: &SpanKey) -> bool {
        self.unwritten.revisions.contains_key(key)
    }

    pub(super) fn forget(&mut self, key: SpanKey) {
        self.unwritten.revisions.remove(&key);
        self.unwritten.forgotten.insert(key);
        self.moved = true;
    }

    pub(super) fn span(&mut self, key: &SpanKey, span: Option<&Span>) {
        self.unwritten.spans.insert(key.clone(), span.cloned());
        self.moved = true;
    }

    /// A span that stands still, for its schedule is paused: nobody waits for its write, and W goes down with it.
    pub(super) fn standing_span(&mut self, key: &SpanKey, span: &Span) {
        self.unwritten.spans.insert(key.clone(), Some(span.clone()));
    }

    /// Whether the next write has as much of definitions, and of what was answered, as so many schedules of a load make.
    pub(super) fn is_full_of_changes(&self, piece: usize) -> bool {
        self.unwritten.is_full_of_changes(piece)
    }

    /// Whether so many spans wait to be written that no more should join them. If so, they are written at once.
    pub(super) fn is_full(&mut self, spans: usize) -> bool {
        let full = self.unwritten.spans.len() >= spans.max(1);
        self.urgent |= full;
        full
    }

    /// Whether rows that nobody waits for can join the next write: while one is under way, not more than so many.
    pub(super) fn has_room_for_rows(&self, rows: usize) -> bool {
        self.saving.is_none() || self.unwritten.rows.len() < rows.max(1)
    }

    pub(super) fn one_shot(&mut self, schedule: &Arc<str>, row: Option<OneShot>) {
        self.unwritten.one_shots.insert(schedule.clone(), row);
        self.moved = true;
    }

    pub(super) fn parked(&mut self, number: u64, parked: Option<&Parked>) {
        self.unwritten.parked.insert(number, parked.cloned());
        self.moved = true;
    }

    pub(super) fn moved(&mut self) {
        self.moved = true;
    }

    pub(super) fn urge(&mut self) {
        self.urgent = true;
    }

    /// A row that goes down with the next write.
    pub(super) fn row(&mut self, row: Row) {
        self.moved = true;
        self.unwritten.rows.push(row);
    }

    /// A row about what a paused schedule skips: nobody waits for its write.
    pub(super) fn skip_paused(&mut self, row: Row, timing: &Timing) {
        self.unwritten.skip_paused(row, timing);
    }

    /// The write to do now, if one is due and none is under way. `settled` is W as it stands.
    pub(super) fn save(&mut self, now: Timestamp, settled: Timestamp) -> Option<Action> {
        if self.saving.is_some() || self.next_save(now, settled).is_none_or(|at| at > now) {
            return None;
        }
        let unwritten = std::mem::take(&mut self.unwritten);
        self.last_ticket += 1;
        let settled = settled.max(self.settled);
        let (ticket, handed) = (self.last_ticket, self.wanted.max(settled));
        self.wanted = handed;
        let reached = self.reached.max(handed);
        self.saving = Some(Saving { ticket, settled, handed, reached });
        self.urgent = false;
        self.moved = false;
        self.last_save = now;
        let commit = Commit {
            settled,
            handed,
            reached,
            set_backs: self.set_backs,
            revisions: unwritten.revisions.into_values().collect(),
            forgotten: unwritten.forgotten.into_iter().collect(),
            spans: unwritten
                .spans
                .into_iter()
                .map(|((schedule, number), span)| (schedule, number, span))
                .collect(),
            one_shots: unwritten.one_shots.into_iter().collect(),
            parked: unwritten.parked.into_iter().collect(),
            pauses: unwritten.pauses,
            named_pauses: unwritten.named_pauses.into_iter().collect(),
            triggers: unwritten.triggers.into_iter().collect(),
            operations: unwritten.operations.into_iter().collect(),
            rows: unwritten.rows,
            created: self.created,
            messages: unwritten.messages.into_iter().collect(),
            changes: unwritten.changes,
            calendars: unwritten.calendars.into_iter().collect(),
        };
        Some(Action::Save { ticket, commit: Box::new(commit) })
    }

    /// When the next write is due; `None` while one is under way.
    pub(super) fn next_save(&self, now: Timestamp, settled: Timestamp) -> Option<Timestamp> {
        if self.saving.is_some() {
            return None;
        }
        if self.urgent {
            return Some(now);
        }
        let wait = if self.moved && (settled > self.settled || !self.is_clean()) {
            LAZY
        } else if self.unwritten.rows.is_empty() {
            IDLE
        } else {
            PAUSED
        };
        Some(self.last_save.plus(wait).min(now.plus(wait)))
    }

    /// Whether nothing waits to be written and no write is under way.
    pub(super) fn is_written(&self) -> bool {
        self.saving.is_none() && !self.urgent && self.is_clean()
    }

    /// What paused schedules skip waits for any other write, and nobody waits for it.
    fn is_clean(&self) -> bool {
        self.unwritten.is_empty_but_for_rows() && (self.unwritten.rows.is_empty() || !self.moved)
    }

    /// The write with this ticket is durable.
    pub(super) fn saved(&mut self, ticket: u64) {
        if let Some(saving) = self.saving.take_if(|saving| saving.ticket == ticket) {
            self.settled = saving.settled;
            self.handed = saving.handed;
            self.reached = self.reached.max(saving.reached);
        }
    }

    /// Whether the write with this ticket is durable.
    pub(super) fn is_durable(&self, ticket: u64) -> bool {
        ticket <= self.durable()
    }

    /// The latest write that is.
    fn durable(&self) -> u64 {
        match &self.saving {
            Some(saving) => saving.ticket - 1,
            None => self.last_ticket,
        }
    }
}

/// A row about what an event of this creation stands for.
pub(super) fn row(
    at: Timestamp,
    (key, creation): (&SpanKey, u64),
    stands_for: Coalesced,
    outcome: Outcome,
) -> Row {
    let Coalesced { first, last, count } = stands_for;
    Row {
        at,
        schedule: key.0.clone(),
        revision: key.1,
        first,
        last,
        count,
        outcome,
        kind: EventKind::Occurrence,
        creation,
        queue: None,
    }
}
