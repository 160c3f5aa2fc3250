//! A store on Postgres that is copied, or copied into. Both hold the lease meanwhile, so that no clock leads: it is renewed with each
//! portion, and whoever took it in between has the next portion fail.

use super::{
    Changes, encoding,
    load::{self, Found},
    meta::{self, FORM, Meta, UNFINISHED},
    progress, tables,
};
use crate::{
    engine::ChangeEntry,
    postgres::{
        Added, Calls, Contents, Door, Failed, Numbered, Progress, Reads, Session, Table, Writing, column,
    },
    store::{
        StoreError,
        copying::{Entry, Portion, Source, Target},
    },
};
use sqlx::postgres::PgRow;
use std::sync::Arc;

/// Reads a store.
pub(crate) struct PostgresSource {
    meta: Meta,
    contents: Contents,
}

impl PostgresSource {
    /// Opens the store of a clock that is not led; none where there is none. Nothing is created.
    ///
    /// # Errors
    /// [`StoreError::Led`] while a clock runs on it, [`StoreError::OtherClock`], [`StoreError::Newer`], [`StoreError::Unfinished`], or
    /// [`StoreError::Io`].
    pub(crate) fn open(door: &Door) -> Result<Option<Self>, StoreError> {
        let reads = Arc::new(Reads::new(door));
        if !reads.at_once(async |calls: &mut Calls<'_>| has_tables(calls).await)? {
            return Ok(None);
        }
        let session = door.session()?;
        let found = reads.at_once_by(&session, async |calls| load::meta(calls, door.shard()).await)?;
        Ok(found.understood(door)?.map(|meta| Self::new(door, session, reads, meta)))
    }

    fn new(door: &Door, session: Arc<Session>, reads: Arc<Reads>, meta: Meta) -> Self {
        let keyed = tables::ALL.map(|table| Table::Keyed("", tables::keyed(table), take));
        let numbered = [
            Table::Numbered(encoding::RECORD, "record", encoding::rows_key),
            Table::Numbered(encoding::CHANGES, "change", encoding::change_key),
        ];
        let all = keyed.into_iter().chain(numbered).collect();
        Self { meta, contents: Contents::new(door, session, reads, all) }
    }
}

/// The key says what it is.
fn take(portion: &mut Portion, _: &'static str, row: &PgRow) -> Result<(), Failed> {
    let (key, value): (&[u8], &[u8]) = (column(row, 0)?, column(row, 1)?);
    portion.push(encoding::what(key), key, value);
    Ok(())
}

/// Whether the schema has tables of a clock.
async fn has_tables(calls: &mut Calls<'_>) -> Result<bool, Failed> {
    let asked = calls.statement("select to_regclass('{s}.shard') is not null");
    match calls.one(asked).await? {
        Some(row) => column(&row, 0),
        None => Ok(false),
    }
}

impl Source<Meta> for PostgresSource {
    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn next(&mut self) -> Result<Vec<Entry>, StoreError> {
        self.contents.next()
    }
}

/// The tables of delayed events, which are filled behind those of the progress.
const DELAYED: [&str; 8] = [
    "delayed_state",
    "delayed_pending",
    "delayed_parked",
    "delayed_tombstone",
    "delayed_answer",
    "delayed_owner",
    "delayed_record",
    "delayed_change",
];

/// A store that is being filled.
pub(crate) struct PostgresTarget {
    door: Door,
    session: Arc<Session>,
    reads: Arc<Reads>,
    finished: Meta,
}

impl PostgresTarget {
    /// Makes one in a schema in which nothing is kept, no delayed event either; none where something is.
    ///
    /// # Errors
    /// As of [`PostgresSource::open`].
    pub(crate) fn create(door: &Door, of: &Meta) -> Result<Option<Self>, StoreError> {
        let (session, reads) = (door.session()?, Arc::new(Reads::new(door)));
        let looked = async |calls: &mut Calls<'_>| {
            let found = load::meta(calls, door.shard()).await?;
            Ok((found, is_empty(calls).await?))
        };
        let (found, is_empty) = reads.at_once_by(&session, looked)?;
        if found.understood(door)?.is_some() || !is_empty {
            return Ok(None);
        }
        let finished = Meta {
            form: of.form.max(FORM),
            // Some clock wrote it.
            generation: of.generation.max(1),
            writer: meta::writer(),
            // Who leads there begins anew.
            term: 0,
            entries: 0,
            digest: 0,
            ..of.clone()
        };
        let target = Self { door: door.clone(), session, reads, finished };
        target.say(UNFINISHED)?;
        Ok(Some(target))
    }

    fn say(&self, form: u32) -> Result<(), StoreError> {
        let progress = progress(&Meta { form, ..self.finished.clone() });
        let progress = progress.map_err(|failed| self.door.address().explain(failed, 0))?;
        self.write(progress, async |_| Ok(()))
    }

    fn write(
        &self,
        progress: Progress,
        work: impl AsyncFnOnce(&mut Calls<'_>) -> Result<(), Failed>,
    ) -> Result<(), StoreError> {
        self.session.write(Writing { progress, ..Writing::default() }, work)
    }
}

/// Whether no clock has left anything in the tables, delayed events included.
async fn is_empty(calls: &mut Calls<'_>) -> Result<bool, Failed> {
    let tables = tables::ALL.into_iter().chain(["record", "change"]).chain(DELAYED);
    let any: Vec<_> = tables.map(|table| format!("exists (select from {{s}}.{table})")).collect();
    let any = any.join(" or ");
    let asked = calls.statement(&format!(
        "select not ({any} or exists (select from {{s}}.shard where state is not null))"
    ));
    match calls.one(asked).await? {
        Some(row) => column(&row, 0),
        None => Ok(false),
    }
}

impl Target<Meta> for PostgresTarget {
    fn add(&mut self, entries: Vec<Entry>) -> Result<(), StoreError> {
        let explained = |failed| self.door.address().explain(failed, 0);
        let Sorted { changes, record, log } = sorted(entries).map_err(explained)?;
        let shard = self.door.shard();
        self.write(Progress::default(), async |calls| {
            tables::write(calls, shard, changes).await?;
            for (table, Run { first, added }) in [("record", record), ("change", log)] {
                Numbered::new(table).write(calls, shard, first.saturating_sub(1), &added, None).await?;
            }
            Ok(())
        })
    }

    fn read_back(&self) -> Result<Box<dyn Source<Meta> + '_>, StoreError> {
        let found =
            self.reads.at_once_by(&self.session, async |calls| load::meta(calls, self.door.shard()).await)?;
        let meta = match found {
            Found::Unfinished(meta) => *meta,
            _ => return Err(self.door.address().damaged("its row is not what was written")),
        };
        Ok(Box::new(PostgresSource::new(&self.door, self.session.clone(), self.reads.clone(), meta)))
    }

    fn finish(&mut self) -> Result<(), StoreError> {
        self.say(self.finished.form)
    }
}

/// Entries by where they lie.
#[derive(Default)]
struct Sorted {
    changes: Changes,
    record: Run,
    log: Run,
}

/// Numbers in a row, from the first one on.
#[derive(Default)]
struct Run {
    first: u64,
    added: Added,
}

impl Run {
    fn push(&mut self, number: u64, at: ponos::event::Timestamp, value: Vec<u8>) {
        if self.added.values.is_empty() {
            self.first = number;
        }
        self.added.at.push(at);
        self.added.values.push(value);
    }
}

fn sorted(entries: Vec<Entry>) -> Result<Sorted, Failed> {
    let mut sorted = Sorted::default();
    for Entry { what, key, value } in entries {
        match what {
            encoding::RECORD => {
                let number = encoding::rows_number(&key)?;
                let row = encoding::read_rows(&value)?.into_iter().next();
                let row = row.ok_or_else(|| Failed::Unreadable("a row of the record is missing".into()))?;
                sorted.record.push(number, row.at, value);
            }
            encoding::CHANGES => {
                let at = encoding::read::<ChangeEntry>(&value)?.at;
                sorted.log.push(encoding::change_number(&key)?, at, value);
            }
            _ => sorted.changes.put(key, value),
        }
    }
    Ok(sorted)
}
