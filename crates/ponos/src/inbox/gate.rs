//! Allows one run of a key at a time within this process.

use super::{InboxError, InboxKey};
use std::{
    collections::{HashMap, hash_map},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::watch, time::Instant};

/// The keys that are running now. The sender is made when a delivery waits; when it is dropped, all waiting ones try again.
#[derive(Debug, Default)]
pub(super) struct Gate(Mutex<HashMap<Arc<InboxKey>, Option<watch::Sender<()>>>>);

/// Holds a key until it is dropped.
#[derive(Debug)]
pub(super) struct Pass {
    gate: Arc<Gate>,
    key: Arc<InboxKey>,
}

impl Gate {
    /// Waits until no other run has the key, at most `patience`.
    pub(super) async fn enter(
        self: &Arc<Self>,
        key: &InboxKey,
        patience: Duration,
    ) -> Result<Pass, InboxError> {
        let key = Arc::new(key.clone());
        let mut deadline = None;
        loop {
            let Some(mut busy) = self.take_or_watch(&key) else {
                return Ok(Pass { gate: self.clone(), key });
            };
            let until = *deadline.get_or_insert_with(|| Instant::now() + patience);
            if tokio::time::timeout_at(until, busy.changed()).await.is_err() {
                let what = format!("another delivery of {key} has been running for more than {patience:?}");
                return Err(InboxError::conflict(what));
            }
        }
    }

    /// Takes the key, or returns a receiver that tells when it is free.
    fn take_or_watch(&self, key: &Arc<InboxKey>) -> Option<watch::Receiver<()>> {
        match self.busy().entry(key.clone()) {
            hash_map::Entry::Vacant(free) => {
                free.insert(None);
                None
            }
            hash_map::Entry::Occupied(mut busy) => {
                Some(busy.get_mut().get_or_insert_with(|| watch::Sender::new(())).subscribe())
            }
        }
    }

    fn busy(&self) -> MutexGuard<'_, HashMap<Arc<InboxKey>, Option<watch::Sender<()>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass {
    pub(super) fn key(&self) -> &Arc<InboxKey> {
        &self.key
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.gate.busy().remove(&self.key);
    }
}
