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
    let kept = (limits.rows, limits.age);
    meta.first_row =
        numbered(record, (meta.first_row, meta.last_row), now, kept, most(added), encoding::row_time)?;
    Ok(())
}

/// Changes of the log.
pub(super) fn changes(
    changes: &mut Written<'_>,
    now: Timestamp,
    limits: &DelayedLimits,
    added: u64,
    meta: &mut Meta,
) -> Result<(), Failed> {
    let kept = (limits.changes, limits.changes_age);
    let time = |bytes: &[u8]| encoding::read::<ChangeEntry>(bytes).map(|change| change.at);
    let numbers = (meta.first_change, meta.last_change);
    meta.first_change = numbered(changes, numbers, now, kept, most(added), time)?;
    Ok(())
}

/// Entries with these numbers, of which so many are kept, for so long. Gives the first that stays.
fn numbered(
    table: &mut Written<'_>,
    (mut first, last): (u64, u64),
    now: Timestamp,
    (count, age): (u64, i64),
    most: u64,
    time: impl Fn(&[u8]) -> Result<Timestamp, Failed>,
) -> Result<u64, Failed> {
    for _ in 0..most {
        if first > last {
            break;
        }
        let key = encoding::number(first);
        if last - first < count {
            let entry = table.get(&key[..])?.ok_or_else(|| missing(first))?;
            if now.since(time(entry.value())?) <= age {
                break;
            }
        }
        table.remove(&key[..])?.ok_or_else(|| missing(first))?;
        first += 1;
    }
    Ok(first)
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
