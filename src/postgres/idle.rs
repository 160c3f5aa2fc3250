//! Connections for reading that wait for whoever reads next. They outlive a leadership: who takes over reads by those that it
//! followed by, and connects none.

use super::{Address, calls::limited, errors::Failed, runtime::Blocking};
use sqlx::{ConnectOptions as _, PgConnection};
use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// So many wait at most; who reads is bounded by those that ask.
const IDLE: usize = 4;

/// A connection, and the runtime that it lives on: whoever reads by it waits for nobody else's work.
pub(super) struct Connected {
    pub(super) connection: PgConnection,
    /// Behind the connection, which needs it while it goes.
    pub(super) blocking: Blocking,
    /// The term under which its server was seen to be the one that is written to.
    pub(super) checked: Option<u64>,
}

impl Connected {
    pub(super) fn new(address: &Address, limit: Duration) -> Result<Self, Failed> {
        let failed =
            |error| Failed::from(address.io(format!("the runtime of a connection was not started: {error}")));
        let blocking = Blocking::new().map_err(failed)?;
        let connecting = limited(limit, address.options().connect());
        let connected = blocking.run(connecting).unwrap_or(Err(Failed::TooSlow(limit)));
        connected.map(|connection| Self { connection, blocking, checked: None })
    }
}

/// Those that wait. The one that has waited longest is used next, so that each is tried again and again while somebody reads.
#[derive(Default)]
pub(super) struct Idle(Mutex<VecDeque<Connected>>);

impl Idle {
    pub(super) fn take(&self) -> Option<Connected> {
        self.all().pop_front()
    }

    /// Goes, where so many wait already.
    pub(super) fn put(&self, connected: Connected) {
        let mut all = self.all();
        let surplus = if all.len() < IDLE { None } else { all.pop_front() };
        all.push_back(connected);
        drop(all);
        drop(surplus);
    }

    pub(super) fn len(&self) -> usize {
        self.all().len()
    }

    fn all(&self) -> MutexGuard<'_, VecDeque<Connected>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Idle").field(&self.len()).finish()
    }
}
