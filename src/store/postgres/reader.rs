//! Reads the record on any thread: each page is what was committed at one moment.

use crate::{
    engine::RecordRow,
    postgres::{Calls, Door, Failed, Numbered, Reads, column, of},
    store::{ChangePage, Page, PageReader, StoreError, encoding, meta::Meta},
};
use std::sync::Arc;

/// Reads for whoever only follows.
pub(crate) fn page_reader(door: &Door, reads: Arc<Reads>) -> Arc<dyn PageReader> {
    Arc::new(PostgresReader::new(door, reads))
}

pub(super) struct PostgresReader {
    door: Door,
    reads: Arc<Reads>,
}

/// What a page has, the bounds of what is kept, and which record it is.
struct Read<T> {
    found: Vec<T>,
    first: u64,
    last: u64,
    record: u64,
}

impl PostgresReader {
    pub(super) fn new(door: &Door, reads: Arc<Reads>) -> Self {
        Self { door: door.clone(), reads }
    }

    pub(super) fn reads(&self) -> &Reads {
        &self.reads
    }

    fn page<T>(
        &self,
        table: &str,
        (after, most): (u64, usize),
        bounds: impl Fn(&Meta) -> (u64, u64),
        read: impl Fn(u64, &[u8]) -> Result<T, Failed>,
    ) -> Result<Read<T>, StoreError> {
        let shard = self.door.shard();
        self.reads.at_once(async |calls: &mut Calls<'_>| {
            let state = of(calls, shard, "select state from {s}.shard where clock = $1 and shard = $2");
            let state = match calls.one(state).await? {
                Some(row) => column::<Option<Vec<u8>>>(&row, 0)?,
                None => None,
            };
            let state = state.ok_or_else(|| Failed::Unreadable("its row of the shard is missing".into()))?;
            let meta = encoding::read_meta(&state)?;
            let (first, last) = bounds(&meta);
            let found =
                Numbered::read(table, calls, shard, (after, last), (most, usize::MAX), |number, value| {
                    Ok((read(number, value)?, 0))
                });
            let found = found.await?;
            let wanted = (last + 1).saturating_sub(after.saturating_add(1).max(first));
            if (found.len() as u64) < wanted.min(most as u64) {
                return Err(Failed::Unreadable(format!("some of its {table} behind {after} is missing")));
            }
            Ok(Read { found, first, last, record: meta.store })
        })
    }
}

impl PageReader for PostgresReader {
    fn read(&self, after: u64, most: usize) -> Result<Page, StoreError> {
        let bounds = |meta: &Meta| (meta.first_sequence, meta.last_sequence);
        let read = |sequence, value: &[u8]| {
            let row = encoding::read_rows(value)?.pop();
            let row = row.ok_or_else(|| Failed::Unreadable(format!("row {sequence} is empty")))?;
            Ok(RecordRow { sequence, row })
        };
        let Read { found: rows, first, last, record } = self.page("record", (after, most), bounds, read)?;
        Ok(Page { rows, first, last, record })
    }

    fn changes(&self, after: u64, most: usize) -> Result<ChangePage, StoreError> {
        let bounds = |meta: &Meta| (meta.trimmed_changes + 1, meta.last_change);
        let read = |number, value: &[u8]| Ok((number, encoding::read(value)?));
        let Read { found: changes, first, last, record } =
            self.page("change", (after, most), bounds, read)?;
        Ok(ChangePage { changes, first, last, record })
    }
}
