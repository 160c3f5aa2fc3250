//! What may be large comes and goes in portions of rows and of bytes: each statement must be through within its time limit,
//! whatever lies in the rows.

use super::{
    calls::{Calls, Statement, integer},
    errors::Failed,
    lease::Shard,
    numbered::{PAGE, of},
};
use sqlx::{Row as _, postgres::PgRow};
use std::ops::Range;

/// Rows of one statement that writes, and keys of one that reads.
const AT_ONCE: usize = 1_000;
/// A statement's answer, or what it brings, ends behind the row with which it comes to so many bytes.
pub(crate) const AT_ONCE_BYTES: u64 = 4 << 20;

/// In which portions rows of these sizes, in bytes, are written.
pub(crate) fn portions(sizes: impl IntoIterator<Item = usize>) -> Vec<Range<usize>> {
    let mut portions = Vec::new();
    let (mut start, mut end, mut bytes) = (0, 0, 0);
    for size in sizes {
        end += 1;
        bytes += size as u64;
        if end - start >= AT_ONCE || bytes >= AT_ONCE_BYTES {
            portions.push(start..end);
            (start, bytes) = (end, 0);
        }
    }
    if end > start {
        portions.push(start..end);
    }
    portions
}

/// A table in the order of a key of bytes, with a column that may be large.
pub(crate) struct Keyed {
    pub(crate) table: &'static str,
    pub(crate) key: &'static str,
    /// What a row has; the key and the large one, too.
    pub(crate) columns: &'static str,
    pub(crate) large: &'static str,
}

impl Keyed {
    /// Gives `take` the rows that have one of these keys, in their order.
    pub(crate) async fn read(
        &self,
        calls: &mut Calls<'_>,
        shard: &Shard,
        keys: impl IntoIterator<Item = Vec<u8>>,
        mut take: impl FnMut(&PgRow) -> Result<(), Failed>,
    ) -> Result<(), Failed> {
        let mut keys: Vec<Vec<u8>> = keys.into_iter().collect();
        keys.sort_unstable();
        keys.dedup();
        let mut left = &keys[..];
        while !left.is_empty() {
            let (wanted, behind) = left.split_at(left.len().min(AT_ONCE));
            let page = self.page(calls, shard, "= any ($3::bytea[])", wanted.len()).bind(wanted);
            let rows = calls.all(page.bind(integer(AT_ONCE_BYTES))).await?;
            rows.iter().try_for_each(&mut take)?;
            left = match rows.last() {
                Some(last) => {
                    let last = self.key_of(last)?;
                    left.split_at(left.partition_point(|key| *key <= last)).1
                }
                None => behind,
            };
        }
        Ok(())
    }

    /// Gives `take` the rows with a key above `after`, in their order, at most `most`.
    pub(crate) async fn read_after(
        &self,
        calls: &mut Calls<'_>,
        shard: &Shard,
        after: &[u8],
        most: usize,
        mut take: impl FnMut(&PgRow) -> Result<(), Failed>,
    ) -> Result<(), Failed> {
        let (mut after, mut left) = (after.to_vec(), most);
        while left > 0 {
            let mut count = 0;
            let counted = |row: &PgRow| {
                count += 1;
                take(row)
            };
            let Some(last) = self.read_portion(calls, shard, &after, left, counted).await? else { break };
            after = last;
            left = left.saturating_sub(count);
        }
        Ok(())
    }

    /// The same of some of them: as many as one statement answers with. The key of the last one; none where there is no more.
    pub(crate) async fn read_portion(
        &self,
        calls: &mut Calls<'_>,
        shard: &Shard,
        after: &[u8],
        most: usize,
        take: impl FnMut(&PgRow) -> Result<(), Failed>,
    ) -> Result<Option<Vec<u8>>, Failed> {
        let page = self.page(calls, shard, "> $3::bytea", most.min(PAGE)).bind(after.to_vec());
        let rows = calls.all(page.bind(integer(AT_ONCE_BYTES))).await?;
        rows.iter().try_for_each(take)?;
        rows.last().map(|last| self.key_of(last)).transpose()
    }

    /// Its third parameter says which keys, its fourth how many bytes.
    fn page(&self, calls: &Calls<'_>, shard: &Shard, which: &str, most: usize) -> Statement {
        let Self { table, key, columns, large } = self;
        let page = format!(
            "select {columns} from (
                 select {columns}, sum(octet_length({large})) over (order by {key}) - octet_length({large}) as before
                 from {{s}}.{table} where clock = $1 and shard = $2 and {key} {which} order by {key} limit {most}
             ) as page where before < $4 order by {key}"
        );
        of(calls, shard, &page)
    }

    fn key_of(&self, row: &PgRow) -> Result<Vec<u8>, Failed> {
        row.try_get(self.key).map_err(|error| Failed::Sql(Box::new(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portions_end_by_rows_and_by_bytes_and_have_each_row_once() {
        const FULL: usize = AT_ONCE_BYTES as usize;
        assert!(portions([]).is_empty());
        assert_eq!(portions(vec![1; 2_001]), [0..1_000, 1_000..2_000, 2_000..2_001]);
        assert_eq!(portions([1, FULL, 1, FULL - 1, 3 * FULL, 7]), [0..2, 2..4, 4..5, 5..6]);
    }
}
