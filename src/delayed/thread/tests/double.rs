//! A store that says what is asked of it, waits where it is told to, and whose writes and reads fail as planned.

use crate::{
    delayed::{
        Counted, DelayedBatch, DelayedEvent, DelayedHead, DelayedKey, DelayedPage, DelayedReader,
        DelayedRoom, DelayedSnapshot, DelayedStore, DelayedWritten, DueEvent, Found, Listed, OwnerShare,
        ParkedEvent,
    },
    engine::{Answered, MessageKey},
    store::{ChangePage, Fault, StoreError, Written},
};
use ponos::event::Timestamp;
use std::{
    collections::VecDeque,
    ops::Range,
    sync::{Arc, Mutex},
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Somebody who lets a call go on.
pub(super) type Go = std::sync::mpsc::Sender<()>;

#[derive(Clone)]
pub(super) struct Script(Arc<Mutex<Scenes>>);

struct Scenes {
    calls: UnboundedSender<&'static str>,
    /// What goes wrong with the next writes and flushes.
    faults: VecDeque<Fault>,
    /// What goes wrong with the next questions.
    reads: VecDeque<StoreError>,
    /// The next call of this name waits there.
    waits: Option<(&'static str, std::sync::mpsc::Receiver<()>)>,
}

impl Script {
    /// And where each call is told as it begins.
    pub(super) fn new() -> (Self, UnboundedReceiver<&'static str>) {
        let (calls, called) = unbounded_channel();
        let scenes = Scenes { calls, faults: VecDeque::new(), reads: VecDeque::new(), waits: None };
        (Self(Arc::new(Mutex::new(scenes))), called)
    }

    pub(super) fn plant(&self, fault: Fault) {
        self.0.lock().unwrap().faults.push_back(fault);
    }

    /// Nothing goes wrong with writes any more.
    pub(super) fn calm(&self) {
        self.0.lock().unwrap().faults.clear();
    }

    pub(super) fn fail_reading(&self, error: StoreError) {
        self.0.lock().unwrap().reads.push_back(error);
    }

    /// The next call of this name waits.
    pub(super) fn hold(&self, call: &'static str) -> Go {
        let (go, waits) = std::sync::mpsc::channel();
        self.0.lock().unwrap().waits = Some((call, waits));
        go
    }

    pub(super) fn played(&self, store: impl DelayedStore + 'static) -> Box<dyn DelayedStore> {
        Box::new(Double { store: Box::new(store), script: self.clone(), broken: false })
    }

    fn begin(&self, call: &'static str) {
        let mut scenes = self.0.lock().unwrap();
        // Not each test listens.
        let _ = scenes.calls.send(call);
        let waits = scenes.waits.take_if(|(wanted, _)| *wanted == call);
        drop(scenes);
        if let Some((_, waits)) = waits {
            waits.recv().unwrap();
        }
    }

    fn read(&self, call: &'static str) -> Result<(), StoreError> {
        self.begin(call);
        self.0.lock().unwrap().reads.pop_front().map_or(Ok(()), Err)
    }
}

struct Double {
    store: Box<dyn DelayedStore>,
    script: Script,
    broken: bool,
}

pub(super) fn io() -> StoreError {
    StoreError::Io { path: "store".into(), what: "a planned fault".into() }
}

impl Double {
    fn write<T>(
        &mut self,
        call: &'static str,
        write: impl FnOnce(&mut dyn DelayedStore) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.script.begin(call);
        let fault = self.script.0.lock().unwrap().faults.pop_front();
        let written = match fault {
            _ if self.broken => Err(io()),
            Some(Fault::Refused) => Err(io()),
            Some(_) => write(&mut *self.store).and(Err(io())),
            None => write(&mut *self.store),
        };
        self.broken |= fault.is_some();
        written
    }
}

impl DelayedStore for Double {
    fn load(&mut self) -> Result<DelayedSnapshot, StoreError> {
        self.store.load()
    }

    fn write(&mut self, term: u64, batch: &DelayedBatch) -> Result<DelayedWritten, StoreError> {
        Double::write(self, "write", |store| store.write(term, batch))
    }

    fn flush(&mut self, term: u64) -> Result<(), StoreError> {
        Double::write(self, "flush", |store| store.flush(term))
    }

    fn reader(&self) -> Arc<dyn DelayedReader> {
        Arc::new(DoubleReader { reader: self.store.reader(), script: self.script.clone() })
    }

    fn room(&self) -> DelayedRoom {
        self.store.room()
    }

    fn written(&self) -> Written {
        self.store.written()
    }

    fn id(&self) -> u64 {
        self.store.id()
    }
}

struct DoubleReader {
    reader: Arc<dyn DelayedReader>,
    script: Script,
}

impl DelayedReader for DoubleReader {
    fn due(
        &self,
        range: Range<Timestamp>,
        after: Option<&DelayedKey>,
        most: usize,
    ) -> Result<Vec<DueEvent>, StoreError> {
        self.script.read("due")?;
        self.reader.due(range, after, most)
    }

    fn events(&self, keys: &[DelayedKey]) -> Result<Vec<Option<DelayedEvent>>, StoreError> {
        self.script.read("events")?;
        self.reader.events(keys)
    }

    fn find(&self, names: &[Arc<str>]) -> Result<Vec<Found>, StoreError> {
        let found = self.reader.find(names);
        // What was found is of before it waited.
        self.script.read("find")?;
        found
    }

    fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        matches: &dyn Fn(&DelayedHead) -> bool,
        most: usize,
        looked_at: usize,
    ) -> Result<Listed, StoreError> {
        self.reader.list(prefix, after, matches, most, looked_at)
    }

    fn answers(&self, messages: &[MessageKey]) -> Result<Vec<Option<Answered>>, StoreError> {
        self.reader.answers(messages)
    }

    fn owner(&self, owner: &str) -> Result<OwnerShare, StoreError> {
        self.reader.owner(owner)
    }

    fn parked(&self, after: u64, most: usize) -> Result<Vec<ParkedEvent>, StoreError> {
        self.script.read("parked")?;
        self.reader.parked(after, most)
    }

    fn read(&self, after: u64, most: usize) -> Result<DelayedPage, StoreError> {
        self.script.read("read")?;
        self.reader.read(after, most)
    }

    fn changes(&self, after: u64, most: usize) -> Result<ChangePage, StoreError> {
        self.reader.changes(after, most)
    }

    fn count(&self, after: Option<&str>, most: usize) -> Result<Counted, StoreError> {
        self.reader.count(after, most)
    }
}
