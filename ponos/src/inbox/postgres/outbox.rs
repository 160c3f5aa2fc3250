//! The outbox's table: put into by handlers' transactions, emptied by relays.

use super::{
    encoding,
    store::{Store, plain},
};
use crate::{
    event::Message,
    inbox::{Held, InboxError},
};
use sqlx::{AssertSqlSafe, PgConnection};
use std::{sync::Arc, time::Duration};

/// What waits in the outbox of this service.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OutboxStatus {
    /// Messages not confirmed yet.
    pub waiting: u64,
    /// Those of them that the broker refused at least once.
    pub failing: u64,
    /// How long the oldest has been waiting.
    pub oldest: Option<Duration>,
}

pub(super) async fn status(store: &Store) -> Result<OutboxStatus, InboxError> {
    let select = format!(
        "select count(*), count(*) filter (where attempts > 0),
                extract(epoch from clock_timestamp() - min(at))::float8
         from {}.ponos_outbox where service = $1",
        store.schema
    );
    let select = sqlx::query_as(AssertSqlSafe(select)).bind(&*store.service).fetch_one(&store.side);
    let (waiting, failing, oldest): (i64, i64, Option<f64>) =
        store.call("looking at the outbox", select).await?;
    let oldest = oldest.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default());
    Ok(OutboxStatus { waiting: waiting.unsigned_abs(), failing: failing.unsigned_abs(), oldest })
}

/// In the order given, in one statement.
pub(super) async fn put(
    connection: &mut PgConnection,
    store: &Store,
    publishes: &[Held],
) -> Result<(), sqlx::Error> {
    let insert = format!(
        "insert into {}.ponos_outbox (service, id, exchange, head, body)
         select $1, one.id, one.exchange, one.head, one.body
         from unnest($2::text[], $3::text[], $4::text[], $5::bytea[]) with ordinality
              as one (id, exchange, head, body, number)
         order by one.number",
        store.schema
    );
    let each = |text: fn(&Held) -> &str| -> Vec<String> {
        publishes.iter().map(|held| plain(text(held)).into_owned()).collect()
    };
    let heads: Result<Vec<String>, _> = publishes.iter().map(|held| encoding::head(&held.message)).collect();
    let heads = heads.map_err(|error| sqlx::Error::Encode(error.into()))?;
    let bodies: Vec<&[u8]> = publishes.iter().map(|held| held.message.body.as_slice()).collect();
    sqlx::query(AssertSqlSafe(insert))
        .bind(&*store.service)
        .bind(each(|held| held.id.as_str()))
        .bind(each(|held| &held.exchange))
        .bind(heads)
        .bind(bodies)
        .execute(connection)
        .await
        .map(drop)
}

/// A message to be relayed.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) seq: i64,
    pub(super) id: String,
    pub(super) exchange: Arc<str>,
    /// Or why it can't be read.
    pub(super) message: Result<Message, String>,
}

/// The next ones that are due, at most `most`, kept from other relays until the transaction ends; `None` while another
/// relay of this service is at work. One at a time keeps the order.
pub(super) async fn next(
    connection: &mut PgConnection,
    store: &Store,
    most: i64,
) -> Result<Option<Vec<Waiting>>, sqlx::Error> {
    let alone: bool = sqlx::query_scalar("select pg_try_advisory_xact_lock(hashtext($1), hashtext($2))")
        .bind(format!("ponos outbox {}", store.schema))
        .bind(&*store.service)
        .fetch_one(&mut *connection)
        .await?;
    if !alone {
        return Ok(None);
    }
    let select = format!(
        "select seq, id, exchange, head, body from {}.ponos_outbox
         where service = $1 and next_try <= now() order by next_try, seq limit $2 for update skip locked",
        store.schema
    );
    let rows: Vec<(i64, String, String, String, Vec<u8>)> =
        sqlx::query_as(AssertSqlSafe(select)).bind(&*store.service).bind(most).fetch_all(connection).await?;
    let waiting = |(seq, id, exchange, head, body): (i64, String, String, String, Vec<u8>)| Waiting {
        seq,
        id,
        exchange: exchange.into(),
        message: encoding::message(&head, body).map_err(|error| error.to_string()),
    };
    Ok(Some(rows.into_iter().map(waiting).collect()))
}

/// Removes what was confirmed, and puts off what failed: after 1, 2, 4 … seconds, at most 5 minutes, spread by a half
/// either way.
pub(super) async fn settle(
    connection: &mut PgConnection,
    store: &Store,
    confirmed: &[i64],
    failed: &[(i64, String)],
) -> Result<(), sqlx::Error> {
    let delete = format!("delete from {}.ponos_outbox where seq = any($1)", store.schema);
    sqlx::query(AssertSqlSafe(delete)).bind(confirmed).execute(&mut *connection).await?;
    if failed.is_empty() {
        return Ok(());
    }
    let update = format!(
        "update {}.ponos_outbox as row set attempts = attempts + 1, last_error = failed.error,
             next_try = clock_timestamp()
                 + least(300, power(2, least(attempts, 10))) * (0.5 + random()) * interval '1 second'
         from unnest($1::bigint[], $2::text[]) as failed (seq, error) where row.seq = failed.seq",
        store.schema
    );
    let (seqs, errors): (Vec<i64>, Vec<&str>) =
        failed.iter().map(|(seq, error)| (*seq, error.as_str())).unzip();
    sqlx::query(AssertSqlSafe(update)).bind(seqs).bind(errors).execute(connection).await.map(drop)
}
