//! Events that somebody triggers: now, beside the occurrences of their schedule, from its present definition.
//!
//! Such an event is a parked entry that is released from its birth: durable before it is handed over, sent again until it is
//! answered, tried again where it is refused. W, H and R say nothing of it, and neither a pause of its schedule nor `paused`
//! in its definition holds it up; a pause of everything does. For 24 hours the same command of the same owner for the same
//! schedule is answered as it was, and sends nothing more. None is forgotten earlier: of the room nobody has more than he
//! leaves to others, and beyond it what he asks for is declined.

use super::{
    Declined, Parked,
    catch_up::single,
    core::Engine,
    faults::{Fault, planted},
    portions::Portions,
};
use ponos_event::{CommandId, EventKind, Timestamp};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

/// Of what, and by which command of whom: something else is another event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TriggerKey {
    /// The schedule.
    pub schedule: Arc<str>,
    /// The command's id.
    pub command: CommandId,
    /// The number of the schedule's creation at run time; 0: it comes from a file.
    pub creation: u64,
    /// Whose command it is.
    pub owner: Arc<str>,
}

/// What a command triggered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Triggered {
    /// When its event is due.
    pub due: Timestamp,
    /// The number of the schedule's creation at run time; 0: it comes from a file.
    pub creation: u64,
}

/// A trigger that is asked for.
#[derive(Debug)]
pub(super) struct TriggerRequest {
    pub(super) schedule: Arc<str>,
    pub(super) command: CommandId,
    pub(super) owner: Arc<str>,
}

/// How long it is known what a command triggered (24 hours, in milliseconds).
const KEPT: i64 = 24 * 60 * 60 * 1_000;
/// Of so many commands at most: some 80 MB.
const MOST: usize = if cfg!(test) { 400 } else { 400_000 };
/// Of those that are older, so many go with each that comes: more than it adds.
const FORGOTTEN: usize = 4;

/// What was triggered lately, and what is answered.
#[derive(Debug, Default)]
pub(super) struct Triggers {
    all: BTreeMap<TriggerKey, Timestamp>,
    /// The oldest first, and since when each is kept: none of them later than now.
    order: VecDeque<(TriggerKey, Timestamp)>,
    /// How many are whose.
    known: Portions,
    /// Whose the entries are that are not settled, and how many are whose.
    entries: HashMap<u64, Arc<str>>,
    waiting: Portions,
    /// Commands that wait for the disk, and what they are told.
    answers: HashMap<u64, Triggered>,
}

impl Triggers {
    pub(super) fn new(
        mut kept: Vec<(TriggerKey, Timestamp)>,
        parked: &[(u64, Parked)],
        now: Timestamp,
    ) -> Self {
        kept.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        let mut this = Self::default();
        let mut owners = HashMap::new();
        for (key, due) in kept {
            owners.insert((key.schedule.clone(), key.command.clone(), due), key.owner.clone());
            this.keep(key, due);
        }
        this.set_back(now);
        for (number, one) in parked {
            if let EventKind::Trigger(command) = &one.kind {
                let owner = owners.get(&(one.schedule.clone(), command.clone(), one.stands_for.last));
                // Of what was triggered more than a day ago nobody knows whose it was.
                this.note_entry(*number, owner.cloned().unwrap_or_default());
            }
        }
        this
    }

    fn keep(&mut self, key: TriggerKey, due: Timestamp) {
        self.known.add(&key.owner, 1);
        self.order.push_back((key.clone(), due));
        self.all.insert(key, due);
    }

    fn note_entry(&mut self, number: u64, owner: Arc<str>) {
        self.waiting.add(&owner, 1);
        self.entries.insert(number, owner);
    }

    /// An entry is gone.
    pub(super) fn forget_entry(&mut self, number: u64) {
        if let Some(owner) = self.entries.remove(&number) {
            self.waiting.remove(&owner, 1);
        }
    }

    /// Takes out what commands are told that can be answered now; the others stay.
    pub(super) fn answer(&mut self, durable: &mut Vec<u64>) -> Vec<(u64, Triggered)> {
        if self.answers.is_empty() {
            return Vec::new();
        }
        let all = durable.extract_if(.., |command| self.answers.contains_key(command)).collect::<Vec<_>>();
        all.into_iter().filter_map(|command| Some((command, self.answers.remove(&command)?))).collect()
    }

    /// What the same command triggered before: of this creation, or of the last one where there is none now.
    pub(super) fn before(&self, request: &TriggerRequest, creation: Option<u64>) -> Option<Triggered> {
        let TriggerRequest { schedule, command, owner } = request;
        let same = self.of(schedule, command).filter(|(key, _)| key.owner == *owner);
        let all = same.map(|(key, due)| Triggered { due: *due, creation: key.creation });
        all.filter(|one| creation.is_none_or(|creation| one.creation == creation)).last()
    }

    /// All of this command's id.
    fn of(
        &self,
        schedule: &Arc<str>,
        command: &CommandId,
    ) -> impl Iterator<Item = (&TriggerKey, &Timestamp)> {
        let (schedule, command) = (schedule.clone(), command.clone());
        let first = TriggerKey {
            schedule: schedule.clone(),
            command: command.clone(),
            creation: 0,
            owner: "".into(),
        };
        let all = self.all.range(first..);
        all.take_while(move |(key, _)| key.schedule == schedule && key.command == command)
    }

    /// What a command is told that waits for the disk.
    pub(super) fn told(&self, command: u64) -> Option<Triggered> {
        self.answers.get(&command).copied()
    }

    /// Whether one more of this owner can be taken, where so many of one may wait.
    fn has_room(&self, owner: &Arc<str>, most: usize) -> Result<(), Declined> {
        if !self.waiting.has_room(owner, 1, 2 * most.max(1)) {
            return Err(Declined::Waiting { owner: owner.clone(), of_owner: self.waiting.of(owner) });
        }
        match self.known.has_room(owner, 1, MOST) {
            true => Ok(()),
            false => Err(Declined::TooManyTriggers { owner: owner.clone() }),
        }
    }

    /// The first instant from now on at which this command triggered nothing of this schedule in another name: that would be
    /// an event of the same id.
    fn due(&self, key: &TriggerKey, now: Timestamp) -> Timestamp {
        let same = self.of(&key.schedule, &key.command).filter(|(other, _)| other.creation == key.creation);
        let mut taken: Vec<Timestamp> = same.map(|(_, due)| *due).filter(|due| *due >= now).collect();
        taken.sort_unstable();
        taken.into_iter().fold(now, |due, taken| if taken == due { due.plus(1) } else { due })
    }

    fn forget(&mut self, now: Timestamp) -> Vec<TriggerKey> {
        let mut gone = Vec::new();
        while gone.len() < FORGOTTEN
            && let Some((oldest, since)) = self.order.front()
            && now.since(*since) > KEPT
        {
            self.all.remove(oldest);
            self.known.remove(&oldest.owner, 1);
            gone.extend(self.order.pop_front().map(|(key, _)| key));
        }
        gone
    }

    /// The clock goes on from here: what was triggered after it is known as long as what is triggered now.
    pub(super) fn set_back(&mut self, now: Timestamp) {
        for (_, since) in self.order.iter_mut().rev().take_while(|(_, since)| *since > now) {
            *since = now;
        }
    }
}

impl Engine {
    pub(super) fn trigger(&mut self, command: u64, request: TriggerRequest) {
        let answer = match self.triggered_before(&request).filter(|_| !planted(Fault::TriggerTwice)) {
            Some(before) => Ok(before),
            None => self.send_now(request),
        };
        match answer {
            Ok(triggered) => {
                self.triggers.answers.insert(command, triggered);
                self.progress.promise(command);
            }
            Err(why) => self.out.declined.push((command, why)),
        }
    }

    /// What the same command triggered before.
    pub(super) fn triggered_before(&self, request: &TriggerRequest) -> Option<Triggered> {
        let slot = self.schedules.find(&request.schedule).map(|id| &self.schedules[id]);
        self.triggers.before(request, slot.map(|slot| slot.definition.creation()))
    }

    /// When it is due: now.
    fn send_now(&mut self, request: TriggerRequest) -> Result<Triggered, Declined> {
        let TriggerRequest { schedule, command, owner } = request;
        let slot = self.schedules.find(&schedule).map(|id| &self.schedules[id]).ok_or(Declined::Changed)?;
        let (revision, creation) = (slot.number(), slot.definition.creation());
        let key = TriggerKey { schedule, command, creation, owner };
        let now = self.now();
        for gone in self.triggers.forget(now) {
            self.progress.trigger(gone, None);
        }
        self.triggers.has_room(&key.owner, self.rules.parked)?;
        let due = self.triggers.due(&key, now);
        let ticket = self.progress.change();
        let number = self.outstanding.parked.begin(
            Parked {
                schedule: key.schedule.clone(),
                revision,
                stands_for: single(due),
                reason: String::new(),
                at: now,
                released: true,
                singly: false,
                refused: 0,
                retry_at: None,
                kind: EventKind::Trigger(key.command.clone()),
            },
            ticket,
        );
        self.triggers.note_entry(number, key.owner.clone());
        self.progress.parked(number, self.outstanding.parked.get(number));
        self.progress.urge();
        self.triggers.keep(key.clone(), due);
        self.progress.trigger(key, Some(due));
        Ok(Triggered { due, creation })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(command: &str) -> TriggerKey {
        let (schedule, owner) = ("a".into(), "ann".into());
        TriggerKey { schedule, command: command.parse().unwrap(), creation: 0, owner }
    }

    #[test]
    fn what_a_restart_finds_ahead_of_the_clock_is_known_for_a_day() {
        let at = Timestamp::from_millis;
        let kept = vec![(key("ahead"), at(30 * KEPT)), (key("now"), at(7))];
        let mut triggers = Triggers::new(kept, &[], at(8));
        assert_eq!(triggers.forget(at(7 + KEPT)), []);
        assert_eq!(triggers.forget(at(9 + KEPT)), ["now", "ahead"].map(key));
        assert_eq!((triggers.all.len(), triggers.known.of("ann")), (0, 0));
    }
}
