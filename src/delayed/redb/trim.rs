//! What is too old or too much goes, in portions.

use super::{encoding, guard::Failed, meta::Meta, tables::Written};
use crate::engine::{
    ChangeEntry,
    delayed::{DelayedLimits, PORTION, TOMBSTONES_KEPT},
};
use ::redb::{ReadableTable as _, ReadableTableMetadata as _};
use ponos::event::Timestamp;

/// How many go of a kind with a write that adds so many.
pub(super) fn most(added: u64) -> u64 {
    added.saturating_add(PORTION as u64)
}

/// Rows of the record.
pub(super) fn rows(
    record: &mut Written<'_>,
    now: Timestamp,
    limits: &DelayedLimits,
    added: u64,
    meta: &mut Meta,
) -> Result<(), Failed> {
    for _ in 0..most(added) {
        if meta.first_row > meta.last_row {
            break;
        }
        let key = encoding::number(meta.first_row);
        if meta.last_row - meta.first_row < limits.rows {
            let row = record.get(&key[..])?.ok_or_else(|| missing(meta.first_row))?;
            if now.since(encoding::row_time(row.value())?) <= limits.age {
                break;
            }
        }
        record.remove(&key[..])?.ok_or_else(|| missing(meta.first_row))?;
        meta.first_row += 1;
    }
    Ok(())
}

/// Changes of the log, of which so many were added, and which take so many bytes.
pub(super) fn changes(
    changes: &mut Written<'_>,
    now: Timestamp,
    limits: &DelayedLimits,
    (added, bytes): (u64, &mut u64),
    meta: &mut Meta,
) -> Result<(), Failed> {
    for _ in 0..most(added) {
        let first = meta.first_change;
        if first > meta.last_change {
            *bytes = 0;
            break;
        }
        let key = encoding::number(first);
        let change = changes.get(&key[..])?.map(|change| encoding::read::<ChangeEntry>(change.value()));
        let change = change.ok_or_else(|| missing(first))??;
        let too_many = meta.last_change - first >= limits.changes || *bytes > limits.changes_bytes;
        if !too_many && now.since(change.at) <= limits.changes_age {
            break;
        }
        changes.remove(&key[..])?;
        *bytes = bytes.saturating_sub(change.bytes() as u64);
        meta.first_change += 1;
    }
    Ok(())
}

/// Tombstones.
pub(super) fn tombstones(
    tombstones: &mut Written<'_>,
    ages: &mut Written<'_>,
    now: Timestamp,
    limits: &DelayedLimits,
    added: u64,
) -> Result<(), Failed> {
    for _ in 0..most(added) {
        let oldest = ages.first()?.map(|(key, _)| key.value().to_vec());
        let Some(oldest) = oldest else { break };
        let (at, name) = encoding::read_timed(&oldest)?;
        if now.since(at) <= TOMBSTONES_KEPT && tombstones.len()? <= limits.tombstones {
            break;
        }
        ages.remove(&oldest[..])?;
        tombstones.remove(name)?.ok_or_else(|| missing(0))?;
    }
    Ok(())
}

fn missing(number: u64) -> Failed {
    Failed::Unreadable(format!("entry {number} of its record or its tombstones is missing"))
}
