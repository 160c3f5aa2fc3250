//! Somebody has events of the past sent, watches and cancels: each of the span is sent once, and after a cancel no more.

use super::{
    random::Random,
    serving::{Rendered, rendered},
    world::World,
};
use crate::{
    Coalesced, Commit, Covered, Engine, Handover, Input, Operation, Outcome, RecordRow, Row, store::Store,
};
use ponos_event::{CommandId, EventKind, Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Commands of operations count from here, above those of triggers.
pub(super) const COMMANDS: u64 = 1 << 35;

pub(super) struct Backfilling {
    /// Of its own, so that a seed without operations goes on as it did.
    random: Random,
    active: bool,
    last: u64,
    /// What somebody found who wants to send what is missing, for a queue alone or all; he waits for the record.
    look: Option<(Covered, Option<Arc<str>>)>,
    /// Those that send what is missing.
    missing: BTreeSet<CommandId>,
    /// What waits for an answer: which operation, and whether that is to end.
    asked: BTreeMap<u64, (CommandId, bool)>,
    /// What each was to send.
    wanted: BTreeMap<CommandId, (Operation, BTreeSet<Timestamp>)>,
    /// As they are durable, and as they ever were.
    disk: BTreeMap<CommandId, Operation>,
    /// Those whose end was answered.
    cancelled: BTreeSet<CommandId>,
    handed: BTreeSet<(CommandId, Timestamp)>,
    arrived: BTreeMap<(CommandId, Timestamp), BTreeSet<Rendered>>,
    broken: Option<String>,
}

impl Backfilling {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed ^ 0xB4B4_B4B4),
            active: seed % 5 == 4,
            last: COMMANDS,
            look: None,
            missing: BTreeSet::new(),
            asked: BTreeMap::new(),
            wanted: BTreeMap::new(),
            disk: BTreeMap::new(),
            cancelled: BTreeSet::new(),
            handed: BTreeSet::new(),
            arrived: BTreeMap::new(),
            broken: None,
        }
    }

    /// How many events arrived, and how many operations were cancelled.
    pub(super) fn did(&self) -> [usize; 2] {
        [self.arrived.len(), self.cancelled.len()]
    }

    /// `record`: it has all that was decided so far.
    fn turn(&mut self, engine: &Engine, record: Option<&[RecordRow]>) -> Option<Input> {
        if let Some(record) = record
            && let Some((covered, queue)) = self.look.take()
        {
            return self.send_what_is_missing(covered, queue, record);
        }
        if !self.active || !self.random.chance(12) {
            return None;
        }
        if self.look.is_none() && self.random.chance(40) {
            let name = *self.random.pick(&["a", "b", "c", "d", "e"]);
            let queue = self.random.chance(30).then(|| Arc::from("one"));
            self.look = engine.covered(name, queue.as_deref()).map(|covered| (covered, queue));
            return None;
        }
        self.last += 1;
        let command = self.last;
        let running = engine.operations().find(|(_, one)| one.ended.is_none()).map(|(id, _)| id.clone());
        if let Some(id) = running.filter(|_| self.random.chance(30)) {
            self.asked.insert(command, (id.clone(), true));
            return Some(Input::Cancel { command, id });
        }
        let again = self.wanted.keys().next_back().cloned().filter(|_| self.random.chance(20));
        let again = again.filter(|id| self.means_the_same(engine, id));
        let id = again.unwrap_or_else(|| format!("op-{command}").parse().expect("it is an id"));
        let operation = match self.wanted.get(&id) {
            Some((operation, _)) => operation.clone(),
            None => self.invent(engine, &id)?,
        };
        self.asked.insert(command, (id.clone(), false));
        Some(Input::Operate { command, id, operation: Box::new(operation) })
    }

    /// Whether an operation is about the same occurrences as before: a crash may have undone the revision that it names, and
    /// another one may have its number. Whoever asks anew then asks for something else.
    fn means_the_same(&self, engine: &Engine, id: &CommandId) -> bool {
        let Some((operation, dues)) = self.wanted.get(id) else { return true };
        let Some(revision) = engine.revision(&(operation.schedule.clone(), operation.revision)) else {
            return true;
        };
        let timing = revision.timing();
        let of_run = |run: &Coalesced| {
            let last = run.last;
            let first = timing.after(run.first.plus(-1));
            std::iter::successors(first, |due| timing.after(*due))
                .take_while(move |due| *due <= last)
                .take(13)
        };
        operation.left.iter().flat_map(of_run).eq(dues.iter().copied())
    }

    /// Some of what was due lately.
    fn invent(&mut self, engine: &Engine, id: &CommandId) -> Option<Operation> {
        let name = *self.random.pick(&["a", "b", "c", "d", "e"]);
        let revision = engine.running(name)?.revision;
        let timing = revision.timing();
        let mut due = engine.now().plus(-*self.random.pick(&[3_000, 20_000, 100_000]));
        let (mut left, mut dues, mut joins): (Vec<Coalesced>, BTreeSet<Timestamp>, bool) = Default::default();
        while let Some(next) = timing.after(due).filter(|next| *next <= engine.now() && dues.len() < 12) {
            due = next;
            // What is there already is left out.
            if self.random.chance(25) {
                joins = false;
                continue;
            }
            match left.last_mut().filter(|_| joins) {
                Some(run) => (run.last, run.count) = (due, run.count + 1),
                None => left.push(Coalesced { first: due, last: due, count: 1 }),
            }
            joins = true;
            dues.insert(due);
        }
        let operation = Operation {
            schedule: name.into(),
            revision: revision.number,
            creation: revision.definition.creation(),
            by: "ann".into(),
            owner: (*self.random.pick(&["ann", "bob"])).into(),
            digest: [0; 32],
            at: engine.now(),
            rate: *self.random.pick(&[1, 30, 1_000]),
            queue: self.random.chance(30).then(|| Arc::from("one")),
            count: dues.len() as u64,
            first: engine.now(),
            last: engine.now(),
            left,
            sent: 0,
            ended: None,
        };
        self.wanted.insert(id.clone(), (operation.clone(), dues));
        Some(operation)
    }

    /// What is neither covered nor in the record.
    fn send_what_is_missing(
        &mut self,
        covered: Covered,
        queue: Option<Arc<str>>,
        record: &[RecordRow],
    ) -> Option<Input> {
        let Covered { status, at, comes_from, ranges } = covered;
        let revision = status.revision;
        let (timing, creation) = (revision.timing(), revision.definition.creation());
        let is_sent = |row: &Row, due: Timestamp| {
            let is_its =
                *row.schedule == *revision.name() && row.creation == creation || &*row.schedule == "*";
            let arrived = row.queue.is_none() || row.queue == queue;
            let ended =
                matches!(row.outcome, Outcome::Confirmed { returned: false, .. } | Outcome::DetailsLost);
            let counts = matches!(row.kind, EventKind::Occurrence | EventKind::Backfill(_));
            is_its && arrived && ended && counts && row.first.plus(-timing.jitter()) <= due && due <= row.last
        };
        let mut due = at.plus(-*self.random.pick(&[3_000, 20_000, 100_000]));
        let mut dues = BTreeSet::new();
        while let Some(next) = timing.after(due).filter(|next| *next < comes_from && dues.len() < 12) {
            due = next;
            let stands = ranges.iter().any(|(first, last)| *first <= due && due <= *last);
            if !stands && !record.iter().any(|entry| is_sent(&entry.row, due)) {
                dues.insert(due);
            }
        }
        self.last += 1;
        let command = self.last;
        let id: CommandId = format!("op-{command}").parse().expect("it is an id");
        let operation = Operation {
            schedule: revision.name().into(),
            revision: revision.number,
            creation,
            by: "ann".into(),
            owner: "ann".into(),
            digest: [0; 32],
            at,
            rate: *self.random.pick(&[1, 30, 1_000]),
            queue,
            count: dues.len() as u64,
            first: at,
            last: at,
            left: dues.iter().map(|due| Coalesced { first: *due, last: *due, count: 1 }).collect(),
            sent: 0,
            ended: None,
        };
        if dues.is_empty() {
            return None;
        }
        self.missing.insert(id.clone());
        self.wanted.insert(id.clone(), (operation.clone(), dues));
        self.asked.insert(command, (id.clone(), false));
        Some(Input::Operate { command, id, operation: Box::new(operation) })
    }

    pub(super) fn restart(&mut self) {
        self.asked.clear();
        self.look = None;
    }

    pub(super) fn written(&mut self, commit: &Commit) {
        for (id, operation) in commit.operations.iter().filter_map(|(id, one)| Some((id, one.as_ref()?))) {
            self.disk.insert(id.clone(), operation.clone());
        }
        for (id, _) in commit.operations.iter().filter(|(_, operation)| operation.is_none()) {
            // One that is too many may be forgotten in the write with which an event of it is confirmed.
            let kind = EventKind::Backfill(id.clone());
            let its = commit.rows.iter().filter(|row| row.kind == kind);
            let confirmed = its.filter(|row| matches!(row.outcome, Outcome::Confirmed { .. })).count();
            if let Some(operation) = self.disk.get_mut(id) {
                operation.sent += confirmed as u64;
            }
        }
    }

    /// What was asked for is durable.
    pub(super) fn answer(&mut self, commands: &[u64]) {
        for command in commands.iter().filter(|command| **command > COMMANDS) {
            let Some((id, is_cancel)) = self.asked.remove(command) else {
                self.broken.get_or_insert(format!("command {command} was answered twice"));
                continue;
            };
            if !is_cancel && !self.disk.contains_key(&id) {
                self.broken.get_or_insert(format!("{id}: its begin was answered, and is not durable"));
            }
            if is_cancel {
                if self.disk.get(&id).is_none_or(|operation| operation.ended.is_none()) {
                    self.broken.get_or_insert(format!("{id}: its end was answered, and is not durable"));
                }
                if self.disk.get(&id).is_some_and(|one| one.ended.is_some_and(|(_, cancelled)| cancelled)) {
                    self.cancelled.insert(id);
                }
            }
        }
    }

    pub(super) fn refuse(&mut self, commands: &[u64]) {
        self.asked.retain(|command, _| !commands.contains(command));
    }

    /// After a cancel nothing goes out that was not on its way before, and what goes out goes where it should.
    pub(super) fn check_handover(&mut self, handover: &Handover) {
        let EventKind::Backfill(id) = &handover.kind else { return };
        let due = handover.stands_for.last;
        let is_new = self.handed.insert((id.clone(), due));
        if is_new && self.cancelled.contains(id) {
            self.broken.get_or_insert(format!("{id} has sent {due} after its cancel was answered"));
        }
        let queue = self.wanted.get(id).and_then(|(operation, _)| operation.queue.clone());
        if handover.queue != queue {
            self.broken.get_or_insert(format!("{id} has sent {due} to {:?}", handover.queue));
        }
    }

    pub(super) fn arrive(&mut self, handover: &Handover) {
        let EventKind::Backfill(id) = &handover.kind else { return };
        let key = (id.clone(), handover.stands_for.last);
        self.arrived.entry(key).or_default().insert(rendered(handover));
    }

    pub(super) fn is_quiet(&self, engine: &Engine) -> bool {
        // What a person has to decide about holds it up.
        let stands = |id: &CommandId| {
            let kind = EventKind::Backfill(id.clone());
            let of = engine.parked().values().filter(|parked| parked.kind == kind);
            let waits = of.map(|parked| parked.retry_at.is_none() && !parked.released);
            let waits: Vec<bool> = waits.collect();
            !waits.is_empty() && waits.iter().all(|waits| *waits)
        };
        self.asked.is_empty() && engine.operations().all(|(id, one)| one.ended.is_some() || stands(id))
    }
}

impl World {
    /// Now and then somebody begins or ends an operation.
    pub(super) fn operate(&mut self) {
        let is_complete = self.engine.is_written() && self.recording.is_written() && self.saving.is_none();
        let record = (self.backfilling.look.is_some() && is_complete)
            .then(|| self.store.read(0, usize::MAX).expect("it can be read").rows);
        if let Some(input) = self.backfilling.turn(&self.engine, record.as_deref()) {
            self.step(input);
        }
        let gone = self.backfilled_without_their_schedules();
        if !gone.is_empty() {
            // What the files do not want any more goes at the end of a step.
            self.step(Input::Tick);
            let later = self.backfilled_without_their_schedules();
            if let Some(id) = later.iter().find(|id| gone.contains(id)) {
                let what = format!("{id} goes on, and its schedule is gone");
                self.backfilling.broken.get_or_insert(what);
            }
        }
    }

    fn backfilled_without_their_schedules(&self) -> Vec<CommandId> {
        let goes_on = |one: &Operation| one.ended.is_none() && self.engine.is_steady();
        let is_gone = |one: &Operation| {
            let running = self.engine.running(&one.schedule).map(|running| running.revision);
            running.is_none_or(|revision| revision.definition.creation() != one.creation)
        };
        let all = self.engine.operations().filter(|(_, one)| goes_on(one) && is_gone(one));
        all.map(|(id, _)| id.clone()).collect()
    }
}

/// What was sent to somebody is not missing there: neither what the schedule sent, before or after, nor what another operation
/// had sent. Where the clock was set back, due times come again.
fn nothing_missing_was_sent(world: &World) -> Result<(), String> {
    let Backfilling { missing, disk, .. } = &world.backfilling;
    if world.era > 0 {
        return Ok(());
    }
    let confirmed = |row: &Row| matches!(row.outcome, Outcome::Confirmed { returned: false, .. });
    let rows = || world.record.iter().filter(|entry| confirmed(&entry.row));
    for one in rows() {
        let EventKind::Backfill(id) = &one.row.kind else { continue };
        if !missing.contains(id) {
            continue;
        }
        let due = one.row.last;
        let twice = rows().find(|other| {
            let Row { schedule, creation, kind, queue, first, last, .. } = &other.row;
            let is_its = *schedule == one.row.schedule && *creation == one.row.creation;
            let counts = match kind {
                EventKind::Occurrence => true,
                EventKind::Backfill(other_id) => other_id != id && other.sequence < one.sequence,
                EventKind::Trigger(_) | EventKind::Delayed => false,
            };
            let arrived = queue.is_none() || *queue == one.row.queue;
            is_its && counts && arrived && *first <= due && due <= *last
        });
        if let Some(twice) = twice {
            return Err(format!(
                "{due} was missing, and was sent twice: {one:?} {twice:?} {:?}",
                disk.get(id)
            ));
        }
    }
    Ok(())
}

/// Each event of an operation was sent once, or is kept, or a person dropped it; and the record and the operation say so.
pub(super) fn operations_are_kept(world: &World) -> Result<(), String> {
    nothing_missing_was_sent(world)?;
    let Backfilling { wanted, disk, arrived, asked, broken, .. } = &world.backfilling;
    broken.clone().map_or(Ok(()), Err)?;
    if let Some((_, (id, _))) = asked.first_key_value() {
        return Err(format!("{id}: what was asked for was never answered"));
    }
    for ((id, due), events) in arrived {
        let is_wanted = wanted.get(id).is_some_and(|(_, dues)| dues.contains(due));
        if events.len() > 1 || !is_wanted {
            return Err(format!("{id} of {due}: {} events, wanted: {is_wanted}", events.len()));
        }
    }
    for (id, operation) in disk {
        let kind = EventKind::Backfill(id.clone());
        let rows = || world.record.iter().map(|entry| &entry.row).filter(|row| row.kind == kind);
        let confirmed = rows().filter(|row| matches!(row.outcome, Outcome::Confirmed { .. })).count() as u64;
        if confirmed != operation.sent {
            return Err(format!("{id} says that {} are sent, and {confirmed} are", operation.sent));
        }
        for due in &wanted[id].1 {
            let of = |row: &&Row| row.last == *due && !matches!(row.outcome, Outcome::Parked(_));
            let ended = rows().filter(of).count();
            let kept =
                world.disk.parked.iter().any(|(_, one)| one.kind == kind && one.stands_for.last == *due);
            let left = operation.left.iter().any(|run| run.first <= *due && *due <= run.last);
            let all = ended + usize::from(kept) + usize::from(left);
            let cancelled = operation.ended.is_some_and(|(_, cancelled)| cancelled);
            if all > 1 || all == 0 && !cancelled {
                return Err(format!("{id} of {due}: rows {ended}, kept {kept}, left {left}: {operation:?}"));
            }
        }
    }
    Ok(())
}
