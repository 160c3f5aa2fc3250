//! Writing under a lease that another thread keeps: that one has the connection, and says whose turn it is.
//!
//! A writer asks for a turn and makes its transaction in it, on its own thread, by the connection that it is given; then it
//! says what came of that, and gives the connection back. So there is one writer, whoever writes, and what renews the lease
//! finds its place between others.

use super::lease::Grant;
use crate::{clock::Heartbeat, store::StoreError};
use khronos_engine::lease::LeaseReply;
use sqlx::PgConnection;
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
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
    taken: FreshGrant,
}

/// The lease as it was taken by a call that was answered, of complete tables: nobody has written since, so whoever begins under it
/// believes what is read without a write of its own. The first alone: a later one may come behind a write of which nothing is known.
#[derive(Debug, Clone, Default)]
pub(crate) struct FreshGrant(Arc<Mutex<Option<(u64, u64)>>>);

impl FreshGrant {
    /// The term, and how many writes there were.
    pub(crate) fn note(&self, taken: Option<(u64, u64)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = taken;
    }

    fn of(&self, term: u64) -> Option<u64> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.take_if(|(of, _)| *of == term).map(|(_, writes)| writes)
    }
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
        (heartbeat, taken): (Heartbeat, FreshGrant),
    ) -> Self {
        Self { asked, term, runtime, limit, heartbeat, taken }
    }

    /// How many writes there were, for the first that begins under a lease that was just taken.
    pub(super) fn just_taken(&self) -> Option<u64> {
        self.taken.of(self.term)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::fixture::{PATIENCE, Tables};
    use tokio::runtime::Builder;

    #[test]
    fn the_first_that_begins_under_a_lease_that_was_just_taken_writes_nothing_and_each_later_one_does() {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (tables, taken) = (Tables::new(), FreshGrant::default());
        let (asked, mut turns) = mpsc::unbounded_channel();
        let door = |term| {
            let told = (Heartbeat::default(), taken.clone());
            let led = Led::new(asked.clone(), term, runtime.handle().clone(), PATIENCE, told);
            tables.door("khronos").led(led)
        };
        taken.note(Some((7, 40)));
        assert_eq!(door(7).session().unwrap().reached(), (7, 40));
        assert!(turns.try_recv().is_err(), "no turn was asked for");
        taken.note(Some((8, 41)));
        for term in [7, 9] {
            let refused = std::thread::scope(|scope| {
                let opening = scope.spawn(|| door(term).session().map(drop));
                // Dropped, which refuses it.
                drop(turns.blocking_recv());
                opening.join().unwrap()
            });
            assert!(matches!(refused, Err(StoreError::Fenced { .. })), "{refused:?}");
        }
        assert_eq!(door(8).session().unwrap().reached(), (8, 41));
    }
}
