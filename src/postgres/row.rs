//! What a member of the lease asks of the row, call by call, by a connection that is kept for that.

use super::{
    Door,
    calls::{Calls, Statement, column, integer, limited, number},
    errors::Failed,
    lease::{self, Grant, Progress, Shard},
    schema,
};
use crate::{clock, engine::Reading, store::Warmth};
use khronos_engine::lease::{LeaseCall, LeaseReply, LeaseRow, MemberId};
use ponos::{event::Timestamp, redact::redact};
use sqlx::{ConnectOptions as _, PgConnection, postgres::PgRow};
use std::time::Duration;
use uuid::Uuid;

/// The connection of a member, and what is known of its server.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) connection: PgConnection,
    /// Whether the server tells its timeline.
    pub(crate) tells: bool,
}

/// What a member shows of itself to the others, once a second.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemberShown {
    /// Its version of khronos.
    pub(crate) version: String,
    /// The release of its time zone data.
    pub(crate) time_zones: String,
    /// By how many milliseconds its clock is ahead of the database's.
    pub(crate) ahead: Option<i64>,
    /// It is connected to its broker.
    pub(crate) has_broker: bool,
    /// Of one that follows: whether it would take over at once.
    pub(crate) warmth: Option<Warmth>,
}

/// What a call brought.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) reply: LeaseReply,
    /// Of a look: where the leader is reached, while there is one whose lease holds.
    pub(crate) leader: Option<LeaderShown>,
    /// Of a look, and of a lease that was taken: how long nobody led before the present term (milliseconds), where that is known.
    pub(crate) gap: Option<i64>,
}

/// Where a leader is reached, as the tables say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeaderShown {
    pub(crate) address: String,
    /// Its UUID.
    pub(crate) member: String,
    pub(crate) seal: Option<String>,
}

impl From<LeaseReply> for Told {
    fn from(reply: LeaseReply) -> Self {
        Self { reply, leader: None, gap: None }
    }
}

/// Characters of why a member is not warm.
const MOST_WORDS: usize = 500;
/// Members that were not seen for so long (milliseconds) are forgotten.
const FORGOTTEN: i64 = 60 * 60 * 1_000;

impl Line {
    /// Connects.
    pub(crate) async fn connect(door: &Door, limit: Duration) -> Result<Self, Failed> {
        let connection = limited(limit, door.address().options().connect()).await?;
        let mut line = Self { connection, tells: false };
        let mut calls = line.calls(door, limit);
        calls.begin("").await?;
        let tells = lease::tells_its_timeline(&mut calls).await?;
        calls.simple("commit").await?;
        line.tells = tells;
        Ok(line)
    }

    /// Makes what the lease needs of the tables, and the row.
    pub(crate) async fn prepare(&mut self, door: &Door, limit: Duration) -> Result<(), Failed> {
        let mut calls = self.calls(door, limit);
        schema::migrate(&mut calls).await?;
        calls.begin("").await?;
        door.shard().create(&mut calls, door.address()).await?;
        calls.simple("commit").await
    }

    fn calls<'a>(&'a mut self, door: &'a Door, limit: Duration) -> Calls<'a> {
        Calls::new(&mut self.connection, door.address().schema(), limit)
    }

    /// Asks; where the member is to be shown, that goes with it. After an error the connection must not be used again.
    pub(crate) async fn ask(
        &mut self,
        door: &Door,
        call: LeaseCall,
        shown: Option<&MemberShown>,
        limit: Duration,
    ) -> Result<Told, Failed> {
        let (shard, tells) = (door.shard(), self.tells);
        let mut calls = self.calls(door, limit);
        calls.begin("").await?;
        let told = shard.answer(&mut calls, call, tells).await?;
        let may_write = match &told.reply {
            LeaseReply::Looked(row) => !row.in_recovery,
            LeaseReply::Saved { .. } => true,
            _ => false,
        };
        if let Some(shown) = shown.filter(|_| may_write) {
            // Tables of an older version have no place for all of it.
            let is_complete =
                matches!(&told.reply, LeaseReply::Looked(row) if row.schema >= schema::WARMTH_FROM);
            shard.show(&mut calls, shown, is_complete).await?;
        }
        calls.simple("commit").await?;
        Ok(told)
    }
}

impl Shard {
    async fn answer(&self, calls: &mut Calls<'_>, call: LeaseCall, tells: bool) -> Result<Told, Failed> {
        Ok(match call {
            LeaseCall::Look => return self.look(calls, tells).await,
            LeaseCall::Acquire { term, beat } => match self.acquire_seen(calls, (term, beat), tells).await? {
                Some((Grant { term, writes, timeline, .. }, gap)) => {
                    let reply = LeaseReply::Acquired { term, writes, timeline };
                    return Ok(Told { reply, leader: None, gap });
                }
                None => LeaseReply::Unfit,
            },
            LeaseCall::Save { term, writes, .. } => {
                let grant = Grant { term, writes, tells, timeline: 0 };
                let saved = self.save(calls, grant, &Progress::default()).await?;
                saved.map_or(LeaseReply::Unfit, |saved| saved.reply())
            }
            LeaseCall::Resign { term, writes } => {
                let grant = Grant { term, writes, tells, timeline: 0 };
                match self.resign(calls, grant).await? {
                    true => LeaseReply::Resigned,
                    false => LeaseReply::Unfit,
                }
            }
            LeaseCall::Report { age } => {
                let report =
                    "update {s}.member set probed_at = clock_timestamp() - $4::bigint * interval '1 ms'
                    where clock = $1 and shard = $2 and id = $3::uuid";
                calls.execute(self.mine(calls, report).bind(age)).await?;
                LeaseReply::Done
            }
            LeaseCall::Ask { within } => {
                let ask = "select count(*) from {s}.member where clock = $1 and shard = $2 and id <> $3::uuid
                    and probed_at > clock_timestamp() - $4::bigint * interval '1 ms'";
                let row = calls.one(self.mine(calls, ask).bind(within)).await?;
                let others = row.map(|row| number(&row, 0)).transpose()?;
                LeaseReply::Asked(others.is_some_and(|others| others > 0))
            }
            LeaseCall::Want { term } => {
                let want =
                    "update {s}.shard set wanted_by = $3::uuid where clock = $1 and shard = $2 and term = $4";
                calls.execute(self.mine(calls, want).bind(integer(term))).await?;
                LeaseReply::Done
            }
        }
        .into())
    }

    fn mine(&self, calls: &Calls<'_>, sql: &str) -> Statement {
        calls.statement(sql).bind(self.clock.to_string()).bind(self.shard).bind(self.holder.to_string())
    }

    async fn look(&self, calls: &mut Calls<'_>, tells: bool) -> Result<Told, Failed> {
        let timeline = lease::timeline(tells);
        // A standby has no timeline of its own to write to.
        let look = format!(
            "select term, holder::text, beat, writes,
                case when isfinite(expires_at)
                     then (extract(epoch from expires_at - clock_timestamp()) * 1000)::bigint else -1 end,
                wanted_by::text, (select coalesce(max(number), 0)::bigint from {{s}}.migration),
                (extract(epoch from clock_timestamp()) * 1000)::bigint, pg_is_in_recovery(),
                case when pg_is_in_recovery() then 0::bigint else {timeline} end, address, saved_on, holder::text, seal, gap
             from {{s}}.shard where clock = $1 and shard = $2"
        );
        let look = calls.statement(&look).bind(self.clock.to_string()).bind(self.shard);
        let row = calls.one(look).await?;
        let row = row.ok_or_else(|| Failed::Unreadable("the row of the clock is missing".into()))?;
        let seen = looked(&row)?;
        let (address, member): (Option<String>, Option<String>) = (column(&row, 10)?, column(&row, 12)?);
        let (seal, gap) = (column(&row, 13)?, column(&row, 14)?);
        let leader = address.zip(member).filter(|_| seen.left > 0);
        let leader = leader.map(|(address, member)| LeaderShown { address, member, seal });
        Ok(Told { reply: LeaseReply::Looked(seen), leader, gap })
    }

    /// Puts the member into the table of members, and forgets those that were not seen for long.
    async fn show(
        &self,
        calls: &mut Calls<'_>,
        shown: &MemberShown,
        is_complete: bool,
    ) -> Result<(), Failed> {
        let (columns, values, set) = match is_complete {
            true => (
                ", warm_at, cold",
                ", clock_timestamp() - $9::bigint * interval '1 ms', $10",
                ", warm_at = excluded.warm_at, cold = excluded.cold",
            ),
            false => ("", "", ""),
        };
        let upsert = format!(
            "insert into {{s}}.member (clock, shard, id, address, version, zones, ahead, has_broker, seen_at{columns})
            values ($1, $2, $3::uuid, $4, $5, $6, $7, $8, clock_timestamp(){values})
            on conflict (clock, shard, id) do update set address = excluded.address, ahead = excluded.ahead,
                zones = excluded.zones, has_broker = excluded.has_broker, seen_at = excluded.seen_at{set}"
        );
        let mut upsert = self
            .mine(calls, &upsert)
            .bind(self.address.as_deref().map(str::to_owned))
            .bind(shown.version.clone())
            .bind(shown.time_zones.clone())
            .bind(shown.ahead)
            .bind(shown.has_broker);
        if is_complete {
            let (age, cold): (Option<i64>, Option<String>) = match &shown.warmth {
                Some(Warmth::Warm(as_of)) => (Some(age(as_of)), None),
                Some(Warmth::Cold(why)) => (None, Some(redact(why).chars().take(MOST_WORDS).collect())),
                None => (None, None),
            };
            upsert = upsert.bind(age).bind(cold);
        }
        calls.execute(upsert).await?;
        let forget = "delete from {s}.member where clock = $1 and shard = $2 and id <> $3::uuid
            and seen_at < clock_timestamp() - $4::bigint * interval '1 ms'";
        calls.execute(self.mine(calls, forget).bind(FORGOTTEN)).await.map(drop)
    }
}

/// Of what was read then, in milliseconds, whatever became of the wall clock since.
fn age(as_of: &Reading) -> i64 {
    clock::reading().boot.saturating_sub(as_of.boot).max(0)
}

fn looked(row: &PgRow) -> Result<LeaseRow, Failed> {
    // Of a server that does not tell it nothing is believed: the term may name that of another database.
    let told = (number(row, 9)? >> 32) as u32;
    Ok(LeaseRow {
        term: number(row, 0)?,
        holder: member(column(row, 1)?)?,
        beat: number(row, 2)?,
        writes: number(row, 3)?,
        left: column(row, 4)?,
        wanted_by: member(column(row, 5)?)?,
        schema: u32::try_from(number(row, 6)?).unwrap_or(u32::MAX),
        now: Timestamp::from_millis(column(row, 7)?),
        in_recovery: column(row, 8)?,
        timeline: told,
        saved_on: u32::try_from(number(row, 11)?).unwrap_or_default(),
    })
}

/// A member by its UUID.
pub(super) fn member(id: Option<String>) -> Result<Option<MemberId>, Failed> {
    let unreadable = |_| Failed::Unreadable("the id of a member is not a UUID".into());
    id.map(|id| Uuid::parse_str(&id).map(|id| MemberId(id.as_u128())).map_err(unreadable)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::fixture::{PATIENCE, Tables};
    use testkit::Postgres;

    #[tokio::test]
    async fn of_a_server_that_does_not_tell_its_timeline_none_is_believed_whatever_the_term_names() {
        let postgres = Postgres::shared();
        postgres.database("untold");
        postgres.sql(
            "untold",
            "create role untold login password 'sesame'; grant create on database untold to untold;
             revoke execute on function pg_walfile_name(pg_lsn) from public",
        );
        let tables = Tables::at(&postgres.url("untold", "sesame", "untold"));
        let door = tables.door("khronos");
        let mut line = Line::connect(&door, PATIENCE).await.unwrap();
        assert!(!line.tells);
        line.prepare(&door, PATIENCE).await.unwrap();
        // It was brought from a database that had been promoted.
        let bring = "update {s}.shard set term = (5::bigint << 32) | 3, saved_on = 5";
        postgres.sql("untold", &bring.replace("{s}", tables.schema()));
        let mut ask = async |call| line.ask(&door, call, None, PATIENCE).await.unwrap().reply;
        let looked = ask(LeaseCall::Look).await;
        let LeaseReply::Looked(row) = looked else { panic!("{looked:?}") };
        assert_eq!((row.term >> 32, row.timeline, row.saved_on), (5, 0, 5));
        let LeaseRow { term, beat, writes, .. } = row;
        let acquired = ask(LeaseCall::Acquire { term, beat }).await;
        assert_eq!(acquired, LeaseReply::Acquired { term: term + 1, writes, timeline: 0 });
        let saved = ask(LeaseCall::Save { term: term + 1, writes, job: None }).await;
        assert_eq!(saved, LeaseReply::Saved { wanted_by: None, timeline: 0 });
        let looked = ask(LeaseCall::Look).await;
        assert!(matches!(looked, LeaseReply::Looked(LeaseRow { saved_on: 0, .. })), "{looked:?}");
    }
}
