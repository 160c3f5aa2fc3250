//! Reads the store on any thread, beside what is written: each call sees what was committed at one moment.

use super::{
    keyed::{ANSWERS, PARKED, PENDING},
    state::State,
};
use crate::{
    delayed::{
        encoding::{self, Unreadable},
        meta::Meta,
    },
    engine::{
        Answered, MessageKey,
        delayed::{
            Counted, DelayedEvent, DelayedHead, DelayedKey, DelayedPage, DelayedReader, DueEvent, Found,
            Listed, NumberedRow, OwnerShare, PAGE_BYTES, ParkedEvent, Tombstone,
        },
    },
    postgres::{
        Calls, Door, Failed, Numbered, PAGE, Reads, Session, Shard, column, integer, leader, number, of,
    },
    store::{ChangePage, Leader, StoreError},
};
use ponos::event::Timestamp;
use std::{collections::HashMap, ops::Range, sync::Arc};

/// Names that a list looks at with one statement.
const LISTED: usize = 500;

/// The table of the record.
pub(super) const RECORD: &str = "delayed_record";

pub(super) struct PostgresDelayedReader {
    door: Door,
    reads: Arc<Reads>,
}

/// What a page has, the bounds of what is kept, and which record it is.
struct PageRead<T> {
    found: Vec<T>,
    first: u64,
    last: u64,
    record: u64,
}

/// Reads for whoever only follows.
pub(crate) fn delayed_reader(door: &Door, reads: Arc<Reads>) -> Arc<dyn DelayedReader> {
    Arc::new(PostgresDelayedReader::new(door, reads))
}

impl PostgresDelayedReader {
    pub(super) fn new(door: &Door, reads: Arc<Reads>) -> Self {
        Self { door: door.clone(), reads }
    }

    pub(super) fn reads(&self) -> &Reads {
        &self.reads
    }

    fn shard(&self) -> &Shard {
        self.door.shard()
    }

    /// By name, what is whose, as of the last write of the session or later.
    pub(super) fn owners(&self, session: &Session) -> Result<Vec<(Arc<str>, OwnerShare)>, StoreError> {
        let all = "select owner, value from {s}.delayed_owner where clock = $1 and shard = $2 order by owner";
        self.reads.at_once_by(session, async |calls| {
            let rows = calls.all(of(calls, self.shard(), all)).await?;
            let owner =
                |row| Ok((encoding::read_name(column(row, 0)?)?, encoding::read_share(column(row, 1)?)?));
            rows.iter().map(owner).collect()
        })
    }

    fn page<T>(
        &self,
        table: &str,
        (after, most): (u64, usize),
        bounds: impl Fn(&Meta) -> (u64, u64),
        read: impl Fn(u64, &[u8]) -> Result<(T, usize), Failed>,
    ) -> Result<PageRead<T>, StoreError> {
        self.reads.at_once(async |calls| {
            let meta = self.meta(calls).await?;
            let (first, last) = bounds(&meta);
            let most = (most, PAGE_BYTES);
            let found = Numbered::read(table, calls, self.shard(), (after, last), most, &read).await?;
            Ok(PageRead { found, first, last, record: meta.store })
        })
    }

    /// What the store says of itself.
    async fn meta(&self, calls: &mut Calls<'_>) -> Result<Meta, Failed> {
        let look = "select value from {s}.delayed_state where clock = $1 and shard = $2";
        let state = calls.one(of(calls, self.shard(), look)).await?;
        let state = state.ok_or_else(|| Failed::Unreadable("it does not say what it is".into()))?;
        Ok(State::read(column(&state, 0)?)?.meta)
    }
}

impl From<Unreadable> for Failed {
    fn from(Unreadable(what): Unreadable) -> Self {
        Self::Unreadable(what)
    }
}

impl DelayedReader for PostgresDelayedReader {
    fn tells_of_the_store(&self) -> bool {
        false
    }

    fn due(
        &self,
        range: Range<Timestamp>,
        after: Option<&DelayedKey>,
        most: usize,
    ) -> Result<Vec<DueEvent>, StoreError> {
        let least = DelayedKey { send: range.start, name: "".into() };
        let from = after.filter(|after| **after >= least);
        self.reads.at_once(async |calls| {
            let mut found: Vec<DueEvent> = Vec::new();
            loop {
                let (from, is) = match found.last().map(|event| &event.key).or(from) {
                    Some(after) => (after, ">"),
                    None => (&least, ">="),
                };
                let wanted = (most - found.len()).min(PAGE);
                let page = format!(
                    "select name, send, head from {{s}}.delayed_pending
                     where clock = $1 and shard = $2 and (send, name) {is} ($3, $4) and send < $5
                     order by send, name limit $6"
                );
                let page = of(calls, self.shard(), &page)
                    .bind(from.send.millis())
                    .bind(from.name.as_bytes())
                    .bind(range.end.millis())
                    .bind(integer(wanted as u64));
                let rows = calls.all(page).await?;
                for row in &rows {
                    found
                        .push(encoding::read_due(&place(column(row, 1)?, column(row, 0)?), column(row, 2)?)?);
                }
                if rows.len() < wanted || found.len() >= most {
                    return Ok(found);
                }
            }
        })
    }

    fn events(&self, keys: &[DelayedKey]) -> Result<Vec<Option<DelayedEvent>>, StoreError> {
        self.reads.at_once(async |calls| {
            let mut events = HashMap::new();
            let names = keys.iter().map(|key| key.name.as_bytes().to_vec());
            let take = |row: &_| {
                let (head, content) = (head(row)?, encoding::read_content(column(row, 3)?)?);
                events.insert(head.key.clone(), DelayedEvent { head, content });
                Ok(())
            };
            PENDING.read(calls, self.shard(), names, take).await?;
            Ok(keys.iter().map(|key| events.get(key).cloned()).collect())
        })
    }

    fn find(&self, names: &[Arc<str>]) -> Result<Vec<Found>, StoreError> {
        let pending = "select name, send, head from {s}.delayed_pending
             where clock = $1 and shard = $2 and name = any ($3::bytea[])";
        let settled = "select name, value from {s}.delayed_tombstone
             where clock = $1 and shard = $2 and name = any ($3::bytea[])";
        self.reads.at_once(async |calls| {
            let mut found: HashMap<Arc<str>, Found> = HashMap::new();
            for names in names.chunks(LISTED) {
                let names: Vec<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
                for row in calls.all(of(calls, self.shard(), settled).bind(&names)).await? {
                    let tombstone: Tombstone = encoding::read(column(&row, 1)?)?;
                    let name = encoding::read_name(column(&row, 0)?)?;
                    found.insert(name, Found::Settled(Box::new(tombstone)));
                }
                for row in calls.all(of(calls, self.shard(), pending).bind(&names)).await? {
                    let head = head(&row)?;
                    found.insert(head.key.name.clone(), Found::Pending(Box::new(head)));
                }
            }
            Ok(names.iter().map(|name| found.get(name).cloned().unwrap_or(Found::Nothing)).collect())
        })
    }

    fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        matches: &dyn Fn(&DelayedHead) -> bool,
        most: usize,
        looked_at: usize,
    ) -> Result<Listed, StoreError> {
        let after = after.filter(|after| *after >= prefix);
        self.reads.at_once(async |calls| {
            let (mut from, mut is) = match after {
                Some(after) => (Arc::from(after), ">"),
                None => (Arc::<str>::from(prefix), ">="),
            };
            let mut listed = Listed::default();
            let mut left = looked_at.max(1);
            loop {
                let page = format!(
                    "select name, send, head from {{s}}.delayed_pending
                     where clock = $1 and shard = $2 and name {is} $3 order by name limit $4"
                );
                // One more tells whether there are more.
                let wanted = left.saturating_add(1).min(LISTED);
                let page = of(calls, self.shard(), &page).bind(from.as_bytes()).bind(integer(wanted as u64));
                let rows = calls.all(page).await?;
                for row in &rows {
                    let head = head(row)?;
                    let name = head.key.name.clone();
                    if !name.starts_with(prefix) {
                        return Ok(Listed { next: None, ..listed });
                    }
                    if left == 0 || !listed.heads.is_empty() && listed.heads.len() >= most {
                        return Ok(listed);
                    }
                    left -= 1;
                    listed.heads.extend(Some(head).filter(|head| matches(head)));
                    listed.next = Some(name);
                }
                match &listed.next {
                    Some(name) if rows.len() == wanted => (from, is) = (name.clone(), ">"),
                    _ => return Ok(Listed { next: None, ..listed }),
                }
            }
        })
    }

    fn answers(&self, messages: &[MessageKey]) -> Result<Vec<Option<Answered>>, StoreError> {
        let keys: Vec<Vec<u8>> = messages.iter().map(encoding::message_key).collect();
        self.reads.at_once(async |calls| {
            let mut answers: HashMap<Vec<u8>, Answered> = HashMap::new();
            let take = |row: &_| {
                answers.insert(column(row, 0)?, encoding::read(column(row, 1)?)?);
                Ok(())
            };
            ANSWERS.read(calls, self.shard(), keys.iter().cloned(), take).await?;
            Ok(keys.iter().map(|key| answers.get(key).cloned()).collect())
        })
    }

    fn owner(&self, owner: &str) -> Result<OwnerShare, StoreError> {
        let look = "select value from {s}.delayed_owner where clock = $1 and shard = $2 and owner = $3";
        self.reads.at_once(async |calls| {
            let share = calls.one(of(calls, self.shard(), look).bind(owner.as_bytes())).await?;
            match share {
                Some(row) => Ok(encoding::read_share(column(&row, 0)?)?),
                None => Ok(OwnerShare::default()),
            }
        })
    }

    fn parked(&self, after: u64, most: usize) -> Result<Vec<ParkedEvent>, StoreError> {
        self.reads.at_once(async |calls: &mut Calls<'_>| {
            let mut all = Vec::new();
            let take = |row: &_| {
                let parked = encoding::read_parked(column(row, 1)?)?;
                all.push(ParkedEvent { released: column(row, 2)?, ..parked });
                Ok(())
            };
            PARKED.read_after(calls, self.shard(), &encoding::number(after), most, take).await?;
            Ok(all)
        })
    }

    fn read(&self, after: u64, most: usize) -> Result<DelayedPage, StoreError> {
        let bounds = |meta: &Meta| (meta.first_row, meta.last_row);
        let read = |number, value: &[u8]| {
            let row = encoding::read_row(value)?;
            let content = row.content_bytes();
            Ok((NumberedRow { number, row }, content))
        };
        let page = self.page(RECORD, (after, most), bounds, read)?;
        Ok(DelayedPage { rows: page.found, first: page.first, last: page.last, record: page.record })
    }

    fn leader(&self, number: u64) -> Result<Option<Leader>, StoreError> {
        self.reads.at_once(async |calls| leader(calls, self.shard(), RECORD, number).await)
    }

    fn changes(&self, after: u64, most: usize) -> Result<ChangePage, StoreError> {
        let bounds = |meta: &Meta| (meta.first_change, meta.last_change);
        let read = |number, value: &[u8]| Ok(((number, encoding::read(value)?), 0));
        let page = self.page("delayed_change", (after, most), bounds, read)?;
        Ok(ChangePage { changes: page.found, first: page.first, last: page.last, record: page.record })
    }

    fn count(&self, after: Option<&str>, most: usize) -> Result<Counted, StoreError> {
        let is = if after.is_some() { ">" } else { ">=" };
        let portion = format!(
            "with portion as (
                 select name, row_number() over (order by name) as place from {{s}}.delayed_pending
                 where clock = $1 and shard = $2 and name {is} $3 order by name limit $4 + 1)
             select count(*), (select name from portion where place = $4) from portion"
        );
        self.reads.at_once(async |calls| {
            let balance = self.meta(calls).await?.balance;
            let most = (most as u64).min(1 << 32);
            let from = after.unwrap_or_default().as_bytes();
            let portion = of(calls, self.shard(), &portion).bind(from).bind(integer(most));
            let portion = calls.one(portion).await?;
            let portion = portion.ok_or_else(|| Failed::Unreadable("it could not be counted".into()))?;
            let (count, last): (u64, Option<&[u8]>) = (number(&portion, 0)?, column(&portion, 1)?);
            let is_more = count > most;
            let next = last.filter(|_| is_more).map(encoding::read_name).transpose()?;
            // Name and place lie in one row here: where the names are as many as they should be, the places are, too.
            let places = balance.pending;
            Ok(Counted { count: count.min(most), next, places, balance })
        })
    }
}

/// Of a row of name, send time and head.
fn head(row: &sqlx::postgres::PgRow) -> Result<DelayedHead, Failed> {
    Ok(encoding::read_head(&place(column(row, 1)?, column(row, 0)?), column(row, 2)?)?)
}

fn place(send: i64, name: &[u8]) -> Vec<u8> {
    encoding::timed(Timestamp::from_millis(send), name)
}
