//! What the operator of the simulated world thinks of.

use super::{parking::Parking, random::Random, world::World};
use crate::{Input, Origin};
use khronos_schedule::{CatchUpDefinition, Definition, TimingDefinition};
use ponos_event::Timestamp;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

impl World {
    /// Changes, adds or removes one schedule, by the files or by a command.
    pub(super) fn change_schedules(&mut self) {
        let name = *self.random.pick(&NAMES);
        let wanted = if self.random.chance(25) {
            None
        } else if self.random.chance(40)
            && let Some(mut definition) = self.wanted(name).cloned()
        {
            definition.data = Some(self.random.below(1_000).into());
            definition.zones = None;
            Some(definition)
        } else {
            Some(self.invent(name))
        };
        let by_files = self.random.chance(50);
        if by_files {
            match wanted {
                Some(wanted) => drop(self.files.insert(name, wanted)),
                None => drop(self.files.remove(name)),
            }
            return self.load();
        }
        let wanted = wanted.map(|wanted| self.zones.packed(&wanted));
        match &wanted {
            // With the rules of its zone as they are now.
            Some(wanted) => drop(self.put.insert(name, wanted.definition())),
            None => drop(self.put.remove(name)),
        }
        let command = self.commands.give(name, wanted.clone());
        self.step(match wanted {
            Some(definition) => Input::Put { command, definition },
            None => Input::Remove { command, name: name.into() },
        });
    }

    /// Now and then there is another release.
    pub(super) fn change_zone_data(&mut self) {
        if self.zones.turn() {
            self.load();
        }
    }

    /// A schedule that suits the moment.
    pub(super) fn invent(&mut self, name: &str) -> Definition {
        let mut definition = definition(&mut self.random, self.wall, name);
        self.parking.furnish(&mut definition);
        self.zones.furnish(&mut definition);
        definition
    }

    /// What was put is not for the files to change.
    fn wanted(&self, name: &str) -> Option<&Definition> {
        self.put.get(name).or_else(|| self.files.get(name))
    }

    pub(super) fn load(&mut self) {
        for name in NAMES {
            let wanted = self.wanted(name).map(|wanted| self.zones.packed(wanted));
            self.commands.note(name, wanted);
        }
        let wanted = self.files.values().map(|wanted| self.zones.packed(wanted)).collect();
        self.step(Input::Load(wanted));
    }

    /// The process died: what was put is what the disk has.
    pub(super) fn find_put(&mut self) {
        let put = |name: &str| {
            let running = self.engine.running(name).map(|running| running.revision);
            let put = running.filter(|revision| revision.origin == Origin::Command);
            put.map(|revision| revision.definition.definition())
        };
        let found = NAMES.into_iter().filter_map(|name| Some((name, put(name)?))).collect();
        self.put = found;
    }

    /// Whatever the files said since, what was put runs.
    pub(super) fn check_put(&mut self) {
        for (name, definition) in &self.put {
            let running = self.engine.running(name).map(|running| running.revision.definition);
            if running.is_none_or(|running| !running.means_the_same(&self.zones.packed(definition))) {
                self.commands.broken = Some(format!("{name} was put, and does not run as it was"));
            }
        }
    }

    /// Most of a life of luck the clock is not believed, for it was set or slept, and nothing is sent. So for a while
    /// nothing but queues and crashes is bad luck, and people leave most to the clock.
    pub(super) fn be_steady(&mut self, turns: i64) {
        self.link_up();
        self.pass(self.rules.clock.settle);
        for _ in 0..turns {
            match self.random.below(100) {
                0..50 => {
                    let wake = self.engine.next_wakeup().map_or(500, |at| at.millis() - self.wall);
                    self.pass(wake.clamp(0, 2_000));
                }
                50..99 => self.serve_some(),
                _ => self.crash(),
            }
            if self.random.chance(30)
                && let Some(decision) = self.parking.turn(&self.engine)
            {
                self.decide(decision);
            }
        }
    }

    /// The machine sleeps: both clocks go on.
    pub(super) fn sleep(&mut self) {
        let nap = *self.random.pick(&[40_000, 200_000, 600_000]);
        self.pass(nap);
    }

    pub(super) fn step_clock(&mut self) {
        let by = *self.random.pick(&[-20_000, -1_000, 2_000, 45_000, 900_000, -400_000]);
        self.wall += by;
        self.step(Input::Tick);
    }

    pub(super) fn decide_parked(&mut self) {
        let numbers: Vec<u64> = self.engine.parked().keys().copied().collect();
        let input = if self.random.chance(50) { Input::Release(numbers) } else { Input::Drop(numbers) };
        self.decide(input);
    }

    pub(super) fn decide(&mut self, decision: Input) {
        let before = Parking::on_their_way(&self.engine, &self.unanswered);
        self.step(decision);
        self.parking.compare(&before, &self.engine);
    }
}

/// A schedule that suits the moment `wall`.
fn definition(random: &mut Random, wall: i64, name: &str) -> Definition {
    let policy = *random.pick(&["latest", "all", "none"]);
    let catch_up = CatchUpDefinition {
        policy: Some(policy.into()),
        grace: Some((*random.pick(&["1s", "30s"])).into()),
        within: random.chance(20).then(|| "150s".into()),
        most: Some(5),
    };
    let mut definition = Definition {
        name: name.into(),
        event: Some(format!("test.{name}.happened")),
        catch_up: Some(catch_up),
        ..Definition::default()
    };
    match random.below(10) {
        0..6 => definition.every = Some((*random.pick(&["500ms", "900ms", "3s", "50s"])).into()),
        6 => {
            let every = |every: &str| TimingDefinition { every: Some(every.into()), ..Default::default() };
            definition.timings = Some(vec![every("2s"), every("7s")]);
        }
        7 => definition.cron = Some((*random.pick(&["*/2 * * * * *", "*/3 * * * *"])).into()),
        _ => {
            definition.at = Some(Timestamp::from_millis(wall + random.below(20_000)).to_string());
            definition.past = Some("send".into());
        }
    }
    if random.chance(35) {
        let interval = definition.every.as_deref().or(definition.cron.as_deref());
        let jitter = match interval {
            Some("500ms" | "900ms") => "450ms",
            Some("3s") => "2900ms",
            Some("50s") => "40s",
            Some("*/3 * * * *") => "100s",
            _ => "900ms",
        };
        definition.jitter = Some(jitter.into());
    }
    if definition.at.is_none() && random.chance(15) {
        definition.limit = Some(*random.pick(&[3, 12, 40]));
    }
    if random.chance(10) {
        definition.paused = Some(true);
    }
    definition
}
