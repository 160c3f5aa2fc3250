//! What the disk and the broker do: some of what they were asked for, in the order that luck will have.

use super::{evidence::Arrival, world::World};
use crate::{Answer, Handover, Input, time_event};
use khronos_schedule::jitter_offset;
use ponos_event::{EventKind, Timestamp};

impl World {
    pub(super) fn serve(&mut self) {
        for _ in 0..200 {
            if self.saving.is_none() && self.unanswered.is_empty() && self.recording.is_written() {
                return;
            }
            self.serve_some();
        }
    }

    /// The disk or the broker does some of what it was asked for.
    pub(super) fn serve_some(&mut self) {
        if self.random.chance(60)
            && let Some((ticket, commit)) = self.saving.take()
        {
            self.write(&commit);
            self.step(Input::Saved(ticket));
        }
        if self.random.chance(50) {
            self.recording.write_one(&mut self.store);
        }
        if self.link && !self.unanswered.is_empty() {
            let one = self.random.below(self.unanswered.len() as i64) as usize;
            let handover = self.unanswered.remove(one);
            let answer = self.answer(&handover);
            let refused = matches!(answer, Answer::Refused(_))
                && self.eras[&handover.token] == self.era
                && handover.kind == EventKind::Occurrence;
            self.step(Input::Settled(vec![(handover.token, answer)]));
            if refused {
                self.parking.check_refused(&handover, &self.engine);
            }
        }
    }

    fn answer(&mut self, handover: &Handover) -> Answer {
        let luck = if self.calm { 50 + self.random.below(50) } else { self.random.below(100) };
        let (answer, arrives) = self.parking.answer(luck, self.calm, handover);
        if arrives {
            self.arrive(handover);
        }
        answer
    }

    pub(super) fn arrive(&mut self, handover: &Handover) {
        if handover.kind != EventKind::Occurrence {
            self.triggering.arrive(handover);
            return self.backfilling.arrive(handover);
        }
        let (id, body) = rendered(handover);
        self.arrivals.push(Arrival {
            id,
            body,
            schedule: handover.schedule.name.clone(),
            creation: handover.schedule.creation,
            revision: handover.era.number,
            stands_for: handover.stands_for,
            send_time: send_time(handover),
            highest: self.highest,
            era: self.eras[&handover.token],
        });
    }

    /// The connection goes: each unanswered publishing may have arrived or not.
    pub(super) fn lose_all(&mut self) {
        for handover in std::mem::take(&mut self.unanswered) {
            if self.random.chance(50) {
                self.arrive(&handover);
            }
            self.step(Input::Settled(vec![(handover.token, Answer::Lost)]));
        }
    }
}

/// Id and body of an event.
pub(super) type Rendered = (String, Vec<u8>);

pub(super) fn rendered(handover: &Handover) -> Rendered {
    let Handover { era, schedule, stands_for, kind, .. } = handover;
    let event = time_event("khronos", kind, *era, schedule, *stands_for);
    (event.id.to_string(), event.data)
}

/// By the documented rule, not by the engine's arithmetic.
pub(super) fn send_time(handover: &Handover) -> Timestamp {
    let (name, due) = (&handover.schedule.name, handover.stands_for.last);
    due.plus(jitter_offset(name, due, handover.schedule.timing.jitter()))
}
