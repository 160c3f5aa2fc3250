//! The changes of one write as one atomic batch.

use super::{
    changes::Changes,
    encoding::{self, Unreadable},
    meta::Meta,
};

impl Changes {
    /// Counts the changes in `meta`, given what the tree holds now, and makes one atomic batch of them and of `meta`.
    pub(super) fn batch<E: From<Unreadable>>(
        self,
        meta: &mut Meta,
        mut kept: impl FnMut(&[u8]) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<::sled::Batch, E> {
        let mut batch = ::sled::Batch::default();
        for (key, value) in self.all {
            let old = kept(&key)?;
            // Rules that most revisions share lie there already.
            if old.is_some() && old == value {
                continue;
            }
            if let Some(old) = &old {
                meta.remove(&key, old);
            }
            match value {
                Some(value) => {
                    meta.add(&key, &value);
                    batch.insert(key, value);
                }
                None if old.is_some() => batch.remove(key),
                None => {}
            }
        }
        batch.insert(encoding::META, encoding::meta_value(meta)?);
        Ok(batch)
    }
}
