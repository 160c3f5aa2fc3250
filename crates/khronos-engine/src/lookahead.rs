//! The lookahead: what is due next is prepared while there is nothing else to do. Its place in the order is found, its
//! schedule unpacked, and its message may be rendered. So little is left to do at the instant, however many are due at
//! it. The protocol between the engine and its caller, which renders:
//!
//! 1. While [`Engine::can_prepare`], [`Engine::prepare`] gives what is due next as it will be handed over if it is on
//!    time, each under a number. Numbers count up.
//! 2. What is rendered of it is [put](Prepared::put) into [`Prepared`] under that number.
//! 3. The handover has the number, if nothing has changed, and what was rendered is [taken](Prepared::take) out again.
//!    Handovers come in the order of numbers: what was prepared before this one and is still there was passed over (an
//!    edit, a stop of the connection, a catch-up) and is dropped.
//! 4. Where a number is left out, everything that was prepared before is void. So what is passed over is kept no longer
//!    than until something else is laid out, and no more is kept than was laid out.
//!
//! The lookahead decides nothing: what was prepared and comes otherwise is made anew.

use super::{Handover, catch_up::single, core::Engine, hand_over::LEAD, place::Which, slots::SlotId};
use khronos_schedule::Schedule;
use ponos_event::{EventKind, Numbered, Timestamp};
use std::{collections::VecDeque, sync::Arc};

/// At most so many are prepared: some 25 MB, rendered.
const MOST: usize = 10_000;

/// What was prepared for the entries at the front of the due queue, in their order. The owner of the queue holds it.
#[derive(Debug, Default)]
pub(super) struct Lookahead {
    prepared: VecDeque<NextDue>,
    /// Of the next one. One is left out where something is laid out anew.
    number: u64,
}

/// One that is prepared.
#[derive(Debug)]
pub(super) struct NextDue {
    id: SlotId,
    due: Timestamp,
    /// Its number among all that were ever prepared.
    pub(super) number: u64,
    pub(super) schedule: Option<Arc<Schedule>>,
}

impl Lookahead {
    /// For one that is taken out of the queue, so many places behind the first that is laid out: it may change. The others
    /// stay, and keep their numbers.
    pub(super) fn forget(&mut self, at: usize) {
        self.prepared.remove(at);
    }

    /// What was prepared for this one, which is the first and leaves the queue.
    pub(super) fn take(&mut self, id: SlotId, due: Timestamp) -> Option<NextDue> {
        self.prepared.pop_front_if(|next| next.id == id && next.due == due)
    }

    fn begin(&mut self) {
        self.prepared.clear();
        self.number += 1;
    }
}

/// What was rendered ahead, by the numbers under which it was prepared.
#[derive(Debug)]
pub struct Prepared<T>(Numbered<T>);

impl<T> Default for Prepared<T> {
    fn default() -> Self {
        Self(Numbered::default())
    }
}

impl<T> Prepared<T> {
    /// Keeps what was rendered. Where a number was left out, what was kept before is dropped.
    pub fn put(&mut self, number: u64, rendered: T) {
        if number != self.0.next_number() {
            self.0.restart(number);
        }
        self.0.push(rendered);
    }

    /// What was rendered under this number. Earlier ones are dropped: nobody will ask for them.
    pub fn take(&mut self, number: u64) -> Option<T> {
        while let Some((earlier, _)) = self.0.oldest().filter(|(oldest, _)| *oldest < number) {
            self.0.remove(earlier);
        }
        self.0.remove(number)
    }

    /// How much is kept.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Engine {
    /// Whether [`Engine::prepare`] has something to do.
    pub fn can_prepare(&self) -> bool {
        let mut laid_out = self.schedules.laid_out(0);
        let unprepared = laid_out.len() > self.schedules.lookahead.prepared.len();
        let first = match laid_out.next() {
            Some((send, _)) => Some(send).filter(|_| unprepared),
            None => self.schedules.first_send(Which::Due),
        };
        let now = self.now();
        self.may_hand_over() && first.is_some_and(|send| send > now && send <= now.plus(LEAD))
    }

    /// Prepares what is due next, at most so many: as they will be handed over if they are on time, without a token. To be
    /// called between steps, while [`Engine::can_prepare`] and nothing that was handed over waits to be rendered.
    pub fn prepare(&mut self, most: usize) -> Vec<Handover> {
        if !self.can_prepare() {
            return Vec::new();
        }
        let schedules = &mut self.schedules;
        if schedules.laid_out(0).len() == 0 {
            schedules.lookahead.begin();
            schedules.lay_out(MOST.min(self.rules.in_flight));
        }
        let mut prepared = Vec::with_capacity(most);
        let next: Vec<_> = schedules.laid_out(schedules.lookahead.prepared.len()).take(most).collect();
        for (send, id) in next {
            let slot = &schedules[id];
            let (number, schedule) = (schedules.lookahead.number, slot.schedule());
            let due = slot.next().unwrap_or(send);
            if let Some(schedule) = schedule.clone() {
                prepared.push(Handover {
                    token: 0,
                    era: slot.era(),
                    schedule,
                    kind: EventKind::Occurrence,
                    queue: None,
                    stands_for: single(due),
                    sent_at: send,
                    lateness: 0,
                    skipped: slot.skipped(),
                    prepared: Some(number),
                });
            }
            schedules.lookahead.number += 1;
            schedules.lookahead.prepared.push_back(NextDue { id, due, number, schedule });
        }
        prepared
    }
}

#[cfg(test)]
mod tests {
    use super::Prepared;

    #[test]
    fn what_was_left_out_or_passed_over_is_dropped() {
        let mut prepared = Prepared::default();
        (3..8).for_each(|number| prepared.put(number, number));
        assert_eq!(prepared.take(2), None);
        assert_eq!(prepared.take(5), Some(5));
        assert_eq!(prepared.take(5), None);
        assert_eq!(prepared.len(), 2);
        prepared.put(9, 9);
        assert_eq!((prepared.take(6), prepared.len()), (None, 1));
        assert_eq!((prepared.take(9), prepared.take(10)), (Some(9), None));
        prepared.put(11, 11);
        assert_eq!(prepared.take(11), Some(11));
        assert!(prepared.is_empty());
    }
}
