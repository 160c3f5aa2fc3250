//! The outbox's table: handlers' transactions insert, relays remove.

use super::{
    encoding, quiet, retries, saga,
    store::{Store, without_nul},
};
use crate::{
    clock::millis,
    event::Message,
    inbox::{Due, Held, InboxError},
    topology::worker::TASKS,
};
use sqlx::{AssertSqlSafe, PgConnection};
use std::{sync::Arc, time::Duration};

/// After this many attempts, about an hour, a message is parked that can't be routed, or that the broker refuses.
const ATTEMPTS: i32 = 20;

/// The state of a service's outbox.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OutboxStatus {
    /// Messages that are due and not confirmed yet.
    pub waiting: u64,
    /// Messages that are not due yet, retries among them.
    pub later: u64,
    /// Those of them that were refused at least once.
    pub failing: u64,
    /// Messages that are no longer tried: they reached no queue, or the broker refused them, for about an hour. See
    /// `last_error` in the table `ponos_outbox`; set `parked = null, attempts = 0` to have them tried again.
    pub parked: u64,
    /// How long the oldest that is due has been waiting.
    pub oldest: Option<Duration>,
}

pub(super) async fn status(store: &Store) -> Result<OutboxStatus, InboxError> {
    let select = format!(
        "select count(*) filter (where is_due), count(*) filter (where parked is null and not is_due),
                count(*) filter (where is_due and attempts > 0), count(parked),
                extract(epoch from clock_timestamp() - min(coalesce(due, at)) filter (where is_due))::float8
         from (select *, parked is null and (due is null or due <= clock_timestamp()) as is_due
               from {}.ponos_outbox where service = $1) as row",
        store.schema
    );
    let select = sqlx::query_as(AssertSqlSafe(select)).bind(&*store.service).fetch_one(&store.side);
    let (waiting, later, failing, parked, oldest): (i64, i64, i64, i64, Option<f64>) =
        store.call("inspecting the outbox", select).await?;
    let oldest = oldest.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default());
    let [waiting, later, failing, parked] = [waiting, later, failing, parked].map(i64::unsigned_abs);
    Ok(OutboxStatus { waiting, later, failing, parked, oldest })
}

/// The number of the last message inserted; 0 for none.
pub(super) async fn last(store: &Store) -> Result<i64, InboxError> {
    let select =
        format!("select coalesce(max(seq), 0) from {}.ponos_outbox where service = $1", store.schema);
    let select = sqlx::query_scalar(AssertSqlSafe(select)).bind(&*store.service).fetch_one(&store.side);
    store.call("inspecting the outbox", select).await
}

/// In how long the next message is due that is not yet, or is tried again; `None` for none.
pub(super) async fn soonest(store: &Store) -> Result<Option<Duration>, InboxError> {
    let select = format!(
        "select extract(epoch from min(next_try) - clock_timestamp())::float8
         from {}.ponos_outbox where service = $1 and next_try > now() and parked is null",
        store.schema
    );
    let select = sqlx::query_scalar(AssertSqlSafe(select)).bind(&*store.service).fetch_one(&store.side);
    let seconds: Option<f64> = store.call("looking for what is due next", select).await?;
    Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()))
}

/// Inserts messages in the order given, in one statement, and after them those whose place others may take.
pub(super) async fn put(
    connection: &mut PgConnection,
    store: &Store,
    publishes: &[Held],
) -> Result<(), sqlx::Error> {
    let (quiet, others): (Vec<&Held>, Vec<&Held>) =
        publishes.iter().partition(|held| matches!(held.due, Some(Due::Quiet(_))));
    if !others.is_empty() {
        put_all(connection, store, &others).await?;
    }
    quiet::put(connection, store, quiet).await
}

async fn put_all(
    connection: &mut PgConnection,
    store: &Store,
    publishes: &[&Held],
) -> Result<(), sqlx::Error> {
    let insert = format!(
        "insert into {}.ponos_outbox (service, id, exchange, head, body, due, next_try, name, queue, kind, key)
         select $1, id, exchange, head, body, due, coalesce(due, '-infinity'), name, nullif(queue, ''),
                case when key is null then 'send' else 'timeout' end, key
         from (select *, coalesce(timestamptz 'epoch' + at * interval '1 millisecond',
                                  clock_timestamp() + delay * interval '1 millisecond') as due
               from unnest($2::text[], $3::text[], $4::text[], $5::bytea[], $6::bigint[], $7::bigint[], $8::text[], $9::text[], $10::text[])
                    with ordinality as row (id, exchange, head, body, at, delay, name, queue, key, number)) as one
         order by number",
        store.schema
    );
    let each = |text: fn(&Held) -> &str| -> Vec<String> {
        publishes.iter().map(|held| without_nul(text(held)).into_owned()).collect()
    };
    let heads: Result<Vec<String>, _> = publishes.iter().map(|held| encoding::head(&held.message)).collect();
    let heads = heads.map_err(|error| sqlx::Error::Encode(error.into()))?;
    let at = publishes.iter().map(|held| match held.due {
        Some(Due::At(when)) => Some(when.millis()),
        _ => None,
    });
    let delay = publishes.iter().map(|held| match held.due {
        Some(Due::In(delay) | Due::Timeout(delay)) => Some(millis(delay)),
        _ => None,
    });
    let keys = publishes.iter().map(|held| match held.due {
        Some(Due::Timeout(_)) => Some(saga::row_key(held.id.as_str())),
        _ => None,
    });
    let bodies: Vec<&[u8]> = publishes.iter().map(|held| held.message.body.as_slice()).collect();
    sqlx::query(AssertSqlSafe(insert))
        .bind(&*store.service)
        .bind(each(|held| held.id.as_str()))
        .bind(each(|held| &held.exchange))
        .bind(heads)
        .bind(bodies)
        .bind(at.collect::<Vec<Option<i64>>>())
        .bind(delay.collect::<Vec<Option<i64>>>())
        .bind(each(event_name))
        .bind(each(task_queue))
        .bind(keys.collect::<Vec<Option<String>>>())
        .execute(connection)
        .await
        .map(drop)
}

/// The event's or task's name.
pub(super) fn event_name(held: &Held) -> &str {
    held.message.properties.kind.as_deref().unwrap_or(&held.message.routing_key)
}

/// The queue of a task; empty for what is for everybody.
pub(super) fn task_queue(held: &Held) -> &str {
    if &*held.exchange == TASKS { &held.message.routing_key } else { "" }
}

/// Why a message stays for now.
#[derive(Debug)]
pub(super) struct FailedMessage {
    pub(super) seq: i64,
    pub(super) why: String,
    /// The fault does not pass by itself, as a full queue does.
    pub(super) lasting: bool,
}

/// How much a relay takes at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Portion {
    /// Messages …
    pub(super) count: i64,
    /// … and bytes of their bodies, beyond the first.
    pub(super) bytes: i64,
    /// The last one, by its number.
    pub(super) last: i64,
    /// Only events and tasks that are published for the first time: no retries, and no answers.
    pub(super) sends_only: bool,
}

/// A message to be relayed.
#[derive(Debug)]
pub(super) struct OutboxMessage {
    pub(super) seq: i64,
    pub(super) id: String,
    pub(super) exchange: Arc<str>,
    /// The message; the error says why it can't be read.
    pub(super) message: Result<Message, String>,
}

/// Number, id, exchange, head, body; whether it is a retry, when it is due in milliseconds, and why it was not sent before.
type OutboxRow = (i64, String, String, String, Vec<u8>, bool, Option<i64>, Option<String>);

/// The next messages that are due, locked against other relays until the transaction ends; `None` while another relay of
/// this service is at work. One relay at a time keeps the order.
pub(super) async fn next(
    connection: &mut PgConnection,
    store: &Store,
    portion: Portion,
) -> Result<Option<Vec<OutboxMessage>>, sqlx::Error> {
    let alone: bool = sqlx::query_scalar("select pg_try_advisory_xact_lock(hashtext($1), hashtext($2))")
        .bind(format!("ponos outbox {}", store.schema))
        .bind(&*store.service)
        .fetch_one(&mut *connection)
        .await?;
    if !alone {
        return Ok(None);
    }
    // a row is held to being due as it is once its lock is had: another may have taken its place meanwhile
    let select = format!(
        "with due as (
            select seq, next_try, octet_length(body) as size from {0}.ponos_outbox
            where service = $1 and next_try <= now() and parked is null and seq <= $2
                  and (kind = 'send' and exchange <> '' or not $5)
            order by next_try, seq limit $3),
         portion as (select seq, sum(size) over (order by next_try, seq) - size as before from due)
         select seq, id, exchange, head, body, kind = 'retry',
                case when isfinite(due) then (extract(epoch from due) * 1000)::bigint end, last_error
         from {0}.ponos_outbox where seq in (select seq from portion where before <= $4)
             and next_try <= now()
         order by next_try, seq for update skip locked",
        store.schema
    );
    let rows: Vec<OutboxRow> = sqlx::query_as(AssertSqlSafe(select))
        .bind(&*store.service)
        .bind(portion.last)
        .bind(portion.count)
        .bind(portion.bytes)
        .bind(portion.sends_only)
        .fetch_all(connection)
        .await?;
    let waiting = |(seq, id, exchange, head, body, is_retry, due, last_error): OutboxRow| {
        let message = encoding::message(&head, body).map_err(|error| error.to_string());
        let message = if is_retry {
            message.map(|message| retries::to_publish(message, due, last_error.as_deref()))
        } else {
            message
        };
        OutboxMessage { seq, id, exchange: exchange.into(), message }
    };
    Ok(Some(rows.into_iter().map(waiting).collect()))
}

/// Removes confirmed messages, and puts off failed ones by 1, 2, 4 … seconds, at most 5 minutes, spread by a half either
/// way; returns how many were parked.
pub(super) async fn settle(
    connection: &mut PgConnection,
    store: &Store,
    confirmed: &[i64],
    failed: &[FailedMessage],
) -> Result<usize, sqlx::Error> {
    let delete = format!("delete from {}.ponos_outbox where seq = any($1)", store.schema);
    sqlx::query(AssertSqlSafe(delete)).bind(confirmed).execute(&mut *connection).await?;
    if failed.is_empty() {
        return Ok(0);
    }
    let update = format!(
        "update {}.ponos_outbox as row set attempts = attempts + 1, last_error = failed.error,
             next_try = clock_timestamp()
                 + least(300, power(2, least(attempts, 10))) * (0.5 + random()) * interval '1 second',
             parked = case when failed.lasting and attempts + 1 >= $4 then clock_timestamp() end
         from unnest($1::bigint[], $2::text[], $3::boolean[]) as failed (seq, error, lasting)
         where row.seq = failed.seq returning parked is not null",
        store.schema
    );
    let seqs: Vec<i64> = failed.iter().map(|failed| failed.seq).collect();
    let errors: Vec<String> = failed.iter().map(|failed| without_nul(&failed.why).into_owned()).collect();
    let lasting: Vec<bool> = failed.iter().map(|failed| failed.lasting).collect();
    let parked: Vec<bool> = sqlx::query_scalar(AssertSqlSafe(update))
        .bind(seqs)
        .bind(errors)
        .bind(lasting)
        .bind(ATTEMPTS)
        .fetch_all(connection)
        .await?;
    Ok(parked.into_iter().filter(|parked| *parked).count())
}
