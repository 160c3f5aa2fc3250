//! Groups: how many of their members have not ended, and what is sent when none is left.
//!
//! Invariant: a member is counted once, in the transaction in which it ends, and what follows from the last one is a row of the
//! outbox in that very transaction. The lock of the group's row puts the ends of members in an order, so that one of them is the last.

use super::{
    encoding, outbox,
    store::{Store, without_nul},
};
use crate::{
    event::{Event, EventId, Timestamp},
    inbox::{Entry, EntryBackend, Held, InboxError},
    topology::worker::TASKS,
    worker::group::{COUNTS, GROUP, GroupDraft, NAME},
};
use sqlx::{AssertSqlSafe, PgConnection};
use std::{collections::HashMap, sync::Arc};

/// Groups in one step of pruning.
const STEP: i64 = 100;

/// How a member ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MemberEnd {
    /// Done, or skipped.
    Done,
    /// In the dead letters, or dropped while it waited.
    Dead,
    /// Cancelled by somebody.
    Cancelled,
}

/// What a group sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sends {
    Then,
    OnDead,
}

/// Of the row: name, the task's head and body, done, dead, cancelled, open, milliseconds since 1970.
type Row = (String, Option<String>, Option<Vec<u8>>, i64, i64, i64, i64, i64);

impl Entry {
    /// Begins these groups with its end, besides those that it was given before.
    pub(crate) fn begin_groups(&mut self, drafts: Vec<GroupDraft>) {
        if let EntryBackend::Postgres(run) = &mut self.0 {
            run.groups.extend(drafts);
        }
    }
}

/// Writes the rows of groups and of their members among what is published.
pub(super) async fn begin_all(
    connection: &mut PgConnection,
    store: &Store,
    drafts: &[GroupDraft],
    publishes: &[Held],
) -> Result<(), sqlx::Error> {
    if drafts.is_empty() {
        return Ok(());
    }
    let mut members: HashMap<&str, Vec<String>> = HashMap::new();
    for held in publishes {
        if let Some(group) = held.message.headers.text(GROUP) {
            members.entry(group).or_default().push(without_nul(held.id.as_str()).into_owned());
        }
    }
    for draft in drafts {
        let id = draft.id.to_string();
        let own = members.remove(id.as_str()).unwrap_or_default();
        begin(connection, store, draft, (id, own)).await?;
    }
    Ok(())
}

/// One that was begun before stays as it is: its handler runs again.
async fn begin(
    connection: &mut PgConnection,
    store: &Store,
    draft: &GroupDraft,
    (id, members): (String, Vec<String>),
) -> Result<(), sqlx::Error> {
    let head = |held: &Option<Held>| held.as_ref().map(|held| encoding::head(&held.message)).transpose();
    let head = |held: &Option<Held>| head(held).map_err(|error| sqlx::Error::Encode(error.into()));
    let body = |held: &Option<Held>| held.as_ref().map(|held| held.message.body.clone());
    let insert = format!(
        "insert into {}.ponos_group
             (service, id, name, open, then_head, then_body, dead_head, dead_body, expires)
         values ($1, $2, $3, $4, $5, $6, $7, $8, clock_timestamp() + make_interval(secs => $9))
         on conflict do nothing",
        store.schema
    );
    let inserted = sqlx::query(AssertSqlSafe(insert))
        .bind(&*store.service)
        .bind(&id)
        .bind(without_nul(&draft.name))
        .bind(i64::try_from(members.len()).unwrap_or(i64::MAX))
        .bind(head(&draft.then)?)
        .bind(body(&draft.then))
        .bind(head(&draft.on_dead)?)
        .bind(body(&draft.on_dead))
        .bind(draft.expires.as_secs_f64())
        .execute(&mut *connection)
        .await?;
    if inserted.rows_affected() == 0 {
        return Ok(());
    }
    if members.is_empty() {
        return send(connection, store, &id, Sends::Then).await;
    }
    let insert = format!(
        "insert into {}.ponos_member (service, group_id, id) select $1, $2, unnest($3::text[])",
        store.schema
    );
    sqlx::query(AssertSqlSafe(insert))
        .bind(&*store.service)
        .bind(id)
        .bind(members)
        .execute(connection)
        .await
        .map(drop)
}

/// Counts the end of a member. What is counted already changes nothing; a dead one that was requeued and is done changes the counts,
/// and sends nothing.
pub(super) async fn end(
    connection: &mut PgConnection,
    store: &Store,
    (group, member): (&str, &EventId),
    end: MemberEnd,
) -> Result<(), sqlx::Error> {
    let state = match end {
        MemberEnd::Done => "done",
        MemberEnd::Dead => "dead",
        MemberEnd::Cancelled => "cancelled",
    };
    let update = format!(
        "update {0}.ponos_member as member set state = $4
         from (select state from {0}.ponos_member where service = $1 and group_id = $2 and id = $3 for update) as before
         where service = $1 and group_id = $2 and id = $3
             and (before.state = 'open' or before.state = 'dead' and $4 = 'done')
         returning before.state",
        store.schema
    );
    let before: Option<String> = sqlx::query_scalar(AssertSqlSafe(update))
        .bind(&*store.service)
        .bind(group.to_owned())
        .bind(without_nul(member.as_str()).into_owned())
        .bind(state)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(before) = before else { return Ok(()) };
    let was_open = before == "open";
    let change = match (end, was_open) {
        (MemberEnd::Done, true) => "open = open - 1, done = done + 1",
        (MemberEnd::Dead, _) => "open = open - 1, dead = dead + 1",
        (MemberEnd::Cancelled, _) => "open = open - 1, cancelled = cancelled + 1",
        (MemberEnd::Done, false) => "dead = dead - 1, done = done + 1",
    };
    let update = format!(
        "update {}.ponos_group set {change} where service = $1 and id = $2 returning open",
        store.schema
    );
    let open: Option<i64> = sqlx::query_scalar(AssertSqlSafe(update))
        .bind(&*store.service)
        .bind(group.to_owned())
        .fetch_optional(&mut *connection)
        .await?;
    if end == MemberEnd::Dead {
        send(connection, store, group, Sends::OnDead).await?;
    }
    if was_open && open == Some(0) {
        send(connection, store, group, Sends::Then).await?;
    }
    Ok(())
}

/// Puts what the group sends into the outbox, unless that was done.
async fn send(
    connection: &mut PgConnection,
    store: &Store,
    group: &str,
    sends: Sends,
) -> Result<(), sqlx::Error> {
    let which = match sends {
        Sends::Then => "then",
        Sends::OnDead => "dead",
    };
    let update = format!(
        "update {}.ponos_group set {which}_sent = clock_timestamp()
         where service = $1 and id = $2 and {which}_sent is null
         returning name, {which}_head, {which}_body, done, dead, cancelled, open,
             (extract(epoch from clock_timestamp()) * 1000)::bigint",
        store.schema
    );
    let row: Option<Row> = sqlx::query_as(AssertSqlSafe(update))
        .bind(&*store.service)
        .bind(group.to_owned())
        .fetch_optional(&mut *connection)
        .await?;
    let Some((name, Some(head), Some(body), done, dead, cancelled, open, now)) = row else { return Ok(()) };
    let held = task(&head, body, (&name, [done, dead, cancelled, open], now))
        .map_err(|error| sqlx::Error::Decode(error.into()))?;
    outbox::put(connection, store, &[held]).await
}

/// The task as it was made when the group began, but with the counts and the time of now.
fn task(head: &str, body: Vec<u8>, (name, counts, now): (&str, [i64; 4], i64)) -> Result<Held, String> {
    let mut message = encoding::message(head, body).map_err(|error| error.to_string())?;
    let routing_key = message.routing_key.clone();
    // its data stay as they are, compressed ones too: no event says how
    let (encoding, priority) = (message.properties.content_encoding.take(), message.properties.priority);
    let mut event = Event::from_message(&message).map_err(|error| error.to_string())?;
    event.time = Some(Timestamp::from_millis(now));
    event.extensions.set(NAME, name);
    for (header, count) in COUNTS.into_iter().zip(counts) {
        event.extensions.set(header, count);
    }
    let id = event.id.clone();
    let mut message = event.into_message();
    message.routing_key = routing_key;
    (message.properties.content_encoding, message.properties.priority) = (encoding, priority);
    Ok(Held { id, exchange: Arc::from(TASKS), message, due: None })
}

/// Ends groups whose time is over, and removes those that have ended before.
pub(super) async fn prune(store: &Store) -> Result<(), InboxError> {
    let doing = "ending groups whose time is over";
    let delete = format!(
        "delete from {0}.ponos_group where ctid = any (array (
            select ctid from {0}.ponos_group where expires <= clock_timestamp() and then_sent is not null limit $1))",
        store.schema
    );
    loop {
        let step = sqlx::query(AssertSqlSafe(delete.clone())).bind(STEP).execute(&store.side);
        if store.call(doing, step).await?.rows_affected() == 0 {
            break;
        }
    }
    let select = format!(
        "select id from {}.ponos_group where service = $1 and expires <= clock_timestamp() and then_sent is null limit $2",
        store.schema
    );
    loop {
        let over = sqlx::query_scalar(AssertSqlSafe(select.clone())).bind(&*store.service).bind(STEP);
        let over: Vec<String> = store.call(doing, over.fetch_all(&store.side)).await?;
        if over.is_empty() {
            return Ok(());
        }
        for group in over {
            let mut transaction = store.call(doing, Box::pin(store.side.begin())).await?;
            store.call(doing, send(&mut transaction, store, &group, Sends::Then)).await?;
            store.call(doing, transaction.commit()).await?;
        }
        store.put.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compression;

    #[test]
    fn data_that_were_compressed_are_sent_as_such_with_the_counts() {
        let data = format!("\"{}\"", "a".repeat(9_000)).into_bytes();
        let name = "shop.import.finish".parse().unwrap();
        let mut message = Event::new("1".parse().unwrap(), "/shop", name, data.clone()).into_message();
        assert!(compression::gzip(&mut message));
        message.routing_key = "shop.shop.import.finish".into();
        message.properties.priority = Some(7);
        let head = encoding::head(&message).unwrap();
        let sent = task(&head, message.body, ("import", [2, 1, 3, 0], 0)).unwrap().message;
        assert_eq!(
            (sent.routing_key.as_str(), sent.properties.priority),
            ("shop.shop.import.finish", Some(7))
        );
        let event = compression::event(&sent, 1 << 20).unwrap();
        assert_eq!(event.data, data);
        assert_eq!(COUNTS.map(|name| event.extensions.int(name)), [Some(2), Some(1), Some(3), Some(0)]);
    }
}
