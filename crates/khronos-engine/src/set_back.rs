//! The operator lets the clock go on from a reading that is lower than what was seen (`on_backward = "resume"`).
//!
//! W and H go back to that reading, and what lies above comes again when it is due, under the same ids. R stays: an edit
//! of what ran before counts from R, for what lies before may have been sent. So until R a schedule that was edited is
//! what it was, and a name that never ran counts from now. No revision calls for anything before it takes effect.
//!
//! What was on its way above the reading is given up: its answers change nothing any more. The record says of the whole
//! span that the clock was set back over it.

use super::{
    Outcome, Row,
    backlog::State,
    core::Engine,
    faults::{Fault, planted},
    flights::Owner,
    progress::SpanKey,
};
use ponos_event::{EventKind, Timestamp};

#[cfg(test)]
mod tests;

/// R further ahead of the clock than this (milliseconds) is worth a word: no reservation reaches as far.
const FAR: i64 = 10_000;

impl Engine {
    /// R, where it lies far ahead of a clock that was set back: what ran before then and is changed counts from there.
    pub fn was_set_back_from(&self) -> Option<Timestamp> {
        Some(self.progress.may_have_been_sent()).filter(|reached| reached.since(self.now()) > FAR)
    }

    pub(super) fn set_back(&mut self, now: Timestamp) {
        let highest = self.progress.set_back(now, self.settled());
        if highest > now {
            self.progress.row(Row {
                at: now,
                schedule: "*".into(),
                revision: 0,
                first: now.plus(1),
                last: highest,
                count: 0,
                outcome: Outcome::ClockSetBack,
                kind: EventKind::Occurrence,
            });
        }
        self.complete = self.complete.min(now);
        self.schedules.empty_queues();
        self.flights.abandon(|owner, send| matches!(owner, Owner::OnTime(_)) && send > now);
        let keys: Vec<SpanKey> = self.backlogs.iter().map(|(key, _)| key.clone()).collect();
        keys.iter().for_each(|key| self.cut(key, now));
        self.parked.wake(now);
        for id in self.schedules.ids() {
            let slot = &mut self.schedules[id];
            if !slot.runs() {
                continue;
            }
            let above = slot.in_flight().filter(|due| slot.send_time(*due) > now);
            if slot.definition.is_one_shot() {
                if above.is_some() {
                    slot.wait_for(above);
                }
            } else if slot.in_flight().is_none() || above.is_some() {
                let timing = slot.timing();
                let mut from = timing.due_by(now);
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
        }
    }

    /// Takes from a span what lies above `now`, and its slot calls for again; what is above in a revision that ended,
    /// nobody else calls for.
    fn cut(&mut self, key: &SpanKey, now: Timestamp) {
        let running = self.schedules.find(&key.0).filter(|id| self.schedules[*id].number() == key.1);
        let next_ticket = self.progress.next_ticket();
        let Some(backlog) = self.backlogs.get_mut(key) else { return };
        let timing = &backlog.schedule.timing;
        let by = timing.due_by(now);
        let (Some(id), true) = (running, backlog.span.through > by) else {
            // Instants that it waited for may be far ahead now.
            if matches!(backlog.state, State::Waiting(_)) {
                self.backlogs.set(key, State::Ready);
            }
            return;
        };
        let above = |owner: &Owner, send| {
            matches!(owner, Owner::Span(name, number) if *name == key.0 && *number == key.1) && send > now
        };
        let abandoned = self.flights.abandon(above);
        let rest = timing.before(by.plus(1)).filter(|last| *last > backlog.span.after);
        let Some(through) = rest else {
            let one_shot = timing.is_one_shot() && !matches!(backlog.state, State::Closing(_));
            let due = backlog.span.through;
            self.progress.span(key, None);
            self.backlogs.remove(key);
            if one_shot {
                self.schedules[id].wait_for(Some(due));
            }
            return;
        };
        let span = &mut backlog.span;
        span.through = through;
        span.handed = span.handed.min(through);
        span.coalesced = span.coalesced.filter(|run| run.last <= through);
        self.progress.span(key, Some(span));
        if backlog.state != State::Behind && (backlog.state != State::InFlight || abandoned) {
            self.backlogs.set(key, State::Saving(next_ticket));
        }
    }
}
