//! Reads the record on any thread: each page is what was committed at one moment.

use crate::{
    engine::RecordRow,
    postgres::{Calls, Door, Failed, Numbered, Reads, column, leader, of},
    store::{ChangePage, Leader, Page, PageReader, StoreError, encoding, meta::Meta},
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

/// The table of the record.
pub(super) const RECORD: &str = "record";

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
        let Read { found: rows, first, last, record } = self.page(RECORD, (after, most), bounds, read)?;
        Ok(Page { rows, first, last, record })
    }

    fn changes(&self, after: u64, most: usize) -> Result<ChangePage, StoreError> {
        let bounds = |meta: &Meta| (meta.trimmed_changes + 1, meta.last_change);
        let read = |number, value: &[u8]| Ok((number, encoding::read(value)?));
        let Read { found: changes, first, last, record } =
            self.page("change", (after, most), bounds, read)?;
        Ok(ChangePage { changes, first, last, record })
    }

    fn leader(&self, number: u64) -> Result<Option<Leader>, StoreError> {
        let shard = self.door.shard();
        self.reads.at_once(async |calls: &mut Calls<'_>| leader(calls, shard, RECORD, number).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::Commit,
        postgres::{DoorOptions, fixture::Tables},
        store::{PostgresOptions, PostgresStore, Store, conformance::rows},
    };
    use ponos::event::Timestamp;
    use testkit::Postgres;

    /// Adds rows as a clock of its own, reached at this address; then it leads no more.
    fn adds(tables: &Tables, address: &str, numbers: &[i64]) {
        let process = tables.of_another_process();
        let options = DoorOptions { address: Some(address.into()), ..process.options() };
        let door = process.door_with("khronos", options);
        let mut store = PostgresStore::open(&door, &PostgresOptions::default()).unwrap();
        for number in numbers {
            let at = Timestamp::from_millis(*number);
            let rows = rows([*number]);
            store
                .save(0, &Commit { settled: at, handed: at, reached: at, rows, ..Commit::default() })
                .unwrap();
        }
    }

    fn sql(tables: &Tables, statements: &str) -> String {
        Postgres::shared().sql("stores", &statements.replace("{s}", tables.schema()))
    }

    #[test]
    fn of_each_row_it_is_known_under_which_leadership_it_was_written_as_far_as_that_is_kept() {
        let tables = Tables::new();
        adds(&tables, "http://one:7650", &[1, 2]);
        adds(&tables, "http://idle:7650", &[]);
        adds(&tables, "http://two:7650", &[3, 4]);
        let door = tables.of_another_process().door("khronos");
        let reader = page_reader(&door, Arc::new(Reads::of_primary(&door)));
        let leaders: Vec<Leader> = (1..=4).filter_map(|row| reader.leader(row).unwrap()).collect();
        let addresses: Vec<_> = leaders.iter().map(|leader| leader.address.as_deref().unwrap()).collect();
        assert_eq!(addresses, ["http://one:7650", "http://one:7650", "http://two:7650", "http://two:7650"]);
        assert!(leaders[0].term < leaders[2].term && leaders[0].since <= leaders[2].since, "{leaders:?}");
        assert_eq!((&leaders[0], &leaders[2]), (&leaders[1], &leaders[3]));
        // As of rows that an older version wrote.
        sql(&tables, "delete from {s}.leadership where behind = 0");
        assert_eq!((reader.leader(2).unwrap(), reader.leader(3).unwrap()), (None, Some(leaders[2].clone())));
        // As in tables that a leader of an older version writes.
        sql(&tables, "drop table {s}.leadership");
        assert_eq!(reader.leader(3).unwrap(), None);
    }

    #[test]
    fn the_newest_thousand_leaderships_are_kept() {
        let tables = Tables::new();
        adds(&tables, "http://one:7650", &[1]);
        // Of another record nothing goes.
        sql(
            &tables,
            "insert into {s}.leadership (clock, shard, record, term, behind)
                select 'khronos', 0, record, term, 0 from generate_series(1, 1500) as terms (term),
                (values ('record'), ('delayed_record')) as records (record)",
        );
        adds(&tables, "http://two:7650", &[2]);
        let kept = "select record, count(*) from {s}.leadership group by record order by record";
        assert_eq!(sql(&tables, kept), "delayed_record|1500\nrecord|1000");
        let door = tables.of_another_process().door("khronos");
        let reader = page_reader(&door, Arc::new(Reads::of_primary(&door)));
        let addresses = [1, 2].map(|row| reader.leader(row).unwrap().unwrap().address.unwrap());
        assert_eq!(addresses, ["http://one:7650", "http://two:7650"]);
    }
}
