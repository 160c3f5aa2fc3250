//! Somebody triggers events, the same command more than once: each sends one event, whatever fails.

use super::{
    random::Random,
    serving::{Rendered, rendered},
    world::World,
};
use crate::{Asker, Author, Commit, Handover, Input, Outcome, Parked, Row, TriggerKey, Triggered};
use ponos_event::{CommandId, EventKind, Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Commands of triggers count from here, above those of pauses.
pub(super) const COMMANDS: u64 = 1 << 34;

pub(super) struct Triggering {
    /// Of its own, so that a seed without triggers goes on as it did.
    random: Random,
    active: bool,
    last: u64,
    /// What was asked for, since the last crash and ever.
    asked: BTreeMap<u64, TriggerKey>,
    keys: Vec<TriggerKey>,
    /// Entries as they are durable.
    disk: BTreeMap<u64, Parked>,
    /// When the event of each is due, as it ever was durable; and as it was answered.
    due: BTreeMap<TriggerKey, Timestamp>,
    /// Ids and bodies of what arrived, by schedule, command and due time.
    arrived: BTreeMap<(Arc<str>, CommandId, Timestamp), BTreeSet<Rendered>>,
    pub(super) broken: Option<String>,
}

impl Triggering {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed ^ 0x7171_7171),
            active: seed % 5 == 3,
            last: COMMANDS,
            asked: BTreeMap::new(),
            keys: Vec::new(),
            disk: BTreeMap::new(),
            due: BTreeMap::new(),
            arrived: BTreeMap::new(),
            broken: None,
        }
    }

    /// How many were triggered.
    pub(super) fn count(&self) -> usize {
        self.due.len()
    }

    fn turn(&mut self) -> Option<Input> {
        if !self.active || !self.random.chance(12) {
            return None;
        }
        self.last += 1;
        let is_new = self.keys.is_empty() || self.random.chance(60);
        let mut key = if is_new {
            let schedule: Arc<str> = (*self.random.pick(&["a", "b", "c", "d", "e"])).into();
            let command = format!("command {}", self.last).parse().expect("it is an id");
            TriggerKey { schedule, creation: 0, command, owner: "ann".into() }
        } else {
            let one = self.random.below(self.keys.len() as i64) as usize;
            self.keys[one].clone()
        };
        if self.random.chance(20) {
            key.owner = "bob".into();
        }
        self.keys.push(key.clone());
        self.asked.insert(self.last, key.clone());
        let input = Input::Trigger { command: self.last, name: key.schedule, id: key.command };
        Some(Input::By(Box::new(Asker::new(Author::admin(&key.owner, "a test"))), Box::new(input)))
    }

    pub(super) fn restart(&mut self) {
        self.asked.clear();
    }

    pub(super) fn written(&mut self, commit: &Commit) {
        for (number, parked) in &commit.parked {
            self.disk.remove(number);
            self.disk.extend(parked.clone().map(|parked| (*number, parked)));
        }
        for (key, due) in commit.triggers.iter().filter_map(|(key, due)| Some((key, (*due)?))) {
            let before = self.due.insert(key.clone(), due);
            if before.is_some_and(|before| before != due) {
                self.broken.get_or_insert(format!("{key:?} is due at {before:?}, and at {due}"));
            }
        }
    }

    /// What was triggered is durable, and it is one event however often it is asked for.
    pub(super) fn answer(&mut self, answers: &[(u64, Triggered)]) {
        for (command, Triggered { due, creation }) in answers {
            let Some(key) = self.asked.remove(command).map(|key| TriggerKey { creation: *creation, ..key })
            else {
                self.broken.get_or_insert(format!("command {command} was answered twice"));
                continue;
            };
            if self.due.get(&key) != Some(due) {
                self.broken.get_or_insert(format!("{key:?} is answered with {due:?}, and is not durable"));
            }
        }
    }

    pub(super) fn refuse(&mut self, commands: &[u64]) {
        self.asked.retain(|command, _| !commands.contains(command));
    }

    /// Its entry is durable.
    pub(super) fn check_handover(&mut self, handover: &Handover) {
        let is_its = |parked: &&Parked| {
            parked.kind == handover.kind
                && parked.schedule == handover.schedule.name
                && parked.revision == handover.era.number
                && parked.stands_for == handover.stands_for
        };
        if !self.disk.values().any(|parked| is_its(&parked)) {
            let what = (&handover.schedule.name, &handover.kind);
            self.broken.get_or_insert(format!("{what:?} was sent before it was durable"));
        }
    }

    pub(super) fn arrive(&mut self, handover: &Handover) {
        let EventKind::Trigger(id) = &handover.kind else { return };
        let key = (handover.schedule.name.clone(), id.clone(), handover.stands_for.last);
        self.arrived.entry(key).or_default().insert(rendered(handover));
    }

    pub(super) fn all_are_answered(&self) -> bool {
        self.asked.is_empty()
    }
}

impl World {
    /// Now and then somebody triggers an event.
    pub(super) fn trigger(&mut self) {
        if let Some(input) = self.triggering.turn() {
            self.step(input);
        }
    }
}

/// Each command has sent one event, or it is kept, or a person dropped it; and the record says so once.
pub(super) fn triggers_are_kept(world: &World) -> Result<(), String> {
    let Triggering { due, arrived, broken, .. } = &world.triggering;
    broken.clone().map_or(Ok(()), Err)?;
    if !world.triggering.all_are_answered() {
        return Err("a trigger was never answered".into());
    }
    let of = |row: &&Row, key: &TriggerKey, due: &Timestamp| {
        let kind = EventKind::Trigger(key.command.clone());
        row.schedule == key.schedule && row.kind == kind && row.last == *due
    };
    for (key, events) in arrived {
        if events.len() > 1 {
            return Err(format!("{key:?} has sent {} events", events.len()));
        }
    }
    for (key, due) in due {
        let rows = || world.record.iter().map(|entry| &entry.row).filter(|row| of(row, key, due));
        let ended = rows().filter(|row| !matches!(row.outcome, Outcome::Parked(_))).count();
        let kept = world
            .disk
            .parked
            .iter()
            .filter(|(_, one)| one.schedule == key.schedule && one.stands_for.last == *due)
            .any(|(_, one)| one.kind == EventKind::Trigger(key.command.clone()));
        let arrived = arrived.get(&(key.schedule.clone(), key.command.clone(), *due));
        let confirmed = rows().any(|row| matches!(row.outcome, Outcome::Confirmed { .. }));
        if ended + usize::from(kept) != 1 || confirmed && arrived.is_none() {
            let rows: Vec<&Row> = rows().collect();
            return Err(format!("{key:?}: kept {kept}, arrived {arrived:?}, rows {rows:?}"));
        }
    }
    Ok(())
}
