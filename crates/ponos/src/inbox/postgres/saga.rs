//! Sagas: the state of each as a row, which is read, locked and written in the transaction of the handler that it is for.
//!
//! Invariant: what a handler changes of a saga commits with everything else that it does, or not at all. The lock of the row puts those
//! that come at once in an order; two that start the same one at once meet at its primary key. A timeout is a row of the outbox, of which
//! the saga's row knows the id: so that it can be taken back, and one that is sent already be told from the one that counts.

use super::store::{Store, lock_timeout, without_nul};
use crate::inbox::{Backend, Inbox, InboxError};
use sqlx::{AssertSqlSafe, PgConnection};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

/// Which saga.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SagaPlace<'a> {
    pub(crate) saga: &'a str,
    pub(crate) key: &'a str,
}

/// A saga's row, locked until the end of the transaction.
#[derive(Debug)]
pub(crate) struct SagaRow {
    /// As JSON; `None` for one that begins now.
    pub(crate) state: Option<String>,
    /// The ids of its timeouts by their names.
    pub(crate) timeouts: BTreeMap<String, String>,
}

/// What becomes of a saga's row.
#[derive(Debug)]
pub(crate) struct SagaChange {
    /// Its state as JSON; `None`: it ends.
    pub(crate) state: Option<String>,
    pub(crate) timeouts: BTreeMap<String, String>,
    /// The ids of timeouts that are not to be sent.
    pub(crate) dropped: Vec<String>,
}

impl Inbox {
    /// The saga in this place, which begins if it is to be started and is not there; waits for others that have it.
    pub(crate) async fn saga(
        &self,
        connection: &mut PgConnection,
        place: SagaPlace<'_>,
        starts: bool,
    ) -> Result<Option<SagaRow>, InboxError> {
        let Backend::Postgres(store) = &self.kind else { return Err(no_table()) };
        let doing = format!("reading the saga '{}'", place.saga);
        let until = Instant::now() + self.patience;
        loop {
            let inserted = async {
                if starts { insert(connection, store, place, self.patience).await } else { Ok(false) }
            };
            if store.patient(&doing, self.patience, inserted).await? {
                return Ok(Some(SagaRow { state: None, timeouts: BTreeMap::new() }));
            }
            let found = found(connection, store, place, self.patience);
            match store.patient(&doing, self.patience, found).await? {
                Some((state, timeouts)) => {
                    let timeouts = serde_json::from_str(&timeouts).map_err(|why| {
                        InboxError::refused(
                            format!("{doing}: its timeouts can't be read: {why}"),
                            "mend the column timeouts of its row in ponos_saga",
                        )
                    })?;
                    return Ok(Some(SagaRow { state, timeouts }));
                }
                None if !starts => return Ok(None),
                // it was there to be inserted, and is not there to be read: another one has ended it in between
                None if Instant::now() < until => {}
                None => {
                    return Err(InboxError::conflict(format!(
                        "{doing}: others begin and end it all the time"
                    )));
                }
            }
        }
    }

    /// Writes a saga, or ends it.
    pub(crate) async fn keep_saga(
        &self,
        connection: &mut PgConnection,
        place: SagaPlace<'_>,
        change: &SagaChange,
    ) -> Result<(), InboxError> {
        let Backend::Postgres(store) = &self.kind else { return Err(no_table()) };
        let doing = format!("writing the saga '{}'", place.saga);
        store.call(&doing, keep(connection, store, place, change)).await?;
        if change.dropped.is_empty() {
            return Ok(());
        }
        store.call(&doing, drop_timeouts(connection, store, &change.dropped)).await
    }
}

fn no_table() -> InboxError {
    InboxError::refused("this inbox has no table of sagas", "give it one on Postgres (Inbox::postgres)")
}

/// The key of a timeout's row in the outbox.
pub(super) fn row_key(id: &str) -> String {
    format!("timeout:{}", without_nul(id))
}

/// Whether the row was inserted. Locks are waited for by this statement alone: it sets their limit, and puts it back.
async fn insert(
    connection: &mut PgConnection,
    store: &Store,
    place: SagaPlace<'_>,
    patience: Duration,
) -> Result<bool, sqlx::Error> {
    let insert = format!(
        "with patience as materialized (
            select current_setting('lock_timeout') as before, set_config('lock_timeout', $4, true)),
         won as (
            insert into {}.ponos_saga (service, saga, key) select $1, $2, $3 from patience
            on conflict do nothing returning key)
         select won.key is not null, set_config('lock_timeout', patience.before, true)
         from patience left join won on true",
        store.schema
    );
    let (inserted, _): (bool, String) = sqlx::query_as(AssertSqlSafe(insert))
        .bind(&*store.service)
        .bind(place.saga)
        .bind(without_nul(place.key))
        .bind(lock_timeout(patience))
        .fetch_one(connection)
        .await?;
    Ok(inserted)
}

/// Its state and its timeouts, with the row locked.
async fn found(
    connection: &mut PgConnection,
    store: &Store,
    place: SagaPlace<'_>,
    patience: Duration,
) -> Result<Option<(Option<String>, String)>, sqlx::Error> {
    let select = format!(
        "with patience as materialized (
            select current_setting('lock_timeout') as before, set_config('lock_timeout', $4, true)),
         found as (
            select one.state::text as state, one.timeouts::text as timeouts from patience, {}.ponos_saga as one
            where one.service = $1 and one.saga = $2 and one.key = $3 for update of one)
         select found.state, found.timeouts, set_config('lock_timeout', patience.before, true)
         from patience left join found on true",
        store.schema
    );
    let (state, timeouts, _): (Option<String>, Option<String>, String) =
        sqlx::query_as(AssertSqlSafe(select))
            .bind(&*store.service)
            .bind(place.saga)
            .bind(without_nul(place.key))
            .bind(lock_timeout(patience))
            .fetch_one(connection)
            .await?;
    Ok(timeouts.map(|timeouts| (state, timeouts)))
}

async fn keep(
    connection: &mut PgConnection,
    store: &Store,
    place: SagaPlace<'_>,
    change: &SagaChange,
) -> Result<(), sqlx::Error> {
    let here = "where service = $1 and saga = $2 and key = $3";
    let statement = match &change.state {
        Some(_) => format!(
            "update {}.ponos_saga set state = $4::text::jsonb, timeouts = $5::text::jsonb, changed = clock_timestamp() {here}",
            store.schema
        ),
        None => format!("delete from {}.ponos_saga {here}", store.schema),
    };
    let mut query = sqlx::query(AssertSqlSafe(statement))
        .bind(&*store.service)
        .bind(place.saga)
        .bind(without_nul(place.key));
    if let Some(state) = &change.state {
        let timeouts = serde_json::to_string(&change.timeouts);
        query = query.bind(state).bind(timeouts.map_err(|error| sqlx::Error::Encode(error.into()))?);
    }
    query.execute(connection).await.map(drop)
}

/// Removes timeouts that wait. One that a relay has in hand is sent, and skipped when it comes.
async fn drop_timeouts(
    connection: &mut PgConnection,
    store: &Store,
    ids: &[String],
) -> Result<(), sqlx::Error> {
    let delete = format!(
        "delete from {0}.ponos_outbox where seq in (
            select seq from {0}.ponos_outbox where service = $1 and key = any($2) for update skip locked)",
        store.schema
    );
    let keys: Vec<String> = ids.iter().map(|id| row_key(id)).collect();
    sqlx::query(AssertSqlSafe(delete)).bind(&*store.service).bind(keys).execute(connection).await.map(drop)
}
