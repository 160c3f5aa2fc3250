//! All that a store on Postgres holds, read for a copy of it: table by table, by the portion. The lease is renewed with each, so
//! whoever took it in between has the next portion fail.
//!
//! Absent: which tables a store has, and what becomes of their rows.

use super::{Calls, Door, Failed, Keyed, Numbered, Reads, Session};
use crate::store::{
    StoreError,
    copying::{BYTES, ENTRIES, Entry, Portion},
};
use sqlx::postgres::PgRow;
use std::sync::Arc;

/// A table that is read, and what its entries are called.
pub(crate) enum Table {
    /// In the order of a key; a row becomes an entry, or several.
    Keyed(&'static str, Keyed, fn(&mut Portion, &'static str, &PgRow) -> Result<(), Failed>),
    /// By its name, in the order of numbers, each of which becomes a key.
    Numbered(&'static str, &'static str, fn(u64) -> Vec<u8>),
}

/// Behind which row of which table it goes on.
#[derive(Default)]
struct Place {
    table: usize,
    key: Vec<u8>,
    number: u64,
}

/// Reads what these tables hold.
pub(crate) struct Contents {
    door: Door,
    session: Arc<Session>,
    reads: Arc<Reads>,
    tables: Vec<Table>,
    place: Place,
}

impl Contents {
    pub(crate) fn new(door: &Door, session: Arc<Session>, reads: Arc<Reads>, tables: Vec<Table>) -> Self {
        Self { door: door.clone(), session, reads, tables, place: Place::default() }
    }

    /// The next entries, a portion; none at the end.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn next(&mut self) -> Result<Vec<Entry>, StoreError> {
        loop {
            self.session.renew()?;
            let Some(table) = self.tables.get(self.place.table) else { return Ok(Vec::new()) };
            let (after, portion) = self.read(table)?;
            self.place = after.unwrap_or(Place { table: self.place.table + 1, ..Place::default() });
            if !portion.entries.is_empty() {
                return Ok(portion.entries);
            }
        }
    }

    /// The next ones of a table, and where it goes on; nowhere, where there is no more.
    fn read(&self, table: &Table) -> Result<(Option<Place>, Portion), StoreError> {
        let (shard, place) = (self.door.shard(), &self.place);
        // It may be asked twice, on another connection: what was found before counts for nothing then.
        self.reads.at_once_by(&self.session, async |calls: &mut Calls<'_>| {
            let mut portion = Portion::default();
            let after = match table {
                Table::Keyed(what, keyed, take) => {
                    let take = |row: &PgRow| take(&mut portion, what, row);
                    let last = keyed.read_portion(calls, shard, &place.key, ENTRIES, take).await?;
                    last.map(|key| Place { table: place.table, key, number: 0 })
                }
                Table::Numbered(what, table, key) => {
                    let read = |number, value: &[u8]| Ok(((number, value.to_vec()), value.len()));
                    let range = (place.number, u64::MAX);
                    let all = Numbered::read(table, calls, shard, range, (ENTRIES, BYTES), read).await?;
                    for (number, value) in &all {
                        portion.push(what, &key(*number), value);
                    }
                    all.last().map(|(number, _)| Place {
                        table: place.table,
                        key: Vec::new(),
                        number: *number,
                    })
                }
            };
            Ok((after, portion))
        })
    }
}
