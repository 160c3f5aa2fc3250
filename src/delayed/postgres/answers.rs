//! What messages were answered.

use super::{keyed::ANSWERS, overlay::Overlay};
use crate::{
    delayed::encoding,
    engine::{
        Answered,
        delayed::{ANSWERS_KEPT, DelayedBatch, PORTION},
    },
    postgres::{AT_ONCE_BYTES, Calls, Failed, Shard, column, integer, of, portions},
};
use std::collections::BTreeMap;

/// Writes them, and forgets those that are too old; `overlay` is told whose share changes.
pub(super) async fn write(
    calls: &mut Calls<'_>,
    shard: &Shard,
    batch: &DelayedBatch,
    overlay: &mut Overlay,
) -> Result<(), Failed> {
    // What is said last about a message holds.
    let mut all = BTreeMap::new();
    for (key, answered) in &batch.messages {
        all.insert(encoding::message_key(key), (&key.0, answered));
    }
    if !all.is_empty() {
        let keys: Vec<&[u8]> = all.keys().map(|key| &key[..]).collect();
        let before = |row: &_| forget(overlay, column(row, 0)?, column(row, 1)?);
        ANSWERS.read(calls, shard, all.keys().cloned(), before).await?;
        let (mut at, mut values) = (Vec::new(), Vec::new());
        for (owner, answered) in all.values() {
            overlay.share(owner).answers += weight(answered);
            at.push(answered.at.millis());
            values.push(encoding::value(answered)?);
        }
        let insert = "insert into {s}.delayed_answer (clock, shard, key, at, value)
             select $1, $2, key, at, value from unnest($3::bytea[], $4::bigint[], $5::bytea[]) as added (key, at, value)
             on conflict (clock, shard, key) do update set at = excluded.at, value = excluded.value";
        for portion in portions(values.iter().map(Vec::len)) {
            let insert = of(calls, shard, insert).bind(&keys[portion.clone()]);
            calls.execute(insert.bind(&at[portion.clone()]).bind(&values[portion])).await?;
        }
    }
    let mut most = (batch.messages.len() as u64).saturating_add(PORTION as u64);
    let oldest = "delete from {s}.delayed_answer where clock = $1 and shard = $2 and key in (
             select key from (
                 select key, sum(octet_length(value)) over (order by at, key) - octet_length(value) as before
                 from {s}.delayed_answer where clock = $1 and shard = $2 and at < $3 order by at, key limit $4
             ) as page where before < $5)
         returning key, value";
    let cut = batch.now.plus(-ANSWERS_KEPT).millis();
    while most > 0 {
        let oldest = of(calls, shard, oldest).bind(cut).bind(integer(most)).bind(integer(AT_ONCE_BYTES));
        let (gone, mut bytes) = (calls.all(oldest).await?, 0);
        for row in &gone {
            let value: &[u8] = column(row, 1)?;
            forget(overlay, column(row, 0)?, value)?;
            bytes += value.len() as u64;
        }
        if bytes < AT_ONCE_BYTES {
            break;
        }
        most = most.saturating_sub(gone.len() as u64);
    }
    Ok(())
}

fn forget(overlay: &mut Overlay, key: &[u8], value: &[u8]) -> Result<(), Failed> {
    let owner = encoding::read_name(encoding::message_owner(key)?)?;
    overlay.share(&owner).answers -= weight(&encoding::read(value)?);
    Ok(())
}

/// As many as its verdicts, and itself.
fn weight(answered: &Answered) -> i64 {
    i64::try_from(answered.verdicts.len()).unwrap_or(i64::MAX - 1) + 1
}
