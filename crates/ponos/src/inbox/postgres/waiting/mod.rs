//! What waits in a service's outbox: listed, hurried, moved, dropped, each by one statement. What is tied to dropped ones ends in the
//! same transaction.
//!
//! Invariant: what a relay has in hand is not touched, and nobody waits for it: the relay has locked its rows, and they are passed
//! over and counted. A statement takes a bounded number of rows. Absent: what waits on the broker's ladder, which can't be looked at
//! without taking it.

mod filter;
mod message;

pub use filter::{WaitingFilter, WaitingKind};
pub use message::{WaitingMessage, WaitingPage, WaitingPlace};

use super::{group::MemberEnd, store::Store, tied::Tied, unique};
use crate::{event::Timestamp, inbox::InboxError, worker::group::GROUP};
use filter::Conditions;
use sqlx::{AssertSqlSafe, Row, postgres::PgRow};
use std::{fmt, sync::Arc};

/// The most rows that one statement lists, …
const PAGE: u32 = 1_000;
/// … or that one with their bodies does, …
const WHOLE: u32 = 10;
/// … or that one changes, …
const CHANGED: u32 = 10_000;
/// … or drops: with each of them a key and a member of a group may end.
const DROPPED: u32 = 1_000;

/// What waits in a service's outbox and fits a filter, from [`Inbox::waiting`](crate::inbox::Inbox::waiting).
#[derive(Clone)]
pub struct Waiting {
    store: Arc<Store>,
    conditions: Conditions,
}

/// How many messages wait, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingCount {
    /// How many.
    pub count: u64,
    /// When the first of them is due or was; `None` for none, and where all are to be sent at once.
    pub first: Option<Timestamp>,
    /// When the last of them is due.
    pub last: Option<Timestamp>,
}

/// What a change has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingChange {
    /// Messages that are changed.
    pub changed: u64,
    /// Messages that are as they were, because a relay is sending them at this moment or has just sent them.
    pub under_way: u64,
    /// Whether there may be more of them than one call changes (10,000; [`Waiting::drop`] 1,000): call it again.
    pub more: bool,
}

impl Waiting {
    pub(super) fn new(store: Arc<Store>, filter: WaitingFilter) -> Result<Self, InboxError> {
        Ok(Self { store, conditions: filter.checked()? })
    }

    /// How many wait, and until when.
    ///
    /// # Errors
    /// As [`InboxErrorClass`](crate::inbox::InboxErrorClass).
    pub async fn count(&self) -> Result<WaitingCount, InboxError> {
        let select = format!(
            "select count(*), {}, {} from {}.ponos_outbox where {}",
            millis("min(due)"),
            millis("max(due)"),
            self.store.schema,
            Conditions::SQL
        );
        let select = self
            .conditions
            .bind(sqlx::query(AssertSqlSafe(select)), &self.store.service)
            .try_map(|row: PgRow| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)))
            .fetch_one(&self.store.side);
        let (count, first, last): (i64, Option<i64>, Option<i64>) =
            self.store.call("counting what waits", select).await?;
        let [first, last] = [first, last].map(|millis| millis.map(Timestamp::from_millis));
        Ok(WaitingCount { count: count.unsigned_abs(), first, last })
    }

    /// The next of them after that place, without their bodies: what is due first comes first. At most `most`, and 1,000.
    ///
    /// # Errors
    /// As [`InboxErrorClass`](crate::inbox::InboxErrorClass).
    pub async fn list(&self, after: Option<&WaitingPlace>, most: u32) -> Result<WaitingPage, InboxError> {
        self.page(after, most.clamp(1, PAGE), "''::bytea").await
    }

    /// The same with their bodies, at most 10.
    ///
    /// # Errors
    /// As [`InboxErrorClass`](crate::inbox::InboxErrorClass).
    pub async fn show(&self, after: Option<&WaitingPlace>) -> Result<WaitingPage, InboxError> {
        self.page(after, WHOLE, "body").await
    }

    async fn page(
        &self,
        after: Option<&WaitingPlace>,
        most: u32,
        body: &str,
    ) -> Result<WaitingPage, InboxError> {
        let select = format!(
            "select seq, next_try::text as place, kind, id, exchange, name, queue, reason, head, {body} as body,
                    octet_length(body)::bigint as bytes, attempts, last_error, parked is not null as parked,
                    {} as at, {} as due
             from {}.ponos_outbox where {}
             and ($8::text is null or (next_try, seq) > ($8::text::timestamptz, $9::bigint))
             order by next_try, seq limit $10",
            millis("at"),
            millis("due"),
            self.store.schema,
            Conditions::SQL
        );
        let select = self
            .conditions
            .bind(sqlx::query(AssertSqlSafe(select)), &self.store.service)
            .bind(after.map(|place| place.next_try.clone()))
            .bind(after.map(|place| place.seq))
            .bind(i64::from(most))
            .try_map(message::of_row)
            .fetch_all(&self.store.side);
        let rows = self.store.call("listing what waits", select).await?;
        let is_full = rows.len() as u64 >= u64::from(most);
        let next = rows.last().filter(|_| is_full).map(|(place, _)| place.clone());
        Ok(WaitingPage { messages: rows.into_iter().map(|(_, message)| message).collect(), next })
    }

    /// Has them sent now: those that are not due yet, that are to be tried again later, and that are parked. At most 10,000, what is
    /// due first before others.
    ///
    /// # Errors
    /// As [`InboxErrorClass`](crate::inbox::InboxErrorClass).
    pub async fn run_now(&self) -> Result<WaitingChange, InboxError> {
        let which = "(next_try > now() or parked is not null)";
        let set = "set next_try = now(), due = case when due > now() then now() else due end, parked = null, attempts = 0";
        let update = format!("update {}.ponos_outbox {set}", self.store.schema);
        let changed = self.change(which, &update, None).await?;
        self.store.put.notify_one();
        Ok(changed)
    }

    /// Has them sent at that instant. At most 10,000.
    ///
    /// # Errors
    /// As [`InboxErrorClass`](crate::inbox::InboxErrorClass); [`Refused`](crate::inbox::InboxErrorClass::Refused) for an instant
    /// beyond [`Timestamp::HORIZON`].
    pub async fn move_to(&self, instant: Timestamp) -> Result<WaitingChange, InboxError> {
        if !(Timestamp::EPOCH..Timestamp::HORIZON).contains(&instant) {
            let remedy = "nothing is due before 1970, or from 2100 on: name another instant";
            return Err(InboxError::refused(format!("messages can't be moved to {instant}"), remedy));
        }
        let at = "timestamptz 'epoch' + $9::bigint * interval '1 millisecond'";
        // what was moved there is not moved again by the next call
        let which = format!("(due is distinct from {at} or parked is not null)");
        let set = format!("set due = {at}, next_try = {at}, parked = null, attempts = 0");
        let update = format!("update {}.ponos_outbox {set}", self.store.schema);
        let changed = self.change(&which, &update, Some(instant)).await?;
        self.store.put.notify_one();
        Ok(changed)
    }

    /// Removes them for good: they are never sent. What is tied to them ends with them: a key of
    /// [`Once::until_done`](crate::Once::until_done) is free, and a member of a group counts as dead. At most 1,000.
    ///
    /// # Errors
    /// As [`InboxErrorClass`](crate::inbox::InboxErrorClass); then none is dropped, or, if the connection is lost at the very end, all.
    pub async fn drop(&self) -> Result<WaitingChange, InboxError> {
        self.remove(MemberEnd::Dead).await
    }

    /// The same for those that were [cancelled](crate::client::ControlClient::cancel): a member of a group counts as such.
    ///
    /// # Errors
    /// As [`Waiting::drop`].
    pub async fn cancel(&self) -> Result<WaitingChange, InboxError> {
        self.remove(MemberEnd::Cancelled).await
    }

    async fn remove(&self, end: MemberEnd) -> Result<WaitingChange, InboxError> {
        let (store, doing) = (&*self.store, "dropping what waits");
        let delete = format!("delete from {}.ponos_outbox", store.schema);
        let is_tied = format!(
            "name is not null and (position('\"{}\"' in head) > 0 or position('\"{GROUP}\"' in head) > 0)",
            unique::HEADER
        );
        let tied = ["name", "id", "head"]
            .map(|column| format!(", array(select {column} from changed where {is_tied} order by seq)"));
        let delete = self.statement("true", (&delete, "seq, name, id, head"), &tied.concat());
        let mut transaction = store.call(doing, Box::pin(store.side.begin())).await?;
        let delete = self
            .conditions
            .bind(sqlx::query(AssertSqlSafe(delete)), &store.service)
            .bind(i64::from(DROPPED))
            .try_map(|row: PgRow| {
                Ok((counts(&row, DROPPED)?, row.try_get(2)?, row.try_get(3)?, row.try_get(4)?))
            })
            .fetch_one(&mut *transaction);
        let (change, names, ids, heads): (WaitingChange, Vec<String>, Vec<String>, Vec<String>) =
            store.call(doing, delete).await?;
        let rows = names.iter().zip(&ids).zip(&heads);
        let mut tied: Vec<Tied> =
            rows.filter_map(|((name, id), head)| Tied::of_row(name, id, head)).collect();
        tied.sort_by(|one, other| one.group().cmp(&other.group()));
        for one in &tied {
            store.call(doing, one.end(&mut transaction, store, end)).await?;
        }
        store.call(doing, transaction.commit()).await?;
        if !tied.is_empty() {
            store.put.notify_one();
        }
        Ok(change)
    }

    /// Changes those `which` no relay has locked. What is sent meanwhile is gone when its lock is asked for.
    async fn change(
        &self,
        which: &str,
        change: &str,
        instant: Option<Timestamp>,
    ) -> Result<WaitingChange, InboxError> {
        let change = self.statement(which, (change, "seq"), "");
        let query = self
            .conditions
            .bind(sqlx::query(AssertSqlSafe(change)), &self.store.service)
            .bind(i64::from(CHANGED));
        let query = match instant {
            Some(instant) => query.bind(instant.millis()),
            None => query,
        };
        let change = query.try_map(|row: PgRow| counts(&row, CHANGED)).fetch_one(&self.store.side);
        self.store.call("changing what waits", change).await
    }

    /// The statement that makes a change, which returns columns of what is changed; its answer are two counts, and what else is selected.
    fn statement(&self, which: &str, (change, columns): (&str, &str), also: &str) -> String {
        format!(
            "with chosen as (
                select seq from {0}.ponos_outbox where {1} and {which} order by next_try, seq limit $8),
             free as (
                select seq from {0}.ponos_outbox where seq in (select seq from chosen) for update skip locked),
             changed as ({change} where seq in (select seq from free) returning {columns})
             select (select count(*) from chosen), (select count(*) from changed){also}",
            self.store.schema,
            Conditions::SQL
        )
    }
}

/// Reads the answer to a change of at most so many.
fn counts(row: &PgRow, most: u32) -> Result<WaitingChange, sqlx::Error> {
    let (chosen, changed): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    let (chosen, changed) = (chosen.unsigned_abs(), changed.unsigned_abs());
    let under_way = chosen.saturating_sub(changed);
    Ok(WaitingChange { changed, under_way, more: chosen >= u64::from(most) })
}

/// The SQL for a time in milliseconds, which is null for none and for an infinite one, which somebody may have written.
fn millis(time: &str) -> String {
    format!("case when isfinite({time}) then (extract(epoch from {time}) * 1000)::bigint end")
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("conditions", &self.conditions).finish_non_exhaustive()
    }
}
