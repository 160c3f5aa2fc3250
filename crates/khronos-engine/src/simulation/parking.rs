//! What is parked in the simulated world: queues that are unbound for a while, an operator who releases and drops, and
//! what must hold meanwhile.

use super::random::Random;
use crate::{Commit, Engine, Handover, Input, Parked};
use khronos_schedule::{Definition, Unrouted};
use std::collections::BTreeMap;

pub(super) struct Parking {
    /// Of its own, so that what is parked changes nothing else.
    random: Random,
    /// Nobody is bound at present.
    unbound: bool,
    /// Entries of several events that were released.
    pub(super) runs: usize,
    /// As it is durable.
    disk: BTreeMap<u64, Parked>,
    /// Up to this one they were parked before the clock was set back last.
    before: u64,
    /// What should not be.
    pub(super) broken: Option<String>,
}

impl Parking {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed ^ 0x5A5A_5A5A),
            unbound: false,
            runs: 0,
            disk: BTreeMap::new(),
            before: 0,
            broken: None,
        }
    }

    /// How many entries are kept.
    pub(super) fn limit(&mut self) -> usize {
        *self.random.pick(&[3, 1_000])
    }

    /// For some schedules somebody must be bound.
    pub(super) fn furnish(&mut self, definition: &mut Definition) {
        if self.random.chance(30) {
            definition.unrouted = Some("park".into());
        }
    }

    /// People bind their queues and unbind them; and one decides about what is parked.
    pub(super) fn turn(&mut self, engine: &Engine) -> Option<Input> {
        self.unbound = if self.unbound { self.random.chance(80) } else { self.random.chance(10) };
        self.random.chance(15).then(|| self.decide(engine))
    }

    fn decide(&mut self, engine: &Engine) -> Input {
        let all: Vec<u64> = engine.parked().keys().copied().collect();
        let numbers: Vec<u64> = all.into_iter().filter(|_| self.random.chance(70)).collect();
        let release = self.random.chance(65);
        if release {
            let events = |number: &u64| engine.parked().get(number).map_or(0, Parked::events);
            self.runs += numbers.iter().filter(|number| events(number) > 1).count();
        }
        if release { Input::Release(numbers) } else { Input::Drop(numbers) }
    }

    /// Whether a confirmed publishing reached nobody, where that matters to its schedule.
    pub(super) fn is_unbound(&self, handover: &Handover) -> bool {
        self.unbound && handover.schedule.unrouted == Unrouted::Park
    }

    /// Before a decision: the entries of which something is on its way.
    pub(super) fn on_their_way(engine: &Engine, unanswered: &[Handover]) -> BTreeMap<u64, Parked> {
        let is_sent = |(_, parked): &(&u64, &Parked)| {
            parked.released && unanswered.iter().any(|handover| is_of(handover, parked))
        };
        engine.parked().iter().filter(is_sent).map(|(number, parked)| (*number, parked.clone())).collect()
    }

    /// After it: nothing of that is gone.
    pub(super) fn compare(&mut self, before: &BTreeMap<u64, Parked>, engine: &Engine) {
        for (number, parked) in before {
            if engine.parked().get(number) != Some(parked) {
                self.broken = Some(format!("{parked:?} was dropped while it was sent"));
            }
        }
    }

    /// What is handed over is not parked any more on the disk, or released there. What a restart sends again is parked
    /// there or not, and what was parked before the clock was set back is called for again.
    pub(super) fn check_handover(&mut self, handover: &Handover, engine: &Engine) {
        let name = &handover.schedule.name;
        let resent = engine.running(name).is_some_and(|running| !running.outstanding.is_empty());
        let unreleased = |(number, parked): &(&u64, &Parked)| {
            **number > self.before && !parked.released && is_of(handover, parked)
        };
        if !resent && let Some((number, _)) = self.disk.iter().find(unreleased) {
            let due = handover.stands_for.last;
            self.broken = Some(format!("{name} of {due} was sent before its release ({number}) was durable"));
        }
    }

    pub(super) fn set_back(&mut self, engine: &Engine) {
        let all = engine.parked().keys().chain(self.disk.keys());
        self.before = all.fold(self.before, |before, number| before.max(*number));
    }

    pub(super) fn written(&mut self, commit: &Commit) {
        for (number, parked) in &commit.parked {
            match parked {
                Some(parked) => drop(self.disk.insert(*number, parked.clone())),
                None => drop(self.disk.remove(number)),
            }
        }
    }

    pub(super) fn check_limit(&mut self, engine: &Engine) {
        let kept = engine.parked().values().filter(|parked| !parked.released).count();
        if kept > engine.most_parked() {
            self.broken = Some(format!("{kept} are parked"));
        }
    }
}

fn is_of(handover: &Handover, parked: &Parked) -> bool {
    let due = handover.stands_for.last;
    parked.schedule == handover.schedule.name
        && parked.revision == handover.era.number
        && (parked.stands_for.first..=parked.stands_for.last).contains(&due)
}
