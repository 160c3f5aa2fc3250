//! Remembers which deliveries this process gave back itself, because the broker counts that like a crash.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The most ids remembered.
const REMEMBERED: usize = 10_000;

/// By id: how often a message came back, or will, without a process having ended of it: released for reasons of ours (a
/// database that is down, a lost link), or void because its connection was lost. The broker counts that like a crash.
#[derive(Debug, Default)]
pub(crate) struct OwnReleases(Mutex<HashMap<String, u64>>);

impl OwnReleases {
    pub(crate) fn note(&self, id: &str) {
        let mut released = self.lock();
        if released.len() >= REMEMBERED && !released.contains_key(id) {
            released.clear();
        }
        *released.entry(id.to_owned()).or_default() += 1;
    }

    /// Forgets a message that is settled for good.
    pub(crate) fn forget(&self, id: &str) {
        self.lock().remove(id);
    }

    /// How many times this process gave that message back.
    pub(crate) fn count(&self, id: &str) -> u64 {
        self.lock().get(id).copied().unwrap_or(0)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
