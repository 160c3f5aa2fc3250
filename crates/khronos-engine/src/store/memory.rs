//! The store in memory, for tests. A [`Memory`] outlives the [`MemoryStore`]s that are opened on it, as a disk outlives
//! processes; faults can be planted in it. Absent: durability.

use super::{ChangePage, Limits, Page, PageReader, Store, StoreError, Written, complete_after, details_lost};
use crate::{
    Answered, ChangeEntry, Commit, CreatedCalendar, MessageKey, OneShot, Operation, Parked, Pauses,
    RecordRow, Revision, Row, Sent, Snapshot, Span, TriggerKey,
};
use ponos_event::{CommandId, Timestamp};
use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What plays the disk: cloned handles share the content.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<Content>>);

/// A store on a [`Memory`].
#[derive(Debug)]
pub struct MemoryStore {
    memory: Memory,
    limits: Limits,
    /// As on a real disk, after a failed write nothing more is written until the store is opened again.
    broken: bool,
}

/// What goes wrong with the next write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails, and nothing of it is kept.
    Refused,
    /// It fails, but all of it is kept.
    KeptUnanswered,
    /// Opening fails.
    Unopenable,
}

#[derive(Debug, Default)]
struct Content {
    clock: Option<String>,
    term: u64,
    writes: u64,
    settled: Option<Timestamp>,
    handed: Option<Timestamp>,
    reached: Option<Timestamp>,
    set_backs: u32,
    complete: Option<Timestamp>,
    revisions: BTreeMap<(Arc<str>, u32), Revision>,
    spans: BTreeMap<(Arc<str>, u32), Span>,
    one_shots: BTreeMap<Arc<str>, OneShot>,
    parked: BTreeMap<u64, Parked>,
    pauses: Pauses,
    named_pauses: BTreeMap<Arc<str>, Pauses>,
    triggers: BTreeMap<TriggerKey, Timestamp>,
    operations: BTreeMap<CommandId, Operation>,
    rows: VecDeque<Row>,
    last: u64,
    created: u64,
    messages: BTreeMap<MessageKey, Answered>,
    calendars: BTreeMap<Arc<str>, Arc<CreatedCalendar>>,
    changes: VecDeque<ChangeEntry>,
    last_change: u64,
    faults: VecDeque<Fault>,
    id: Option<u64>,
}

impl Memory {
    /// Opens a store on this memory, for the clock of that name.
    ///
    /// # Errors
    /// [`StoreError::OtherClock`]; [`StoreError::Io`] where a fault is planted.
    pub fn open(&self, clock: &str, limits: Limits) -> Result<MemoryStore, StoreError> {
        let mut content = self.content();
        if content.faults.front() == Some(&Fault::Unopenable) {
            content.faults.pop_front();
            return Err(failure());
        }
        match content.clock.clone() {
            Some(kept) if kept != clock && content.writes > 0 => {
                return Err(StoreError::OtherClock { path: place(), kept, configured: clock.to_owned() });
            }
            _ => content.clock = Some(clock.to_owned()),
        }
        drop(content);
        Ok(MemoryStore { memory: self.clone(), limits, broken: false })
    }

    /// Plants a fault; several come to pass one after the other.
    pub fn plant(&self, fault: Fault) {
        self.content().faults.push_back(fault);
    }

    /// Faults that have not come to pass yet.
    pub fn planted(&self) -> usize {
        self.content().faults.len()
    }

    /// H, as it is kept.
    pub fn handed(&self) -> Option<Timestamp> {
        self.content().handed
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryStore {
    fn write(&mut self, change: impl FnOnce(&mut Content)) -> Result<u64, StoreError> {
        let mut content = self.memory.content();
        if self.broken {
            return Err(failure());
        }
        let fault = match content.faults.front() {
            Some(Fault::Refused | Fault::KeptUnanswered) => content.faults.pop_front(),
            _ => None,
        };
        self.broken = fault.is_some();
        if fault == Some(Fault::Refused) {
            return Err(failure());
        }
        change(&mut content);
        content.writes += 1;
        content.trim(self.limits);
        if self.broken { Err(failure()) } else { Ok(content.last) }
    }

    fn fence(&self, term: u64) -> Result<(), StoreError> {
        let seen = self.memory.content().term;
        if term < seen { Err(StoreError::Fenced { term, seen }) } else { Ok(()) }
    }

    fn add(&mut self, term: u64, rows: &[Row], complete: Timestamp) -> Result<u64, StoreError> {
        self.write(|content| {
            content.term = term;
            content.push(rows);
            content.complete = content.complete.map(|kept| kept.max(complete));
        })
    }
}

impl Store for MemoryStore {
    fn load(&mut self) -> Result<Snapshot, StoreError> {
        let lost = {
            let content = self.memory.content();
            details_lost(content.complete, content.settled)
        };
        if let Some(row) = lost {
            let complete = row.last;
            let term = self.memory.content().term;
            self.add(term, &[row], complete)?;
        }
        let mut content = self.memory.content();
        content.complete = content.complete.min(content.settled);
        let mut sent = BTreeMap::new();
        content.rows.iter().for_each(|row| Sent::note_row(&mut sent, row));
        Ok(Snapshot {
            settled: content.settled,
            handed: content.handed,
            reached: content.reached,
            set_backs: content.set_backs,
            revisions: content.revisions.values().cloned().collect(),
            spans: content.spans.iter().map(|((name, _), span)| (name.clone(), span.clone())).collect(),
            one_shots: content.one_shots.iter().map(|(name, one)| (name.clone(), *one)).collect(),
            parked: content.parked.iter().map(|(number, parked)| (*number, parked.clone())).collect(),
            pauses: content.pauses.clone(),
            named_pauses: content.named_pauses.clone().into_iter().collect(),
            triggers: content.triggers.clone().into_iter().collect(),
            operations: content.operations.clone().into_iter().collect(),
            last_sequence: content.last,
            sent,
            created: content.created,
            messages: content.messages.clone().into_iter().collect(),
            calendars: content.calendars.values().cloned().collect(),
        })
    }

    fn save(&mut self, term: u64, commit: &Commit) -> Result<u64, StoreError> {
        self.fence(term)?;
        self.write(|content| {
            content.term = term;
            content.apply(commit);
        })
    }

    fn append(&mut self, term: u64, rows: &[Row], complete: Timestamp) -> Result<u64, StoreError> {
        self.fence(term)?;
        self.add(term, rows, complete)
    }

    fn reader(&self) -> Arc<dyn PageReader> {
        Arc::new(self.memory.clone())
    }

    fn id(&self) -> u64 {
        self.memory.content().id()
    }

    fn written(&self) -> Written {
        let content = self.memory.content();
        Written { count: content.writes, ours: true, last_sequence: content.last }
    }
}

impl PageReader for Memory {
    fn read(&self, after: u64, most: usize) -> Result<Page, StoreError> {
        let mut content = self.content();
        let record = content.id();
        let first = content.last + 1 - content.rows.len() as u64;
        let skipped = usize::try_from(after.saturating_add(1).saturating_sub(first)).unwrap_or(usize::MAX);
        let rows = content.rows.iter().enumerate().skip(skipped).take(most);
        let rows = rows.map(|(i, row)| RecordRow { sequence: first + i as u64, row: row.clone() }).collect();
        Ok(Page { rows, first, last: content.last, record })
    }

    fn changes(&self, after: u64, most: usize) -> Result<ChangePage, StoreError> {
        let mut content = self.content();
        let record = content.id();
        let (all, last) = (&content.changes, content.last_change);
        let first = last + 1 - all.len() as u64;
        let numbered = (first..).zip(all.iter().cloned());
        let changes = numbered.skip_while(|(number, _)| *number <= after).take(most).collect();
        Ok(ChangePage { changes, first, last, record })
    }
}

impl Content {
    fn id(&mut self) -> u64 {
        *self.id.get_or_insert_with(super::made_up)
    }

    fn apply(&mut self, commit: &Commit) {
        self.settled = Some(commit.settled);
        self.handed = Some(commit.handed);
        self.reached = Some(commit.reached);
        self.complete = complete_after(self.complete, self.set_backs, commit);
        self.set_backs = commit.set_backs;
        for revision in &commit.revisions {
            self.revisions.insert((revision.name().into(), revision.number), revision.clone());
        }
        for key in &commit.forgotten {
            self.revisions.remove(key);
        }
        for (schedule, number, span) in &commit.spans {
            put(&mut self.spans, (schedule.clone(), *number), span.clone());
        }
        for (schedule, one_shot) in &commit.one_shots {
            put(&mut self.one_shots, schedule.clone(), *one_shot);
        }
        for (number, parked) in &commit.parked {
            put(&mut self.parked, *number, parked.clone());
        }
        if let Some(pauses) = &commit.pauses {
            self.pauses = pauses.clone();
        }
        for (name, pauses) in &commit.named_pauses {
            put(&mut self.named_pauses, name.clone(), pauses.clone());
        }
        for (key, due) in &commit.triggers {
            put(&mut self.triggers, key.clone(), *due);
        }
        for (id, operation) in &commit.operations {
            put(&mut self.operations, id.clone(), operation.clone());
        }
        self.created = self.created.max(commit.created);
        for (key, answered) in &commit.messages {
            put(&mut self.messages, key.clone(), answered.clone());
        }
        for (name, calendar) in &commit.calendars {
            put(&mut self.calendars, name.clone(), calendar.clone());
        }
        self.changes.extend(commit.changes.iter().map(ChangeEntry::from));
        self.last_change += commit.changes.len() as u64;
        self.push(&commit.rows);
    }

    fn push(&mut self, rows: &[Row]) {
        self.rows.extend(rows.iter().cloned());
        self.last += rows.len() as u64;
    }

    fn trim(&mut self, limits: Limits) {
        if let Some(newest) = self.changes.back().map(|change| change.at) {
            let old = |change: &ChangeEntry| change.at < newest.plus(-limits.changes_age);
            while self.changes.len() as u64 > limits.changes || self.changes.front().is_some_and(old) {
                self.changes.pop_front();
            }
        }
        let Some(newest) = self.rows.back().map(|row| row.at) else { return };
        while self.rows.len() as u64 > limits.rows
            || self.rows.front().is_some_and(|row| row.at < newest.plus(-limits.age))
        {
            self.rows.pop_front();
        }
    }
}

fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}

fn place() -> PathBuf {
    PathBuf::from("(memory)")
}

fn failure() -> StoreError {
    StoreError::Io { path: place(), what: Arc::from("a planted fault") }
}
