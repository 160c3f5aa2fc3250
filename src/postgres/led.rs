//! Writing under a lease that another thread keeps: that one has the connection, and says whose turn it is.
//!
//! A writer asks for a turn and makes its transaction in it, on its own thread, by the connection that it is given; then it
//! says what came of that, and gives the connection back. So there is one writer, whoever writes, and what renews the lease
//! finds its place between others.

use super::lease::Grant;
use crate::{clock::Heartbeat, store::StoreError};
use khronos_engine::lease::LeaseReply;
use sqlx::PgConnection;
use std::{fmt, time::Duration};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
};

/// Where the stores of one leadership ask for turns. Clones ask the same thread.
#[derive(Clone)]
pub struct Led {
    asked: mpsc::UnboundedSender<TurnAsked>,
    term: u64,
    /// Where the connection lives.
    runtime: Handle,
    /// How long a transaction may take.
    limit: Duration,
    /// Told what is read.
    heartbeat: Heartbeat,
}

/// A writer waits for its turn.
#[derive(Debug)]
pub(crate) struct TurnAsked {
    /// Under this term alone.
    pub(crate) term: u64,
    /// Dropped where there will be none.
    pub(crate) turn: oneshot::Sender<Result<LedTurn, StoreError>>,
}

/// The turn of a writer.
#[derive(Debug)]
pub(crate) struct LedTurn {
    pub(crate) connection: PgConnection,
    pub(crate) grant: Grant,
    /// Where it says what came of it.
    pub(crate) ended: oneshot::Sender<TurnEnd>,
}

/// What came of a turn.
#[derive(Debug)]
pub(crate) struct TurnEnd {
    pub(crate) reply: LeaseReply,
    /// As long as it can be used.
    pub(crate) connection: Option<PgConnection>,
}

impl Led {
    /// Turns under this term, of the thread that listens there; its connections live on this runtime.
    pub(crate) fn new(
        asked: mpsc::UnboundedSender<TurnAsked>,
        term: u64,
        runtime: Handle,
        limit: Duration,
        heartbeat: Heartbeat,
    ) -> Self {
        Self { asked, term, runtime, limit, heartbeat }
    }

    pub(super) fn heartbeat(&self) -> Heartbeat {
        self.heartbeat.clone()
    }

    pub(super) fn term(&self) -> u64 {
        self.term
    }

    /// How long a transaction may take.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// Waits for a turn: as long as whoever keeps the lease tries to keep it.
    pub(super) fn turn(&self) -> Result<LedTurn, StoreError> {
        let (turn, given) = oneshot::channel();
        let ended = || StoreError::Fenced { term: self.term, seen: self.term };
        self.asked.send(TurnAsked { term: self.term, turn }).map_err(|_| ended())?;
        given.blocking_recv().unwrap_or_else(|_| Err(ended()))
    }

    pub(super) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}

impl fmt::Debug for Led {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Led").field("term", &self.term).finish_non_exhaustive()
    }
}
