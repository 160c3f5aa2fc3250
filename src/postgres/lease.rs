//! The row of a shard: who leads, until when, and how far he has come. One statement each; when they are made, and what follows
//! of it, is for others to say. The database's clock rules all times.

use super::{
    Address,
    calls::{Calls, Statement, column, integer, number},
    errors::Failed,
    hints::CHANNEL,
};
use crate::store::StoreError;
use khronos_engine::lease::{LeaseReply, MemberId};
use sqlx::postgres::PgRow;
use std::{sync::Arc, time::Duration};

/// Which row it is, and who asks.
#[derive(Debug, Clone)]
pub(crate) struct Shard {
    pub(crate) clock: Arc<str>,
    pub(crate) shard: i16,
    /// A UUID: this process, among all that ever asked.
    pub(crate) holder: Arc<str>,
    /// Where others reach this process; shown to those that follow.
    pub(crate) address: Option<Arc<str>>,
    /// By which they know that it is that of a clock of this name.
    pub(crate) seal: Option<Arc<str>>,
    /// For how long a lease holds from the moment of each write.
    pub(crate) ttl: Duration,
}

/// What the row said when it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The term.
    pub term: u64,
    /// Rises with each acquisition and each write.
    pub beat: u64,
    /// Nobody holds it.
    pub is_free: bool,
    /// This process does.
    pub is_ours: bool,
    /// By the database's clock.
    pub is_expired: bool,
    /// Where its holder is reached.
    pub address: Option<String>,
    /// The server only follows another one: it is never asked to lead.
    pub is_replica: bool,
}

/// What an acquisition gave: the right to write, until somebody else acquires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// The term: its upper 32 bits are the timeline of Postgres, which rises at each promotion (0 where it can't be known).
    pub term: u64,
    /// Writes of the shard so far.
    pub writes: u64,
    /// The server tells its timeline.
    pub tells: bool,
    /// The timeline of the server as it was acquired; 0 where it does not tell.
    pub timeline: u32,
}

/// What a write leaves in the row beside the lease; `None` leaves what is there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    pub(crate) settled: Option<i64>,
    pub(crate) handed: Option<i64>,
    pub(crate) complete: Option<i64>,
    pub(crate) state: Option<Vec<u8>>,
}

/// What a transaction is to be.
#[derive(Debug, Default)]
pub(crate) struct Writing {
    /// What is left in the row beside the lease.
    pub(crate) progress: Progress,
    /// It goes before others that wait.
    pub(crate) goes_first: bool,
    /// Its end need not wait for the disk: a crash of the server may lose it, and never what came before without it.
    pub(crate) may_be_lost: bool,
    /// It may take hours.
    pub(crate) is_long: bool,
}

impl Writing {
    /// One that changes the tables themselves.
    pub(super) fn long() -> Self {
        Self { goes_first: true, is_long: true, ..Self::default() }
    }
}

/// What the row answered to a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Saved {
    /// Writes of the shard, this one counted.
    pub writes: u64,
    /// Which process asks for it.
    pub wanted_by: Option<MemberId>,
    /// The timeline of the server; 0 where it does not tell.
    pub timeline: u32,
}

impl Saved {
    /// As a member of the lease reads it.
    pub(crate) fn reply(&self) -> LeaseReply {
        LeaseReply::Saved { wanted_by: self.wanted_by, timeline: self.timeline }
    }
}

/// Under which timeline a term was given.
pub(super) fn timeline_of(term: u64) -> u32 {
    (term >> 32) as u32
}

/// What asks for the timeline: 0 of a server that does not tell it. Nothing is made of the term instead, which may be that of a row
/// that was brought from another database.
pub(super) fn timeline(tells: bool) -> &'static str {
    match tells {
        true => {
            "(('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::bigint << 32)"
        }
        false => "0::bigint",
    }
}

/// Whether it does: not where the functions of its log are missing or forbidden.
pub(super) async fn tells_its_timeline(calls: &mut Calls<'_>) -> Result<bool, Failed> {
    let asked = calls.statement(
        "select coalesce(bool_and(coalesce(has_function_privilege(to_regprocedure(name)::oid, 'execute'), false)), false)
         from (values ('pg_current_wal_insert_lsn()'), ('pg_walfile_name(pg_lsn)')) as functions (name)",
    );
    match calls.one(asked).await? {
        Some(row) => column(&row, 0),
        None => Ok(false),
    }
}

impl Shard {
    fn named(&self, calls: &Calls<'_>, sql: &str) -> Statement {
        calls.statement(sql).bind(&*self.clock).bind(self.shard)
    }

    /// This process, as a member of the lease. Its id was made up as a UUID.
    pub(crate) fn member(&self) -> u128 {
        uuid::Uuid::parse_str(&self.holder).map_or(0, |id| id.as_u128())
    }

    fn ttl(&self) -> i64 {
        i64::try_from(self.ttl.as_millis()).unwrap_or(i64::MAX)
    }

    /// Makes the row where there is none, in a transaction of its own: one program after the other, for the schema is one clock's. What
    /// another one left that never wrote anything goes.
    ///
    /// # Errors
    /// [`StoreError::OtherClock`] where it is another one's.
    pub(super) async fn create(&self, calls: &mut Calls<'_>, address: &Address) -> Result<(), Failed> {
        let exists = "select 1 from {s}.shard where clock = $1 and shard = $2";
        if calls.one(self.named(calls, exists)).await?.is_some() {
            return Ok(());
        }
        super::schema::lock(calls).await?;
        // One that has a row and has not led yet will lead in a moment.
        let left =
            "delete from {s}.shard where clock <> $1 and shard = $2 and w is null and isfinite(expires_at)
            and (holder is null or expires_at < clock_timestamp() - interval '10 s')";
        calls.execute(self.named(calls, left)).await?;
        let other = "select clock from {s}.shard where clock <> $1 and shard = $2 limit 1";
        if let Some(row) = calls.one(self.named(calls, other)).await? {
            let (path, configured) = (address.shown().to_owned(), self.clock.to_string());
            return Err(StoreError::OtherClock { path, kept: column(&row, 0)?, configured }.into());
        }
        let insert = "insert into {s}.shard (clock, shard) values ($1, $2) on conflict do nothing";
        calls.execute(self.named(calls, insert)).await.map(drop)
    }

    /// Looks at the row; `None` where there is none.
    pub(crate) async fn follow(&self, calls: &mut Calls<'_>) -> Result<Option<Seen>, Failed> {
        let look = "select term, beat, holder is null, coalesce(holder = $3::uuid, false), expires_at <= clock_timestamp(),
                address, pg_is_in_recovery()
            from {s}.shard where clock = $1 and shard = $2";
        let row = calls.one(self.named(calls, look).bind(&*self.holder)).await?;
        row.as_ref().map(seen).transpose()
    }

    /// Acquires the row as it was seen, and only so: from nobody, from one whose lease has run out, or from this process
    /// itself. `None` where somebody else was faster, or holds it. Waits for a write that is under way.
    pub(crate) async fn acquire(
        &self,
        calls: &mut Calls<'_>,
        seen: &Seen,
        tells_its_timeline: bool,
    ) -> Result<Option<Grant>, Failed> {
        let acquired = self.acquire_seen(calls, (seen.term, seen.beat), tells_its_timeline).await?;
        Ok(acquired.map(|(grant, _)| grant))
    }

    /// The same from a term and a beat. It notes since when it leads, and how long nobody did, which it gives too (milliseconds):
    /// since the last write of a leader that is gone, or since one resigned.
    pub(super) async fn acquire_seen(
        &self,
        calls: &mut Calls<'_>,
        (term, beat): (u64, u64),
        tells: bool,
    ) -> Result<Option<(Grant, Option<i64>)>, Failed> {
        let timeline = timeline(tells);
        // The third: the database's clock went back.
        let acquire = format!(
            "update {{s}}.shard set term = greatest(term + 1, {timeline}), holder = $3::uuid, address = $4, seal = $9, beat = beat + 1,
                wanted_by = null, expires_at = clock_timestamp() + $5::bigint * interval '1 ms',
                since = clock_timestamp(), gap = case when isfinite(expires_at) then
                    (extract(epoch from clock_timestamp() - expires_at) * 1000)::bigint
                    + case when holder is null then 0 else $5::bigint end end
             where clock = $1 and shard = $2 and term = $6 and beat = $7
                and (holder is null or holder = $3::uuid or expires_at <= clock_timestamp()
                     or expires_at > clock_timestamp() + 2 * $5::bigint * interval '1 ms')
                and not exists (select from {{s}}.migration where number > $8)
             returning term, writes, {timeline}, gap"
        );
        let acquire = self
            .named(calls, &acquire)
            .bind(&*self.holder)
            .bind(self.address.as_deref())
            .bind(self.ttl())
            .bind(integer(term))
            .bind(integer(beat))
            .bind(i64::from(super::schema::NEWEST))
            .bind(self.seal.as_deref());
        let row = calls.one(acquire).await?;
        let granted = |row: PgRow| {
            let timeline = timeline_of(number(&row, 2)?);
            let grant = Grant { term: number(&row, 0)?, writes: number(&row, 1)?, tells, timeline };
            Ok((grant, column(&row, 3)?))
        };
        row.map(granted).transpose()
    }

    /// Counts a write, and renews the lease by it: the first statement of each transaction, and alone a heartbeat. `None` where
    /// the row is not as this process left it: another one leads.
    pub(crate) async fn save(
        &self,
        calls: &mut Calls<'_>,
        grant: Grant,
        progress: &Progress,
    ) -> Result<Option<Saved>, Failed> {
        let timeline = timeline(grant.tells);
        let save = format!(
            "update {{s}}.shard set beat = beat + 1, writes = writes + 1,
                expires_at = clock_timestamp() + $6::bigint * interval '1 ms',
                saved_on = {timeline} >> 32,
                w = coalesce($7, w), h = coalesce($8, h), complete = coalesce($9, complete), state = coalesce($10, state)
             where clock = $1 and shard = $2 and term = $3 and holder = $4::uuid and writes = $5
             returning writes, wanted_by::text, {timeline}"
        );
        let save = self
            .named(calls, &save)
            .bind(integer(grant.term))
            .bind(&*self.holder)
            .bind(integer(grant.writes))
            .bind(self.ttl())
            .bind(progress.settled)
            .bind(progress.handed)
            .bind(progress.complete)
            .bind(progress.state.as_deref());
        let row = calls.one(save).await?;
        let saved = |row: PgRow| {
            Ok(Saved {
                writes: number(&row, 0)?,
                wanted_by: super::row::member(column(&row, 1)?)?,
                timeline: timeline_of(number(&row, 2)?),
            })
        };
        row.map(saved).transpose()
    }

    /// Lets it go, so that the next one need not wait; whoever listens hears of it. Whether it was there to let go of.
    pub(crate) async fn resign(&self, calls: &mut Calls<'_>, grant: Grant) -> Result<bool, Failed> {
        let resign =
            "update {s}.shard set holder = null, address = null, seal = null, beat = beat + 1, expires_at = clock_timestamp()
             where clock = $1 and shard = $2 and term = $3 and holder = $4::uuid and writes = $5";
        let resign = self
            .named(calls, resign)
            .bind(integer(grant.term))
            .bind(&*self.holder)
            .bind(integer(grant.writes));
        if calls.execute(resign).await? == 0 {
            return Ok(false);
        }
        self.hint(calls).await?;
        Ok(true)
    }

    /// Whoever listens looks at the row once this transaction is committed.
    pub(super) async fn hint(&self, calls: &mut Calls<'_>) -> Result<(), Failed> {
        let notify = calls.statement("select pg_notify($1, $2)").bind(CHANNEL).bind(self.clock.to_string());
        calls.one(notify).await.map(drop)
    }
}

fn seen(row: &PgRow) -> Result<Seen, Failed> {
    Ok(Seen {
        term: number(row, 0)?,
        beat: number(row, 1)?,
        is_free: column(row, 2)?,
        is_ours: column(row, 3)?,
        is_expired: column(row, 4)?,
        address: column(row, 5)?,
        is_replica: column(row, 6)?,
    })
}
