//! Somebody pauses everything and resumes it, by either way, or has it end by itself; and what may be said of it afterwards.
//! Deliberately not the engine's arithmetic: what arrived and what stands in the record is compared with what the disk was
//! told of pauses.

use super::{random::Random, world::World};
use crate::{
    Coalesced, Commit, Engine, Handover, Input, OnResume, Outcome, Pause, PauseEnd, PauseRequest, Pauses,
    Revision, Row, Scope, SkipReason, SkippedPause,
};
use ponos_event::Timestamp;
use std::{collections::BTreeSet, iter::successors, sync::Arc};

/// Commands of pauses count from here, above those of audits.
const COMMANDS: u64 = 1 << 33;

pub(super) struct Pausing {
    /// Of its own, so that a seed without pauses goes on as it did.
    random: Random,
    /// Whether anything happens here.
    active: bool,
    last: u64,
    /// What was wanted since the last crash, oldest first: paused with this note, or not. A pause may end by itself.
    wanted: Vec<(u64, Option<Arc<str>>, bool)>,
    unanswered: Vec<u64>,
    /// As it is durable.
    disk: Pauses,
    /// Pauses that were begun.
    begun: Vec<Pause>,
    ended: Vec<Ended>,
    /// How many pauses were durable.
    pub(super) pauses: usize,
    /// What should not be.
    pub(super) broken: Option<String>,
}

/// A pause that was ended by skipping.
struct Ended {
    since: Timestamp,
    skipped: SkippedPause,
    /// The revisions that ran when this was durable.
    running: BTreeSet<(Arc<str>, u32)>,
}

impl Pausing {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed ^ 0x9696_9696),
            active: seed % 3 == 1,
            last: COMMANDS,
            wanted: Vec::new(),
            unanswered: Vec::new(),
            disk: Pauses::default(),
            begun: Vec::new(),
            ended: Vec::new(),
            pauses: 0,
            broken: None,
        }
    }

    /// How many were ended by skipping.
    pub(super) fn skips(&self) -> usize {
        self.ended.len()
    }

    fn turn(&mut self, engine: &Engine, wall: i64) -> Option<Input> {
        if !self.active || !self.random.chance(8) {
            return None;
        }
        if engine.paused().is_some() && self.random.chance(80) {
            return Some(self.resume());
        }
        let then = *self.random.pick(&[0, 700, 5_000, 60_000]);
        let end = PauseEnd { at: Timestamp::from_millis(wall + then), on_resume: self.how() };
        let until = self.random.chance(30).then_some(end);
        let note: Arc<str> = format!("pause {}", self.last + 1).into();
        let command = self.give(Some(note.clone()), until.is_some());
        let request = PauseRequest { by: "an operator".into(), note, until };
        Some(Input::Pause { command, scope: Scope::All, request })
    }

    fn resume(&mut self) -> Input {
        let how = self.how();
        Input::Resume { command: self.give(None, false), scope: Scope::All, how }
    }

    fn how(&mut self) -> OnResume {
        *self.random.pick(&[OnResume::CatchUp, OnResume::Skip])
    }

    fn give(&mut self, note: Option<Arc<str>>, ends: bool) -> u64 {
        self.last += 1;
        self.wanted.push((self.last, note, ends));
        self.unanswered.push(self.last);
        self.last
    }

    /// Nobody waits for an answer of a process that died.
    pub(super) fn restart(&mut self) {
        self.wanted.clear();
        self.unanswered.clear();
    }

    pub(super) fn begin(&mut self, pause: Pause) {
        self.begun.push(pause);
    }

    pub(super) fn written(&mut self, commit: &Commit, engine: &Engine) {
        let Some(pauses) = &commit.pauses else { return };
        for skipped in pauses.skipped.iter().filter(|one| !self.disk.skipped.contains(one)) {
            let of = |pause: &&Pause| pause.reached == skipped.reached;
            let since = self.begun.iter().rev().find(of).expect("it was said to begin").since;
            let running = engine.running_after(None).map(|one| one.revision);
            let running = running.map(|revision| (revision.name().into(), revision.number)).collect();
            self.ended.push(Ended { since, skipped: *skipped, running });
        }
        self.pauses += usize::from(self.disk.paused.is_none() && pauses.paused.is_some());
        self.disk = pauses.clone();
    }

    /// On the disk stands what each of these wanted, or what was wanted since.
    pub(super) fn answer(&mut self, commands: &[u64]) {
        for command in commands.iter().filter(|command| **command > COMMANDS) {
            let Some(at) = self.unanswered.iter().position(|number| number == command) else {
                self.broken = Some(format!("command {command} was answered twice"));
                continue;
            };
            self.unanswered.remove(at);
            let note = self.disk.paused.as_ref().map(|pause| &pause.note);
            let is =
                |wanted: &Option<Arc<str>>, ends: bool| wanted.as_ref() == note || ends && note.is_none();
            let mut since = self.wanted.iter().filter(|(number, ..)| number >= command);
            if !since.any(|(_, wanted, ends)| is(wanted, *ends)) {
                self.broken = Some(format!("command {command} was answered, and the disk has {note:?}"));
            }
        }
    }

    /// These changed nothing: the skipped times of too many pauses are kept.
    pub(super) fn refuse(&mut self, commands: &[u64]) {
        assert!(commands.iter().all(|command| *command > COMMANDS), "{commands:?} have no room");
        self.unanswered.retain(|command| !commands.contains(command));
        self.wanted.retain(|(command, ..)| !commands.contains(command));
    }

    /// Nothing is handed over while a pause is in effect, or while its end is not durable.
    pub(super) fn check_handover(&mut self, handover: &Handover, engine: &Engine) {
        if let Some(pause) = engine.paused().or(self.disk.paused.as_ref()) {
            let (name, due) = (&handover.schedule.name, handover.stands_for.last);
            self.broken.get_or_insert(format!("{name} of {due} was handed over, and all is {pause}"));
        }
    }

    pub(super) fn all_are_answered(&self) -> bool {
        self.unanswered.is_empty()
    }
}

impl World {
    /// Now and then somebody pauses or resumes.
    pub(super) fn change_pause(&mut self) {
        if let Some(input) = self.pausing.turn(&self.engine, self.wall) {
            self.step(input);
        }
    }

    /// Towards the end all goes on.
    pub(super) fn end_pause(&mut self) {
        if self.pausing.active {
            let input = self.pausing.resume();
            self.step(input);
        }
    }
}

/// What is skipped is what fell due during pauses that were ended so, and nothing else; nothing of it was ever sent.
pub(super) fn pauses_are_kept(world: &World) -> Result<(), String> {
    world.pausing.broken.clone().map_or(Ok(()), Err)?;
    if !world.pausing.all_are_answered() {
        return Err("a pause or a resume was never answered".into());
    }
    if world.era > 0 {
        // Where the clock was set back, what was before comes again during the pause.
        return Ok(());
    }
    for row in world.record.iter().map(|entry| &entry.row) {
        if let Some(revision) = skipped_by_a_pause(world, row) {
            was_due_in_a_pause(world, row, revision)?;
        }
    }
    world.pausing.ended.iter().try_for_each(|ended| nothing_skipped_was_sent(world, ended))
}

fn skipped_by_a_pause<'a>(world: &'a World, row: &Row) -> Option<&'a Revision> {
    if row.outcome != Outcome::Skipped(SkipReason::Paused) {
        return None;
    }
    let mut all = world.revisions().iter();
    let revision = all.find(|one| *one.name() == *row.schedule && one.number == row.revision)?;
    (!revision.definition.is_paused()).then_some(revision)
}

fn was_due_in_a_pause(world: &World, row: &Row, revision: &Revision) -> Result<(), String> {
    let timing = revision.timing();
    // Of two pauses between which nothing was due the record may have one row.
    let in_a_pause = |due: Timestamp| {
        let send = timing.send_time(due);
        world.pausing.ended.iter().any(|ended| ended.since < send && send <= ended.skipped.through)
    };
    let mut all = successors(Some(row.first), |due| timing.after(*due).filter(|next| *next <= row.last));
    if let Some(due) = all.find(|due| !in_a_pause(*due)) {
        return Err(format!("{due} was not due during a pause that was ended by skipping: {row:?}"));
    }
    let same = |(name, number): (&Arc<str>, u32), run: Coalesced| {
        *name == row.schedule && number == row.revision && run.first <= row.last && row.first <= run.last
    };
    match world.arrivals.iter().find(|one| same((&one.schedule, one.revision), one.stands_for)) {
        Some(sent) => {
            Err(format!("{} of {} was sent, and is skipped: {row:?}", sent.schedule, sent.send_time))
        }
        None => Ok(()),
    }
}

/// Of what ran when a pause ended nothing was sent that was due in it.
fn nothing_skipped_was_sent(world: &World, ended: &Ended) -> Result<(), String> {
    for arrival in &world.arrivals {
        let key = (arrival.schedule.clone(), arrival.revision);
        if !ended.running.contains(&key) {
            continue;
        }
        let mut all = world.revisions().iter();
        let revision = all.find(|one| (one.name(), one.number) == (&*key.0, key.1));
        let Some(timing) = revision.map(Revision::timing) else { continue };
        let [from, to] = [ended.skipped.reached.lately, ended.skipped.through].map(|at| timing.due_by(at));
        let Coalesced { first, last, .. } = arrival.stands_for;
        let (after, through) = (from.max(first.plus(-1)), to.min(last));
        if after < through && timing.count(after, through) > 0 {
            return Err(format!(
                "{} of {last} was sent, and stands for what a pause had skipped",
                arrival.schedule
            ));
        }
    }
    Ok(())
}
