//! Blocks of rows of the record.

use super::{Unreadable, next_or, used_up, value};
use crate::engine::Row;
use ponos::event::EventKind;
use std::sync::Arc;

/// A block of rows: their number, then one after the other; `rows` are [`value`]s of rows, joined. The kinds of those that
/// are no occurrences follow, by place in the block, the creation numbers of those that have one, and the queues to which alone
/// some were sent: absent from most, and from older stores.
pub(in super::super) fn rows_value(
    count: usize,
    rows: &[u8],
    beside: &Beside,
) -> Result<Vec<u8>, Unreadable> {
    let Beside { kinds, creations, queues } = beside;
    let mut block = value(&count)?;
    block.extend_from_slice(rows);
    let lists = [kinds.len(), creations.len(), queues.len()];
    let last = lists.iter().rposition(|count| *count > 0);
    if last >= Some(0) {
        block.extend(value(kinds)?);
    }
    if last >= Some(1) {
        block.extend(value(creations)?);
    }
    if last >= Some(2) {
        block.extend(value(queues)?);
    }
    Ok(block)
}

/// A block of this row alone.
pub(in super::super) fn row_value(row: &Row) -> Result<Vec<u8>, Unreadable> {
    let mut beside = Beside::default();
    beside.note(0, row);
    rows_value(1, &value(row)?, &beside)
}

/// What is said of few rows of a block, by their places in it.
#[derive(Debug, Default)]
pub(in super::super) struct Beside {
    pub(in super::super) kinds: Vec<(usize, EventKind)>,
    pub(in super::super) creations: Vec<(usize, u64)>,
    pub(in super::super) queues: Vec<(usize, Arc<str>)>,
}

impl Beside {
    /// What is to be said of a row at this place.
    pub(in super::super) fn note(&mut self, place: usize, row: &Row) {
        if row.kind != EventKind::Occurrence {
            self.kinds.push((place, row.kind.clone()));
        }
        if row.creation > 0 {
            self.creations.push((place, row.creation));
        }
        if let Some(queue) = &row.queue {
            self.queues.push((place, queue.clone()));
        }
    }
}

pub(in super::super) fn read_rows(bytes: &[u8]) -> Result<Vec<Row>, Unreadable> {
    let (mut rows, rest): (Vec<Row>, _) =
        postcard::take_from_bytes(bytes).map_err(|error| Unreadable(error.to_string()))?;
    let (kinds, rest): (Vec<(usize, EventKind)>, _) = next_or(rest, Vec::new())?;
    let has_creations = !rest.is_empty();
    let (creations, rest): (Vec<(usize, u64)>, _) = next_or(rest, Vec::new())?;
    let has_queues = !rest.is_empty();
    let (queues, rest): (Vec<(usize, Arc<str>)>, _) = next_or(rest, Vec::new())?;
    used_up(rest)?;
    if creations.is_empty() && has_creations && !has_queues || queues.is_empty() && has_queues {
        return Err(Unreadable("a list of creations or queues without any".into()));
    }
    for (place, kind) in kinds {
        let row = rows.get_mut(place);
        row.ok_or_else(|| Unreadable(format!("a kind for row {place} of its block")))?.kind = kind;
    }
    for (place, creation) in creations {
        let row = rows.get_mut(place);
        row.ok_or_else(|| Unreadable(format!("a creation for row {place} of its block")))?.creation =
            creation;
    }
    for (place, queue) in queues {
        let row = rows.get_mut(place);
        row.ok_or_else(|| Unreadable(format!("a queue for row {place} of its block")))?.queue = Some(queue);
    }
    Ok(rows)
}
