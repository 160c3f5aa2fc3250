//! What is said of a schedule, and is no part of what it sends: its description and its labels. One without them takes not a
//! byte for them.

use super::{ANNOTATED, NAME, Packed};
use crate::definition::Definition;
use std::collections::BTreeMap;

/// As it is written.
type Annotations<'a> = (Option<&'a str>, Vec<(&'a str, &'a str)>);

/// What is said, in bytes, behind their number; none where nothing is.
pub(super) fn written(definition: &Definition) -> Option<Vec<u8>> {
    let labels = definition.labels.iter().flatten().map(|(key, value)| (key.as_str(), value.as_str()));
    let said: Annotations<'_> = (definition.description.as_deref(), labels.collect());
    if said == (None, Vec::new()) {
        return None;
    }
    // Texts, into a vector: there is nothing that could be refused.
    postcard::to_stdvec(&said).and_then(|said| postcard::to_stdvec(&*said)).ok()
}

/// The bytes of what is said, and what follows.
#[inline]
pub(super) fn take(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    postcard::take_from_bytes(bytes).ok()
}

impl Packed {
    #[inline]
    pub(super) fn is_annotated(&self) -> bool {
        let length = self.all().first_chunk().map_or(0, |length: &[u8; NAME]| u16::from_le_bytes(*length));
        length & ANNOTATED != 0
    }

    fn said(&self) -> Option<Annotations<'_>> {
        let (said, _) = self.is_annotated().then(|| take(self.after_creation())).flatten()?;
        postcard::from_bytes(said).ok()
    }

    /// The description and the labels.
    pub(super) fn annotations(&self) -> (Option<String>, Option<BTreeMap<String, String>>) {
        let (description, labels) = self.said().unwrap_or_default();
        let labels: BTreeMap<_, _> =
            labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        (description.map(str::to_owned), (!labels.is_empty()).then_some(labels))
    }

    /// What people know it for.
    pub fn description(&self) -> Option<&str> {
        self.said()?.0
    }

    /// The value of one of its labels.
    pub fn label(&self, key: &str) -> Option<&str> {
        let (_, labels) = self.said()?;
        labels.into_iter().find(|(known, _)| *known == key).map(|(_, value)| value)
    }

    /// Whether the same is said of both.
    pub(super) fn is_annotated_as(&self, other: &Self) -> bool {
        match (self.is_annotated(), other.is_annotated()) {
            (false, false) => true,
            (true, true) => self.said() == other.said(),
            _ => false,
        }
    }
}
