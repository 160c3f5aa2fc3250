//! A store that is part of a copy that is held: what was begun to be made of it.
//!
//! Invariant: it has the id that its copy gave it, or says what that was; and whoever decides otherwise than was begun sees it.

use super::{
    RedbDelayed, encoding,
    guard::{Failed, closed, guarded},
    meta::{self, Meta},
    seal::Said,
    tables,
};
use crate::store::StoreError;
use ::redb::{Durability, ReadableDatabase as _};
use serde::{Deserialize, Serialize};

/// What it says of the copy that it is part of. Nobody reads it once the copy is accepted, and no copy of it has it.
// Lies in the store.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct OfCopy {
    /// The id that it had as part of the copy.
    id: u64,
    /// The id that it had before it got the one that it has: its seal may not know yet.
    before: u64,
    /// Some of what was due is settled as skipped, or is about to be.
    skips: bool,
}

impl RedbDelayed {
    /// Whether it is of the copy that gave this id to its delayed events, and its seal is its own.
    pub(super) fn is_of_copy(&self, id: u64, said: Said) -> Result<bool, StoreError> {
        let Meta { store, generation, .. } = self.meta;
        if store == id {
            return Ok(said.store == id);
        }
        // It was accepted, and the progress beside it was not yet.
        let fits = |of: OfCopy| {
            of.id == id && (said.store == store || (said.store == of.before && said.generation < generation))
        };
        Ok(self.of_copy()?.is_some_and(fits))
    }

    /// Whether it was begun to settle what was due as skipped.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn skips(&self) -> Result<bool, StoreError> {
        Ok(self.of_copy()?.is_some_and(|of| of.skips))
    }

    /// Notes for good that what was due is about to be settled as skipped.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn begin_skipping(&mut self) -> Result<(), StoreError> {
        let of = self.of_copy()?.unwrap_or_else(|| self.untouched());
        self.note(self.meta.clone(), OfCopy { skips: true, ..of })
    }

    /// Makes a store of its own of it, under another id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn accept(&mut self) -> Result<(), StoreError> {
        let of = self.of_copy()?.unwrap_or_else(|| self.untouched());
        self.note(self.meta.clone().accepted(), OfCopy { before: self.meta.store, ..of })
    }

    fn untouched(&self) -> OfCopy {
        OfCopy { id: self.meta.store, before: self.meta.store, skips: false }
    }

    fn of_copy(&self) -> Result<Option<OfCopy>, StoreError> {
        let db = self.db.as_ref().ok_or_else(|| closed(&self.path))?;
        guarded(&self.path, || {
            let transaction = db.begin_read()?;
            let entry = tables::read(&transaction, tables::META)?.get(encoding::OF_COPY)?;
            Ok(entry.map(|entry| encoding::read(entry.value())).transpose()?)
        })
    }

    /// Writes both, and nothing else: nothing is trimmed.
    fn note(&mut self, meta: Meta, of: OfCopy) -> Result<(), StoreError> {
        let db = self.ready(self.meta.term)?;
        let meta = Meta { generation: meta.generation + 1, writer: meta::writer(), ..meta };
        let written = guarded(&self.path, || {
            let mut transaction = db.begin_write()?;
            transaction.set_quick_repair(true);
            transaction.set_durability(Durability::Immediate)?;
            let mut entry = tables::written(&transaction, tables::META)?;
            entry.insert(encoding::META, &encoding::value(&meta)?[..])?;
            entry.insert(encoding::OF_COPY, &encoding::value(&of)?[..])?;
            drop(entry);
            transaction.commit()?;
            Ok::<_, Failed>(())
        });
        written.map_err(|error| self.fail(error))?;
        self.meta = meta;
        self.is_durable = true;
        self.files.seal(&self.meta).map_err(|error| self.fail(error))
    }
}
