//! The log of changes: an entry each, numbered. It is bounded as the record is.

use super::{
    changes::Changes,
    encoding::{self, Unreadable},
    meta::Meta,
};
use crate::{
    engine::{ChangeEntry, LoggedChange},
    store::Limits,
};
use ponos::event::Timestamp;

/// What one write trims at most, beside as many as it adds: it bounds the write where the limits were lowered.
const TRIMMED: usize = 256;

/// Adds changes, and removes the oldest that the limits do not ask for; `kept` reads what is in the tree already.
pub(super) fn append<E: From<Unreadable>>(
    logged: &[LoggedChange],
    limits: Limits,
    meta: &mut Meta,
    changes: &mut Changes,
    mut kept: impl FnMut(&[u8]) -> Result<Option<Vec<u8>>, E>,
) -> Result<(), E> {
    let Some(newest) = logged.last() else { return Ok(()) };
    for change in logged {
        meta.last_change += 1;
        changes.put(encoding::change_key(meta.last_change), encoding::value(&ChangeEntry::from(change))?);
    }
    for _ in 0..logged.len().saturating_add(TRIMMED) {
        let key = encoding::change_key(meta.trimmed_changes + 1);
        // What is only now being written is left for a later write.
        if changes.concerns(&key) {
            break;
        }
        let Some(oldest) = kept(&key)? else { break };
        // It begins with when it was made.
        let (at, _): (Timestamp, _) = encoding::first(&oldest)?;
        let count = meta.last_change - meta.trimmed_changes;
        if count <= limits.changes && at >= newest.at.plus(-limits.changes_age) {
            break;
        }
        changes.remove(key);
        meta.trimmed_changes += 1;
    }
    Ok(())
}
