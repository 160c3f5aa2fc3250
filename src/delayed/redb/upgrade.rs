//! A store of an earlier form: what that lacks is added when it is opened, in one durable transaction. From then on an older version
//! refuses it.
//!
//! Form 2: the share of each owner counts his parked events.

use super::{
    encoding,
    guard::Failed,
    meta::{FORM, Meta},
    tables,
};
use crate::engine::delayed::OwnerShare;
use ::redb::{Database, Durability, ReadableTable as _};
use std::{collections::HashMap, sync::Arc};

/// Brings it to the form of today; what it says of itself then.
pub(super) fn upgrade(db: &Database, meta: &Meta) -> Result<Meta, Failed> {
    let meta = Meta { form: FORM, ..meta.clone() };
    let mut transaction = db.begin_write()?;
    transaction.set_quick_repair(true);
    transaction.set_durability(Durability::Immediate)?;
    let mut parked: HashMap<Arc<str>, u64> = HashMap::new();
    for entry in tables::written(&transaction, tables::PARKED)?.iter()? {
        let (_, one) = entry?;
        *parked.entry(encoding::read_parked(one.value())?.event.head.owner).or_default() += 1;
    }
    let mut owners = tables::written(&transaction, tables::OWNERS)?;
    for (owner, parked) in parked {
        let kept = owners.get(owner.as_bytes())?;
        let kept = kept.map(|share| encoding::read_share(share.value())).transpose()?.unwrap_or_default();
        owners.insert(owner.as_bytes(), &encoding::share(&OwnerShare { parked, ..kept })?[..])?;
    }
    drop(owners);
    let mut entry = tables::written(&transaction, tables::META)?;
    entry.insert(encoding::META, &encoding::value(&meta)?[..])?;
    drop(entry);
    transaction.commit()?;
    Ok(meta)
}
