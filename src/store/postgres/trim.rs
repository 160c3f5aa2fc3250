//! What goes of the record and of the log of changes with a write that adds to them.

use super::PostgresStore;
use crate::{
    postgres::{Added, First, Kept, Numbered, Reads, Shard},
    store::{Limits, StoreError, meta::Meta},
};

impl PostgresStore {
    /// What the limits do not ask for any more goes with a write that adds something.
    pub(super) fn trim(
        &mut self,
        meta: &mut Meta,
        rows: &Added,
        logged: &Added,
    ) -> Result<Trimmed, StoreError> {
        let Limits { rows: count, age, changes, changes_age } = self.limits;
        let shard = self.door.shard();
        let mut trimmed = Trimmed::default();
        let reads = self.reader.reads();
        if let Some(newest) = rows.at.last() {
            let bounds = (meta.first_sequence, meta.last_sequence);
            let kept = Kept { count, since: newest.plus(-age), over: 0 };
            let stays = first_kept(reads, shard, &mut self.record, bounds, rows, kept)?;
            trimmed.rows = (stays > meta.first_sequence).then_some(stays);
            meta.first_sequence = stays;
        }
        if let Some(newest) = logged.at.last() {
            let bounds = (meta.trimmed_changes + 1, meta.last_change);
            let kept = Kept { count: changes, since: newest.plus(-changes_age), over: 0 };
            let stays = first_kept(reads, shard, &mut self.log, bounds, logged, kept)?;
            trimmed.changes = (stays > meta.trimmed_changes + 1).then_some(stays);
            meta.trimmed_changes = stays - 1;
        }
        Ok(trimmed)
    }
}

/// The first of each that stays, where some go.
#[derive(Debug, Default)]
pub(super) struct Trimmed {
    pub(super) rows: Option<u64>,
    pub(super) changes: Option<u64>,
}

/// Where what was looked at does not tell, it is looked at: of what goes by its age, a thousand at a time.
fn first_kept(
    reads: &Reads,
    shard: &Shard,
    numbered: &mut Numbered,
    bounds: (u64, u64),
    added: &Added,
    kept: Kept,
) -> Result<u64, StoreError> {
    loop {
        match numbered.first_kept(bounds, added, kept) {
            First::Stays { number, .. } => return Ok(number),
            First::LookFrom(from) => {
                let looked = reads.at_once(async |calls| numbered.look(calls, shard, from).await)?;
                numbered.looked(looked);
            }
        }
    }
}
