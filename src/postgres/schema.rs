//! The tables, and how they came to be: numbered steps, each applied once, in the order of their numbers.

use super::{calls::Calls, calls::number, errors::Failed};
use std::time::Duration;

/// The newest step that this version knows; tables of a newer one are refused.
pub(crate) const NEWEST: u32 = STEPS.len() as u32;

/// Step n is the (n − 1)th of these. What was released is never changed: what follows goes into a step of its own.
const STEPS: [&str; 6] = [FIRST, MEMBERS, TOUCHED, FILES_TEXT, WARMTH, LEADERSHIPS];

/// Since this step members show whether they would take over at once.
pub(super) const WARMTH_FROM: u32 = 5;

/// So many of them the lease needs, so whoever follows: they are there before anybody leads. Those behind are for who leads.
const OF_THE_LEASE: u32 = 2;
/// How long one of the others may take: an index of millions of rows takes minutes.
const STEP: Duration = Duration::from_secs(30 * 60);

/// The row of a shard holds lease and progress, so that one compare-and-swap does both. It is updated several times a second: a
/// page that is filled to a tenth has room for its next versions, so that no index is touched and nothing grows. All other tables
/// are written in the same transactions. Of those that have millions of rows and lose the oldest with each batch the server
/// tidies up at a hundredth: each batch looks for the oldest, and walks over what is dead.
const FIRST: &str = "
create table {s}.shard (
    clock text not null, shard smallint not null default 0, shards smallint not null default 1,
    term bigint not null default 0, holder uuid, address text,
    beat bigint not null default 0, writes bigint not null default 0,
    expires_at timestamptz not null default '-infinity', wanted_by uuid,
    w bigint, h bigint, complete bigint, state bytea,
    primary key (clock, shard)
) with (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 50,
        autovacuum_vacuum_cost_delay = 0);
create table {s}.content (clock text, shard smallint, key bytea, value bytea not null, primary key (clock, shard, key));
create table {s}.revision (clock text, shard smallint, key bytea, value bytea not null, primary key (clock, shard, key));
create table {s}.span (clock text, shard smallint, key bytea, value bytea not null, primary key (clock, shard, key));
create table {s}.one_shot (clock text, shard smallint, key bytea, value bytea not null, primary key (clock, shard, key));
create table {s}.parked (clock text, shard smallint, key bytea, value bytea not null, primary key (clock, shard, key));
create table {s}.message (clock text, shard smallint, key bytea, value bytea not null, primary key (clock, shard, key));
create table {s}.entry (clock text, shard smallint, key bytea, value bytea not null, primary key (clock, shard, key));
create table {s}.kept (clock text, shard smallint, kind text, rows bigint not null, primary key (clock, shard, kind))
    with (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 50);
create table {s}.record (clock text, shard smallint, number bigint, at bigint not null, value bytea not null,
    primary key (clock, shard, number));
create table {s}.change (clock text, shard smallint, number bigint, at bigint not null, value bytea not null,
    primary key (clock, shard, number));
create table {s}.delayed_state (clock text, shard smallint, value bytea not null, primary key (clock, shard))
    with (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 50);
create table {s}.delayed_pending (clock text, shard smallint, name bytea, send bigint not null, head bytea not null,
    content bytea not null, primary key (clock, shard, name))
    with (autovacuum_vacuum_scale_factor = 0.01);
create index delayed_pending_send on {s}.delayed_pending (clock, shard, send, name);
create table {s}.delayed_parked (clock text, shard smallint, key bytea, value bytea not null,
    released boolean not null default false, primary key (clock, shard, key));
create table {s}.delayed_tombstone (clock text, shard smallint, name bytea, at bigint not null, value bytea not null,
    primary key (clock, shard, name)) with (autovacuum_vacuum_scale_factor = 0.01);
create index delayed_tombstone_at on {s}.delayed_tombstone (clock, shard, at, name);
create table {s}.delayed_answer (clock text, shard smallint, key bytea, at bigint not null, value bytea not null,
    primary key (clock, shard, key)) with (autovacuum_vacuum_scale_factor = 0.01);
create index delayed_answer_at on {s}.delayed_answer (clock, shard, at, key);
create table {s}.delayed_owner (clock text, shard smallint, owner bytea, value bytea not null,
    primary key (clock, shard, owner));
create table {s}.delayed_record (clock text, shard smallint, number bigint, at bigint not null, value bytea not null,
    primary key (clock, shard, number));
create table {s}.delayed_change (clock text, shard smallint, number bigint, at bigint not null, value bytea not null,
    bytes bigint not null, primary key (clock, shard, number));
";

/// Who leads since when, how long nobody did before, who follows, and what the files of each say. Members write once a second each.
const MEMBERS: &str = "
alter table {s}.shard add column since timestamptz, add column gap bigint,
    add column saved_on bigint not null default 0, add column seal text;
create table {s}.member (clock text, shard smallint, id uuid, address text, version text not null, zones text not null,
    ahead bigint, has_broker boolean not null, seen_at timestamptz not null, probed_at timestamptz,
    primary key (clock, shard, id))
    with (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 50);
create table {s}.files (clock text, shard smallint, place text, digest text not null, changed_at timestamptz not null,
    primary key (clock, shard, place));
";

/// Which keys each write of the progress touched, for those that follow.
const TOUCHED: &str = "
create table {s}.touched (clock text, shard smallint, number bigint, value bytea not null,
    primary key (clock, shard, number));
";

/// What the files say that a member changed to last, in pieces.
const FILES_TEXT: &str = "
create table {s}.files_text (clock text, shard smallint, digest text, piece integer, value bytea not null,
    primary key (clock, shard, digest, piece));
";

/// As of when a member holds what the leader keeps, or why it does not.
const WARMTH: &str = "
alter table {s}.member add column warm_at timestamptz, add column cold text;
";

/// Under which leadership the rows of each record were written: those behind a number, as far as that of the next leadership.
const LEADERSHIPS: &str = "
create table {s}.leadership (clock text, shard smallint, record text, term bigint, behind bigint not null,
    address text, since timestamptz, primary key (clock, shard, record, term));
";

/// Makes what whoever follows needs, one program after the other; all of it where there is nothing yet.
///
/// # Errors
/// [`Failed::Newer`] for tables of a newer version.
pub(super) async fn migrate(calls: &mut Calls<'_>) -> Result<(), Failed> {
    migrate_by(calls, &STEPS).await
}

/// Makes the rest, by whoever leads: in a transaction of the one writer, so that no older leader's tables are changed under it, and
/// nobody else leads meanwhile, however long it takes.
///
/// # Errors
/// [`Failed::Newer`] for tables of a newer version.
pub(super) async fn finish(calls: &mut Calls<'_>) -> Result<(), Failed> {
    finish_by(calls, &STEPS).await
}

/// Waits until no other program changes what there is of this schema, until this transaction ends.
pub(super) async fn lock(calls: &mut Calls<'_>) -> Result<(), Failed> {
    calls.simple("select pg_advisory_xact_lock(hashtext('khronos {s}'))").await
}

/// Whether all that this version wants of the tables is there.
///
/// # Errors
/// [`Failed::Newer`] for tables of a newer version.
pub(crate) async fn is_complete(calls: &mut Calls<'_>) -> Result<bool, Failed> {
    Ok(step(calls, &STEPS).await? == NEWEST)
}

async fn migrate_by(calls: &mut Calls<'_>, steps: &[&str]) -> Result<(), Failed> {
    // Where all is there nothing is locked, and no right to create anything is needed.
    let made = calls.statement("select to_regclass('{s}.migration') is not null");
    calls.begin("").await?;
    let made = match calls.one(made).await? {
        Some(row) => super::calls::column(&row, 0)?,
        None => false,
    };
    let is_enough = made && step(calls, steps).await? >= OF_THE_LEASE;
    calls.simple("commit").await?;
    if is_enough {
        return Ok(());
    }
    calls.begin("").await?;
    lock(calls).await?;
    // Without a right to create schemas one that is there is enough.
    let exists = calls.statement("select 1 from pg_namespace where nspname = '{s}'");
    if calls.one(exists).await?.is_none() {
        calls.simple("create schema {s}").await?;
    }
    calls
        .simple("create table if not exists {s}.migration (number integer primary key, at timestamptz not null default now())")
        .await?;
    let done = step(calls, steps).await?;
    // Where there was nothing nobody leads.
    let last = if done == 0 { steps.len() } else { OF_THE_LEASE as usize };
    make(calls, steps.get(done as usize..last).unwrap_or_default(), done).await?;
    calls.simple("commit").await
}

async fn finish_by(calls: &mut Calls<'_>, steps: &[&str]) -> Result<(), Failed> {
    let done = step(calls, steps).await?;
    let rest = steps.get(done as usize..).unwrap_or_default();
    if !rest.is_empty() {
        calls.within(STEP);
        make(calls, rest, done).await?;
        tracing::info!(from = done, to = steps.len(), "the tables are brought to the form of this version");
    }
    Ok(())
}

async fn make(calls: &mut Calls<'_>, steps: &[&str], done: u32) -> Result<(), Failed> {
    for (number, step) in (done + 1..).zip(steps) {
        calls.simple(step).await?;
        let note = calls.statement("insert into {s}.migration (number) values ($1)");
        calls.execute(note.bind(i64::from(number))).await?;
    }
    Ok(())
}

/// The last step that was applied.
async fn step(calls: &mut Calls<'_>, steps: &[&str]) -> Result<u32, Failed> {
    let last = calls.statement("select coalesce(max(number), 0)::bigint from {s}.migration");
    let last = match calls.one(last).await? {
        Some(row) => number(&row, 0)?,
        None => 0,
    };
    let last = u32::try_from(last).unwrap_or(u32::MAX);
    if last as usize > steps.len() { Err(Failed::Newer(last)) } else { Ok(last) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        postgres::{Line, Session, Writing, fixture::Tables},
        store::StoreError,
    };
    use testkit::Postgres;

    /// As a later version would have them.
    fn later() -> Vec<&'static str> {
        let more = [
            "alter table {s}.span add column later bigint",
            "create index span_later on {s}.span (clock, shard, later)",
        ];
        STEPS.into_iter().chain(more).collect()
    }

    fn sql(tables: &Tables, statements: &str) -> String {
        Postgres::shared().sql("stores", &statements.replace("{s}", tables.schema()))
    }

    fn last(tables: &Tables) -> u32 {
        sql(tables, "select max(number) from {s}.migration").parse().unwrap()
    }

    /// A later version begins to follow.
    fn follows(tables: &Tables) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let door = tables.door("khronos");
        let beginning = async {
            let limit = door.limits().1;
            let mut line = Line::connect(&door, limit).await?;
            let mut calls = Calls::new(&mut line.connection, door.address().schema(), limit);
            migrate_by(&mut calls, &later()).await
        };
        runtime.block_on(beginning).unwrap();
    }

    fn finishes(session: &Session) -> Result<(), StoreError> {
        session.write(Writing::long(), async |calls| finish_by(calls, &later()).await)
    }

    #[test]
    fn tables_of_an_older_version_are_changed_by_who_leads_alone() {
        let tables = Tables::new();
        let older = tables.door("khronos").session().unwrap();
        follows(&tables);
        let leader = tables.door("khronos").session().unwrap();
        let refused = finishes(&older);
        assert!(matches!(refused, Err(StoreError::Fenced { .. })), "it leads no more: {refused:?}");
        assert_eq!(last(&tables), NEWEST);
        finishes(&leader).unwrap();
        finishes(&leader).unwrap();
        assert_eq!(last(&tables), NEWEST + 2);
        assert_eq!(sql(&tables, "select count(later) from {s}.span"), "0");
        let refused = leader.write(Writing::long(), async |calls| finish(calls).await);
        assert!(matches!(refused, Err(StoreError::Newer { form, .. }) if form == NEWEST + 2), "{refused:?}");
    }

    #[test]
    fn where_there_is_nothing_yet_all_is_made_at_once() {
        let tables = Tables::new();
        follows(&tables);
        assert_eq!(last(&tables), NEWEST + 2);
    }
}
