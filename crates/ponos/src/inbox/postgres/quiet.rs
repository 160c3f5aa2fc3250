//! Messages that wait until no other one of their key has come for a time: one row of the outbox for each key.
//!
//! Invariant: the row has the message that was committed last, whole, and is due as that one said, or a bounded time after the first
//! one. A relay that sends the row has it locked: the next message of the key waits for the end of that, finds no row, and makes one.

use super::{
    encoding,
    outbox::{event_name, task_queue},
    store::{Store, lock_timeout, without_nul},
};
use crate::{
    clock::millis,
    inbox::{Due, Held, Quiet},
};
use sqlx::{AssertSqlSafe, PgConnection};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Why such a message waits.
const REASON: &str = "until no other one of its key has come for a time";

/// Writes the last one of each key, or lets it take the place of the one that waits. By their keys, whose rows they lock: else two
/// transactions with the same ones could wait for each other.
pub(super) async fn put(
    connection: &mut PgConnection,
    store: &Store,
    publishes: Vec<&Held>,
) -> Result<(), sqlx::Error> {
    for (held, quiet) in last_of_each(publishes).into_values() {
        put_one(connection, store, held, quiet).await?;
    }
    Ok(())
}

fn last_of_each(publishes: Vec<&Held>) -> BTreeMap<Uuid, (&Held, Quiet)> {
    let each = publishes.into_iter().filter_map(|held| match held.due {
        Some(Due::Quiet(quiet)) => Some((quiet.key, (held, quiet))),
        _ => None,
    });
    each.collect()
}

/// Locks are waited for by this statement alone: it sets their limit, and puts it back.
async fn put_one(
    connection: &mut PgConnection,
    store: &Store,
    held: &Held,
    quiet: Quiet,
) -> Result<(), sqlx::Error> {
    let put = format!(
        "with patience as materialized (
            select current_setting('lock_timeout') as before, set_config('lock_timeout', $12, true)),
         put as (
            insert into {}.ponos_outbox as one
                (service, key, id, exchange, head, body, name, queue, reason, at, due, next_try)
            select $1, $2, $3, $4, $5, $6, $7, nullif($8, ''), $9, at, due, due
            from patience, (select at, at + $10::bigint * interval '1 millisecond' as due
                            from (select clock_timestamp() as at) as now) as times
            on conflict (service, key) where key is not null do update set
                id = excluded.id, exchange = excluded.exchange, head = excluded.head, body = excluded.body,
                name = excluded.name, queue = excluded.queue,
                due = least(excluded.due, one.at + $11::bigint * interval '1 millisecond'),
                next_try = least(excluded.due, one.at + $11::bigint * interval '1 millisecond'),
                attempts = 0, last_error = null, parked = null
            returning seq)
         select put.seq, set_config('lock_timeout', patience.before, true) from patience left join put on true",
        store.schema
    );
    let head = encoding::head(&held.message).map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query(AssertSqlSafe(put))
        .bind(&*store.service)
        .bind(format!("quiet:{}", quiet.key))
        .bind(without_nul(held.id.as_str()))
        .bind(&*held.exchange)
        .bind(head)
        .bind(held.message.body.as_slice())
        .bind(without_nul(event_name(held)))
        .bind(without_nul(task_queue(held)))
        .bind(REASON)
        .bind(millis(quiet.quiet))
        .bind(millis(quiet.at_most))
        .bind(lock_timeout(store.call_timeout))
        .execute(connection)
        .await
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Message;
    use std::time::Duration;

    #[test]
    fn of_each_key_the_last_is_written_in_the_order_of_the_keys() {
        let held = |id: &str, key: u128| {
            let second = Duration::from_secs(1);
            let quiet = Quiet { key: Uuid::from_u128(key), quiet: second, at_most: second };
            let (id, message) = (id.parse().unwrap(), Message::default());
            Held { id, exchange: "tasks".into(), message, due: Some(Due::Quiet(quiet)) }
        };
        let all = [held("a", 2), held("b", 1), held("c", 2), held("d", 1)];
        let last: Vec<&str> =
            last_of_each(all.iter().collect()).into_values().map(|(held, _)| held.id.as_str()).collect();
        assert_eq!(last, ["d", "c"]);
    }
}
