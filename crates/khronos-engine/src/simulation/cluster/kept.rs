//! What the database keeps beside the lease: the store of the engine, and that of delayed events.

use super::database::Job;
use crate::{
    Snapshot,
    delayed::{DelayedLimits, DelayedMemory, DelayedSnapshot, DelayedStore, MemoryDelayed},
    store::{Limits, Memory, MemoryStore, Store},
};

pub(super) struct Kept {
    pub(super) memory: Memory,
    pub(super) store: MemoryStore,
    pub(super) later: MemoryDelayed,
}

impl Kept {
    pub(super) fn new() -> Self {
        let memory = Memory::default();
        let store = memory.open("khronos", Limits::default()).expect("it can be opened");
        let later = DelayedMemory::default().open("khronos", DelayedLimits::default());
        Self { memory, store, later: later.expect("it can be opened") }
    }

    pub(super) fn load(&mut self) -> (Snapshot, DelayedSnapshot) {
        let later = self.later.load().expect("it can be read");
        (self.store.load().expect("it can be read"), later)
    }

    pub(super) fn apply(&mut self, term: u64, job: &Job) {
        match job {
            Job::Load => drop(self.load()),
            Job::Commit(_, commit) => drop(self.store.save(term, commit).expect("it is not fenced")),
            Job::Append(rows, complete) => {
                self.store.append(term, rows, *complete).expect("it is not fenced");
            }
            Job::Later(_, batch) => {
                let written = self.later.write(term, batch).expect("it is not fenced");
                assert!(written.balance.is_right(), "{:?}", written.balance);
            }
        }
    }
}
