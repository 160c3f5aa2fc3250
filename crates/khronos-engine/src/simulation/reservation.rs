//! Whether the simulated clock hands over only what lies at or below the H that its disk has.

use super::{random::Random, world::World};
use crate::Input;
use ponos_event::Timestamp;

pub(super) struct Reservation {
    /// H, as far as it is durable and the clock was not set back below it since.
    durable: Timestamp,
    /// To where the clock was set back since the write under way was begun.
    lowered: Option<Timestamp>,
    /// When H is raised for what lies elsewhere: in some lives, by numbers of their own.
    beside: Option<Random>,
    /// What should not be.
    pub(super) broken: Option<String>,
}

impl Reservation {
    pub(super) fn new(durable: Timestamp, seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x5E5E_5E5E);
        let beside = random.chance(25).then_some(random);
        Self { durable, lowered: None, beside, broken: None }
    }

    /// With the process goes what it knew; this is on the disk.
    pub(super) fn restart(&mut self, durable: Timestamp) {
        (self.durable, self.lowered) = (durable, None);
    }

    pub(super) fn begin_write(&mut self) {
        self.lowered = None;
    }

    pub(super) fn written(&mut self, handed: Timestamp) {
        self.durable = self.lowered.map_or(handed, |lowered| lowered.min(handed));
    }

    pub(super) fn set_back(&mut self, to: Timestamp) {
        self.durable = self.durable.min(to);
        self.lowered = Some(self.lowered.map_or(to, |lowered| lowered.min(to)));
    }

    pub(super) fn check(&mut self, schedule: &str, send: Timestamp) {
        if send > self.durable {
            let what = format!("{schedule}, to be sent at {send}, above the durable H {}", self.durable);
            self.broken.get_or_insert(what);
        }
    }
}

impl World {
    /// A delayed event is due soon, which lies elsewhere: H is raised for it. Now and then one is handed over.
    pub(super) fn reserve_for_delayed(&mut self) {
        let Some(random) = &mut self.reservation.beside else { return };
        if !random.chance(8) {
            return;
        }
        let send = self.engine.now().plus(random.below(1_000) - 500);
        self.step(Input::Reserve(send));
        let marks = self.engine.marks();
        if send <= marks.now.min(marks.handed) {
            self.engine.hands_over_delayed(send);
        }
    }
}
