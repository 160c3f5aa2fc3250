//! Somebody pauses everything, or schedules by their names, and resumes them, by either way, or has that end by itself; and
//! what may be said of it afterwards. Deliberately not the engine's arithmetic: what arrived and what stands in the record
//! is compared with what the disk was told of pauses.

mod scoped;

use super::{
    evidence::{Arrival, is_of},
    random::Random,
    world::World,
};
use crate::{
    Coalesced, Commit, Engine, Handover, Input, OnResume, Outcome, Pause, PauseEnd, PauseRequest, Revision,
    Row, Scope, SkipReason,
};
use khronos_schedule::Definition;
use ponos_event::{EventKind, Timestamp};
use scoped::{Ended, Running, Scoped};
use std::{collections::BTreeSet, iter::successors, sync::Arc};

/// Commands of pauses count from here, above those of audits.
const COMMANDS: u64 = 1 << 33;
/// The names that are paused, each by itself or together.
const NAMED: [&str; 3] = ["a", "b", "d"];

pub(super) struct Pausing {
    /// Each of its own, so that a seed without pauses goes on as it did: of everything, and by name.
    random: [Random; 2],
    /// Whether anything happens here.
    active: [bool; 2],
    last: u64,
    /// Commands that are not answered.
    waiting: BTreeSet<u64>,
    /// Names for which there was no room.
    pub(super) left_out: usize,
    /// What was taken from the files, and comes back.
    away: Option<(&'static str, Definition)>,
    /// Of everything first.
    of: Vec<Scoped>,
    /// In which eras the clock went on from a lower reading, and from which: each time that is durable, and those that are not
    /// yet.
    set_backs: Vec<(u32, Timestamp)>,
    set_backs_since: Vec<(u32, Timestamp)>,
    /// As it is durable.
    running: Running,
    /// What should not be.
    broken: Option<String>,
}

/// Whether a schedule of this name runs, or something of one is kept.
fn is_known(engine: &Engine, name: &str) -> bool {
    engine.running(name).is_some() || engine.resting.of(name).next().is_some()
}

impl Pausing {
    pub(super) fn new(seed: u64) -> Self {
        let named = NAMED.map(Scoped::of);
        Self {
            random: [0x9696_9696, 0x6969_6969].map(|own| Random::new(seed ^ own)),
            active: [seed % 3 == 1, seed % 4 == 2],
            last: COMMANDS,
            waiting: BTreeSet::new(),
            left_out: 0,
            away: None,
            of: [Scoped::default()].into_iter().chain(named).collect(),
            set_backs: Vec::new(),
            set_backs_since: Vec::new(),
            running: Running::default(),
            broken: None,
        }
    }

    /// How many pauses there were, of everything and by name, and how many of each were ended by skipping.
    pub(super) fn did(&self) -> [usize; 4] {
        let (all, named) = (&self.of[0], &self.of[1..]);
        let pauses = named.iter().map(|one| one.pauses).sum();
        [all.pauses, all.ended.len(), pauses, named.iter().map(|one| one.ended.len()).sum()]
    }

    fn turns(&mut self, engine: &Engine, wall: i64) -> Vec<Input> {
        let mut inputs = Vec::new();
        if self.active[0] && self.random[0].chance(8) {
            inputs.push(self.turn(0, &[0], engine, wall));
        }
        if self.active[1] && self.random[1].chance(15) {
            let one = 1 + self.random[1].below(NAMED.len() as i64) as usize;
            let all = if self.random[1].chance(30) { vec![1, 2, 3] } else { vec![one] };
            inputs.push(self.turn(1, &all, engine, wall));
        }
        inputs
    }

    /// Pauses or resumes these, and one that is not known, by one command.
    fn turn(&mut self, random: usize, of: &[usize], engine: &Engine, wall: i64) -> Input {
        let random = &mut self.random[random];
        let resumes = of.iter().all(|one| self.of[*one].present(engine).is_some()) && random.chance(80);
        self.last += 1;
        let command = self.last;
        // Of what is not known there is nothing to pause.
        let names = of.iter().filter_map(|one| self.of[*one].name.clone()).chain(["never".into()]);
        let scope = if of == [0] { Scope::All } else { Scope::Named(names.collect()) };
        let how = how(random);
        let (note, until) = if resumes { (None, None) } else { wanted(command, wall, random) };
        self.waiting.insert(command);
        for one in of {
            let one = &mut self.of[*one];
            if one.name.as_ref().is_none_or(|name| is_known(engine, name)) {
                one.give(command, note.clone(), until.is_some());
            }
        }
        match note {
            None => Input::Resume { command, scope, how },
            Some(note) => {
                let request = PauseRequest { by: "an operator".into(), note, until };
                Input::Pause { command, scope, request }
            }
        }
    }

    /// Nobody waits for an answer of a process that died.
    pub(super) fn restart(&mut self) {
        self.of.iter_mut().for_each(Scoped::restart);
        self.waiting.clear();
        self.set_backs_since.clear();
    }

    pub(super) fn begin(&mut self, pause: Pause) {
        self.of[0].begin(pause);
    }

    /// It is said of one of those that one command, or a restart, has paused.
    pub(super) fn begin_named(&mut self, first: &Arc<str>, pause: &Pause, engine: &Engine) {
        for one in &mut self.of[1..] {
            let present = one.present(engine).filter(|present| present.note == pause.note).cloned();
            if present.is_some() || one.name.as_ref() == Some(first) || one.wants(&pause.note) {
                one.begin(present.unwrap_or(pause.clone()));
            }
        }
    }

    /// What lies above comes again when it is due, and no pause that has ended skips it.
    pub(super) fn set_back(&mut self, to: Timestamp, era: u32) {
        self.set_backs_since.push((era, to));
    }

    pub(super) fn written(&mut self, commit: &Commit, engine: &Engine) {
        let set_backs = commit.set_backs as usize - self.set_backs.len();
        // The clock may have been set back once more since this write was made.
        self.set_backs.extend(self.set_backs_since.drain(..set_backs));
        if let Some(pauses) = &commit.pauses {
            self.of[0].written(pauses, &self.running, &self.set_backs, engine);
        }
        for (name, pauses) in &commit.named_pauses {
            let one = self.of.iter_mut().find(|one| one.name.as_ref() == Some(name));
            let pauses = pauses.clone().unwrap_or_default();
            one.expect("nobody else is paused").written(&pauses, &self.running, &self.set_backs, engine);
        }
        for revision in &commit.revisions {
            let key = (revision.name().into(), revision.definition.creation(), revision.number);
            match revision.ended {
                None => drop(self.running.insert(key)),
                Some(_) => drop(self.running.remove(&key)),
            }
        }
        for ended in self.of.iter_mut().flat_map(|one| &mut one.ended) {
            let since = self.set_backs.iter().skip(ended.skipped.set_backs as usize);
            ended.left = since.fold(ended.through, |left, (_, to)| left.min(*to));
        }
        // With the write of a step back goes down what was skipped before it.
        if set_backs == 0 {
            self.check_rows(&commit.rows, engine);
        }
    }

    /// The pauses of a schedule that were ended by skipping.
    fn ended<'a>(&'a self, schedule: &'a Arc<str>) -> impl Iterator<Item = &'a Ended> {
        self.of.iter().filter(|one| one.concerns(schedule)).flat_map(|one| &one.ended)
    }

    /// What is skipped now lies in what is left of the pauses.
    fn check_rows(&mut self, rows: &[Row], engine: &Engine) {
        for row in rows.iter().filter(|row| row.outcome == Outcome::Skipped(SkipReason::Paused)) {
            let revision = engine.revision(&(row.schedule.clone(), row.revision));
            let Some(revision) = revision.filter(|one| !one.definition.is_paused()) else { continue };
            let send = revision.timing().send_time(row.last);
            let within = |ended: &Ended| ended.since < send && send <= ended.left;
            if !self.ended(&row.schedule).any(within) {
                self.broken.get_or_insert(format!("no pause is left that skips {row:?}"));
            }
        }
    }

    /// On the disk stands what each of these wanted, or what was wanted since. Of a name that nothing knows any more nothing does.
    pub(super) fn answer(&mut self, commands: &[u64], engine: &Engine) {
        for command in commands.iter().filter(|command| **command > COMMANDS) {
            for one in &mut self.of {
                match one.name.as_ref().is_none_or(|name| is_known(engine, name)) {
                    true => one.answer(*command),
                    false => one.refuse(*command),
                }
            }
            if !self.waiting.remove(command) {
                self.broken = Some(format!("command {command} was answered twice"));
            }
        }
    }

    /// There is no room for these.
    pub(super) fn refuse(&mut self, commands: &[u64]) {
        assert!(commands.iter().all(|command| *command > COMMANDS), "{commands:?} have no room");
        for command in commands {
            self.waiting.remove(command);
            self.of.iter_mut().for_each(|one| one.refuse(*command));
        }
    }

    /// The skipped times of too many pauses are kept: of everything, or of these names. The others are answered.
    pub(super) fn leave_out(&mut self, commands: &[(u64, Vec<Arc<str>>)]) {
        for (command, names) in commands {
            if names.is_empty() {
                self.refuse(&[*command]);
            }
            let its = |one: &&mut Scoped| one.name.as_ref().is_some_and(|name| names.contains(name));
            self.of.iter_mut().filter(its).for_each(|one| one.refuse(*command));
            self.left_out += names.len();
        }
    }

    pub(super) fn check_handover(&mut self, handover: &Handover, engine: &Engine) {
        let name = &handover.schedule.name;
        // What was asked for is sent though its schedule is paused.
        let asked_for = handover.kind != EventKind::Occurrence;
        for one in self.of.iter_mut().filter(|one| one.concerns(name) && !(asked_for && one.name.is_some())) {
            one.check_handover(handover, engine);
        }
    }

    pub(super) fn all_are_answered(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl World {
    /// Now and then somebody pauses or resumes.
    pub(super) fn change_pauses(&mut self) {
        for input in self.pausing.turns(&self.engine, self.wall) {
            self.step(input);
        }
        self.take_one_away();
    }

    /// Now and then one that may be paused goes from the files, and comes back as it was.
    fn take_one_away(&mut self) {
        let Pausing { active, random: [_, random], away, .. } = &mut self.pausing;
        if !active[1] || !random.chance(10) {
            return;
        }
        match away.take() {
            Some((name, definition)) => {
                self.files.entry(name).or_insert(definition);
            }
            None => {
                let name = NAMED[random.below(NAMED.len() as i64) as usize];
                *away = self.files.remove(name).map(|definition| (name, definition));
            }
        }
        self.load();
    }

    /// Towards the end all goes on.
    pub(super) fn end_pauses(&mut self) {
        for (active, of) in [&[0][..], &[1], &[2, 3]].into_iter().enumerate() {
            let Pausing { active: is_active, random, last, waiting, .. } = &mut self.pausing;
            let active = active.min(1);
            if !is_active[active] {
                continue;
            }
            *last += 1;
            let (command, how) = (*last, how(&mut random[active]));
            waiting.insert(command);
            of.iter().for_each(|one| self.pausing.of[*one].give(command, None, false));
            let names: Option<_> = of.iter().map(|one| self.pausing.of[*one].name.clone()).collect();
            self.step(Input::Resume { command, scope: names.map_or(Scope::All, Scope::Named), how });
        }
    }
}

fn how(random: &mut Random) -> OnResume {
    *random.pick(&[OnResume::CatchUp, OnResume::Skip])
}

/// The note of a pause, and its own end, if it has one.
fn wanted(command: u64, wall: i64, random: &mut Random) -> (Option<Arc<str>>, Option<PauseEnd>) {
    let then = *random.pick(&[0, 700, 5_000, 60_000]);
    let end = PauseEnd { at: Timestamp::from_millis(wall + then), on_resume: how(random) };
    (Some(format!("pause {command}").into()), random.chance(30).then_some(end))
}

/// What is skipped is what fell due during pauses that were ended so, and nothing else; nothing of it was ever sent.
pub(super) fn pauses_are_kept(world: &World) -> Result<(), String> {
    world.pausing.broken.clone().map_or(Ok(()), Err)?;
    world.pausing.of.iter().find_map(|one| one.broken.clone()).map_or(Ok(()), Err)?;
    if !world.pausing.all_are_answered() {
        return Err("a pause or a resume was never answered".into());
    }
    for row in world.record.iter().map(|entry| &entry.row) {
        if let Some(revision) = skipped_by_a_pause(world, row) {
            was_due_in_a_pause(world, row, revision)?;
        }
    }
    Ok(())
}

fn skipped_by_a_pause<'a>(world: &'a World, row: &Row) -> Option<&'a Revision> {
    if row.outcome != Outcome::Skipped(SkipReason::Paused) {
        return None;
    }
    let mut all = world.revisions().iter();
    let revision = all.find(|one| is_of(one, (&row.schedule, row.creation, row.revision)))?;
    (!revision.definition.is_paused()).then_some(revision)
}

fn was_due_in_a_pause(world: &World, row: &Row, revision: &Revision) -> Result<(), String> {
    let timing = revision.timing();
    // Of two pauses between which nothing was due the record may have one row.
    let in_a_pause = |due: Timestamp| {
        let send = timing.send_time(due);
        world.pausing.ended(&row.schedule).any(|ended| ended.since < send && send <= ended.through)
    };
    let mut all = successors(Some(row.first), |due| timing.after(*due).filter(|next| *next <= row.last));
    if let Some(due) = all.find(|due| !in_a_pause(*due)) {
        return Err(format!("{due} was not due during a pause that was ended by skipping: {row:?}"));
    }
    let same = |of: (&Arc<str>, u64, u32), run: Coalesced| {
        is_of(revision, of) && run.first <= row.last && row.first <= run.last
    };
    // What lies above the reading to which the clock was set back comes again.
    let anew = |one: &Arrival| {
        let before = |(era, to): &(u32, Timestamp)| *era <= one.era && *to < one.send_time;
        world.pausing.set_backs.iter().any(before)
    };
    let mut sent = world.arrivals.iter().filter(|one| !anew(one));
    match sent.find(|one| same(one.of(), one.stands_for)) {
        Some(sent) => {
            Err(format!("{} of {} was sent, and is skipped: {row:?}", sent.schedule, sent.send_time))
        }
        None => Ok(()),
    }
}
