//! The record in blocks: one entry holds up to 64 rows in a row, because an entry per row would cost sled microseconds
//! and memory each. Blocks stay small, so that a leaf of sixteen of them stays below the size from which sled puts
//! pages into files of their own, which it never syncs.

use super::{
    changes::Changes,
    encoding::{self, Unreadable},
    meta::Meta,
};
use crate::{engine::Row, store::Limits};
use ponos::event::Timestamp;

const BLOCK_ROWS: usize = 64;
const BLOCK_BYTES: usize = 4096;
/// What one write trims at most: it bounds the write where the limits were lowered.
const TRIMMED_BLOCKS: usize = 64;

/// The ends of the record: the newest block, which still takes rows, and the oldest, which goes next.
#[derive(Debug, Default)]
pub(super) struct Record {
    newest: Option<Newest>,
    oldest: Option<Oldest>,
}

#[derive(Debug)]
struct Newest {
    first: u64,
    count: usize,
    /// Encoded rows, joined.
    bytes: Vec<u8>,
    at: Timestamp,
}

#[derive(Debug)]
struct Oldest {
    first: u64,
    count: u64,
    /// When its newest row was recorded.
    at: Timestamp,
}

impl Record {
    /// Takes the last block, as read.
    pub(super) fn resume(&mut self, first: u64, rows: &[Row]) -> Result<(), Unreadable> {
        let mut bytes = Vec::new();
        for row in rows {
            bytes.extend(encoding::value(row)?);
        }
        let at = rows.last().map_or(Timestamp::EPOCH, |row| row.at);
        self.newest = Some(Newest { first, count: rows.len(), bytes, at });
        Ok(())
    }

    /// Adds rows, and counts them in `meta`.
    pub(super) fn append(
        &mut self,
        rows: &[Row],
        meta: &mut Meta,
        changes: &mut Changes,
    ) -> Result<(), Unreadable> {
        for row in rows {
            let encoded = encoding::value(row)?;
            meta.last_sequence += 1;
            match &mut self.newest {
                Some(block)
                    if block.count < BLOCK_ROWS && block.bytes.len() + encoded.len() <= BLOCK_BYTES =>
                {
                    block.count += 1;
                    block.bytes.extend(encoded);
                    block.at = row.at;
                }
                _ => {
                    self.write_newest(changes)?;
                    self.newest =
                        Some(Newest { first: meta.last_sequence, count: 1, bytes: encoded, at: row.at });
                }
            }
        }
        if rows.is_empty() { Ok(()) } else { self.write_newest(changes) }
    }

    fn write_newest(&self, changes: &mut Changes) -> Result<(), Unreadable> {
        if let Some(block) = &self.newest {
            let value = encoding::rows_value(block.count, &block.bytes)?;
            changes.put(encoding::rows_key(block.first), value);
        }
        Ok(())
    }

    /// Removes the oldest blocks that the limits do not ask for. `kept` reads what is in the tree already; a block that
    /// is only now being written, and may stand there shorter, is left for a later write.
    pub(super) fn trim<E: From<Unreadable>>(
        &mut self,
        limits: Limits,
        meta: &mut Meta,
        changes: &mut Changes,
        mut kept: impl FnMut(&[u8]) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<(), E> {
        let Some(newest) = &self.newest else { return Ok(()) };
        for _ in 0..TRIMMED_BLOCKS {
            if meta.first_sequence >= newest.first {
                break;
            }
            let oldest = match self.oldest.take().filter(|oldest| oldest.first == meta.first_sequence) {
                Some(oldest) => oldest,
                None => {
                    let key = encoding::rows_key(meta.first_sequence);
                    if changes.concerns(&key) {
                        break;
                    }
                    let Some(block) = kept(&key)? else { break };
                    let rows: Vec<Row> = encoding::read(&block)?;
                    let at = rows.iter().map(|row| row.at).max().unwrap_or_default();
                    Oldest { first: meta.first_sequence, count: rows.len() as u64, at }
                }
            };
            let left = meta.last_sequence + 1 - (oldest.first + oldest.count);
            let old = oldest.at < newest.at.plus(-limits.age);
            if left < limits.rows && !old {
                self.oldest = Some(oldest);
                break;
            }
            changes.remove(encoding::rows_key(oldest.first));
            meta.first_sequence = oldest.first + oldest.count;
        }
        Ok(())
    }
}
