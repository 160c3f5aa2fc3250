//! The one writer of a shard: a connection of its own, and the right to write.

use super::{
    Address,
    acquiring::acquire,
    calls::{Calls, limited},
    errors::Failed,
    lease::{Grant, Progress, Saved, Shard, Writing},
    led::{Led, LedTurn, TurnEnd},
    runtime::Blocking,
    schema,
};
use crate::store::StoreError;
use khronos_engine::lease::LeaseReply;
use sqlx::{ConnectOptions as _, PgConnection};
use std::{
    fmt,
    mem::replace,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// How long a transaction may take under a lease that another thread keeps.
const WRITING: Duration = Duration::from_secs(60);
/// The same for one that changes the tables themselves.
const CHANGING: Duration = Duration::from_secs(12 * 60 * 60);
/// How long letting go of the lease may take at the end; else it runs out by itself.
const RESIGNING: Duration = Duration::from_secs(1);

/// The right to write to a shard, as long as nothing failed. Both stores of a clock write by it, each on a thread of its own.
pub struct Session {
    address: Address,
    shard: Shard,
    limit: Duration,
    /// How long a statement may take behind the one that has the row.
    work_limit: Duration,
    blocking: Blocking,
    turns: Mutex<Turns>,
    freed: Condvar,
    /// Where another thread keeps the lease: it has the connection, and gives the turns.
    led: Option<Led>,
    term: u64,
    /// Writes of the shard that are known to be kept.
    reached: AtomicU64,
}

struct Turns {
    turn: Turn,
    /// Those that wait and go first: what renews the lease.
    first: usize,
    /// The others that wait.
    others: usize,
}

enum Turn {
    Free(Box<Held>),
    Taken,
    /// Another thread says whose it is.
    Given,
    /// Nothing is written by it any more, for this reason.
    Broken(StoreError),
}

struct Held {
    connection: PgConnection,
    grant: Grant,
}

impl Session {
    /// Connects, makes the tables where they are missing, and acquires the shard.
    ///
    /// # Errors
    /// [`StoreError::Led`] while another process holds it; [`StoreError::Newer`]; [`StoreError::Io`].
    pub(super) fn open(
        address: &Address,
        shard: &Shard,
        connect_limit: Duration,
        limit: Duration,
    ) -> Result<Self, StoreError> {
        let failed = |error: std::io::Error| address.io(format!("its runtime could not be started: {error}"));
        let blocking = Blocking::new().map_err(failed)?;
        let opening = async {
            let mut connection = limited(connect_limit, address.options().connect()).await?;
            let mut calls = Calls::new(&mut connection, address.schema(), connect_limit);
            schema::migrate(&mut calls).await?;
            let grant = acquire(&mut calls, address, shard).await?;
            Ok(Box::new(Held { connection, grant }))
        };
        let opened = blocking.run(opening).unwrap_or_else(|| Err(Failed::TooSlow(connect_limit)));
        let held = opened.map_err(|failed| address.explain(failed, 0))?;
        let Grant { term, writes, .. } = held.grant;
        let turns = Mutex::new(Turns { turn: Turn::Free(held), first: 0, others: 0 });
        let (address, shard, reached) = (address.clone(), shard.clone(), AtomicU64::new(writes));
        let (work_limit, freed) = (limit, Condvar::new());
        Ok(Self { address, shard, limit, work_limit, blocking, turns, freed, led: None, term, reached })
    }

    /// Under a lease that another thread keeps. Whatever was under way by an earlier session is in the tables by now, or never
    /// comes: the lease was taken since, or a first write waits for it.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] where there is no such lease any more; [`StoreError::Io`].
    pub(super) fn led(
        address: &Address,
        shard: &Shard,
        led: Led,
        work_limit: Duration,
    ) -> Result<Self, StoreError> {
        let failed = |error: std::io::Error| address.io(format!("its runtime could not be started: {error}"));
        let blocking = Blocking::new().map_err(failed)?;
        let turns = Mutex::new(Turns { turn: Turn::Given, first: 0, others: 0 });
        let taken = led.just_taken();
        let reached = AtomicU64::new(taken.unwrap_or_default());
        let (address, shard) = (address.clone(), shard.clone());
        let (term, limit, led, freed) = (led.term(), led.limit(), Some(led), Condvar::new());
        let session = Self { address, shard, limit, work_limit, blocking, turns, freed, led, term, reached };
        if taken.is_none() {
            session.write(Writing::long(), async |calls| schema::finish(calls).await)?;
        }
        Ok(session)
    }

    /// Whether nothing is written by it any more.
    pub fn is_broken(&self) -> bool {
        matches!(self.turns().turn, Turn::Broken(_))
    }

    /// Its term, and how many writes of the shard are known to be kept.
    pub(super) fn reached(&self) -> (u64, u64) {
        (self.term, self.reached.load(Ordering::SeqCst))
    }

    /// Renews the lease, where nothing else is to be written; it goes before others that wait.
    ///
    /// # Errors
    /// As of every write: [`StoreError::Fenced`], or [`StoreError::Io`].
    pub fn renew(&self) -> Result<Saved, StoreError> {
        self.transaction(Writing { goes_first: true, ..Writing::default() }, async |_| Ok(()))
            .map(|(saved, ())| saved)
    }

    /// Makes one transaction of it: the row of the shard first, then `work`. Waits for those that write already.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] where another process acquired the shard: nothing is kept then. After any other nobody knows
    /// whether it was kept; and nothing more is written by this session after any.
    pub(crate) fn write<T>(
        &self,
        writing: Writing,
        work: impl AsyncFnOnce(&mut Calls<'_>) -> Result<T, Failed>,
    ) -> Result<T, StoreError> {
        self.transaction(writing, work).map(|(_, value)| value)
    }

    fn transaction<T>(
        &self,
        writing: Writing,
        work: impl AsyncFnOnce(&mut Calls<'_>) -> Result<T, Failed>,
    ) -> Result<(Saved, T), StoreError> {
        if let Some(led) = &self.led {
            return self.transact_led(led, &writing, work);
        }
        let mut taken = self.take(writing.goes_first)?;
        let Some(held) = &mut taken.held else { return Err(self.address.io("it is closed")) };
        let term = held.grant.term;
        let done = self.blocking.run(self.transact(held, &writing, work));
        match done.unwrap_or_else(|| Err(Failed::TooSlow(self.limit))) {
            Ok(done) => Ok(done),
            Err(failed) => {
                let error = self.address.explain(failed, term);
                taken.held = None;
                // What is wrong with one store is its own; the other one only has to be opened again.
                taken.why = Some(match &error {
                    StoreError::Fenced { .. } => error.clone(),
                    other => self.address.io(format!("its connection was given up ({other})")),
                });
                Err(error)
            }
        }
    }

    /// In a turn that is given: whoever gives it counts the writes, and finds out what became of one whose answer is lost.
    fn transact_led<T>(
        &self,
        led: &Led,
        writing: &Writing,
        work: impl AsyncFnOnce(&mut Calls<'_>) -> Result<T, Failed>,
    ) -> Result<(Saved, T), StoreError> {
        if let Turn::Broken(error) = &self.turns().turn {
            return Err(error.clone());
        }
        let LedTurn { connection, grant, ended } = led.turn()?;
        let taken_on = grant.timeline;
        let mut held = Held { connection, grant };
        let done = led.run(async {
            let transaction = self.transact(&mut held, writing, work);
            // What is written may be large; each statement has its own limit.
            let limit = if writing.is_long { CHANGING } else { WRITING };
            tokio::time::timeout(limit, transaction).await.unwrap_or(Err(Failed::TooSlow(limit)))
        });
        let (reply, is_usable) = match &done {
            Ok((saved, _)) => (saved.reply(), true),
            Err(Failed::Fenced(_) | Failed::Moved(_)) => (LeaseReply::Unfit, true),
            Err(_) => (LeaseReply::Failed, false),
        };
        let elsewhere = matches!(&done, Ok((saved, _)) if saved.timeline != taken_on);
        // Gone where it was given up waiting for; the connection goes then.
        drop(ended.send(TurnEnd { reply, connection: is_usable.then_some(held.connection) }));
        let error = match done {
            // A row that went back with its server may have been another leader's since.
            Ok(_) if elsewhere => StoreError::Fenced { term: led.term(), seen: led.term() },
            Ok(done) => return Ok(done),
            Err(failed) => self.address.explain(failed, led.term()),
        };
        self.turns().turn = Turn::Broken(match &error {
            StoreError::Fenced { .. } => error.clone(),
            other => self.address.io(format!("its connection was given up ({other})")),
        });
        Err(error)
    }

    async fn transact<T>(
        &self,
        held: &mut Held,
        writing: &Writing,
        work: impl AsyncFnOnce(&mut Calls<'_>) -> Result<T, Failed>,
    ) -> Result<(Saved, T), Failed> {
        let mut calls = Calls::new(&mut held.connection, self.address.schema(), self.limit);
        match writing.may_be_lost {
            true => calls.begin_loosely().await?,
            false => calls.begin("").await?,
        }
        let saved = self.save(&mut calls, held.grant, &writing.progress).await?;
        // From here on nobody else can write to the row, however long it takes.
        calls.within(self.work_limit);
        let value = work(&mut calls).await?;
        calls.simple("commit").await?;
        held.grant.writes = saved.writes;
        self.reached.fetch_max(saved.writes, Ordering::SeqCst);
        Ok((saved, value))
    }

    async fn save(&self, calls: &mut Calls<'_>, grant: Grant, progress: &Progress) -> Result<Saved, Failed> {
        if let Some(saved) = self.shard.save(calls, grant, progress).await? {
            return Ok(saved);
        }
        let seen = self.shard.follow(calls).await?;
        calls.simple("rollback").await?;
        Err(match seen {
            // A turn that was taken late finds the renewal that was made instead.
            Some(seen) if seen.is_ours && seen.term == grant.term => Failed::Moved(RENEWED),
            seen => Failed::Fenced(seen.map_or(0, |seen| seen.term)),
        })
    }

    fn take(&self, first: bool) -> Result<Taken<'_>, StoreError> {
        let mut turns = self.turns();
        turns.count(first, 1);
        let waits = |turns: &mut Turns| match turns.turn {
            Turn::Free(_) => !first && turns.first > 0,
            Turn::Taken => true,
            Turn::Broken(_) | Turn::Given => false,
        };
        let mut turns = self.freed.wait_while(turns, waits).unwrap_or_else(PoisonError::into_inner);
        turns.count(first, -1);
        match replace(&mut turns.turn, Turn::Taken) {
            Turn::Free(held) => Ok(Taken { session: self, held: Some(held), why: None }),
            Turn::Taken | Turn::Given => Err(self.address.io("it is written by another thread")),
            Turn::Broken(error) => {
                turns.turn = Turn::Broken(error.clone());
                Err(error)
            }
        }
    }

    /// How many wait for their turn.
    pub(super) fn waiting(&self) -> usize {
        let turns = self.turns();
        turns.first + turns.others
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turns {
    fn count(&mut self, first: bool, by: isize) {
        let waiting = if first { &mut self.first } else { &mut self.others };
        *waiting = waiting.saturating_add_signed(by);
    }
}

const RENEWED: &str = "the lease was renewed before this write, which came too late; nothing of it is kept, and it is tried again";

/// A turn, given back when it is dropped: without its connection where that is not to be used again.
struct Taken<'a> {
    session: &'a Session,
    held: Option<Box<Held>>,
    why: Option<StoreError>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let unexpected = || self.session.address.io("a write ended unexpectedly");
        let turn = match (self.held.take(), self.why.take()) {
            (Some(held), None) if !std::thread::panicking() => Turn::Free(held),
            (_, why) => Turn::Broken(why.unwrap_or_else(unexpected)),
        };
        self.session.turns().turn = turn;
        self.session.freed.notify_all();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let turn = replace(&mut self.turns().turn, Turn::Broken(self.address.io("it is closed")));
        // A task of a runtime may not wait; the lease runs out then.
        let may_wait = tokio::runtime::Handle::try_current().is_err();
        if let Turn::Free(mut held) = turn
            && may_wait
        {
            let limit = RESIGNING.min(self.limit);
            let all = async {
                let mut calls = Calls::new(&mut held.connection, self.address.schema(), limit);
                calls.begin("").await?;
                self.shard.resign(&mut calls, held.grant).await?;
                calls.simple("commit").await
            };
            let resigning =
                async { tokio::time::timeout(limit, all).await.unwrap_or(Err(Failed::TooSlow(limit))) };
            if let Some(Err(failed)) = self.blocking.run(resigning) {
                let error = self.address.explain(failed, held.grant.term);
                tracing::debug!(%error, "the lease was not let go of; it runs out by itself");
            }
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("address", &self.address)
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}
