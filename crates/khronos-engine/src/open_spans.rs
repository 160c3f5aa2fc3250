//! The spans of schedules that are paused by name: open as long as they rest, so that nothing is written for what falls due of
//! them. (ADR 0018)

use super::{
    backlog::{Backlog, NOT_FIXED, State},
    core::{Engine, new_span},
    progress::SpanKey,
    slots::SlotId,
};
use ponos_event::Timestamp;

impl Engine {
    /// Something is due of a schedule that is paused by name: from now on all of it joins its span, and the slot stands in no
    /// queue. What is due only this once has a last due time: its span ends there.
    pub(super) fn open_span(&mut self, id: SlotId, key: SpanKey, due: Timestamp) {
        debug_assert!(self.can_join_backlog(&key, due), "{key:?} of {due} lies before its span");
        let slot = &self.schedules[id];
        let goes_on = slot.timing().after(due).is_some();
        let through = if goes_on { Timestamp::HORIZON } else { due };
        let era = slot.era();
        if !self.extend(&key, through)
            && let Some(schedule) = self.schedules[id].schedule()
        {
            let handed = self.sent_singly(&self.schedules[id]).max(due.plus(-1));
            let span = new_span(era.number, due.plus(-1), through, handed);
            self.progress.standing_span(&key, &span);
            self.outstanding
                .backlogs
                .insert(key, Backlog { span, era, schedule, state: State::Paused, fixed: NOT_FIXED });
        }
        self.schedules.stand(id, goes_on);
    }

    /// The span of a slot's revision, if it is open, ends with what is due by then. Gives where it ends.
    pub(super) fn close_span(&mut self, key: &SpanKey, by: Timestamp) -> Option<Timestamp> {
        let backlog = self.outstanding.backlogs.get_mut(key).filter(|backlog| backlog.span.is_open())?;
        backlog.span = backlog.span.closed(&backlog.schedule.timing, by);
        let through = backlog.span.through;
        self.progress.span(key, Some(&backlog.span));
        if backlog.state == State::Paused && backlog.span.after == through {
            self.outstanding.backlogs.set(key, State::Ready);
        }
        Some(through)
    }
}
