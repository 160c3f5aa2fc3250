//! The store of delayed events in memory: the twin of those on disks, for `memory:` and for tests. A [`DelayedMemory`] outlives
//! the [`MemoryDelayed`]s that are opened on it, as a disk outlives processes; faults can be planted in it, and it can lose what
//! was not durable. Absent: durability.

mod content;

use super::{
    Balance, Counted, DelayedBatch, DelayedEvent, DelayedHead, DelayedKey, DelayedLimits, DelayedPage,
    DelayedReader, DelayedRoom, DelayedSnapshot, DelayedStore, DelayedWritten, DueEvent, Found, Listed,
    NumberedRow, OwnerShare, PAGE_BYTES, ParkedEvent,
};
use crate::{
    Answered, MessageKey,
    store::{ChangePage, Fault, StoreError, Written, made_up},
};
use content::Content;
use ponos_event::Timestamp;
use std::{
    collections::VecDeque,
    ops::{Bound, Range},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What plays the disk: cloned handles share the content.
#[derive(Debug, Clone, Default)]
pub struct DelayedMemory(Arc<Mutex<Disk>>);

/// A store of delayed events on a [`DelayedMemory`].
#[derive(Debug)]
pub struct MemoryDelayed {
    memory: DelayedMemory,
    limits: DelayedLimits,
    /// As on a real disk, after a failed write nothing more is written until the store is opened again.
    broken: bool,
}

#[derive(Debug, Default)]
struct Disk {
    clock: Option<String>,
    id: Option<u64>,
    content: Content,
    /// As it is durable, where that is another thing and can be lost.
    durable: Option<Box<Content>>,
    /// What is not durable can be lost.
    forgets: bool,
    faults: VecDeque<Fault>,
    /// Bytes that are free, and needed: nothing is put.
    full: Option<(u64, u64)>,
}

impl DelayedMemory {
    /// One that [can lose](Self::crash) what was not durable. Each write that is not costs a copy of all.
    pub fn forgetful() -> Self {
        let this = Self::default();
        this.disk().forgets = true;
        this
    }

    /// Opens a store on this memory, for the clock of that name.
    ///
    /// # Errors
    /// [`StoreError::OtherClock`]; [`StoreError::Io`] where a fault is planted.
    pub fn open(&self, clock: &str, limits: DelayedLimits) -> Result<MemoryDelayed, StoreError> {
        let mut disk = self.disk();
        if disk.faults.front() == Some(&Fault::Unopenable) {
            disk.faults.pop_front();
            return Err(failure());
        }
        match disk.clock.clone() {
            Some(kept) if kept != clock && disk.content.writes > 0 => {
                return Err(StoreError::OtherClock { path: place(), kept, configured: clock.to_owned() });
            }
            _ => disk.clock = Some(clock.to_owned()),
        }
        drop(disk);
        Ok(MemoryDelayed { memory: self.clone(), limits, broken: false })
    }

    /// Plants a fault; several come to pass one after the other.
    pub fn plant(&self, fault: Fault) {
        self.disk().faults.push_back(fault);
    }

    /// Faults that have not come to pass yet.
    pub fn planted(&self) -> usize {
        self.disk().faults.len()
    }

    /// So many bytes are free, and so many needed: nothing is put. `None`: there is room.
    pub fn fill(&self, full: Option<(u64, u64)>) {
        self.disk().full = full;
    }

    /// Loses what was not durable.
    pub fn crash(&self) {
        let mut disk = self.disk();
        if let Some(durable) = disk.durable.take() {
            disk.content = *durable;
        }
    }

    /// Loses a pending event, as no store may: nothing counts it.
    pub fn lose(&self, name: &str) {
        let content = &mut self.disk().content;
        if let Some((name, send)) = content.names.remove_entry(name) {
            content.pending.remove(&DelayedKey { send, name });
        }
    }

    /// What became of all events so far.
    pub fn balance(&self) -> Balance {
        self.disk().content.balance
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk {
    fn id(&mut self) -> u64 {
        *self.id.get_or_insert_with(made_up)
    }

    fn room(&self) -> Result<(), StoreError> {
        match self.full {
            Some((free, needed)) => Err(StoreError::NoRoom { path: place(), free, needed }),
            None => Ok(()),
        }
    }

    fn fault(&mut self) -> Option<Fault> {
        match self.faults.front() {
            Some(Fault::Refused | Fault::KeptUnanswered) => self.faults.pop_front(),
            _ => None,
        }
    }
}

impl MemoryDelayed {
    fn ready(&self, term: u64) -> Result<MutexGuard<'_, Disk>, StoreError> {
        let disk = self.memory.disk();
        let seen = disk.content.term;
        if term < seen {
            return Err(StoreError::Fenced { term, seen });
        }
        if self.broken { Err(failure()) } else { Ok(disk) }
    }
}

impl DelayedStore for MemoryDelayed {
    fn load(&mut self) -> Result<DelayedSnapshot, StoreError> {
        Ok(self.memory.disk().content.snapshot())
    }

    fn write(&mut self, term: u64, batch: &DelayedBatch) -> Result<DelayedWritten, StoreError> {
        let mut disk = self.ready(term)?;
        if batch.puts().0 > 0 {
            disk.room()?;
        }
        let fault = disk.fault();
        if fault != Some(Fault::Refused) {
            let is_durable = batch.must_last();
            if is_durable {
                disk.durable = None;
            } else if disk.forgets && disk.durable.is_none() {
                disk.durable = Some(Box::new(disk.content.clone()));
            }
            disk.content.term = term;
            disk.content.apply(batch, &self.limits);
        }
        let is_durable = disk.durable.is_none();
        let (last_row, balance) = (disk.content.last_row, disk.content.balance);
        drop(disk);
        self.broken = fault.is_some();
        if self.broken { Err(failure()) } else { Ok(DelayedWritten { last_row, balance, is_durable }) }
    }

    fn flush(&mut self, term: u64) -> Result<(), StoreError> {
        let mut disk = self.ready(term)?;
        let fault = disk.fault();
        if fault != Some(Fault::Refused) {
            disk.durable = None;
        }
        drop(disk);
        self.broken = fault.is_some();
        if self.broken { Err(failure()) } else { Ok(()) }
    }

    fn reader(&self) -> Arc<dyn DelayedReader> {
        Arc::new(self.memory.clone())
    }

    fn room(&self) -> DelayedRoom {
        let memory = self.memory.clone();
        Arc::new(move |_, _| memory.disk().room())
    }

    fn written(&self) -> Written {
        let content = &self.memory.disk().content;
        Written { count: content.writes, ours: true, last_sequence: content.last_row }
    }

    fn id(&self) -> u64 {
        self.memory.disk().id()
    }
}

impl DelayedReader for DelayedMemory {
    fn due(
        &self,
        range: Range<Timestamp>,
        after: Option<&DelayedKey>,
        most: usize,
    ) -> Result<Vec<DueEvent>, StoreError> {
        let least = DelayedKey { send: range.start, name: "".into() };
        let from = match after {
            Some(after) if *after >= least => Bound::Excluded(after.clone()),
            _ => Bound::Included(least),
        };
        let disk = self.disk();
        let behind = disk.content.pending.range((from, Bound::Unbounded));
        let due = behind.take_while(|(key, _)| key.send < range.end).take(most);
        Ok(due.map(|(_, event)| (&event.head).into()).collect())
    }

    fn events(&self, keys: &[DelayedKey]) -> Result<Vec<Option<DelayedEvent>>, StoreError> {
        let disk = self.disk();
        Ok(keys.iter().map(|key| disk.content.pending.get(key).cloned()).collect())
    }

    fn find(&self, names: &[Arc<str>]) -> Result<Vec<Found>, StoreError> {
        let disk = self.disk();
        let find = |name: &Arc<str>| match (disk.content.named(name), disk.content.tombstones.get(name)) {
            (Some(event), _) => Found::Pending(Box::new(event.head.clone())),
            (None, Some(tombstone)) => Found::Settled(Box::new(tombstone.clone())),
            (None, None) => Found::Nothing,
        };
        Ok(names.iter().map(find).collect())
    }

    fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        matches: &dyn Fn(&DelayedHead) -> bool,
        most: usize,
        looked_at: usize,
    ) -> Result<Listed, StoreError> {
        let disk = self.disk();
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let behind = disk.content.names.range::<str, _>((from, Bound::Unbounded));
        let mut of_it = behind.map(|(name, _)| name).take_while(|name| name.starts_with(prefix)).peekable();
        let mut listed = Listed::default();
        for name in of_it.by_ref().take(looked_at.max(1)) {
            let found = disk.content.named(name).map(|event| &event.head).filter(|head| matches(head));
            listed.heads.extend(found.cloned());
            listed.next = Some(name.clone());
            if listed.heads.len() >= most {
                break;
            }
        }
        if of_it.peek().is_none() {
            listed.next = None;
        }
        Ok(listed)
    }

    fn answers(&self, messages: &[MessageKey]) -> Result<Vec<Option<Answered>>, StoreError> {
        let disk = self.disk();
        Ok(messages.iter().map(|message| disk.content.messages.get(message).cloned()).collect())
    }

    fn owner(&self, owner: &str) -> Result<OwnerShare, StoreError> {
        Ok(self.disk().content.owner(owner))
    }

    fn parked(&self, after: u64, most: usize) -> Result<Vec<ParkedEvent>, StoreError> {
        let disk = self.disk();
        let behind = disk.content.parked.range((Bound::Excluded(after), Bound::Unbounded));
        Ok(behind.take(most).map(|(_, parked)| parked.clone()).collect())
    }

    fn read(&self, after: u64, most: usize) -> Result<DelayedPage, StoreError> {
        let mut disk = self.disk();
        let record = disk.id();
        let (rows, last) = (&disk.content.rows, disk.content.last_row);
        let first = last + 1 - rows.len() as u64;
        let numbered = (first..).zip(rows).map(|(number, row)| NumberedRow { number, row: row.clone() });
        let mut bytes = 0;
        let rows = numbered.skip_while(|row| row.number <= after).take(most).take_while(|row| {
            let is_in = bytes < PAGE_BYTES;
            bytes += row.row.content_bytes();
            is_in
        });
        let rows = rows.collect();
        Ok(DelayedPage { rows, first, last, record })
    }

    fn changes(&self, after: u64, most: usize) -> Result<ChangePage, StoreError> {
        let mut disk = self.disk();
        let record = disk.id();
        let (all, last) = (&disk.content.changes, disk.content.last_change);
        let first = last + 1 - all.len() as u64;
        let numbered = (first..).zip(all.iter().cloned());
        let changes = numbered.skip_while(|(number, _)| *number <= after).take(most).collect();
        Ok(ChangePage { changes, first, last, record })
    }

    fn count(&self, after: Option<&str>, most: usize) -> Result<Counted, StoreError> {
        let disk = self.disk();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut behind = disk.content.names.range::<str, _>((from, Bound::Unbounded)).map(|(name, _)| name);
        let counted: Vec<&Arc<str>> = behind.by_ref().take(most).collect();
        let next = behind.next().and(counted.last().copied().cloned());
        let (places, balance) = (disk.content.pending.len() as u64, disk.content.balance);
        Ok(Counted { count: counted.len() as u64, next, places, balance })
    }
}

fn place() -> PathBuf {
    PathBuf::from("memory:")
}

fn failure() -> StoreError {
    StoreError::Io { path: place(), what: Arc::from("a planted fault") }
}
