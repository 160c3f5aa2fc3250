//! What is parked in the simulated world: queues that are unbound for a while, an operator who releases and drops, and
//! what must hold meanwhile.

use super::random::Random;
use crate::{Commit, Engine, Handover, Input, Parked};
use khronos_schedule::{Definition, Unrouted};
use ponos_event::Timestamp;
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
    /// What was parked when the clock was set back.
    set_back: Vec<SetBack>,
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
            set_back: Vec::new(),
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
    /// there or not. So is what was parked when the clock was set back to before its send time: it is due once more, as all
    /// that lies above the reading, and the entry stays. What lies below, or is parked since, has no such excuse.
    pub(super) fn check_handover(&mut self, handover: &Handover, engine: &Engine) {
        let name = &handover.schedule.name;
        let resent = engine.running(name).is_some_and(|running| !running.outstanding.is_empty());
        let unreleased = |(number, parked): &(&u64, &Parked)| {
            let called_again = self.set_back.iter().any(|before| before.calls_again(**number, handover));
            !parked.released && is_of(handover, parked) && !called_again
        };
        if !resent && let Some((number, _)) = self.disk.iter().find(unreleased) {
            let due = handover.stands_for.last;
            self.broken = Some(format!("{name} of {due} was sent before its release ({number}) was durable"));
        }
    }

    pub(super) fn set_back(&mut self, to: Timestamp, engine: &Engine) {
        let all = self.disk.iter().chain(engine.parked());
        let last = all.map(|(number, parked)| (*number, parked.stands_for.last));
        self.set_back.push(SetBack { to, last: last.collect() });
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

/// The clock was set back.
struct SetBack {
    to: Timestamp,
    /// The last due time of each entry then: what joined it later was parked later.
    last: BTreeMap<u64, Timestamp>,
}

impl SetBack {
    fn calls_again(&self, number: u64, handover: &Handover) -> bool {
        let due = handover.stands_for.last;
        let was_parked = self.last.get(&number).is_some_and(|last| due <= *last);
        was_parked && handover.schedule.timing.send_time(due) > self.to
    }
}

fn is_of(handover: &Handover, parked: &Parked) -> bool {
    let due = handover.stands_for.last;
    parked.schedule == handover.schedule.name
        && parked.revision == handover.era.number
        && (parked.stands_for.first..=parked.stands_for.last).contains(&due)
}
