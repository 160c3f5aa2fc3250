//! The operator lets the clock go on from a reading that is lower than what was seen (`on_backward = "resume"`).
//!
//! W and H go back to that reading, and what lies above comes again when it is due, under the same ids. R stays: an edit
//! of what ran before counts from R, and what ran before is sent singly up to R, for it may have been sent so. So until R
//! a schedule that was edited is what it was. What began since the step counts from now: a name that never ran, and
//! whatever is edited of it. No revision calls for anything before it takes effect.
//!
//! What was on its way above the reading is given up: its answers change nothing any more. The record says of the whole
//! span that the clock was set back over it.
//!
//! Spans and slots are taken back some at a time, so that no step waits for a million of them. Until all are, nothing is
//! handed over, no schedule changes, and W and H stay at the reading. The first write has both, and a crash may come before
//! the others: so where R lies above H, a restart takes back all that lies above H. Of what was not set back nothing
//! does that the slots do not call for again. A clean end takes back all that is left at once.

use super::{
    Outcome, Row,
    backlog::State,
    core::Engine,
    faults::{Fault, planted},
    progress::SpanKey,
    slots::SlotId,
};
use ponos_event::{EventKind, Timestamp};
use std::collections::HashSet;

#[cfg(test)]
mod tests;

/// R further ahead of the clock than this (milliseconds) is worth a word: no reservation reaches as far.
pub(super) const FAR: i64 = 10_000;

/// Spans, or slots, that are taken back in one step: some milliseconds. Few in tests, so that crashes come in between.
pub(super) const AT_ONCE: usize = if cfg!(test) { 2 } else { 1_000 };

/// How far spans and slots are taken back.
#[derive(Debug)]
pub(super) struct SetBack {
    /// The reading that the clock goes on from.
    to: Timestamp,
    /// Spans of which something was in flight above it.
    abandoned: HashSet<SpanKey>,
    at: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Spans after this one are next.
    Spans(Option<SpanKey>),
    /// Slots from this one on are next.
    Slots(SlotId),
}

impl SetBack {
    /// Nothing is taken back yet. Of the spans `abandoned` something was in flight above `to`.
    pub(super) fn new(to: Timestamp, abandoned: HashSet<SpanKey>) -> Self {
        Self { to, abandoned, at: Stage::Spans(None) }
    }

    pub(super) fn to(&self) -> Timestamp {
        self.to
    }
}

impl Engine {
    /// R, where it lies far ahead of a clock that was set back: what ran before then and is changed counts from there.
    pub fn was_set_back_from(&self) -> Option<Timestamp> {
        Some(self.progress.may_have_been_sent()).filter(|reached| reached.since(self.now()) > FAR)
    }

    pub(super) fn set_back(&mut self, to: Timestamp) {
        let highest = self.progress.set_back(to, self.settled());
        if highest > to {
            self.progress.row(Row {
                at: to,
                schedule: "*".into(),
                revision: 0,
                first: to.plus(1),
                last: highest,
                count: 0,
                outcome: Outcome::ClockSetBack,
                kind: EventKind::Occurrence,
                creation: 0,
                queue: None,
            });
        }
        self.complete = self.complete.min(to);
        self.set_pauses_back(to);
        self.operations.set_back(to);
        self.triggers.set_back(to);
        self.went_on_from = to;
        self.messages.set_back(to);
        let schedules = &self.schedules;
        let runs =
            |name: &str, number: u32| schedules.find(name).is_some_and(|id| schedules[id].number() == number);
        // What is above in a revision that ended, nobody else calls for.
        let mut abandoned = self.outstanding.abandon_above(to, runs);
        let mut to = to;
        // Of what is not taken back yet that holds, too: nobody will answer what was given up.
        if let Some(before) = self.setting_back.take() {
            abandoned.extend(before.abandoned);
            to = to.min(before.to);
        }
        self.setting_back = Some(SetBack::new(to, abandoned));
    }

    /// Takes some spans or slots back; before the end, all.
    pub(super) fn take_back(&mut self) {
        self.take_some_back();
        while self.draining && self.setting_back.is_some() {
            self.take_some_back();
        }
    }

    fn take_some_back(&mut self) {
        let Some(SetBack { to, abandoned, at }) = self.setting_back.take() else { return };
        let (mut left, mut from) = (AT_ONCE, SlotId::FIRST);
        let next = match at {
            Stage::Spans(after) => {
                let keys = self.outstanding.backlogs.keys_after(after.as_ref(), left);
                keys.iter().for_each(|key| self.cut(key, to, abandoned.contains(key)));
                left -= keys.len();
                keys.into_iter().next_back().filter(|_| left == 0).map(|last| Stage::Spans(Some(last)))
            }
            Stage::Slots(id) => {
                from = id;
                None
            }
        };
        let next = next.or_else(|| {
            let (ids, next) = self.schedules.ids_from(from, left);
            ids.for_each(|id| self.take_slot_back(id, to));
            next.map(Stage::Slots)
        });
        if next.is_none() {
            self.progress.urge();
        }
        self.setting_back = next.map(|at| SetBack { to, abandoned, at });
    }

    fn take_slot_back(&mut self, id: SlotId, to: Timestamp) {
        if !self.schedules[id].runs() {
            return;
        }
        self.schedules.dequeue(id);
        // All that comes again of it stands in its span.
        if self.schedules.is_standing(id) {
            return;
        }
        let slot = &mut self.schedules[id];
        let above = slot.in_flight().filter(|due| slot.send_time(*due) > to);
        if slot.definition.is_one_shot() {
            if above.is_some() {
                slot.wait_for(above);
            }
        } else if slot.in_flight().is_none() || above.is_some() {
            let timing = slot.timing();
            let mut from = timing.due_by(to);
            // What was due by then and is not handed over yet comes first.
            if let Some(due) = slot.next().filter(|due| *due <= from) {
                from = due.plus(-1);
            }
            if !planted(Fault::CallForWhatWasBefore) {
                from = from.max(slot.era().effective_from);
            }
            slot.wait_for(timing.after(from));
        }
        self.schedules.enqueue(id);
        self.going.not_after(&self.schedules[id].name(), to.plus(self.rules.keep_finished));
    }

    /// Takes from a span what lies above `to`, and its slot calls for again. How far it was handed over stays: what comes
    /// again of that is sent singly. `abandoned`: something of it was in flight above `to`.
    fn cut(&mut self, key: &SpanKey, to: Timestamp, abandoned: bool) {
        let running = self.schedules.find(&key.0).filter(|id| self.schedules[*id].number() == key.1);
        let next_ticket = self.progress.next_ticket();
        let Some(backlog) = self.outstanding.backlogs.get_mut(key) else { return };
        let timing = &backlog.schedule.timing;
        let by = timing.due_by(to);
        let (Some(id), true) = (running, backlog.span.through > by) else {
            // Instants that it waited for may be far ahead now.
            if matches!(backlog.state, State::Waiting(_)) {
                self.outstanding.backlogs.set(key, State::Ready);
            }
            return;
        };
        let rest = timing.before(by.plus(1)).filter(|last| *last > backlog.span.after);
        let Some(through) = rest else {
            let one_shot = timing.is_one_shot() && !matches!(backlog.state, State::Closing(_));
            let due = backlog.span.through;
            self.progress.span(key, None);
            self.outstanding.backlogs.remove(key);
            self.schedules.unstand(id);
            if one_shot {
                // Of a name that came back while its span was outstanding, the span alone kept it.
                self.pend_one_shot(&key.0, key.1, due);
                self.schedules[id].wait_for(Some(due));
            }
            return;
        };
        let span = &mut backlog.span;
        if !span.is_open() {
            span.through = through;
        }
        span.coalesced = span.coalesced.filter(|run| run.last <= through);
        self.progress.span(key, Some(span));
        let stays = matches!(backlog.state, State::Behind | State::Paused);
        if !stays && (backlog.state != State::InFlight || abandoned) {
            self.outstanding.backlogs.set(key, State::Saving(next_ticket));
        }
    }
}
