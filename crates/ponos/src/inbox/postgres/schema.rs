//! The tables: checked at start, created if they are missing.

use super::errors::classify;
use crate::inbox::{InboxError, InboxErrorClass};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// The SQL that creates the tables in a Postgres schema, and adds what those of an earlier version lack; harmless if they are
/// complete. For an administrator, if the worker's role
/// may not create them: that role needs `usage` on the schema and `select, insert, update, delete` on its tables.
///
/// A row of `ponos_outbox` has a `kind`: `send` is published for the first time, `retry` is a message that waits for its next attempt,
/// `timeout` is of a saga. A `key` that is not null is there once for each service; its text begins with what it is for
/// (`retry:`, `timeout:`, or `quiet:` of [`Once::debounce`](crate::Once::debounce)). `name` is the event's or task's, `queue` where it goes to (null for an event that is for everybody), `reason` why it waits.
///
/// # Errors
/// [`InboxErrorClass::Refused`] for a name with other characters than lower-case letters, digits and `_`.
pub fn ddl(schema: &str) -> Result<String, InboxError> {
    let schema = identifier(schema)?;
    Ok(format!(
        "create schema if not exists {schema};
create table if not exists {schema}.ponos_inbox (
    queue text not null,
    handler text not null,
    source text not null,
    id text not null,
    at timestamptz not null default now(),
    primary key (queue, handler, source, id)
);
create index if not exists ponos_inbox_at on {schema}.ponos_inbox (at);
create table if not exists {schema}.ponos_outbox (
    seq bigint generated always as identity primary key,
    service text not null,
    id text not null,
    exchange text not null,
    head text not null,
    body bytea not null,
    at timestamptz not null default now(),
    attempts integer not null default 0,
    next_try timestamptz not null default '-infinity',
    last_error text,
    parked timestamptz,
    due timestamptz,
    kind text not null default 'send',
    key text,
    name text,
    queue text,
    reason text
);
alter table {schema}.ponos_outbox
    add column if not exists due timestamptz,
    add column if not exists kind text not null default 'send',
    add column if not exists key text,
    add column if not exists name text,
    add column if not exists queue text,
    add column if not exists reason text;
create unique index if not exists ponos_outbox_key on {schema}.ponos_outbox (service, key) where key is not null;
create index if not exists ponos_outbox_due on {schema}.ponos_outbox (service, due) where due is not null;
create index if not exists ponos_outbox_next on {schema}.ponos_outbox (service, next_try, seq) where parked is null;
create table if not exists {schema}.ponos_unique (
    service text not null,
    name text not null,
    key text not null,
    id text not null,
    at timestamptz not null default now(),
    expires timestamptz not null,
    primary key (service, name, key)
);
create index if not exists ponos_unique_expires on {schema}.ponos_unique (expires);
create table if not exists {schema}.ponos_group (
    service text not null,
    id text not null,
    name text not null,
    open bigint not null,
    done bigint not null default 0,
    dead bigint not null default 0,
    then_head text,
    then_body bytea,
    then_sent timestamptz,
    dead_head text,
    dead_body bytea,
    dead_sent timestamptz,
    begun timestamptz not null default now(),
    expires timestamptz not null,
    cancelled bigint not null default 0,
    primary key (service, id)
);
alter table {schema}.ponos_group add column if not exists cancelled bigint not null default 0;
create index if not exists ponos_group_expires on {schema}.ponos_group (expires);
create table if not exists {schema}.ponos_member (
    service text not null,
    group_id text not null,
    id text not null,
    state text not null default 'open',
    primary key (service, group_id, id),
    foreign key (service, group_id) references {schema}.ponos_group on delete cascade
);
create table if not exists {schema}.ponos_saga (
    service text not null,
    saga text not null,
    key text not null,
    state jsonb,
    timeouts jsonb not null default '{{}}',
    begun timestamptz not null default now(),
    changed timestamptz not null default now(),
    primary key (service, saga, key)
);
"
    ))
}

/// Checks that a schema's name can be put into a statement unquoted.
pub(super) fn identifier(schema: &str) -> Result<&str, InboxError> {
    let letters = |c: char| c.is_ascii_lowercase() || c == '_';
    let fits = schema.starts_with(letters)
        && schema.len() <= 63
        && schema.chars().all(|c| letters(c) || c.is_ascii_digit());
    if fits {
        return Ok(schema);
    }
    Err(InboxError::refused(
        format!("'{schema}' is not a valid schema name for the inbox"),
        "use lower-case letters, digits and _, beginning with a letter, at most 63 characters",
    ))
}

/// Makes sure that the tables exist.
pub(super) async fn ensure(
    connection: &mut PgConnection,
    address: &str,
    schema: &str,
) -> Result<(), InboxError> {
    let ddl = ddl(schema)?;
    let found = check(connection, schema).await;
    match found.map_err(|error| classify(address, "looking for the inbox's tables", &error)) {
        Ok(()) => Ok(()),
        // 42P01, 42703, 3F000: no such table, column, schema. A role that may not read may not create either.
        Err(error) if error.class == InboxErrorClass::Refused => {
            create(connection, &ddl)
                .await
                .map_err(|error| classify(address, "creating the inbox's tables", &error))?;
            check(connection, schema)
                .await
                .map_err(|error| classify(address, "looking for the inbox's tables", &error))
        }
        Err(error) => Err(error),
    }
}

async fn check(connection: &mut PgConnection, schema: &str) -> Result<(), sqlx::Error> {
    let look = format!(
        "select queue, handler, source, id, at from {schema}.ponos_inbox where false;
         select seq, service, id, exchange, head, body, at, attempts, next_try, last_error, parked, due,
                kind, key, name, queue, reason
         from {schema}.ponos_outbox where false;
         select service, name, key, id, at, expires from {schema}.ponos_unique where false;
         select service, id, name, open, done, dead, then_sent, dead_sent, begun, expires, cancelled
         from {schema}.ponos_group where false;
         select service, group_id, id, state from {schema}.ponos_member where false;
         select service, saga, key, state, timeouts, begun, changed from {schema}.ponos_saga where false;"
    );
    sqlx::raw_sql(AssertSqlSafe(look)).execute(connection).await.map(drop)
}

/// Creates the tables, one replica after the other: `if not exists` alone does not protect those that start together.
async fn create(connection: &mut PgConnection, ddl: &str) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql("select pg_advisory_xact_lock(hashtext('ponos schema'))")
        .execute(&mut *transaction)
        .await?;
    sqlx::raw_sql(AssertSqlSafe(ddl.to_owned())).execute(&mut *transaction).await?;
    transaction.commit().await
}
