//! A saga as its handlers see it.

use crate::{
    declared::{MessageKind, Priority},
    inbox::{
        Due, Held,
        postgres::{SagaChange, SagaRow},
    },
    names::NamesTask,
    worker::{Context, Failure, PublishError, SagaTimeout, held::PublishKey},
};
use std::{
    any::type_name,
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// The most timeouts that a saga has set at a time.
const MOST: usize = 100;

/// The saga of the event, or timeout, that is handled: [`Context::saga`]. What is changed here commits when the handler is done, and
/// is as it was if it ends otherwise.
pub struct Saga<S> {
    cell: Arc<SagaCell<S>>,
    context: Context,
}

/// What a layer and its handler share.
pub(super) struct SagaCell<S> {
    name: String,
    pub(super) key: String,
    pub(super) is_new: bool,
    pub(super) state: Mutex<S>,
    changes: Mutex<Changes>,
}

#[derive(Debug, Default)]
struct Changes {
    /// The ids of all that are set, by their names.
    timeouts: BTreeMap<String, String>,
    /// Those that are set now.
    held: BTreeMap<String, Held>,
    /// The ids of those that were set before and are not to be sent.
    dropped: Vec<String>,
    ended: bool,
}

impl Context {
    /// The saga that this event or timeout belongs to, in a handler of [`Worker::saga`](crate::worker::Worker::saga) with that state.
    ///
    /// # Errors
    /// Another handler, or another state.
    pub fn saga<S: Send + 'static>(&self) -> Result<Saga<S>, Failure> {
        match self.get::<SagaCell<S>>() {
            Some(cell) => Ok(Saga { cell, context: self.clone() }),
            None => Err(Failure::new(format!(
                "this handler is not that of a saga with the state {}: register it in Worker::saga",
                type_name::<S>()
            ))),
        }
    }
}

impl<S> Saga<S> {
    /// Its key, as text.
    pub fn key(&self) -> &str {
        &self.cell.key
    }

    /// Whether it begins with this event.
    pub fn is_new(&self) -> bool {
        self.cell.is_new
    }

    /// Reads or changes its state: `saga.with(|order| order.paid = true)`. Not within itself, for it waits for the other's end.
    pub fn with<R>(&self, change: impl FnOnce(&mut S) -> R) -> R {
        change(&mut self.cell.state())
    }

    /// Has the timeout of that name come so long after the handler's commit, by the clock of the database; set again, it takes the place
    /// of the one that was set before. At most 100 names are set at a time.
    ///
    /// # Errors
    /// [`PublishError`]; then it is as before.
    pub fn timeout(&self, name: impl NamesTask<SagaTimeout>, after: Duration) -> Result<(), PublishError> {
        let name = name.text();
        if self.context.buffer().has_ended() {
            return Err(PublishError::Ended);
        }
        let is_set = self.cell.changes().timeouts.contains_key(name);
        if !is_set && self.cell.changes().timeouts.len() >= MOST {
            let what = format!("it has {MOST} timeouts already, and no more are allowed");
            return Err(PublishError::Saga { name: self.cell.name.clone(), what });
        }
        let number = self.context.buffer().number();
        let wanted = (PublishKey::Number(number), Some(Due::Timeout(after)), Priority::default());
        let payload = SagaTimeout { key: self.cell.key.clone() };
        // what the hooks see of it may come here as well
        let held =
            self.context.origin().message(&self.context, (MessageKind::Task, name), wanted, &payload)?;
        let mut changes = self.cell.changes();
        let before = changes.timeouts.insert(name.to_owned(), held.id.to_string());
        if changes.held.insert(name.to_owned(), held).is_none() {
            changes.dropped.extend(before);
        }
        Ok(())
    }

    /// Takes a timeout back, if it is set.
    pub fn cancel(&self, name: impl NamesTask<SagaTimeout>) {
        let mut changes = self.cell.changes();
        let before = changes.timeouts.remove(name.text());
        if changes.held.remove(name.text()).is_none() {
            changes.dropped.extend(before);
        }
    }

    /// Ends it: its state is removed, and its timeouts are taken back. The next event that starts one of its key begins anew.
    pub fn end(&self) {
        self.cell.changes().ended = true;
    }
}

impl<S> SagaCell<S> {
    pub(super) fn new((name, key): (&str, String), row: SagaRow, state: S) -> Self {
        let (is_new, changes) =
            (row.state.is_none(), Changes { timeouts: row.timeouts, ..Changes::default() });
        Self { name: name.to_owned(), key, is_new, state: Mutex::new(state), changes: Mutex::new(changes) }
    }

    /// What becomes of the row with this state, and the timeouts that are to be sent.
    pub(super) fn change(&self, state: String) -> (SagaChange, Vec<Held>) {
        let Changes { timeouts, held, mut dropped, ended } = std::mem::take(&mut *self.changes());
        if ended {
            dropped.extend(timeouts.into_values());
            return (SagaChange { state: None, timeouts: BTreeMap::new(), dropped }, Vec::new());
        }
        (SagaChange { state: Some(state), timeouts, dropped }, held.into_values().collect())
    }

    pub(super) fn state(&self) -> MutexGuard<'_, S> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> fmt::Debug for Saga<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Saga")
            .field("name", &self.cell.name)
            .field("key", &self.cell.key)
            .finish_non_exhaustive()
    }
}
