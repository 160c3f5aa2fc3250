//! A store of delayed events on Postgres that is copied, or copied into: by the session that the store of the progress has, which holds
//! the lease meanwhile.

use super::{
    keyed::{ANSWERS, OWNERS, PARKED, PENDING, TOMBSTONES},
    state::{self, Found, State},
};
use crate::{
    delayed::{
        copying,
        encoding::{self, Unreadable},
        meta::{self, FORM, Meta},
    },
    engine::{Answered, ChangeEntry, delayed::Tombstone},
    postgres::{Added, Calls, Contents, Door, Failed, Numbered, Reads, Session, Table, Writing, column, of},
    store::{
        StoreError, UNFINISHED,
        copying::{Entry, Portion, Source, Target},
    },
};
use ponos::event::Timestamp;
use sqlx::postgres::PgRow;
use std::{collections::BTreeMap, sync::Arc};

/// Reads a store.
pub(crate) struct PostgresDelayedSource {
    meta: Meta,
    contents: Contents,
}

impl PostgresDelayedSource {
    /// Opens the store beside the one of the progress, which is open; none where there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn open(door: &Door) -> Result<Option<Self>, StoreError> {
        let (session, reads) = (door.session()?, Arc::new(Reads::new(door)));
        let found = reads.at_once_by(&session, async |calls| state::read(calls, door.shard()).await)?;
        let state = found.understood(door)?;
        Ok(state.map(|state| Self::new(door, session, reads, state.meta)))
    }

    fn new(door: &Door, session: Arc<Session>, reads: Arc<Reads>, meta: Meta) -> Self {
        let key = |number| encoding::number(number).to_vec();
        let all = vec![
            Table::Keyed(copying::PENDING, PENDING, take),
            Table::Keyed(copying::PARKED, PARKED, take),
            Table::Keyed(copying::TOMBSTONES, TOMBSTONES, take),
            Table::Keyed(copying::ANSWERS, ANSWERS, take),
            Table::Keyed(copying::OWNERS, OWNERS, take),
            Table::Numbered(copying::RECORD, "delayed_record", key),
            Table::Numbered(copying::CHANGES, "delayed_change", key),
        ];
        Self { meta, contents: Contents::new(door, session, reads, all) }
    }
}

/// A row of a table in the order of a key, as an entry, or as two.
fn take(portion: &mut Portion, what: &'static str, row: &PgRow) -> Result<(), Failed> {
    let key: &[u8] = column(row, 0)?;
    match what {
        copying::PENDING => {
            let send = Timestamp::from_millis(column(row, 1)?);
            let (head, content): (&[u8], &[u8]) = (column(row, 2)?, column(row, 3)?);
            portion.push(what, &encoding::timed(send, key), &[head, content].concat());
        }
        copying::PARKED => {
            portion.push(what, key, column(row, 1)?);
            if column(row, 2)? {
                portion.push(copying::RELEASED, key, &[]);
            }
        }
        _ => portion.push(what, key, column(row, 1)?),
    }
    Ok(())
}

impl Source<Meta> for PostgresDelayedSource {
    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn next(&mut self) -> Result<Vec<Entry>, StoreError> {
        self.contents.next()
    }
}

/// A store that is being filled.
pub(crate) struct PostgresDelayedTarget {
    door: Door,
    session: Arc<Session>,
    reads: Arc<Reads>,
    state: State,
}

impl PostgresDelayedTarget {
    /// Makes one in a schema in which no clock has left anything, beside the target of the progress.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn create(door: &Door, of: &Meta) -> Result<Self, StoreError> {
        let (session, reads) = (door.session()?, Arc::new(Reads::new(door)));
        let meta = Meta {
            form: UNFINISHED,
            // Some clock wrote it.
            generation: of.generation.max(1),
            writer: meta::writer(),
            // Who leads there begins anew.
            term: 0,
            ..of.clone()
        };
        let state = State { meta, tombstones: 0, changes_bytes: 0 };
        let target = Self { door: door.clone(), session, reads, state };
        target.say()?;
        Ok(target)
    }

    fn say(&self) -> Result<(), StoreError> {
        let shard = self.door.shard();
        self.session.write(Writing::default(), async |calls| self.state.write(calls, shard).await)
    }
}

impl Target<Meta> for PostgresDelayedTarget {
    fn add(&mut self, entries: Vec<Entry>) -> Result<(), StoreError> {
        let explained = |failed: Failed| self.door.address().explain(failed, 0);
        let mut sorted: BTreeMap<&str, Columns> = BTreeMap::new();
        for entry in &entries {
            let columns = sorted.entry(entry.what).or_default();
            columns.push(entry).map_err(|unreadable| explained(unreadable.into()))?;
        }
        let settled = sorted.get(copying::TOMBSTONES).map_or(0, |columns| columns.keys.len() as u64);
        let bytes = sorted.get(copying::CHANGES).map_or(0, |columns| columns.numbered.bytes.iter().sum());
        let shard = self.door.shard();
        self.session.write(Writing::default(), async |calls| {
            for (what, columns) in &sorted {
                match *what {
                    copying::RELEASED => {}
                    copying::RECORD => {
                        let Columns { first, numbered, .. } = columns;
                        let record = Numbered::new("delayed_record");
                        record.write(calls, shard, first.saturating_sub(1), numbered, None).await?;
                    }
                    copying::CHANGES => {
                        let Columns { first, numbered, .. } = columns;
                        let log = Numbered::weighed("delayed_change");
                        log.write(calls, shard, first.saturating_sub(1), numbered, None).await?;
                    }
                    what => columns.insert(calls, shard, what).await?,
                }
            }
            // Behind what is parked.
            if let Some(Columns { keys, .. }) = sorted.get(copying::RELEASED) {
                let release = "update {s}.delayed_parked set released = true
                     where clock = $1 and shard = $2 and key = any ($3::bytea[])";
                calls.execute(of(calls, shard, release).bind(keys.clone())).await?;
            }
            Ok(())
        })?;
        self.state.tombstones += settled;
        self.state.changes_bytes += bytes;
        Ok(())
    }

    fn read_back(&self) -> Result<Box<dyn Source<Meta> + '_>, StoreError> {
        let shard = self.door.shard();
        let found = self.reads.at_once_by(&self.session, async |calls| state::read(calls, shard).await)?;
        let meta = match found {
            Found::Unfinished(state) => state.meta,
            _ => return Err(self.door.address().damaged("its state is not what was written")),
        };
        Ok(Box::new(PostgresDelayedSource::new(&self.door, self.session.clone(), self.reads.clone(), meta)))
    }

    fn finish(&mut self) -> Result<(), StoreError> {
        self.state.meta.form = FORM;
        self.say()
    }
}

/// Entries of one kind, as columns of their table.
#[derive(Default)]
struct Columns {
    keys: Vec<Vec<u8>>,
    values: Vec<Vec<u8>>,
    /// When they are to be sent, or came to be.
    at: Vec<i64>,
    /// Without their content, where that has a column of its own.
    heads: Vec<Vec<u8>>,
    first: u64,
    numbered: Added,
}

impl Columns {
    fn push(&mut self, Entry { what, key, value }: &Entry) -> Result<(), Unreadable> {
        match *what {
            copying::PENDING => {
                let (send, name) = encoding::read_timed(key)?;
                let (head, content) = encoding::split_event(value)?;
                self.keys.push(name.to_vec());
                self.at.push(send.millis());
                self.heads.push(head.to_vec());
                self.values.push(content.to_vec());
            }
            copying::RECORD => self.add(key, encoding::row_time(value)?, 0, value)?,
            copying::CHANGES => {
                let change: ChangeEntry = encoding::read(value)?;
                self.add(key, change.at, change.bytes() as u64, value)?;
            }
            _ => {
                match *what {
                    copying::TOMBSTONES => self.at.push(encoding::read::<Tombstone>(value)?.at.millis()),
                    copying::ANSWERS => self.at.push(encoding::read::<Answered>(value)?.at.millis()),
                    _ => {}
                }
                self.keys.push(key.clone());
                self.values.push(value.clone());
            }
        }
        Ok(())
    }

    fn add(&mut self, key: &[u8], at: Timestamp, bytes: u64, value: &[u8]) -> Result<(), Unreadable> {
        if self.numbered.values.is_empty() {
            self.first = encoding::read_number(key)?;
        }
        self.numbered.at.push(at);
        self.numbered.bytes.push(bytes);
        self.numbered.values.push(value.to_vec());
        Ok(())
    }

    async fn insert(
        &self,
        calls: &mut Calls<'_>,
        shard: &crate::postgres::Shard,
        what: &str,
    ) -> Result<(), Failed> {
        let Self { keys, values, at, heads, .. } = self;
        let insert = match what {
            copying::PENDING => {
                "insert into {s}.delayed_pending (clock, shard, name, content, send, head)
                 select $1, $2, added.* from unnest($3::bytea[], $4::bytea[], $5::bigint[], $6::bytea[]) as added"
            }
            copying::PARKED => {
                "insert into {s}.delayed_parked (clock, shard, key, value)
                 select $1, $2, added.* from unnest($3::bytea[], $4::bytea[]) as added"
            }
            copying::TOMBSTONES => {
                "insert into {s}.delayed_tombstone (clock, shard, name, value, at)
                 select $1, $2, added.* from unnest($3::bytea[], $4::bytea[], $5::bigint[]) as added"
            }
            copying::ANSWERS => {
                "insert into {s}.delayed_answer (clock, shard, key, value, at)
                 select $1, $2, added.* from unnest($3::bytea[], $4::bytea[], $5::bigint[]) as added"
            }
            copying::OWNERS => {
                "insert into {s}.delayed_owner (clock, shard, owner, value)
                 select $1, $2, added.* from unnest($3::bytea[], $4::bytea[]) as added"
            }
            other => return Err(Failed::Unreadable(format!("{other} do not belong there"))),
        };
        let mut insert = of(calls, shard, insert).bind(keys.clone()).bind(values.clone());
        if !at.is_empty() {
            insert = insert.bind(at.clone());
        }
        if !heads.is_empty() {
            insert = insert.bind(heads.clone());
        }
        calls.execute(insert).await.map(drop)
    }
}
