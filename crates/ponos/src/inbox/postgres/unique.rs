//! Keys of which one task at a time is not done: a sender's transaction inserts a row, and the end of the task removes it.
//!
//! Invariant: a row is there exactly while its task is not done, for both commit together: with the sender's writes it begins, with
//! the handler's it ends. A row names its task, so that no other end removes it. What never ends loses its row by time.

use super::store::{Store, lock_timeout, without_nul};
use crate::{
    event::{EventId, EventName},
    inbox::{Backend, Held, Inbox, InboxError},
    once::Claim,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// The header of a task by which its end finds its row.
pub(super) const HEADER: &str = "once-key";
/// How often it is looked again for what has this key: each time another one has begun and ended in between.
const LOOKS: u32 = 10;
/// Rows in one step of pruning.
const STEP: i64 = 5000;

impl Held {
    /// The task of this claim.
    pub(crate) fn claiming(mut self, claim: &Claim) -> Self {
        self.message.headers.set(HEADER, claim.key.as_str());
        self
    }
}

impl Inbox {
    /// Claims a key for the task of this id, in the connection's transaction; waits for others that claim it now. `Some`: the
    /// task of that id has it.
    pub(crate) async fn claim(
        &self,
        connection: &mut PgConnection,
        name: &EventName,
        claim: &Claim,
        id: &EventId,
    ) -> Result<Option<EventId>, InboxError> {
        let Backend::Postgres(store) = &self.kind else { return Err(no_table()) };
        if !connection.is_in_transaction() {
            return Err(InboxError::refused(
                format!("'{name}' can't be claimed outside of a transaction"),
                "begin one by sqlx on this connection: the row must commit with the task",
            ));
        }
        let doing = format!("claiming a key of '{name}'");
        for _ in 0..LOOKS {
            let inserted = insert(connection, store, (name, claim, id), self.patience);
            if store.patient(&doing, self.patience, inserted).await? {
                return Ok(None);
            }
            match store.call(&doing, found(connection, store, name, claim)).await? {
                Some((existing, false)) => {
                    let id = existing.parse::<EventId>().map_err(|why| {
                        InboxError::refused(
                            format!("{doing}: the id in its row can't be read: {why}"),
                            "remove the row from ponos_unique",
                        )
                    })?;
                    return Ok(Some(id));
                }
                Some((_, true)) => {
                    store.call(&doing, remove_expired(connection, store, name, claim)).await?;
                }
                None => {}
            }
        }
        Err(InboxError::conflict(format!("{doing}: others claimed it {LOOKS} times in between")))
    }

    /// Takes a claim back.
    pub(crate) async fn unclaim(
        &self,
        connection: &mut PgConnection,
        name: &EventName,
        claim: &Claim,
        id: &EventId,
    ) -> Result<(), InboxError> {
        let Backend::Postgres(store) = &self.kind else { return Err(no_table()) };
        store.call("taking a claim back", remove(connection, store, (name.as_str(), &claim.key, id))).await
    }
}

fn no_table() -> InboxError {
    InboxError::refused("this inbox has no table of keys", "give it one on Postgres (Inbox::postgres)")
}

/// Whether the row was inserted. Locks are waited for by this statement alone: it sets their limit, and puts it back.
async fn insert(
    connection: &mut PgConnection,
    store: &Store,
    (name, claim, id): (&EventName, &Claim, &EventId),
    patience: std::time::Duration,
) -> Result<bool, sqlx::Error> {
    let insert = format!(
        "with patience as materialized (
            select current_setting('lock_timeout') as before, set_config('lock_timeout', $6, true)),
         won as (
            insert into {}.ponos_unique (service, name, key, id, expires)
            select $1, $2, $3, $4, clock_timestamp() + make_interval(secs => $5) from patience
            on conflict do nothing returning id)
         select won.id is not null, set_config('lock_timeout', patience.before, true)
         from patience left join won on true",
        store.schema
    );
    let (inserted, _): (bool, String) = sqlx::query_as(AssertSqlSafe(insert))
        .bind(&*store.service)
        .bind(name.as_str())
        .bind(without_nul(&claim.key))
        .bind(without_nul(id.as_str()))
        .bind(claim.at_most.as_secs_f64())
        .bind(lock_timeout(patience))
        .fetch_one(connection)
        .await?;
    Ok(inserted)
}

/// The id that has the key, and whether its time is over.
async fn found(
    connection: &mut PgConnection,
    store: &Store,
    name: &EventName,
    claim: &Claim,
) -> Result<Option<(String, bool)>, sqlx::Error> {
    let select = format!(
        "select id, expires <= clock_timestamp() from {}.ponos_unique where service = $1 and name = $2 and key = $3",
        store.schema
    );
    sqlx::query_as(AssertSqlSafe(select))
        .bind(&*store.service)
        .bind(name.as_str())
        .bind(without_nul(&claim.key))
        .fetch_optional(connection)
        .await
}

async fn remove_expired(
    connection: &mut PgConnection,
    store: &Store,
    name: &EventName,
    claim: &Claim,
) -> Result<(), sqlx::Error> {
    let delete = format!(
        "delete from {}.ponos_unique where service = $1 and name = $2 and key = $3 and expires <= clock_timestamp()",
        store.schema
    );
    sqlx::query(AssertSqlSafe(delete))
        .bind(&*store.service)
        .bind(name.as_str())
        .bind(without_nul(&claim.key))
        .execute(connection)
        .await
        .map(drop)
}

pub(super) async fn remove(
    connection: &mut PgConnection,
    store: &Store,
    (name, key, id): (&str, &str, &EventId),
) -> Result<(), sqlx::Error> {
    let delete = format!(
        "delete from {}.ponos_unique where service = $1 and name = $2 and key = $3 and id = $4",
        store.schema
    );
    sqlx::query(AssertSqlSafe(delete))
        .bind(&*store.service)
        .bind(name.to_owned())
        .bind(without_nul(key).into_owned())
        .bind(without_nul(id.as_str()).into_owned())
        .execute(connection)
        .await
        .map(drop)
}

/// Removes rows whose time is over.
pub(super) async fn prune(store: &Store) -> Result<(), InboxError> {
    let delete = format!(
        "delete from {0}.ponos_unique where ctid = any (array (
            select ctid from {0}.ponos_unique where expires <= clock_timestamp() limit $1))",
        store.schema
    );
    loop {
        let step = sqlx::query(AssertSqlSafe(delete.clone())).bind(STEP).execute(&store.side);
        if store.call("pruning keys", step).await?.rows_affected() == 0 {
            return Ok(());
        }
    }
}
