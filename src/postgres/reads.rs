//! Reads on any thread, beside the one writer.

use super::{
    Door, Session, Shard,
    calls::{Calls, column, limited, number},
    errors::Failed,
    numbered::of,
    runtime::Blocking,
};
use crate::store::StoreError;
use sqlx::{ConnectOptions as _, PgConnection};
use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// Connections that wait for the next read; who reads is bounded by those that ask.
const IDLE: usize = 2;

/// Connections for reading, made when they are wanted.
pub(crate) struct Reads {
    door: Door,
    idle: Mutex<Vec<PgConnection>>,
    is_closed: AtomicBool,
    /// Nothing is read of a server that only follows another one.
    of_primary: bool,
    /// Behind the connections, which need it while they go.
    blocking: Blocking,
}

impl Reads {
    pub(crate) fn new(door: &Door) -> Result<Self, StoreError> {
        let failed = |error| door.address().io(format!("its runtime could not be started: {error}"));
        let blocking = Blocking::new().map_err(failed)?;
        let (idle, is_closed) = (Mutex::default(), AtomicBool::new(false));
        Ok(Self { door: door.clone(), idle, is_closed, of_primary: false, blocking })
    }

    /// For whoever writes nothing by which it could be told how old it is what he reads: a server that only follows another one is
    /// refused, for it may lag by any time.
    pub(crate) fn of_primary(door: &Door) -> Result<Self, StoreError> {
        Ok(Self { of_primary: true, ..Self::new(door)? })
    }

    /// Nothing more is read.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.idle().clear();
    }

    /// All that `read` asks for, as it was at one moment. On a connection that was used before it may be asked twice: that one
    /// may have been lost meanwhile.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Io`] once it is closed.
    pub(crate) fn at_once<T>(
        &self,
        read: impl AsyncFn(&mut Calls<'_>) -> Result<T, Failed>,
    ) -> Result<T, StoreError> {
        if self.is_closed.load(Ordering::SeqCst) {
            return Err(self.door.address().io("it is closed"));
        }
        let used = self.idle().pop();
        let done = self.blocking.run(async {
            if let Some(connection) = used {
                match self.transaction(connection, &read).await {
                    Err(Failed::Sql(_) | Failed::TooSlow(_)) => {}
                    done => return done,
                }
            }
            let connecting = self.door.address().options().connect();
            let connection = limited(self.door.limits().0, connecting).await?;
            self.transaction(connection, &read).await
        });
        let done = done.unwrap_or_else(|| Err(self.door.address().io("it is closed").into()));
        done.map_err(|failed| self.door.address().explain(failed, 0))
    }

    /// The same, of the server that this session writes to, and no older than its last write: a name or a pooler may lead to
    /// another one, which only follows.
    ///
    /// # Errors
    /// The same; [`StoreError::Io`] where it is another one, or older.
    pub(crate) fn at_once_by<T>(
        &self,
        session: &Session,
        read: impl AsyncFn(&mut Calls<'_>) -> Result<T, Failed>,
    ) -> Result<T, StoreError> {
        let reached = session.reached();
        self.at_once(async |calls| {
            check(calls, self.door.shard(), reached).await?;
            read(calls).await
        })
    }

    async fn transaction<T>(
        &self,
        mut connection: PgConnection,
        read: &impl AsyncFn(&mut Calls<'_>) -> Result<T, Failed>,
    ) -> Result<T, Failed> {
        let calls = Calls::new(&mut connection, self.door.address().schema(), self.door.limits().1);
        let mut calls = calls.telling(self.door.heartbeat());
        calls.begin("isolation level repeatable read, read only").await?;
        // Each time: a pooler may lead to another server from one transaction to the next.
        if self.of_primary && is_replica(&mut calls).await? {
            return Err(Failed::Moved(REPLICA));
        }
        let value = read(&mut calls).await?;
        calls.simple("commit").await?;
        let mut idle = self.idle();
        if idle.len() < IDLE && !self.is_closed.load(Ordering::SeqCst) {
            idle.push(connection);
        }
        Ok(value)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<PgConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const ELSEWHERE: &str = "what was read is older than what this clock wrote, or another one leads by now; it is read again. If that stays so, the name or the pooler in the URL leads to a read replica, too: give the address of the primary";

const REPLICA: &str = "the name or the pooler in the URL leads to a read replica, too, and what is read there may be old: give the address of the primary";

async fn is_replica(calls: &mut Calls<'_>) -> Result<bool, Failed> {
    let row = calls.one(calls.statement("select pg_is_in_recovery()")).await?;
    row.map_or(Ok(false), |row| column(&row, 0))
}

/// Refuses what is not of this term and these writes, or later ones of the same.
async fn check(calls: &mut Calls<'_>, shard: &Shard, (term, writes): (u64, u64)) -> Result<(), Failed> {
    let look = "select term, writes, coalesce(holder = $3::uuid, false) and not pg_is_in_recovery()
        from {s}.shard where clock = $1 and shard = $2";
    let look = of(calls, shard, look).bind(shard.holder.to_string());
    let row = calls.one(look).await?.ok_or(Failed::Moved(ELSEWHERE))?;
    match column::<bool>(&row, 2)? && number(&row, 0)? == term && number(&row, 1)? >= writes {
        true => Ok(()),
        false => Err(Failed::Moved(ELSEWHERE)),
    }
}

impl fmt::Debug for Reads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reads").field("door", &self.door).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::fixture::{PATIENCE, Tables};
    use testkit::{Postgres, block_until};

    #[test]
    fn whoever_reads_of_the_primary_alone_is_told_nothing_by_a_replica() {
        let primary = Postgres::start(false);
        let tables = Tables::at(&primary.database("clock"));
        drop(tables.door("khronos").session().unwrap());
        let standby = primary.standby("replica");
        let url = tables.url().replace(&primary.port().to_string(), &standby.port().to_string());
        let there = tables.by(&url).door("khronos");
        let terms = |reads: &Reads, door: &Door| {
            let term = "select term from {s}.shard where clock = $1 and shard = $2";
            reads.at_once(async |calls| {
                let row = calls.one(of(calls, door.shard(), term)).await?;
                row.map(|row| number(&row, 0)).transpose()
            })
        };
        block_until("what is replicated", PATIENCE, || {
            terms(&Reads::new(&there).unwrap(), &there).ok().flatten()
        });
        let refused = terms(&Reads::of_primary(&there).unwrap(), &there).unwrap_err().to_string();
        assert!(refused.contains("leads to a read replica"), "{refused}");
        let here = tables.door("khronos");
        assert!(terms(&Reads::of_primary(&here).unwrap(), &here).unwrap().is_some());
    }
}
