//! Under which leadership the rows of a record were written: a row for each leadership that wrote any, with the number behind which it
//! began.
//!
//! Numbers rise, and a transaction that adds rows is fenced by the term; so what lies behind the number of one leadership was written
//! under it, as far as that of the next. Rows have no term of their own: they are many, and leaderships are few. Nothing is decided by it.

use super::{
    calls::{Calls, column, integer, number},
    errors::Failed,
    lease::Shard,
    numbered::of,
};
use crate::store::Leader;
use ponos::event::Timestamp;
use sqlx::postgres::PgRow;

/// Leaderships that are kept of each record: the newest.
const KEPT: u64 = 1_000;

/// Notes that the leadership of this transaction adds the rows of this record behind `behind`; what was noted of it before stays. In the
/// transaction that adds the first of them.
pub(crate) async fn note_leadership(
    calls: &mut Calls<'_>,
    shard: &Shard,
    record: &str,
    behind: u64,
) -> Result<(), Failed> {
    let note = "insert into {s}.leadership (clock, shard, record, term, behind, address, since)
        select clock, shard, $3, term, $4, address, since from {s}.shard where clock = $1 and shard = $2
        on conflict do nothing";
    calls.execute(of(calls, shard, note).bind(record).bind(integer(behind))).await?;
    let old = "delete from {s}.leadership where clock = $1 and shard = $2 and record = $3 and term <=
        (select term from {s}.leadership where clock = $1 and shard = $2 and record = $3 order by term desc offset $4 limit 1)";
    calls.execute(of(calls, shard, old).bind(record).bind(integer(KEPT))).await.map(drop)
}

/// Under which the row of this number was written; none where that is not kept, nor the table there, which a leader of an earlier
/// version has not made.
pub(crate) async fn leader(
    calls: &mut Calls<'_>,
    shard: &Shard,
    record: &str,
    row: u64,
) -> Result<Option<Leader>, Failed> {
    let there = calls.one(calls.statement("select to_regclass('{s}.leadership') is not null")).await?;
    if !there.map_or(Ok(false), |row| column(&row, 0))? {
        return Ok(None);
    }
    let look = "select term, address, (extract(epoch from since) * 1000)::bigint from {s}.leadership
        where clock = $1 and shard = $2 and record = $3 and behind < $4 order by term desc limit 1";
    let found = calls.one(of(calls, shard, look).bind(record).bind(integer(row))).await?;
    let leader = |row: PgRow| {
        let since: Option<i64> = column(&row, 2)?;
        Ok(Leader {
            term: number(&row, 0)?,
            address: column(&row, 1)?,
            since: since.map(Timestamp::from_millis),
        })
    };
    found.map(leader).transpose()
}
