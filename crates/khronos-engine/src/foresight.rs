//! What is due next is made ready while there is nothing else to do: its place in the order is found, its schedule
//! unpacked, and the service may render its event. So little is left to do at the instant, however many are due at it.
//!
//! Foresight decides nothing. What was foreseen and comes otherwise (an edit, a pause of the connection) is made anew.

use super::{
    Handover,
    catch_up::single,
    core::Engine,
    faults::{Fault, planted},
    hand_over::LEAD,
    place::Which,
    slots::SlotId,
};
use khronos_schedule::Schedule;
use ponos_event::Timestamp;
use std::{collections::VecDeque, sync::Arc};

/// At most so many are made ready: some 25 MB, rendered.
const MOST: usize = 10_000;

/// The first of those that the queue has laid out.
#[derive(Debug, Default)]
pub(super) struct Foresight {
    ready: VecDeque<Ready>,
    /// Counts up; one is left out where something was forgotten or passed over, so that what was rendered is dropped too.
    next: u64,
}

/// One that is made ready.
#[derive(Debug)]
pub(super) struct Ready {
    id: SlotId,
    due: Timestamp,
    /// Its number among all that were ever foreseen.
    pub(super) number: u64,
    pub(super) schedule: Option<Arc<Schedule>>,
}

impl Foresight {
    /// For whoever changes a slot or the queue's order.
    pub(super) fn forget(&mut self) {
        if !planted(Fault::KeepForesightThroughEdits) {
            self.ready.clear();
            self.next += 1;
        }
    }

    /// What was made ready for this one, which leaves the queue.
    pub(super) fn take(&mut self, id: SlotId, due: Timestamp) -> Option<Ready> {
        self.ready.pop_front_if(|ready| ready.id == id && ready.due == due)
    }

    /// For one that leaves the queue and is not handed over: nobody will ask for what was rendered of it.
    pub(super) fn pass_over(&mut self, id: SlotId, due: Timestamp) {
        if self.take(id, due).is_some() && !planted(Fault::KeepWhatIsPassedOver) {
            self.next += 1;
        }
    }
}

impl Engine {
    /// Whether [`Engine::foresee`] has something to do.
    pub fn foresees(&self) -> bool {
        let mut laid_out = self.schedules.laid_out(0);
        let unready = laid_out.len() > self.schedules.foresight.ready.len();
        let first = match laid_out.next() {
            Some((send, _)) => Some(send).filter(|_| unready),
            None => self.schedules.first_send(Which::Due),
        };
        let now = self.now();
        self.may_hand_over() && first.is_some_and(|send| send > now && send <= now.plus(LEAD))
    }

    /// Makes ready what is due next, at most so many: as they will be handed over if they are on time, without a token.
    /// To be called between steps while [`Engine::foresees`].
    pub fn foresee(&mut self, most: usize) -> Vec<Handover> {
        if !self.foresees() {
            return Vec::new();
        }
        let schedules = &mut self.schedules;
        if schedules.laid_out(0).len() == 0 {
            schedules.foresight.ready.clear();
            schedules.lay_out(MOST.min(self.rules.in_flight));
        }
        let mut foreseen = Vec::with_capacity(most);
        let next: Vec<_> = schedules.laid_out(schedules.foresight.ready.len()).take(most).collect();
        for (send, id) in next {
            let slot = &schedules[id];
            let (number, schedule) = (schedules.foresight.next, slot.schedule());
            let due = slot.next().unwrap_or(send);
            if let Some(schedule) = schedule.clone() {
                foreseen.push(Handover {
                    token: 0,
                    era: slot.era(),
                    schedule,
                    stands_for: single(due),
                    sent_at: send,
                    lateness: 0,
                    skipped: slot.skipped(),
                    foreseen: Some(number),
                });
            }
            schedules.foresight.next += 1;
            schedules.foresight.ready.push_back(Ready { id, due, number, schedule });
        }
        foreseen
    }
}
