//! Which creation at run time a definition is.

use super::{Beside, CREATED, Held, NAME, Packed, take};
use crate::definition::Created;
use std::sync::Arc;

impl Packed {
    /// Whether it was created at run time, and does not come from a file.
    #[inline]
    pub fn is_created(&self) -> bool {
        self.flags() & CREATED != 0
    }

    /// Which creation it is; `None` of a file's.
    pub fn created(&self) -> Option<Created> {
        self.is_created().then(|| take(self.after_flags())).flatten().map(|(created, _)| created)
    }

    /// The number of its creation; 0 of a file's.
    pub fn creation(&self) -> u64 {
        // In front of it all.
        self.is_created().then(|| take(self.after_flags())).flatten().map_or(0, |(number, _)| number)
    }

    /// The same definition as this creation; with `None` as a file's.
    #[must_use]
    pub fn created_as(self, created: Option<Created>) -> Self {
        let flags = NAME + self.name_bytes().len();
        let mut bytes = self.all().get(..flags).unwrap_or_default().to_vec();
        let others = self.flags() & !CREATED;
        // Integers and texts, into a vector: there is nothing that could be refused.
        let written = created.and_then(|created| postcard::to_stdvec(&created).ok());
        bytes.push(if written.is_some() { others | CREATED } else { others });
        bytes.extend(written.unwrap_or_default());
        bytes.extend_from_slice(self.after_creation());
        let held = match &self.held {
            Held::Bytes(_) => Held::Bytes(bytes.into()),
            Held::Beside(beside) => {
                let (rules, zones) = (beside.rules.clone(), beside.zones.clone());
                Held::Beside(Arc::new(Beside { bytes: bytes.into(), rules, zones }))
            }
        };
        Self { held, zone: self.zone }
    }
}
