//! Who the clocks of one name are, as their tables say: for people.

use super::{
    Door, Line,
    calls::{Calls, column, number},
    errors::Failed,
};
use crate::store::StoreError;
use khronos_engine::lease::LeaseTimes;
use serde::Serialize;
use sqlx::postgres::PgRow;
use std::time::Duration;
use utoipa::ToSchema;

/// How long each call may take: somebody waits for it.
const LIMIT: Duration = Duration::from_secs(5);
/// A member that was seen within this (milliseconds) lives.
const LIVES: i64 = 3_000;
/// What was read within this (milliseconds) is warm: what is older is of a member that led meanwhile, or whose looks fail.
pub(crate) const WARM: i64 = 5_000;

/// The clocks of one name on one database.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ClusterSeen {
    /// The clock's name.
    pub clock: String,
    /// Where the leader is reached; `null` where it does not say, or nobody leads.
    pub leader: Option<String>,
    /// Somebody holds a lease that has not run out.
    pub is_led: bool,
    /// The last term that was given.
    pub term: u64,
    /// The timeline of the database under which it was; 0 where the server does not tell.
    pub timeline: u32,
    /// Since when its holder leads (RFC 3339).
    pub since: Option<String>,
    /// How long nobody led before (milliseconds): since the last write of a leader that was gone, or since one resigned.
    pub gap_ms: Option<i64>,
    /// All that were seen within an hour, those seen last first.
    pub members: Vec<MemberSeen>,
}

/// One of them.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct MemberSeen {
    /// Made up when its process starts.
    pub id: String,
    /// It holds the lease.
    pub leads: bool,
    /// It was seen within the last three seconds.
    pub lives: bool,
    /// Where it is reached.
    pub address: Option<String>,
    /// Its version of khronos.
    pub version: String,
    /// The release of its time zone data.
    pub time_zones: String,
    /// By how many milliseconds its time is ahead of the database's.
    pub ahead_ms: Option<i64>,
    /// It is connected to its broker.
    pub has_broker: bool,
    /// How long ago it was seen (milliseconds).
    pub seen_ms_ago: i64,
    /// How long ago the broker confirmed something that it published as a follower (milliseconds).
    pub probed_ms_ago: Option<i64>,
    /// It holds what the leader kept within the last five seconds, and would take over at once; `null` where it leads, is gone, or does
    /// not say.
    pub warm: Option<bool>,
    /// How long ago what it holds was read (milliseconds).
    pub warm_ms_ago: Option<i64>,
    /// Why it would read everything first.
    pub cold: Option<String>,
}

/// What became of the wish that another clock leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Resigning {
    /// The leader makes room for this member, which is warm.
    Asked(String),
    /// The same where no member that fits is known to be warm: this one may read everything first.
    Cold {
        /// The member.
        next: String,
        /// Why it is not warm, where it says so.
        why: Option<String>,
    },
    /// Nobody leads.
    NotLed,
    /// No other member lives that is connected to its broker.
    Alone,
}

impl ClusterSeen {
    /// As the tables say now.
    ///
    /// # Errors
    /// [`StoreError`], also where there are no such tables yet.
    pub async fn of(door: &Door) -> Result<Self, StoreError> {
        asked(door, async |calls| look(calls, door).await).await
    }
}

/// Asks the leader to make room: for the warm member that was seen last, or where there is none for any other.
///
/// # Errors
/// [`StoreError`].
pub async fn resign(door: &Door) -> Result<Resigning, StoreError> {
    asked(door, async |calls| want_another(calls, door).await).await
}

/// Asks on a connection of its own, in one transaction.
pub(super) async fn asked<T>(
    door: &Door,
    ask: impl AsyncFnOnce(&mut Calls<'_>) -> Result<T, Failed>,
) -> Result<T, StoreError> {
    let asking = async {
        let mut line = Line::connect(door, LIMIT).await?;
        let mut calls = Calls::new(&mut line.connection, door.address().schema(), LIMIT);
        calls.begin("").await?;
        let told = ask(&mut calls).await?;
        calls.simple("commit").await?;
        Ok(told)
    };
    asking.await.map_err(|failed| door.address().explain(failed, 0))
}

async fn look(calls: &mut Calls<'_>, door: &Door) -> Result<ClusterSeen, Failed> {
    let shard = door.shard();
    let clock = shard.clock.to_string();
    let row = "select term, address, coalesce(holder is not null and expires_at > clock_timestamp(), false),
            to_char(since at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), gap, saved_on
        from {s}.shard where clock = $1 and shard = $2";
    let row = calls.one(calls.statement(row).bind(clock.clone()).bind(shard.shard)).await?;
    let row = row.ok_or_else(|| Failed::Unreadable(format!("no clock called '{clock}' ever ran there")))?;
    // By their names, for tables of an older version lack some columns.
    let members = "select member.id::text, coalesce(member.id = holder, false), member.address, version, zones, ahead, has_broker,
            (extract(epoch from clock_timestamp() - seen_at) * 1000)::bigint,
            (extract(epoch from clock_timestamp() - probed_at) * 1000)::bigint,
            (extract(epoch from clock_timestamp() - (to_jsonb(member) ->> 'warm_at')::timestamptz) * 1000)::bigint,
            to_jsonb(member) ->> 'cold'
        from {s}.member join {s}.shard using (clock, shard) where clock = $1 and shard = $2
        order by seen_at desc limit 100";
    let members = calls.all(calls.statement(members).bind(clock.clone()).bind(shard.shard)).await?;
    let term = number(&row, 0)?;
    let is_led: bool = column(&row, 2)?;
    let leader: Option<String> = column(&row, 1)?;
    Ok(ClusterSeen {
        clock,
        leader: leader.filter(|_| is_led),
        is_led,
        term,
        timeline: u32::try_from(number(&row, 5)?).unwrap_or_default(),
        since: column(&row, 3)?,
        gap_ms: column(&row, 4)?,
        members: members.iter().map(member).collect::<Result<_, _>>()?,
    })
}

fn member(row: &PgRow) -> Result<MemberSeen, Failed> {
    let (leads, seen_ms_ago): (bool, i64) = (column(row, 1)?, column(row, 7)?);
    let lives = seen_ms_ago < LIVES;
    // What a leader was when it followed last says nothing, nor what one was that is gone.
    let (warm_ms_ago, cold): (Option<i64>, Option<String>) = match lives && !leads {
        true => (column(row, 9)?, column(row, 10)?),
        false => (None, None),
    };
    let warm = (warm_ms_ago.is_some() || cold.is_some()).then(|| warm_ms_ago.is_some_and(|ago| ago < WARM));
    Ok(MemberSeen {
        id: column(row, 0)?,
        leads,
        lives,
        address: column(row, 2)?,
        version: column(row, 3)?,
        time_zones: column(row, 4)?,
        ahead_ms: column(row, 5)?,
        has_broker: column(row, 6)?,
        seen_ms_ago,
        probed_ms_ago: column(row, 8)?,
        warm,
        warm_ms_ago,
        cold,
    })
}

async fn want_another(calls: &mut Calls<'_>, door: &Door) -> Result<Resigning, Failed> {
    let cluster = look(calls, door).await?;
    if !cluster.is_led {
        return Ok(Resigning::NotLed);
    }
    let skew = LeaseTimes::default().skew;
    let is_on_time = |member: &MemberSeen| member.ahead_ms.is_none_or(|ahead| ahead.abs() <= skew);
    let fits =
        |member: &&MemberSeen| !member.leads && member.lives && member.has_broker && is_on_time(member);
    // The first of them where several are alike.
    let next = cluster.members.iter().filter(fits).min_by_key(|member| member.warm != Some(true));
    let Some(next) = next else { return Ok(Resigning::Alone) };
    let want = "update {s}.shard set wanted_by = $3::uuid where clock = $1 and shard = $2 and term = $4";
    let want = calls.statement(want).bind(cluster.clock.clone()).bind(door.shard().shard);
    let done = calls.execute(want.bind(next.id.clone()).bind(super::integer(cluster.term))).await?;
    door.shard().hint(calls).await?;
    let name = next.address.clone().unwrap_or(next.id.clone());
    Ok(match next.warm {
        _ if done == 0 => Resigning::NotLed,
        Some(true) => Resigning::Asked(name),
        _ => Resigning::Cold { next: name, why: next.cold.clone() },
    })
}
