//! Clients, who put and delete schedules at whoever leads, and what must have become of that in the end.

use super::{
    super::{operator::definition, random::Random},
    node::START,
    process::Todo,
    world::{Event, World},
};
use crate::{Handover, Input, Snapshot, Verdict};
use khronos_schedule::Packed;
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

struct Asked {
    command: u64,
    /// The process that was asked.
    by: (usize, u32),
    name: &'static str,
    /// `None`: that it goes.
    wanted: Option<Packed>,
    was_one_shot: bool,
}

pub(super) struct Clients {
    random: Random,
    last: u64,
    asked: Vec<Asked>,
    /// What may be there, by name: more than one thing, where no answer came.
    possible: BTreeMap<&'static str, Vec<Option<Packed>>>,
    /// One-shots that were deleted: name, creation and revision. What an earlier revision was due for may come.
    gone: HashSet<(Arc<str>, u64, u32)>,
    /// Nobody asks any more.
    pub(super) is_closed: bool,
    pub(super) answered: usize,
    pub(super) broken: Option<String>,
}

impl Clients {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed ^ 0xC11E_0175),
            last: 0,
            asked: Vec::new(),
            possible: NAMES.into_iter().map(|name| (name, vec![None])).collect(),
            gone: HashSet::new(),
            is_closed: false,
            answered: 0,
            broken: None,
        }
    }

    fn take(&mut self, command: u64) -> Option<Asked> {
        let at = self.asked.iter().position(|asked| asked.command == command)?;
        Some(self.asked.swap_remove(at))
    }

    /// What was asked for is durable, or refused.
    pub(super) fn answer(&mut self, decided: Vec<(u64, Vec<Verdict>)>) {
        for (command, verdicts) in decided {
            let (Some(asked), Some(verdict)) = (self.take(command), verdicts.into_iter().next()) else {
                continue;
            };
            self.answered += 1;
            match verdict {
                Verdict::Refused(_) => continue,
                Verdict::Deleted { creation, revision, .. } if asked.was_one_shot => {
                    self.gone.insert((asked.name.into(), creation, revision));
                }
                _ => {}
            }
            self.possible.insert(asked.name, vec![asked.wanted]);
        }
    }

    /// Nothing was changed.
    pub(super) fn refuse(&mut self, commands: &[u64]) {
        commands.iter().for_each(|command| drop(self.take(*command)));
    }

    /// A process leads no more: what was asked of it and not answered was done or not.
    pub(super) fn leave(&mut self, by: (usize, u32)) {
        let (left, asked) = std::mem::take(&mut self.asked).into_iter().partition(|asked| asked.by == by);
        self.asked = asked;
        let left: Vec<Asked> = left;
        for Asked { name, wanted, .. } in left {
            self.possible.entry(name).or_default().push(wanted);
        }
    }

    /// An event reached the broker.
    pub(super) fn arrived(&mut self, handover: &Handover) {
        let key = (handover.schedule.name.clone(), handover.schedule.creation, handover.era.number);
        if self.gone.contains(&key) {
            self.broken.get_or_insert(format!("{key:?} was deleted, and comes all the same"));
        }
    }

    /// What was answered is what is there.
    pub(super) fn are_kept(&self, disk: &Snapshot) -> Result<(), String> {
        for (name, possible) in &self.possible {
            let mut running = disk.revisions.iter().filter(|one| one.ended.is_none() && one.name() == *name);
            let running = running.next().map(|one| &one.definition);
            let is_it = |one: &Option<Packed>| match (one, running) {
                (None, None) => true,
                (Some(one), Some(running)) => running.means_the_same(one),
                _ => false,
            };
            // What was not answered yet may be there.
            let asked = self.asked.iter().filter(|asked| asked.name == *name).map(|asked| &asked.wanted);
            if !possible.iter().chain(asked).any(is_it) {
                return Err(format!("{name} should be one of {possible:?}, and is {running:?}"));
            }
        }
        Ok(())
    }
}

impl World {
    /// A client wants something.
    pub(super) fn ask(&mut self) {
        if self.clients.is_closed {
            return;
        }
        let next = 100 + self.clients.random.below(900);
        self.after(next, Event::Client);
        let Some(at) = self.led_by().filter(|at| self.nodes[*at].stopped_until <= self.now) else { return };
        let is_draining = |at: usize| {
            let leader = self.nodes[at].process.as_ref().and_then(|process| process.leader.as_ref());
            leader.is_none_or(|leader| leader.draining.is_some())
        };
        if is_draining(at) {
            return;
        }
        if self.clients.random.chance(60) {
            self.ask_later(at);
        }
        let Some(engine) = self.nodes[at].engine() else { return };
        let is_one_shot = |name: &str| {
            let runs = engine.running(name).filter(|runs| !runs.finished);
            runs.is_some_and(|runs| runs.revision.definition.is_one_shot())
        };
        let one_shot = NAMES.into_iter().find(|name| is_one_shot(name));
        let name = *self.clients.random.pick(&NAMES);
        let (name, goes) = match one_shot.filter(|_| self.clients.random.chance(25)) {
            Some(one_shot) => (one_shot, true),
            None => (name, self.clients.random.chance(25)),
        };
        if self.clients.asked.iter().any(|asked| asked.name == name) {
            return;
        }
        let was_one_shot = is_one_shot(name);
        let wall = START + self.now;
        let wanted = definition(&mut self.clients.random, wall, name);
        let wanted = Some(wanted).filter(|_| !goes).and_then(|wanted| Packed::build(&wanted).ok());
        self.clients.last += 1;
        let command = self.clients.last;
        let by = (at, self.nodes[at].life);
        let input = match &wanted {
            Some(wanted) => Input::put(command, wanted.clone()),
            None => Input::delete(command, name),
        };
        self.clients.asked.push(Asked { command, by, name, wanted, was_one_shot });
        self.tell(at, Todo::Engine(input));
    }
}
