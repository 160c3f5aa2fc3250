//! What the broker's answers change: confirmed, refused, lost.

use super::{
    Answer, OneShot, Outcome, Row,
    backlog::{Backlog, NOT_FIXED, State},
    core::{Engine, new_span},
    in_flight::{Owner, Sending},
    progress::{SpanKey, row},
    slots::SlotId,
};
use khronos_schedule::Unrouted;
use ponos_event::Timestamp;
use std::sync::Arc;

/// What got no answer is sent again this much later (milliseconds), so that a flapping connection makes no hot loop.
pub(super) const LOST: i64 = 200;

/// Why something is parked that nobody is bound to, where the schedule says that this is an error.
pub const UNROUTED: &str = "no queue is bound to its event (unrouted = \"park\")";

impl Engine {
    pub(super) fn settle(&mut self, answers: Vec<(u64, Answer)>) {
        for (token, answer) in answers {
            let Some(sending) = self.outstanding.in_flight.remove(token) else { continue };
            self.progress.moved();
            match sending.owner.clone() {
                Owner::OnTime(id) => self.settle_on_time(id, &sending, answer),
                Owner::Span(schedule, revision) => self.settle_span(&(schedule, revision), &sending, answer),
                Owner::Parked(number) => self.settle_parked(number, &sending, answer),
                Owner::Nobody => {}
            }
        }
    }

    fn settle_on_time(&mut self, id: SlotId, sending: &Sending, answer: Answer) {
        let due = sending.stands_for.last;
        let slot = &mut self.schedules[id];
        slot.answered();
        let key = (sending.schedule.clone(), slot.number());
        let slot = &self.schedules[id];
        match refusal(|| slot.definition.conduct().unrouted, &answer) {
            None if answer == Answer::Lost => self.lose_on_time(id, &key, due),
            None => {
                let returned = answer == Answer::Confirmed { returned: true };
                let one_shot = self.finish_one_shot(id);
                self.confirmed(&key, sending, returned, one_shot);
            }
            Some(refused) => {
                self.park(&key, sending.stands_for, refused);
                self.finish_one_shot(id);
            }
        }
        self.schedules.queue_after(id, due);
        self.note_end(id, false);
    }

    /// Moves one that was handed over on time, and got no answer, into the set.
    fn lose_on_time(&mut self, id: SlotId, key: &SpanKey, due: Timestamp) {
        let slot = &self.schedules[id];
        let (era, Some(schedule)) = (slot.era(), slot.schedule()) else { return };
        let handed = self.sent_singly(slot).max(due);
        let span = new_span(era.number, due.plus(-1), due, handed);
        self.progress.span(key, Some(&span));
        let state = State::Waiting(self.now().plus(LOST));
        self.outstanding
            .backlogs
            .insert(key.clone(), Backlog { span, era, schedule, state, fixed: NOT_FIXED });
    }

    fn settle_span(&mut self, key: &SpanKey, sending: &Sending, answer: Answer) {
        let again_at = self.now().plus(LOST);
        let Some(backlog) = self.outstanding.backlogs.get_mut(key) else { return };
        if answer == Answer::Lost {
            return self.outstanding.backlogs.set(key, State::Waiting(again_at));
        }
        let refused = refusal(|| backlog.schedule.unrouted, &answer);
        backlog.span.after = sending.stands_for.last;
        backlog.span.coalesced = None;
        self.progress.span(key, Some(&backlog.span));
        match refused {
            Some(refused) => self.park(key, sending.stands_for, refused),
            None => self.confirmed(key, sending, answer == Answer::Confirmed { returned: true }, false),
        }
        self.outstanding.backlogs.set(key, State::Ready);
    }

    /// Records a confirmed event. What is on time may be written behind: W passes it, so that a restart sees what is missing. What W
    /// has passed goes down with the set, and a one-shot, about which W says nothing, with the end of its pending row.
    pub(super) fn confirmed(&mut self, key: &SpanKey, sending: &Sending, returned: bool, one_shot: bool) {
        let Sending { sent_at, lateness, .. } = *sending;
        let outcome = Outcome::Confirmed { sent_at, lateness, returned };
        let (kind, queue) = (sending.kind.clone(), self.operations.queue(&sending.kind));
        let row =
            Row { kind, queue, ..row(self.now(), (key, sending.creation), sending.stands_for, outcome) };
        if matches!(sending.owner, Owner::OnTime(_)) && !one_shot && !self.rules.record_first {
            self.out.rows.push(row);
        } else {
            self.progress.row(row);
            if self.rules.record_first {
                self.progress.urge();
            }
        }
        self.note_confirmation(&key.0);
        if returned {
            self.note_unheard(key, &sending.owner);
        }
        match self.slot_of(&sending.owner, &key.0, sending.creation) {
            Some(id) => self.schedules[id].sent.note(sent_at, returned),
            None => self.resting.note_sent(&key.0, sending.creation, sent_at, returned),
        }
    }

    /// A one-shot that is settled is pending no more. Whether it is one.
    pub(super) fn finish_one_shot(&mut self, id: SlotId) -> bool {
        let slot = &self.schedules[id];
        let one_shot = slot.definition.is_one_shot();
        if one_shot {
            self.progress.one_shot(&slot.name(), None);
        }
        one_shot
    }

    /// The same for one that is settled as a span: its row may belong to a later revision by now.
    pub(super) fn finish_one_shot_of(&mut self, key: &SpanKey) {
        let Some(id) = self.schedules.find(&key.0) else {
            return self.progress.one_shot(&key.0, None);
        };
        if self.schedules[id].number() == key.1 {
            self.finish_one_shot(id);
        }
    }

    /// Marks a one-shot as pending.
    pub(super) fn pend_one_shot(&mut self, schedule: &Arc<str>, revision: u32, due: Timestamp) {
        self.progress.one_shot(schedule, Some(OneShot { revision, due }));
    }
}

/// Whether an answer is a refusal, why, and whether sending again can help.
pub(super) fn refusal(unrouted: impl Fn() -> Unrouted, answer: &Answer) -> Option<(String, bool)> {
    match answer {
        Answer::Refused(reason) => Some((reason.clone(), true)),
        Answer::Confirmed { returned: true } if unrouted() == Unrouted::Park => {
            Some((UNROUTED.to_owned(), false))
        }
        Answer::Confirmed { .. } | Answer::Lost => None,
    }
}
