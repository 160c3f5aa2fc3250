//! The process dies, and is started again.

use super::{World, open};
use crate::{Input, store::Store};
use ponos_event::Timestamp;

impl World {
    /// The process dies; what was under way has happened or not.
    pub(in super::super) fn crash(&mut self) {
        for handover in std::mem::take(&mut self.unanswered) {
            if self.random.chance(50) {
                self.arrive(&handover);
            }
        }
        if let Some((_, commit)) = self.saving.take().filter(|_| self.random.chance(50)) {
            self.write(&commit);
        }
        let down = *self.random.pick(&[10, 500, 3_000, 100_000]);
        self.wall += down;
        self.boot += down;
        self.store = open(&self.memory);
        let known = self.store.written().last_sequence;
        let kept = self.store.load().expect("it can be read");
        self.recording.restart(&mut self.store, known, &kept);
        self.reservation.restart(kept.handed.unwrap_or(Timestamp::from_millis(self.wall)));
        self.highest = self.highest.max(Timestamp::from_millis(self.wall));
        let reading = self.reading();
        let engine = self.followed.start(self.rules, self.boundary.snapshot(kept), reading);
        self.engine = engine.below(self.ceilings.all());
        self.ceilings.restart();
        self.eras.clear();
        self.rendering.restart();
        self.auditing.restart();
        self.commands.restart();
        self.pausing.restart();
        self.triggering.restart();
        self.backfilling.restart();
        self.calendaring.restart();
        self.calendaring.compare(&self.engine);
        self.find_put();
        self.load();
        self.link = !self.held_link;
        if self.link {
            self.step(Input::Link(true));
        }
    }
}
