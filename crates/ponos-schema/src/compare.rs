//! Compares two schemas: which changes break messages or readers.
//!
//! Two directions count, because both forms are on their way at once while an edit is rolled out:
//!
//! - [`Side::Queued`]: data of the OLD form, queued or sent by a publisher not yet updated, is read with the NEW schema. Whatever
//!   narrows breaks it: a field newly required, a type narrowed, an enum value removed, a limit tightened, an object closed.
//! - [`Side::Readers`]: data of the NEW form is read by consumers that still have the OLD schema. Whatever widens breaks them: a
//!   field no longer required, a type widened, an enum value added, a limit relaxed, a field new to a closed object. They are safe
//!   once they are updated first.
//!
//! Both are one question, asked twice: is every document valid under A valid under B too? What can't be shown counts as breaking.
//! One thing is assumed, because no schema could ever grow otherwise: the unnamed fields of an open schema do not have names
//! that the other form names. So a new optional field of an open object breaks nothing.
//!
//! Annotations (titles, descriptions, defaults, unknown keywords and formats) mean nothing here. References are followed within
//! the document. Recursion, size and alternatives are bounded: beyond the bound the answer is "can't be shown".

mod arrays;
mod disjoint;
mod document;
mod include;
mod loss;
mod objects;
mod parts;
mod same;
mod scalars;
mod types;

use document::Document;
use include::Comparison;
use jsonschema::Draft;
use loss::Loss;
use serde::Serialize;
use serde_json::Value;

/// The side that a change concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Messages of the old form, read with the new schema.
    Queued,
    /// Consumers with the old schema, reading messages of the new form.
    Readers,
}

/// One difference between two schemas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Where in the data: a JSON pointer in which `*` stands for any item or any other field; empty for the whole.
    pub pointer: String,
    /// What changed and what follows, for people.
    pub what: String,
    /// True if a value that is valid on one side is refused on the other, or can't be shown to be accepted.
    pub breaking: bool,
    /// Which side it concerns.
    pub side: Side,
}

/// The relevant differences, breaking ones first; empty for schemas that accept the same values.
///
/// A schema that is invalid, or written in another draft than its counterpart, is a breaking change by itself.
pub fn compare(old: &Value, new: &Value) -> Vec<Change> {
    let (old, new) = match (Document::of(old), Document::of(new)) {
        (Ok(old), Ok(new)) => (old, new),
        (Err(fault), _) => return vec![unusable(Side::Readers, format!("the old schema: {fault}"))],
        (_, Err(fault)) => return vec![unusable(Side::Queued, format!("the new schema: {fault}"))],
    };
    if same::documents(&old, &new) {
        return Vec::new();
    }
    if old.draft != new.draft {
        let what =
            "the draft of JSON Schema ($schema) changed; the two schemas can't be shown to mean the same";
        return vec![unusable(Side::Queued, what.into())];
    }
    if matches!(old.draft, Draft::Draft4 | Draft::Unknown) {
        let what = "schemas of this draft ($schema) are compared for equality only; from draft 6 on they are compared by meaning";
        return vec![unusable(Side::Queued, what.into())];
    }
    let mut changes = Vec::new();
    for (side, a, b) in [(Side::Queued, &old, &new), (Side::Readers, &new, &old)] {
        changes.extend(losses(a, b).into_iter().filter_map(|loss| loss.into_change(side)));
    }
    changes.sort_by_key(|change| !change.breaking);
    changes
}

fn losses<'a>(a: &'a Document<'a>, b: &'a Document<'a>) -> Vec<Loss> {
    Comparison::new(a, b).run()
}

fn unusable(side: Side, what: String) -> Change {
    Change { pointer: String::new(), what, breaking: true, side }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
