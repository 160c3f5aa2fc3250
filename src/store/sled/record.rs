//! The record in blocks: one entry holds up to 64 rows in a row, because an entry per row would cost sled microseconds
//! and memory each. Blocks stay small, so that a leaf of sixteen of them stays below the size from which sled puts
//! pages into files of their own, which it never syncs.

use super::{
    changes::Changes,
    encoding::{self, Beside, Unreadable},
    meta::{FORM_OF_CREATIONS, FORM_OF_KINDS, Meta},
};
use crate::{engine::Row, store::Limits};
use ponos::event::{EventKind, Timestamp};

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
    beside: Beside,
    /// See [`size`].
    size: usize,
    at: Timestamp,
}

impl Newest {
    fn new(first: u64) -> Self {
        let beside = Beside::default();
        Self { first, count: 0, bytes: Vec::new(), beside, size: 0, at: Timestamp::EPOCH }
    }

    /// Whether a row that takes so many bytes belongs into this block.
    fn has_room(&self, size: usize) -> bool {
        self.count < BLOCK_ROWS && self.size + size <= BLOCK_BYTES
    }

    fn push(&mut self, row: &Row, encoded: Vec<u8>) {
        self.size += size(row, &encoded);
        self.beside.note(self.count, row);
        self.count += 1;
        self.bytes.extend(encoded);
        self.at = row.at;
    }
}

/// About how many bytes a row takes in its block: its place, its kind and the length of a command's id take one or two each,
/// a creation number some.
fn size(row: &Row, encoded: &[u8]) -> usize {
    let kind = match (&row.kind, row.kind.command()) {
        (EventKind::Occurrence, _) => 0,
        (_, command) => 4 + command.map_or(0, |command| command.as_str().len()),
    };
    let queue = row.queue.as_ref().map_or(0, |queue| 3 + queue.len());
    encoded.len() + kind + queue + if row.creation > 0 { 6 } else { 0 }
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
        let mut newest = Newest::new(first);
        for row in rows {
            newest.push(row, encoding::value(row)?);
        }
        self.newest = Some(newest);
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
            meta.last_sequence += 1;
            if row.kind != EventKind::Occurrence {
                meta.form = meta.form.max(FORM_OF_KINDS);
            }
            if row.creation > 0 || row.queue.is_some() {
                meta.form = meta.form.max(FORM_OF_CREATIONS);
            }
            let encoded = encoding::value(row)?;
            match &mut self.newest {
                Some(block) if block.has_room(size(row, &encoded)) => block.push(row, encoded),
                _ => {
                    self.write_newest(changes)?;
                    self.newest.insert(Newest::new(meta.last_sequence)).push(row, encoded);
                }
            }
        }
        if rows.is_empty() { Ok(()) } else { self.write_newest(changes) }
    }

    fn write_newest(&self, changes: &mut Changes) -> Result<(), Unreadable> {
        if let Some(block) = &self.newest {
            let value = encoding::rows_value(block.count, &block.bytes, &block.beside)?;
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
                    let rows = encoding::read_rows(&block)?;
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
