//! What is due and not handed over on time joins its schedule's span.

use super::{
    backlog::{Backlog, NOT_FIXED, State},
    core::{Engine, new_span},
    faults::{Fault, planted},
    place::Which,
    progress::SpanKey,
    slots::SlotId,
};
use ponos_event::Timestamp;

impl Engine {
    /// What waited for a write that has room, so that what is on time need not.
    pub(super) fn add_deferred(&mut self, now: Timestamp) {
        while !self.progress.is_full(self.rules.piece)
            && let Some(id) = self.schedules.pop(Which::Deferred, Timestamp::HORIZON)
        {
            let slot = &self.schedules[id];
            match slot.next().map(|due| (slot.key(), due)) {
                Some((key, due)) if self.can_join_backlog(&key, due) => {
                    self.add_to_backlog(id, key, due, now)
                }
                _ => self.schedules.enqueue(id),
            }
        }
    }

    /// Only a clock that was set back makes a span lie above what is due now: it can't be joined then.
    pub(super) fn can_join_backlog(&self, key: &SpanKey, due: Timestamp) -> bool {
        self.outstanding.backlogs.get(key).is_none_or(|backlog| backlog.span.after < due)
    }

    /// Adds what is to be sent by now to the schedule's span.
    pub(super) fn add_to_backlog(&mut self, id: SlotId, key: SpanKey, due: Timestamp, now: Timestamp) {
        let slot = &self.schedules[id];
        let timing = slot.timing();
        let through = timing.before(timing.due_by(now).plus(1)).map_or(due, |last| last.max(due));
        if planted(Fault::ResumeFromNow) && now.since(due) > 120_000 {
            return self.schedules.queue_after(id, through);
        }
        let era = slot.era();
        if !self.extend(&key, through)
            && let Some(schedule) = self.schedules[id].schedule()
        {
            let handed = self.sent_singly(&self.schedules[id]).max(due.plus(-1));
            let span = new_span(era.number, due.plus(-1), through, handed);
            self.progress.span(&key, Some(&span));
            let backlog = Backlog { span, era, schedule, state: State::Ready, fixed: NOT_FIXED };
            self.outstanding.backlogs.insert(key.clone(), backlog);
        }
        self.keep_single(&key);
        self.schedules.queue_after(id, through);
    }

    /// Lets a span that is outstanding reach `through`; false if there is none.
    pub(super) fn extend(&mut self, key: &SpanKey, through: Timestamp) -> bool {
        let Some(backlog) = self.outstanding.backlogs.get_mut(key) else { return false };
        backlog.span.through = backlog.span.through.max(through);
        match backlog.state {
            State::Paused => self.progress.standing_span(key, &backlog.span),
            State::Closing(_) => {
                self.progress.span(key, Some(&backlog.span));
                self.outstanding.backlogs.set(key, State::Ready);
            }
            _ => self.progress.span(key, Some(&backlog.span)),
        }
        true
    }
}
