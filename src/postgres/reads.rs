//! Reads on any thread, beside the one writer.

use super::{
    Door, Session, Shard,
    calls::{Calls, column, number},
    errors::Failed,
    idle::{Connected, Idle},
    numbered::of,
};
use crate::store::StoreError;
use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// A connection that has waited is asked first whether it is still there, and has this long to say so.
const THERE: Duration = Duration::from_secs(1);

/// Reads by the connections of a door: by one that waits, or by a new one.
pub(crate) struct Reads {
    door: Door,
    is_closed: AtomicBool,
    /// Nothing is read of a server that only follows another one.
    of_primary: bool,
}

impl Reads {
    /// Nothing is connected yet.
    pub(crate) fn new(door: &Door) -> Self {
        Self { door: door.clone(), is_closed: AtomicBool::new(false), of_primary: false }
    }

    /// For whoever writes nothing by which it could be told how old it is what he reads: a server that only follows another one is
    /// refused, for it may lag by any time.
    pub(crate) fn of_primary(door: &Door) -> Self {
        Self { of_primary: true, ..Self::new(door) }
    }

    /// Nothing more is read.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
    }

    /// All that `read` asks for, as it was at one moment. On a connection that was used before it may be asked twice: that one
    /// may have been lost meanwhile. Under a lease each connection has to lead to the server that is written to: it may be of the time
    /// before, and that server of before a promotion.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Io`] once it is closed.
    pub(crate) fn at_once<T>(
        &self,
        read: impl AsyncFn(&mut Calls<'_>) -> Result<T, Failed>,
    ) -> Result<T, StoreError> {
        self.read(None, read)
    }

    fn read<T>(
        &self,
        reached: Option<(u64, u64)>,
        read: impl AsyncFn(&mut Calls<'_>) -> Result<T, Failed>,
    ) -> Result<T, StoreError> {
        if self.is_closed.load(Ordering::SeqCst) {
            return Err(self.door.address().io("it is closed"));
        }
        let (connect_limit, limit) = self.door.limits();
        let used = self.idle().take().map(|used| self.transaction(used, (THERE, reached), &read));
        let done = match used {
            None | Some(Err(Failed::Sql(_) | Failed::TooSlow(_) | Failed::Moved(ELSEWHERE | REPLICA))) => {
                let connected = Connected::new(self.door.address(), connect_limit);
                connected.and_then(|connected| self.transaction(connected, (limit, reached), &read))
            }
            Some(done) => done,
        };
        done.map_err(|failed| self.door.address().explain(failed, 0))
    }

    /// Connects until so many wait for whoever reads next.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub(crate) fn keep_ready(&self, count: usize) -> Result<(), StoreError> {
        for _ in self.idle().len()..count {
            let connected = Connected::new(self.door.address(), self.door.limits().0);
            self.idle().put(connected.map_err(|failed| self.door.address().explain(failed, 0))?);
        }
        Ok(())
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
        self.read(Some(session.reached()), read)
    }

    /// Where it fails the connection goes, for a statement may still be running.
    fn transaction<T>(
        &self,
        mut connected: Connected,
        (first, reached): (Duration, Option<(u64, u64)>),
        read: &impl AsyncFn(&mut Calls<'_>) -> Result<T, Failed>,
    ) -> Result<T, Failed> {
        let Connected { connection, blocking, checked } = &mut connected;
        let limit = self.door.limits().1;
        let term = self.door.term();
        let reached = reached.or(term.filter(|_| *checked != term).map(|term| (term, 0)));
        let done = blocking.run(async {
            let calls = Calls::new(connection, self.door.address().schema(), limit);
            let mut calls = calls.telling(self.door.heartbeat());
            calls.begin_within(first, "isolation level repeatable read, read only").await?;
            if let Some(reached) = reached {
                check(&mut calls, self.door.shard(), reached).await?;
                *checked = term;
            }
            // Each time: a pooler may lead to another server from one transaction to the next.
            if self.of_primary && is_replica(&mut calls).await? {
                return Err(Failed::Moved(REPLICA));
            }
            let value = read(&mut calls).await?;
            calls.simple("commit").await?;
            Ok(value)
        });
        let value = done.unwrap_or(Err(Failed::TooSlow(limit)))?;
        self.idle().put(connected);
        Ok(value)
    }

    fn idle(&self) -> &Idle {
        self.door.idle()
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
    use crate::{
        clock::Heartbeat,
        postgres::{
            FreshGrant, Led,
            fixture::{PATIENCE, Tables},
        },
    };
    use std::collections::BTreeSet;
    use testkit::{Postgres, block_until};
    use tokio::sync::mpsc;

    /// The process of the server that reads.
    fn process(reads: &Reads) -> i32 {
        let ask = async |calls: &mut Calls<'_>| {
            let row = calls.one(calls.statement("select pg_backend_pid()")).await?;
            row.map_or(Ok(0), |row| column(&row, 0))
        };
        reads.at_once(ask).unwrap()
    }

    #[test]
    fn connections_that_wait_are_used_in_turns_by_whoever_reads_and_replaced_where_they_are_lost() {
        let door = Tables::new().door("waiting");
        let (first, second) = (Reads::new(&door), Reads::new(&door));
        first.keep_ready(2).unwrap();
        first.keep_ready(2).unwrap();
        assert_eq!(door.idle().len(), 2);
        let turns = [&first, &second, &second, &first].map(process);
        assert_eq!(turns[..2], turns[2..]);
        assert_ne!(turns[0], turns[1]);
        first.close();
        assert!(first.at_once(async |_| Ok(())).is_err());
        assert_eq!(process(&second), turns[0], "they are not of those that read by them");
        Postgres::shared().sql(
            "stores",
            "select pg_terminate_backend(pid, 60000) from pg_stat_activity where application_name = 'khronos waiting'",
        );
        let after: BTreeSet<i32> = (0..4).map(|_| process(&second)).collect();
        assert!(after.len() == 2 && after.is_disjoint(&turns.into_iter().collect()), "{after:?}");
    }

    #[test]
    fn under_a_lease_a_connection_of_the_time_before_is_used_where_it_leads_to_the_server_that_was_taken() {
        let tables = Tables::new();
        drop(tables.door("taken").session().unwrap());
        let door = tables.door("taken");
        let led = |term| {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let told = (Heartbeat::default(), FreshGrant::default());
            door.led(Led::new(mpsc::unbounded_channel().0, term, runtime.handle().clone(), PATIENCE, told))
        };
        let before = Reads::new(&door);
        before.keep_ready(1).unwrap();
        let first = process(&before);
        let take = |term| {
            let take = format!(
                "update {}.shard set term = {term}, holder = '{}'",
                tables.schema(),
                door.shard().holder
            );
            Postgres::shared().sql("stores", &take);
        };
        take(7);
        assert_eq!(process(&Reads::new(&led(7))), first);
        // That of another server would say so, too.
        let refused = Reads::new(&led(8)).at_once(async |_| Ok(()));
        assert!(matches!(&refused, Err(StoreError::Io { what, .. }) if &**what == ELSEWHERE), "{refused:?}");
        assert_eq!(door.idle().len(), 0, "neither that connection nor a new one is used again");
        take(8);
        process(&Reads::new(&led(8)));
    }

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
        block_until("what is replicated", PATIENCE, || terms(&Reads::new(&there), &there).ok().flatten());
        let refused = terms(&Reads::of_primary(&there), &there).unwrap_err().to_string();
        assert!(refused.contains("leads to a read replica"), "{refused}");
        let here = tables.door("khronos");
        assert!(terms(&Reads::of_primary(&here), &here).unwrap().is_some());
    }
}
