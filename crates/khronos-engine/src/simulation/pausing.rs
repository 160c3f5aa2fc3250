//! Somebody pauses everything and resumes it, by either way, or has it end by itself; and what may be said of it afterwards.
//! Deliberately not the engine's arithmetic: what arrived and what stands in the record is compared with what the disk was
//! told of pauses.

use super::{check::Arrival, random::Random, world::World};
use crate::{
    Coalesced, Commit, Engine, Handover, Input, OnResume, Outcome, Pause, PauseEnd, PauseRequest, Pauses,
    Reached, Revision, Row, Scope, SkipReason, SkippedPause, pause::SKIPPED,
};
use ponos_event::Timestamp;
use std::{cmp::Ordering, collections::BTreeSet, iter::successors, sync::Arc};

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
    /// Pauses that were begun, and the lowest instant that the clock showed meanwhile.
    begun: Vec<(Pause, Timestamp)>,
    ended: Vec<Ended>,
    /// In which eras the clock went on from a lower reading, and from which.
    set_backs: Vec<(u32, Timestamp)>,
    /// How often it was set back, as it is durable; and to where each time that is not durable yet.
    set_backs_on_disk: u32,
    set_back_to: Vec<Timestamp>,
    /// How many pauses were durable.
    pub(super) pauses: usize,
    /// What should not be.
    pub(super) broken: Option<String>,
}

/// A pause that was ended by skipping.
struct Ended {
    /// The lowest instant that the clock showed in it, and the one at which it ended.
    since: Timestamp,
    through: Timestamp,
    /// What is left of it since the clock was set back.
    skipped: SkippedPause,
    /// The revisions that had begun, and may send something that they were due for in it.
    begun: BTreeSet<(Arc<str>, u32)>,
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
            set_backs: Vec::new(),
            set_backs_on_disk: 0,
            set_back_to: Vec::new(),
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
        self.set_back_to.clear();
    }

    pub(super) fn begin(&mut self, pause: Pause) {
        // What a crash has undone since may have been another one.
        let before = self.begun.iter().rev().find(|(before, _)| before.reached == pause.reached);
        let lowest = before.map_or(pause.since, |(_, lowest)| *lowest);
        self.begun.push((pause, lowest));
    }

    /// What lies above comes again when it is due, and no pause that has ended skips it.
    pub(super) fn set_back(&mut self, to: Timestamp, era: u32) {
        self.set_backs.push((era, to));
        self.set_back_to.push(to);
        if let Some((_, lowest)) = self.begun.last_mut() {
            *lowest = to.min(*lowest);
        }
    }

    pub(super) fn written(&mut self, commit: &Commit, engine: &Engine) {
        let before = std::mem::replace(&mut self.set_backs_on_disk, commit.set_backs);
        let set_back = commit.set_backs > before;
        // The clock may have been set back once more since this write was made.
        for to in self.set_back_to.drain(..(commit.set_backs - before) as usize) {
            for Ended { skipped, .. } in &mut self.ended {
                skipped.through = to.min(skipped.through);
            }
        }
        // With the write of a step back goes down what was skipped before it.
        if !set_back {
            self.check_rows(&commit.rows, engine);
        }
        let Some(pauses) = &commit.pauses else { return };
        if self.disk.skipped.len() >= SKIPPED {
            self.note_what_made_room(pauses, engine);
        }
        for skipped in &pauses.skipped {
            if self.ended.iter().any(|ended| ended.skipped == *skipped) {
                continue;
            }
            let of = |begun: &&(Pause, Timestamp)| begun.0.reached == skipped.reached;
            let (_, since) = *self.begun.iter().rev().find(of).expect("it was said to begin");
            let running = engine.running_after(None).map(|one| one.revision);
            let known = running.chain(engine.resting.iter().map(|(_, revision)| revision.clone()));
            let begun = known.filter(|one| one.counts_from < skipped.through);
            let begun = begun.map(|one| (one.name().into(), one.number)).collect();
            self.ended.push(Ended { since, through: skipped.through, skipped: *skipped, begun });
        }
        self.pauses += usize::from(self.disk.paused.is_none() && pauses.paused.is_some());
        self.disk = pauses.clone();
    }

    /// What is skipped now lies in what is left of the pauses.
    fn check_rows(&mut self, rows: &[Row], engine: &Engine) {
        for row in rows.iter().filter(|row| row.outcome == Outcome::Skipped(SkipReason::Paused)) {
            let revision = engine.revision(&(row.schedule.clone(), row.revision));
            let Some(revision) = revision.filter(|one| !one.definition.is_paused()) else { continue };
            let send = revision.timing().send_time(row.last);
            let within = |ended: &Ended| ended.since < send && send <= ended.skipped.through;
            if !self.ended.iter().any(within) {
                self.broken.get_or_insert(format!("no pause is left that skips {row:?}"));
            }
        }
    }

    /// Where another one needs its place, of names that come back nothing is said any more.
    fn note_what_made_room(&mut self, pauses: &Pauses, engine: &Engine) {
        for Ended { skipped, begun, .. } in &mut self.ended {
            if self.disk.skipped.contains(skipped) && !pauses.skipped.contains(skipped) {
                begun.retain(|(name, number)| {
                    engine.running(name).is_some_and(|running| running.revision.number == *number)
                });
            }
        }
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
        if let Some(ended) = self.ended.iter().find(|ended| ended.skips(handover)) {
            let (name, run, skipped) = (&handover.schedule.name, handover.stands_for, ended.skipped);
            let what = format!("{name}, {run:?}, was handed over, and a pause has skipped it: {skipped:?}");
            self.broken.get_or_insert(what);
        }
    }

    pub(super) fn all_are_answered(&self) -> bool {
        self.unanswered.is_empty()
    }
}

impl Ended {
    /// Whether an event stands for something that is skipped.
    fn skips(&self, handover: &Handover) -> bool {
        let (schedule, era) = (&handover.schedule, handover.era);
        let Reached { lately, ever, set_backs } = self.skipped.reached;
        let reached = match era.set_backs.cmp(&set_backs) {
            Ordering::Less => ever,
            Ordering::Equal => lately,
            // It began in the pause.
            Ordering::Greater => Timestamp::EPOCH,
        };
        let [from, to] = [reached, self.skipped.through].map(|at| schedule.timing.due_by(at));
        let Coalesced { first, last, .. } = handover.stands_for;
        let (after, through) = (from.max(first.plus(-1)), to.min(last));
        after < through
            && schedule.timing.count(after, through) > 0
            && self.begun.contains(&(schedule.name.clone(), era.number))
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
    let revision = all.find(|one| *one.name() == *row.schedule && one.number == row.revision)?;
    (!revision.definition.is_paused()).then_some(revision)
}

fn was_due_in_a_pause(world: &World, row: &Row, revision: &Revision) -> Result<(), String> {
    let timing = revision.timing();
    // Of two pauses between which nothing was due the record may have one row.
    let in_a_pause = |due: Timestamp| {
        let send = timing.send_time(due);
        world.pausing.ended.iter().any(|ended| ended.since < send && send <= ended.through)
    };
    let mut all = successors(Some(row.first), |due| timing.after(*due).filter(|next| *next <= row.last));
    if let Some(due) = all.find(|due| !in_a_pause(*due)) {
        return Err(format!("{due} was not due during a pause that was ended by skipping: {row:?}"));
    }
    let same = |(name, number): (&Arc<str>, u32), run: Coalesced| {
        *name == row.schedule && number == row.revision && run.first <= row.last && row.first <= run.last
    };
    // What lies above the reading to which the clock was set back comes again.
    let anew = |one: &Arrival| {
        let before = |(era, to): &(u32, Timestamp)| *era <= one.era && *to < one.send_time;
        world.pausing.set_backs.iter().any(before)
    };
    let mut sent = world.arrivals.iter().filter(|one| !anew(one));
    match sent.find(|one| same((&one.schedule, one.revision), one.stands_for)) {
        Some(sent) => {
            Err(format!("{} of {} was sent, and is skipped: {row:?}", sent.schedule, sent.send_time))
        }
        None => Ok(()),
    }
}
