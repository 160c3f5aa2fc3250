//! What a batch makes of the tables, within the transaction of its write.

use super::{
    answers,
    overlay::{Difference, Overlay, astray},
    state::State,
};
use crate::{
    delayed::encoding,
    engine::delayed::{DelayedBatch, DelayedLimits, OwnerShare, PORTION, TOMBSTONES_KEPT, Tombstone},
    postgres::{Added, Calls, Failed, First, Kept, Numbered, Shard, column, integer, number, of},
};
use ponos::event::Timestamp;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// Writes a batch, and trims what is too old or too much.
pub(super) async fn apply(
    calls: &mut Calls<'_>,
    shard: &Shard,
    batch: &DelayedBatch,
    limits: &DelayedLimits,
    (record, log): (&mut Numbered, &mut Numbered),
    state: &mut State,
) -> Result<(), Failed> {
    let now = batch.now;
    state.meta.created = state.meta.created.max(batch.created);
    let mut overlay = Overlay::read(calls, shard, batch).await?;
    for step in &batch.steps {
        overlay.step(step, now, state)?;
    }
    overlay.write(calls, shard).await?;
    bury(calls, shard, now, limits, &overlay.tombstones, state).await?;
    answers::write(calls, shard, batch, &mut overlay).await?;
    let meta = &mut state.meta;

    let kept = Kept { count: limits.rows, since: now.plus(limits.age.saturating_neg()), over: 0 };
    let bounds = (&mut meta.first_row, &mut meta.last_row);
    add(calls, shard, record, bounds, &overlay.rows, kept).await?;

    let mut changes = Added::default();
    for change in &batch.changes {
        changes.at.push(change.at);
        changes.bytes.push(change.bytes() as u64);
        changes.values.push(encoding::value(change)?);
    }
    state.changes_bytes += changes.bytes.iter().sum::<u64>();
    let over = state.changes_bytes.saturating_sub(limits.changes_bytes);
    let kept = Kept { count: limits.changes, since: now.plus(limits.changes_age.saturating_neg()), over };
    let bounds = (&mut meta.first_change, &mut meta.last_change);
    let gone = add(calls, shard, log, bounds, &changes, kept).await?;
    state.changes_bytes = state.changes_bytes.saturating_sub(gone);

    write_shares(calls, shard, &overlay.shares).await?;
    if !state.meta.balance.is_right() {
        return Err(Failed::Unreadable("its balance is wrong".into()));
    }
    state.write(calls, shard).await
}

/// Adds to a numbered table, and trims it; for how many bytes counted what went.
async fn add(
    calls: &mut Calls<'_>,
    shard: &Shard,
    numbered: &mut Numbered,
    (first, last): (&mut u64, &mut u64),
    added: &Added,
    kept: Kept,
) -> Result<u64, Failed> {
    let (stays, gone) = loop {
        match numbered.first_kept((*first, *last), added, kept) {
            First::Stays { number, gone } => break (number, gone),
            First::LookFrom(from) => {
                let looked = numbered.look(calls, shard, from).await?;
                numbered.looked(looked);
            }
        }
    };
    let trimmed = (stays > *first).then_some(stays);
    numbered.write(calls, shard, *last, added, trimmed).await?;
    *first = stays;
    *last += added.values.len() as u64;
    Ok(gone)
}

/// Writes tombstones, and removes those that are too old, or too many.
async fn bury(
    calls: &mut Calls<'_>,
    shard: &Shard,
    now: Timestamp,
    limits: &DelayedLimits,
    tombstones: &BTreeMap<Arc<str>, Tombstone>,
    state: &mut State,
) -> Result<(), Failed> {
    let mut added = 0;
    if !tombstones.is_empty() {
        let names: Vec<Vec<u8>> = tombstones.keys().map(|name| name.as_bytes().to_vec()).collect();
        let count = "select count(*) from {s}.delayed_tombstone
             where clock = $1 and shard = $2 and name = any ($3::bytea[])";
        let there = match calls.one(of(calls, shard, count).bind(&names)).await? {
            Some(row) => number(&row, 0)?,
            None => 0,
        };
        added = (names.len() as u64).saturating_sub(there);
        let at: Vec<i64> = tombstones.values().map(|one| one.at.millis()).collect();
        let values = tombstones.values().map(encoding::value).collect::<Result<Vec<_>, _>>()?;
        let insert = "insert into {s}.delayed_tombstone (clock, shard, name, at, value)
             select $1, $2, name, at, value from unnest($3::bytea[], $4::bigint[], $5::bytea[]) as added (name, at, value)
             on conflict (clock, shard, name) do update set at = excluded.at, value = excluded.value";
        calls.execute(of(calls, shard, insert).bind(&names).bind(at).bind(values)).await?;
        state.tombstones += added;
    }
    let most = added.saturating_add(PORTION as u64);
    let too_many = state.tombstones.saturating_sub(limits.tombstones).min(most);
    let oldest = now.plus(-TOMBSTONES_KEPT).millis();
    // The oldest ones, as many as are too many, and those behind them that are too old.
    let delete = "delete from {s}.delayed_tombstone where clock = $1 and shard = $2 and name in (
             (select name from {s}.delayed_tombstone where clock = $1 and shard = $2 order by at, name limit $3)
             union
             (select name from {s}.delayed_tombstone where clock = $1 and shard = $2 and at < $4
              order by at, name limit $5))";
    let delete = of(calls, shard, delete).bind(integer(too_many)).bind(oldest).bind(integer(most));
    let gone = calls.execute(delete).await?;
    state.tombstones = state.tombstones.checked_sub(gone).ok_or_else(astray)?;
    Ok(())
}

/// Changes what is each owner's. Nobody is known who has nothing.
async fn write_shares(
    calls: &mut Calls<'_>,
    shard: &Shard,
    shares: &BTreeMap<Arc<str>, Difference>,
) -> Result<(), Failed> {
    let changed: Vec<_> = shares.iter().filter(|(_, change)| **change != Difference::default()).collect();
    if changed.is_empty() {
        return Ok(());
    }
    let owners: Vec<Vec<u8>> = changed.iter().map(|(owner, _)| owner.as_bytes().to_vec()).collect();
    let look = "select owner, value from {s}.delayed_owner
         where clock = $1 and shard = $2 and owner = any ($3::bytea[])";
    let mut kept = HashMap::new();
    for row in calls.all(of(calls, shard, look).bind(owners)).await? {
        kept.insert(encoding::read_name(column(&row, 0)?)?, encoding::read_share(column(&row, 1)?)?);
    }
    let (mut gone, mut owners, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for (owner, Difference { pending, parked, answers }) in changed {
        let before = kept.get(owner).copied().unwrap_or_default();
        let share = OwnerShare {
            pending: before.pending.checked_add_signed(*pending).ok_or_else(astray)?,
            parked: before.parked.checked_add_signed(*parked).ok_or_else(astray)?,
            answers: before.answers.checked_add_signed(*answers).ok_or_else(astray)?,
        };
        if share == OwnerShare::default() {
            gone.push(owner.as_bytes().to_vec());
        } else {
            owners.push(owner.as_bytes().to_vec());
            values.push(encoding::share(&share)?);
        }
    }
    if !gone.is_empty() {
        let delete =
            "delete from {s}.delayed_owner where clock = $1 and shard = $2 and owner = any ($3::bytea[])";
        calls.execute(of(calls, shard, delete).bind(gone)).await?;
    }
    let insert = "insert into {s}.delayed_owner (clock, shard, owner, value)
         select $1, $2, owner, value from unnest($3::bytea[], $4::bytea[]) as added (owner, value)
         on conflict (clock, shard, owner) do update set value = excluded.value";
    calls.execute(of(calls, shard, insert).bind(owners).bind(values)).await.map(drop)
}
