//! Acquires the shard for a session that keeps its lease itself.

use super::{
    Address,
    calls::{Calls, number},
    errors::Failed,
    lease::{self, Grant, Seen, Shard},
    schema,
};
use crate::store::StoreError;
use std::time::Duration;

/// How often a row that somebody holds is looked at again.
const LOOK: Duration = Duration::from_millis(100);
/// For how long that is done at most.
const WAIT: Duration = Duration::from_secs(3);

/// Acquires the shard, unless another process holds it and goes on writing: whoever was killed holds it until the lease runs out,
/// and is waited for. One write of his may still have been on its way.
pub(super) async fn acquire(
    calls: &mut Calls<'_>,
    address: &Address,
    shard: &Shard,
) -> Result<Grant, Failed> {
    let mut looks = shard.ttl.saturating_mul(2).min(WAIT).as_millis() / LOOK.as_millis();
    let (mut last, mut writes) = (None, 0);
    loop {
        let seen = match try_to_acquire(calls, address, shard).await? {
            Ok(grant) => return Ok(grant),
            Err(seen) => seen,
        };
        let this = (seen.term, seen.beat);
        writes += u32::from(last.replace(this).is_some_and(|last| last != this));
        if writes > 1 || looks == 0 {
            let by = seen.address.map_or_else(String::new, |address| format!(" at {address}"));
            return Err(StoreError::Led { path: address.shown().to_owned(), by }.into());
        }
        looks -= 1;
        tokio::time::sleep(LOOK).await;
    }
}

/// As the row was seen where another process holds it.
async fn try_to_acquire(
    calls: &mut Calls<'_>,
    address: &Address,
    shard: &Shard,
) -> Result<Result<Grant, Seen>, Failed> {
    calls.begin("").await?;
    shard.create(calls, address).await?;
    calls.simple("commit").await?;
    calls.begin("").await?;
    let recovering = calls.statement("select pg_is_in_recovery()::int::bigint");
    if let Some(row) = calls.one(recovering).await?
        && number(&row, 0)? > 0
    {
        return Err(address.io("the server is a read replica: give the address of the primary").into());
    }
    let tells = lease::tells_its_timeline(calls).await?;
    let seen = shard.follow(calls).await?;
    let seen = seen.ok_or_else(|| Failed::Unreadable("the row of the clock is missing".into()))?;
    match shard.acquire(calls, &seen, tells).await? {
        Some(grant) => {
            schema::finish(calls).await?;
            calls.simple("commit").await?;
            Ok(Ok(grant))
        }
        None => {
            calls.simple("rollback").await?;
            Ok(Err(seen))
        }
    }
}
