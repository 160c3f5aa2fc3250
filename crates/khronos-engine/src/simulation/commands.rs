//! Schedules that are put and removed one by one in the simulated world: each command is answered once the disk has what it
//! wanted, and nothing is handed over of a revision that the disk does not have.

use crate::{Commit, Handover, Revision, progress::SpanKey};
use khronos_schedule::Packed;
use std::{collections::BTreeMap, sync::Arc};

#[derive(Default)]
pub(super) struct Commands {
    last: u64,
    /// What was wanted of each name, oldest first, since the last crash.
    wanted: BTreeMap<Arc<str>, Vec<(u64, Option<Packed>)>>,
    /// Revisions as they are durable.
    disk: BTreeMap<SpanKey, Revision>,
    unanswered: Vec<(u64, Arc<str>)>,
    /// How many were answered.
    pub(super) answered: usize,
    /// What should not be.
    pub(super) broken: Option<String>,
}

impl Commands {
    /// A command that is given: its number.
    pub(super) fn give(&mut self, name: &str, wanted: Option<Packed>) -> u64 {
        self.note(name, wanted);
        self.unanswered.push((self.last, name.into()));
        self.last
    }

    /// What is wanted of a name, by whatever way.
    pub(super) fn note(&mut self, name: &str, wanted: Option<Packed>) {
        self.last += 1;
        self.wanted.entry(name.into()).or_default().push((self.last, wanted));
    }

    /// Nobody waits for an answer of a process that died.
    pub(super) fn restart(&mut self) {
        self.wanted.clear();
        self.unanswered.clear();
    }

    pub(super) fn written(&mut self, commit: &Commit) {
        for revision in &commit.revisions {
            self.disk.insert((revision.name().into(), revision.number), revision.clone());
        }
        for key in &commit.forgotten {
            self.disk.remove(key);
        }
    }

    /// On the disk stands what each of these wanted, or what was wanted of its name since.
    pub(super) fn answer(&mut self, commands: &[u64]) {
        for command in commands {
            if *command > self.last {
                // An audit's.
                continue;
            }
            let Some(at) = self.unanswered.iter().position(|(number, _)| number == command) else {
                self.broken = Some(format!("command {command} was answered twice"));
                continue;
            };
            self.answered += 1;
            let (_, name) = self.unanswered.remove(at);
            let of_name = self.disk.range((name.clone(), 0)..=(name.clone(), u32::MAX));
            let runs = of_name.map(|(_, revision)| revision).find(|revision| revision.ended.is_none());
            let is = |wanted: &Option<Packed>| match (wanted, runs) {
                (Some(wanted), Some(runs)) => runs.definition.means_the_same(wanted),
                (wanted, runs) => wanted.is_none() && runs.is_none(),
            };
            let since = self.wanted[&name].iter().filter(|(number, _)| number >= command);
            if !since.into_iter().any(|(_, wanted)| is(wanted)) {
                self.broken = Some(format!("command {command} for {name} was answered and is not durable"));
            }
        }
    }

    /// What is handed over is called for by what stands on the disk.
    pub(super) fn check_handover(&mut self, handover: &Handover) {
        let (name, number, due) = (&handover.schedule.name, handover.era.number, handover.stands_for.last);
        let kept = self.disk.get(&(name.clone(), number));
        if kept.is_none_or(|revision| revision.ended.is_some_and(|ended| due > ended)) {
            self.broken = Some(format!("{name} of {due} was sent before its revision {number} was durable"));
        }
    }

    pub(super) fn all_are_answered(&self) -> bool {
        self.unanswered.is_empty()
    }

    /// In the end every command was answered.
    pub(super) fn finish(&mut self) {
        if let Some((command, name)) = self.unanswered.first() {
            self.broken.get_or_insert(format!("command {command} for {name} was never answered"));
        }
    }
}
