//! Operations: work that somebody asks for and that takes a while. So far a backfill is the only one: events of the past, made
//! from a schedule's present definition.
//!
//! An operation hands its events to the parked set, a few at a time and by its own rate, in the same write in which it
//! goes on behind them: so a crash loses none and makes none twice. Of a schedule one runs at a time. From there they go as what is triggered does: durable before
//! they are handed over, sent until they are answered, behind all that is due. Cancelled, or its schedule deleted, it
//! makes no more, and what is not on its way yet is dropped.

use super::{
    Coalesced, Declined, Digest, Outcome, Parked,
    catch_up::single,
    core::Engine,
    faults::{Fault, planted},
    portions::Portions,
    progress::SpanKey,
};
use ponos_event::{CommandId, EventKind, Timestamp};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Operations that run at once, at most. Of these, and of those that are known, nobody has more than he leaves to others.
const RUNNING: usize = if cfg!(test) { 4 } else { 16 };
/// Those that have ended are known for so long (24 hours, in milliseconds).
const KEPT: i64 = 24 * 60 * 60 * 1_000;
/// So many are known at most.
const KNOWN: usize = if cfg!(test) { 16 } else { 2_000 };
/// Events of one operation that are not settled, at most.
const WINDOW: usize = if cfg!(test) { 10 } else { 100 };
/// The highest rate, in events a second.
pub const HIGHEST_RATE: u32 = 1_000;

/// A backfill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// The schedule.
    pub schedule: Arc<str>,
    /// The revision that its events are made from.
    pub revision: u32,
    /// The number of the schedule's creation at run time; 0: it comes from a file.
    pub creation: u64,
    /// Who asked for it.
    pub by: Arc<str>,
    /// In whose name.
    pub owner: Arc<str>,
    /// The digest of the whole request: another request under the same id is not a repetition.
    pub digest: Digest,
    /// When it began; before that, when it was decided what is left.
    pub at: Timestamp,
    /// Events a second.
    pub rate: u32,
    /// To this queue alone; else as the schedule's events go.
    pub queue: Option<Arc<str>>,
    /// How many events it is.
    pub count: u64,
    /// The due time of the first.
    pub first: Timestamp,
    /// And of the last.
    pub last: Timestamp,
    /// What is still to be sent: runs of neighbouring occurrences, oldest first.
    pub left: Vec<Coalesced>,
    /// How many were confirmed.
    pub sent: u64,
    /// When it ended, and whether it was cancelled.
    pub ended: Option<(Timestamp, bool)>,
}

impl Operation {
    /// How many are not made yet.
    pub fn left(&self) -> u64 {
        self.left.iter().map(|run| run.count).sum()
    }
}

/// Operations by their ids.
#[derive(Debug, Default)]
pub(super) struct Operations {
    all: BTreeMap<CommandId, Operation>,
    /// Those that run, and when each may go on.
    running: BTreeMap<CommandId, Timestamp>,
    /// The entries of each that are not settled.
    entries: BTreeMap<CommandId, BTreeSet<u64>>,
}

impl Operations {
    pub(super) fn new(kept: Vec<(CommandId, Operation)>, parked: &[(u64, Parked)], now: Timestamp) -> Self {
        let mut this = Self::default();
        for (number, parked) in parked {
            this.note_entry(*number, &parked.kind);
        }
        for (id, operation) in kept {
            if operation.ended.is_none() {
                this.running.insert(id.clone(), Timestamp::EPOCH);
            }
            this.all.insert(id, operation);
        }
        this.set_back(now);
        this
    }

    pub(super) fn note_entry(&mut self, number: u64, kind: &EventKind) {
        if let EventKind::Backfill(id) = kind {
            self.entries.entry(id.clone()).or_default().insert(number);
        }
    }

    /// An entry is gone.
    pub(super) fn forget_entry(&mut self, number: u64, kind: &EventKind) {
        let EventKind::Backfill(id) = kind else { return };
        if let Some(entries) = self.entries.get_mut(id) {
            entries.remove(&number);
            if entries.is_empty() {
                self.entries.remove(id);
            }
        }
    }

    pub(super) fn running(&self) -> impl Iterator<Item = (&CommandId, &Operation)> {
        self.running.keys().filter_map(|id| self.all.get_key_value(id))
    }

    /// Whether this owner may have one more.
    fn has_room(&self, owner: &str) -> Result<(), Declined> {
        let running: Vec<_> = self.running().map(|(_, one)| one).collect();
        let known: Vec<_> = self.all.values().collect();
        for (ended, all, most) in [(false, running, RUNNING), (true, known, KNOWN)] {
            let mut held = Portions::default();
            all.iter().for_each(|one| held.add(&one.owner, 1));
            if !held.has_room(owner, 1, most) {
                let of_owner = held.of(owner);
                return Err(Declined::TooMany { owner: owner.into(), of_owner, all: all.len(), ended });
            }
        }
        Ok(())
    }

    /// What those of a schedule have made that is not settled.
    pub(super) fn made_of(&self, name: &str) -> impl Iterator<Item = (&Operation, u64)> {
        self.entries.iter().flat_map(move |(id, entries)| {
            let operation = self.all.get(id).filter(|one| *one.schedule == *name);
            operation.into_iter().flat_map(|one| entries.iter().map(move |number| (one, *number)))
        })
    }

    fn entries(&self, id: &CommandId) -> usize {
        self.entries.get(id).map_or(0, BTreeSet::len)
    }

    /// Whether a running one is made from this revision.
    pub(super) fn refers_to(&self, key: &SpanKey) -> bool {
        self.running().any(|(_, one)| one.revision == key.1 && one.schedule == key.0)
    }

    /// To which queue alone an event goes.
    pub(super) fn queue(&self, kind: &EventKind) -> Option<Arc<str>> {
        let EventKind::Backfill(id) = kind else { return None };
        self.all.get(id)?.queue.clone()
    }

    /// Whether an event of this kind is of one that was cancelled.
    pub(super) fn is_cancelled(&self, kind: &EventKind) -> bool {
        let EventKind::Backfill(id) = kind else { return false };
        self.all.get(id).is_some_and(|operation| operation.ended.is_some_and(|(_, cancelled)| cancelled))
    }

    /// When one of them may make more events.
    pub(super) fn next(&self) -> Option<Timestamp> {
        let may_go_on = |id: &CommandId| {
            let entries = self.entries(id);
            let is_made = self.all.get(id).is_none_or(|operation| operation.left.is_empty());
            if is_made { entries == 0 } else { entries < WINDOW }
        };
        self.running.iter().filter(|(id, _)| may_go_on(id)).map(|(_, at)| *at).min()
    }

    /// The clock goes on from here: what ended after it is known as long as what ends now.
    pub(super) fn set_back(&mut self, to: Timestamp) {
        self.running.values_mut().for_each(|at| *at = to.min(*at));
        for (ended, _) in self.all.values_mut().filter_map(|operation| operation.ended.as_mut()) {
            *ended = to.min(*ended);
        }
    }
}

impl Engine {
    /// All operations that are known, by their ids.
    pub fn operations(&self) -> impl Iterator<Item = (&CommandId, &Operation)> {
        self.operations.all.iter()
    }

    /// The operation of this id, and how many of its events are made and not settled.
    pub fn operation(&self, id: &CommandId) -> Option<(&Operation, usize)> {
        Some((self.operations.all.get(id)?, self.operations.entries(id)))
    }

    /// Begins an operation, unless there is one of this id.
    pub(super) fn begin_operation(&mut self, command: u64, id: CommandId, mut operation: Operation) {
        if !self.operations.all.contains_key(&id) {
            self.forget_operations();
            if let Err(why) = self.may_begin(&operation) {
                return self.out.declined.push((command, why));
            }
            operation.at = self.now();
            operation.rate = operation.rate.clamp(1, HIGHEST_RATE);
            self.operations.running.insert(id.clone(), self.now());
            self.operations.all.insert(id.clone(), operation);
            self.progress.change();
            self.write_operation(&id);
        }
        self.progress.promise(command);
    }

    /// What another one of its schedule sends, or has sent since it was decided what is left, would be sent twice.
    fn may_begin(&self, wanted: &Operation) -> Result<(), Declined> {
        let Operation { schedule, revision, creation, owner, at, .. } = wanted;
        let slot = self.schedules.find(schedule).map(|slot| &self.schedules[slot]);
        if slot.map(|slot| (slot.number(), slot.definition.creation())) != Some((*revision, *creation)) {
            return Err(Declined::Changed);
        }
        let span = *at..=self.now();
        let is_beside = |one: &Operation| one.ended.is_none() || span.contains(&one.at);
        let mut all = self.operations.all.iter();
        let beside = all.find(|(_, one)| one.schedule == *schedule && is_beside(one));
        if let Some((id, one)) = beside.filter(|_| !planted(Fault::BackfillTwiceAtOnce)) {
            return Err(Declined::Beside { operation: id.clone(), runs: one.ended.is_none() });
        }
        self.operations.has_room(owner)
    }

    /// Makes no more events of an operation, and drops those that are not on their way.
    pub(super) fn cancel_operation(&mut self, command: u64, id: &CommandId) {
        self.end_early(id, planted(Fault::GoOnAfterTheCancel));
        self.progress.promise(command);
    }

    fn end_early(&mut self, id: &CommandId, goes_on: bool) {
        let now = self.now();
        let running = self.operations.all.get_mut(id).filter(|operation| operation.ended.is_none());
        let Some(operation) = running else { return };
        operation.ended = Some((now, true));
        if goes_on {
            return;
        }
        operation.left.clear();
        self.operations.running.remove(id);
        let entries: Vec<u64> = self.operations.entries.get(id).into_iter().flatten().copied().collect();
        for number in entries {
            if !self.outstanding.parked.is_on_its_way(number) {
                self.drop_one(number, Outcome::Dropped);
            }
        }
        self.progress.change();
        self.write_operation(id);
    }

    /// What is deleted is not sent any more, by whatever operation: in the same write.
    fn end_what_is_gone(&mut self) {
        let is_gone = |one: &Operation| {
            let slot = self.schedules.find(&one.schedule).map(|slot| &self.schedules[slot]);
            slot.is_none_or(|slot| slot.definition.creation() != one.creation)
        };
        let running = self.operations.running();
        let gone: Vec<CommandId> =
            running.filter(|(_, one)| is_gone(one)).map(|(id, _)| id.clone()).collect();
        for id in gone {
            self.end_early(&id, false);
            self.progress.urge();
        }
    }

    fn write_operation(&mut self, id: &CommandId) {
        self.progress.operation(id.clone(), self.operations.all.get(id));
    }

    /// Whoever is asked for more makes some, and has an end if nothing is left.
    pub(super) fn advance_operations(&mut self) {
        if !planted(Fault::BackfillWhatIsGone) {
            self.end_what_is_gone();
        }
        let now = self.now();
        let due: Vec<CommandId> = {
            let due = self.operations.running.iter().filter(|(_, at)| **at <= now);
            due.map(|(id, _)| id.clone()).collect()
        };
        for id in due {
            self.advance_operation(&id, now);
        }
    }

    fn advance_operation(&mut self, id: &CommandId, now: Timestamp) {
        let outstanding = self.operations.entries(id);
        let Some(operation) = self.operations.all.get_mut(id) else { return };
        if operation.left.is_empty() {
            if outstanding == 0 {
                operation.ended = Some((now, false));
                self.operations.running.remove(id);
                self.write_operation(id);
                self.progress.urge();
            }
            return;
        }
        // At a high rate some at once: no more than ten times a second.
        let rate = i64::from(operation.rate);
        let together = usize::try_from(rate / 10).unwrap_or(1).clamp(1, WINDOW);
        let free = WINDOW.saturating_sub(outstanding).min(together);
        if free == 0 {
            return;
        }
        let key = (operation.schedule.clone(), operation.revision);
        let Some(timing) = self.revision(&key).map(|revision| revision.timing()) else {
            return self.cannot_go_on(id, now);
        };
        let Some(operation) = self.operations.all.get_mut(id) else { return };
        let mut made = Vec::with_capacity(free);
        while made.len() < free
            && let Some(run) = operation.left.first_mut()
        {
            made.push(run.first);
            match timing.after(run.first).filter(|next| *next <= run.last && run.count > 1) {
                Some(next) => (run.first, run.count) = (next, run.count - 1),
                None => drop(operation.left.remove(0)),
            }
        }
        let ticket = self.progress.next_ticket();
        for due in &made {
            let number = self.outstanding.parked.begin(backfilled(&key, id, *due, now), ticket);
            self.operations.note_entry(number, &EventKind::Backfill(id.clone()));
            self.progress.parked(number, self.outstanding.parked.get(number));
        }
        let wait = 1_000 * i64::try_from(made.len()).unwrap_or(1) / rate;
        self.operations.running.insert(id.clone(), now.plus(wait.max(1)));
        self.write_operation(id);
        self.progress.urge();
    }

    /// Its definition is not kept, which can't be as long as it runs: it ends as if it was cancelled.
    fn cannot_go_on(&mut self, id: &CommandId, now: Timestamp) {
        if let Some(operation) = self.operations.all.get_mut(id) {
            operation.left.clear();
            operation.ended = Some((now, true));
            self.operations.running.remove(id);
            self.write_operation(id);
        }
    }

    /// An event of an operation is confirmed.
    pub(super) fn note_backfilled(&mut self, kind: &EventKind) {
        let EventKind::Backfill(id) = kind else { return };
        if let Some(operation) = self.operations.all.get_mut(id) {
            operation.sent += 1;
            self.write_operation(id);
        }
    }

    /// Those that ended long ago are forgotten.
    fn forget_operations(&mut self) {
        let now = self.now();
        let is_old = |one: &Operation| one.ended.is_some_and(|(at, _)| now.since(at) > KEPT);
        // As long as something of it is parked, it says where that goes.
        let all = self.operations.all.iter();
        let old = all.filter(|(id, one)| is_old(one) && self.operations.entries(id) == 0);
        let old: Vec<CommandId> = old.map(|(id, _)| id.clone()).collect();
        for id in old {
            self.operations.all.remove(&id);
            self.write_operation(&id);
        }
    }
}

fn backfilled((schedule, revision): &SpanKey, id: &CommandId, due: Timestamp, at: Timestamp) -> Parked {
    Parked {
        schedule: schedule.clone(),
        revision: *revision,
        stands_for: single(due),
        reason: String::new(),
        at,
        released: true,
        singly: false,
        refused: 0,
        retry_at: None,
        kind: EventKind::Backfill(id.clone()),
    }
}
