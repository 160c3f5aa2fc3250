//! A store of an earlier form: what that lacks is added when it is opened, in one durable transaction. From then on an older version
//! refuses it.
//!
//! Form 2: the share of each owner counts his parked events, and what the log of changes takes is counted; which parked events were
//! released stands in a table of its own. What can't be read is not counted: it is the matter of who asks for it.

use super::{
    encoding,
    guard::Failed,
    meta::{FORM, Meta},
    tables,
};
use crate::engine::{ChangeEntry, delayed::OwnerShare};
use ::redb::{Database, Durability, ReadTransaction, ReadableDatabase as _, ReadableTable as _};
use std::{collections::HashMap, sync::Arc};

/// What a store of an earlier form holds, as far as it can be read.
#[derive(Debug, Default)]
pub(super) struct Counted {
    parked: HashMap<Arc<str>, u64>,
    changes_bytes: u64,
    /// Entries that were passed over.
    pub(super) unread: u64,
}

/// Counts what there is to be counted.
pub(super) fn count(db: &Database, counted: &mut Counted) -> Result<(), Failed> {
    let transaction = db.begin_read()?;
    each(&transaction, tables::CHANGES, |change| {
        let read = encoding::read::<ChangeEntry>(change);
        match read {
            Ok(change) => counted.changes_bytes += change.bytes() as u64,
            Err(_) => counted.unread += 1,
        }
    })?;
    each(&transaction, tables::PARKED, |parked| match encoding::read_parked(parked) {
        Ok(parked) => *counted.parked.entry(parked.event.head.owner).or_default() += 1,
        Err(_) => counted.unread += 1,
    })
}

fn each(
    transaction: &ReadTransaction,
    table: tables::Definition,
    mut see: impl FnMut(&[u8]),
) -> Result<(), Failed> {
    for entry in tables::read(transaction, table)?.range::<&[u8]>(..)? {
        see(entry?.1.value());
    }
    Ok(())
}

/// Brings it to the form of today; what it says of itself then.
pub(super) fn upgrade(db: &Database, meta: &Meta, counted: &Counted) -> Result<Meta, Failed> {
    let meta = Meta { form: FORM, ..meta.clone() };
    let mut transaction = db.begin_write()?;
    transaction.set_quick_repair(true);
    transaction.set_durability(Durability::Immediate)?;
    drop(tables::written(&transaction, tables::RELEASED)?);
    let mut owners = tables::written(&transaction, tables::OWNERS)?;
    for (owner, parked) in &counted.parked {
        let kept = owners.get(owner.as_bytes())?;
        let kept = kept.map(|share| encoding::read_share(share.value())).transpose()?.unwrap_or_default();
        let share = OwnerShare { parked: *parked, ..kept };
        owners.insert(owner.as_bytes(), &encoding::share(&share)?[..])?;
    }
    drop(owners);
    let mut entry = tables::written(&transaction, tables::META)?;
    entry.insert(encoding::CHANGES_BYTES, &encoding::value(&counted.changes_bytes)?[..])?;
    entry.insert(encoding::META, &encoding::value(&meta)?[..])?;
    drop(entry);
    transaction.commit()?;
    Ok(meta)
}
