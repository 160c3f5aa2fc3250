//! The inbox remembers what was handled, so that a message that is delivered again has no second effect.
//!
//! Before a handler runs, the runtime calls [`Inbox::begin`]. It returns that the key was handled before, or an [`Entry`],
//! which keeps every other delivery of the same key waiting and ends in one of two ways: [`Entry::done`] records the key;
//! [`Entry::abandon`] (or dropping it) leaves no trace, so that the key can run again.
//!
//! Four kinds, one suite (`crates/ponos/tests/inbox_conformance`): none at all, memory, sled, and Postgres, where the handler
//! writes in the very transaction that records the key, and its publishes commit with them. [`Inbox::takes_publishes`]
//! tells the runtime which of two orders applies:
//!
//! * `false`: publish, await the confirms, then `done(vec![])`, then ack;
//! * `true`: `done(publishes)`, then ack; a relay publishes them from the database.
//!
//! Absent: deciding what counts as handled (Done and Skip), which is the runtime's.

mod batch;
mod error;
mod gate;
mod key;
mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "inbox-sled")]
mod sled;

pub use batch::BegunAll;
pub use error::{InboxError, InboxErrorClass};
pub use key::InboxKey;

use crate::{
    event::{EventId, Message, Timestamp},
    shutdown::{Shutdown, Stage},
};
use gate::{Gate, Pass};
use memory::Memory;
use std::{fmt, sync::Arc, time::Duration};
use uuid::Uuid;

/// How long a second delivery of a key waits for the first, by default.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a key is remembered, by default: seven days.
const RETENTION: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How often older keys are removed.
const TIDY: Duration = Duration::from_secs(60 * 60);

/// A message that a handler published, held until the handler is done.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// Its id, which is its `message_id` too.
    pub id: EventId,
    /// The exchange to publish to.
    pub exchange: Arc<str>,
    /// The message.
    pub message: Message,
    /// When it is to be sent; `None` for at once.
    pub due: Option<Due>,
}

/// When a message is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// At this instant.
    At(Timestamp),
    /// So long after it was accepted, in whole milliseconds, by the clock of whoever keeps it until then.
    In(Duration),
    /// Once no other one of its key has come for a time. In an outbox on Postgres alone.
    Quiet(Quiet),
    /// So long after it was accepted, unless the saga whose timeout it is takes it back. In an outbox on Postgres alone.
    Timeout(Duration),
}

/// How a message waits whose place another one may take: [`Once::debounce`](crate::Once::debounce).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet {
    /// What tells it from others of its service.
    pub key: Uuid,
    /// How long no other one must have come, in whole milliseconds.
    pub quiet: Duration,
    /// How long after the first one it is sent though others come.
    pub at_most: Duration,
}

/// The answer of [`Inbox::begin`].
#[derive(Debug)]
pub enum Begun {
    /// It was handled before: ack it, run nothing.
    Handled,
    /// Run it now, under this entry.
    Run(Entry),
}

/// Remembers what was handled. Clones share it.
#[derive(Clone)]
pub struct Inbox {
    kind: Backend,
    patience: Duration,
    pub(crate) retention: Duration,
}

#[derive(Clone)]
enum Backend {
    None,
    Memory {
        rows: Arc<Memory>,
        gate: Arc<Gate>,
    },
    #[cfg(feature = "inbox-sled")]
    Sled {
        keys: Arc<sled::Keys>,
        gate: Arc<Gate>,
    },
    #[cfg(feature = "postgres")]
    Postgres(Arc<postgres::Store>),
}

/// One run of one handler for one message, from [`Inbox::begin`] on, or for [several](Inbox::begin_all). Dropping it abandons it.
#[must_use = "end it with done or abandon"]
pub struct Entry(EntryBackend);

enum EntryBackend {
    None,
    Memory {
        rows: Arc<Memory>,
        pass: Pass,
        /// Of a batch.
        others: Vec<Pass>,
    },
    #[cfg(feature = "inbox-sled")]
    Sled {
        keys: Arc<sled::Keys>,
        pass: Pass,
        others: Vec<Pass>,
    },
    #[cfg(feature = "postgres")]
    /// In a box, for it is much larger than the others.
    Postgres(Box<postgres::TransactionRun>),
}

impl Inbox {
    fn new(kind: Backend) -> Self {
        Self { kind, patience: PATIENCE, retention: RETENTION }
    }

    /// An inbox that remembers nothing: every delivery runs.
    pub fn none() -> Self {
        Self::new(Backend::None)
    }

    /// An inbox that remembers the last `limit` keys until the process ends. For one replica.
    pub fn memory(limit: usize) -> Self {
        Self::new(Backend::Memory { rows: Arc::new(Memory::new(limit)), gate: Arc::default() })
    }

    /// [`Inbox::memory`] whose next records fail.
    #[cfg(test)]
    pub(crate) fn failing(records: u32) -> Self {
        let rows = Arc::new(Memory::new(1_000).fail(records));
        Self::new(Backend::Memory { rows, gate: Arc::default() })
    }

    /// Sets how long a second delivery of a key waits for the first to end (default 10 s). After that, [`Self::begin`] returns
    /// an error of class [`InboxErrorClass::Conflict`].
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sets how long [`Self::tend`] keeps a key (default 7 days). It must exceed the longest time after which a message can come
    /// again: through its retries, and through a requeue from the dead letters.
    #[must_use]
    pub fn with_retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }

    /// Begins a run of a key, before its handler runs.
    ///
    /// # Errors
    /// [`InboxErrorClass::Conflict`] when another run of the key did not end in time; otherwise as [`InboxErrorClass`].
    pub async fn begin(&self, key: &InboxKey) -> Result<Begun, InboxError> {
        match &self.kind {
            Backend::None => Ok(Begun::Run(Entry(EntryBackend::None))),
            Backend::Memory { rows, gate } => {
                let pass = gate.enter(key, self.patience).await?;
                if rows.contains(key) {
                    return Ok(Begun::Handled);
                }
                Ok(Begun::Run(Entry::of_memory(rows, pass, Vec::new())))
            }
            #[cfg(feature = "inbox-sled")]
            Backend::Sled { keys, gate } => {
                let pass = gate.enter(key, self.patience).await?;
                if keys.contains(key).await? {
                    return Ok(Begun::Handled);
                }
                Ok(Begun::Run(Entry::of_sled(keys, pass, Vec::new())))
            }
            #[cfg(feature = "postgres")]
            Backend::Postgres(store) => store.begin(key, self.patience).await,
        }
    }

    /// Forgets a key, so that it runs again, for requeueing a dead letter. Returns whether it was recorded.
    ///
    /// # Errors
    /// As [`InboxErrorClass`].
    pub async fn forget(&self, key: &InboxKey) -> Result<bool, InboxError> {
        match &self.kind {
            Backend::None => Ok(false),
            Backend::Memory { rows, .. } => Ok(rows.forget(key)),
            #[cfg(feature = "inbox-sled")]
            Backend::Sled { keys, .. } => keys.forget(key).await,
            #[cfg(feature = "postgres")]
            Backend::Postgres(store) => store.forget(key).await,
        }
    }

    /// Forgets all keys that were recorded longer ago than this; returns how many.
    ///
    /// # Errors
    /// As [`InboxErrorClass`].
    pub async fn prune(&self, older_than: Duration) -> Result<u64, InboxError> {
        match &self.kind {
            Backend::None => Ok(0),
            Backend::Memory { rows, .. } => Ok(rows.prune(older_than)),
            #[cfg(feature = "inbox-sled")]
            Backend::Sled { keys, .. } => keys.prune(older_than).await,
            #[cfg(feature = "postgres")]
            Backend::Postgres(store) => store.prune(older_than).await,
        }
    }

    /// Forgets keys older than the retention, now and every hour, until the shutdown begins. A failure is logged and tried again
    /// the next time.
    pub async fn tend(&self, shutdown: &Shutdown) {
        let stopped = shutdown.reached(Stage::Draining);
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                () = &mut stopped => return,
                pruned = self.prune(self.retention) => match pruned {
                    Ok(0) => {}
                    Ok(count) => tracing::debug!(count, "keys older than the retention were removed from the inbox"),
                    Err(error) => tracing::warn!(%error, "keys older than the retention could not be removed from the inbox; it is tried again"),
                },
            }
            tokio::select! {
                () = &mut stopped => return,
                () = tokio::time::sleep(TIDY.mul_f64(0.5 + fastrand::f64())) => {}
            }
        }
    }

    /// How many entries can be open at a time; `None` for any number.
    pub(crate) fn at_once(&self) -> Option<usize> {
        match &self.kind {
            #[cfg(feature = "postgres")]
            Backend::Postgres(store) => Some(store.connections()),
            _ => None,
        }
    }

    /// Whether it remembers nothing.
    pub fn is_none(&self) -> bool {
        matches!(self.kind, Backend::None)
    }

    /// Whether replicas share it. An inbox that is not shared is for one replica: two would each run the same message.
    pub fn is_shared(&self) -> bool {
        match self.kind {
            Backend::None | Backend::Memory { .. } => false,
            #[cfg(feature = "inbox-sled")]
            Backend::Sled { .. } => false,
            #[cfg(feature = "postgres")]
            Backend::Postgres(_) => true,
        }
    }

    /// Whether [`Entry::done`] takes what the handler published (see the module).
    pub fn takes_publishes(&self) -> bool {
        match self.kind {
            Backend::None | Backend::Memory { .. } => false,
            #[cfg(feature = "inbox-sled")]
            Backend::Sled { .. } => false,
            #[cfg(feature = "postgres")]
            Backend::Postgres(_) => true,
        }
    }
}

impl Entry {
    /// The entry of an inbox that remembers nothing.
    pub(crate) fn none() -> Self {
        Self(EntryBackend::None)
    }

    /// Whether nothing is to be recorded.
    pub(crate) fn is_none(&self) -> bool {
        matches!(self.0, EntryBackend::None)
    }

    /// The key that a transaction records; `None` for an inbox without transactions.
    pub(crate) fn key(&self) -> Option<InboxKey> {
        match &self.0 {
            #[cfg(feature = "postgres")]
            EntryBackend::Postgres(run) => Some(run.key().clone()),
            _ => None,
        }
    }

    /// The transaction of this run, for the handler's context; `None` for an inbox without transactions.
    #[cfg(feature = "postgres")]
    pub fn transaction(&self) -> Option<postgres::Transaction> {
        match &self.0 {
            EntryBackend::Postgres(run) => Some(run.transaction()),
            _ => None,
        }
    }

    /// Records the key, with everything that belongs to it; from then on it counts as handled.
    ///
    /// # Errors
    /// As [`InboxErrorClass`]; nothing is recorded then, or (`Unavailable`, if the connection is lost at the very end)
    /// everything: release the message, and the inbox decides when it comes again.
    /// [`InboxErrorClass::Refused`] for publishes given to an inbox that does not take them.
    pub async fn done(self, publishes: Vec<Held>) -> Result<(), InboxError> {
        match self.0 {
            #[cfg(feature = "postgres")]
            EntryBackend::Postgres(run) => run.done(publishes).await,
            _ if publishes.is_empty() => self.record().await,
            _ => Err(InboxError::refused(
                format!(
                    "an inbox without an outbox was given {} to publish",
                    crate::text::counted(publishes.len() as u64, "message")
                ),
                "publish them before the key is recorded",
            )),
        }
    }

    /// As [`Entry::done`], for an inbox that takes no publishes; the entry is kept, so that recording can be tried again.
    pub(crate) async fn record(&self) -> Result<(), InboxError> {
        match &self.0 {
            EntryBackend::None => Ok(()),
            EntryBackend::Memory { rows, pass, others } => {
                let mut passes = std::iter::once(pass).chain(others);
                passes.try_for_each(|pass| rows.record(pass.key()))
            }
            #[cfg(feature = "inbox-sled")]
            EntryBackend::Sled { keys, pass, others } if others.is_empty() => keys.record(pass.key()).await,
            #[cfg(feature = "inbox-sled")]
            EntryBackend::Sled { keys, pass, others } => batch::record_all(keys, pass, others).await,
            #[cfg(feature = "postgres")]
            EntryBackend::Postgres(_) => {
                Err(InboxError::refused("a transaction ends by its commit alone", "end it with done"))
            }
        }
    }

    /// Ends the run without a trace, because the handler did not succeed. A delivery that waits for the key runs.
    pub async fn abandon(self) {
        match self.0 {
            EntryBackend::None | EntryBackend::Memory { .. } => {}
            #[cfg(feature = "inbox-sled")]
            EntryBackend::Sled { .. } => {}
            #[cfg(feature = "postgres")]
            EntryBackend::Postgres(run) => run.abandon().await,
        }
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Backend::None => "none",
            Backend::Memory { .. } => "memory",
            #[cfg(feature = "inbox-sled")]
            Backend::Sled { .. } => "sled",
            #[cfg(feature = "postgres")]
            Backend::Postgres(_) => "Postgres",
        };
        f.debug_struct("Inbox").field("kind", &kind).finish_non_exhaustive()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").finish_non_exhaustive()
    }
}
