//! Compares two documents for `ponos schema check OLD NEW`, and makes a report.

mod asyncapi;

use super::{Change, Contract, RegistryError, SchemaError, Side, compare, text::step};
use ponos_event::EventName;
use serde::Serialize;
use serde_json::{Map, Value};
use std::{collections::BTreeSet, fmt};

/// The changes between two documents, each a schema, a registry `{name: schema}` or an AsyncAPI document.
///
/// As JSON: `{"breaking": bool, "changes": [{"name", "pointer", "what", "breaking", "side"}]}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComparisonReport {
    breaking: bool,
    changes: Vec<NamedChange>,
}

/// A change of the schema of one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NamedChange {
    /// The event or task; `None` if single schemas were compared, or AsyncAPI documents, in which the pointer begins at the root.
    pub name: Option<String>,
    /// The change.
    #[serde(flatten)]
    pub change: Change,
}

/// Why documents could not be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// A schema is not valid.
    #[error("{side}: {fault}")]
    Schema {
        /// Which side: `OLD` or `NEW`.
        side: &'static str,
        /// Why.
        fault: SchemaError,
    },
    /// A key is not a valid event or task name.
    #[error("{side}: {fault}")]
    Name {
        /// Which side: `OLD` or `NEW`.
        side: &'static str,
        /// Why.
        fault: RegistryError,
    },
    /// An AsyncAPI document can't be compared.
    #[error("{side}: {pointer}: {what}")]
    Document {
        /// Which side: `OLD` or `NEW`.
        side: &'static str,
        /// Where in it, as JSON pointer.
        pointer: String,
        /// What is wrong there, and what to do.
        what: String,
    },
    /// The two sides are of different kinds.
    #[error(
        "the two sides are of different kinds; compare two files with a schema each, two folders, or two AsyncAPI documents"
    )]
    Kinds,
}

/// Compares two schemas, all schemas of two registries, or two AsyncAPI documents of version 3.
///
/// A removed name breaks its readers; a new name breaks nothing. Of AsyncAPI documents channels, messages, operations and what
/// they say of addresses and data count; all else means nothing.
pub fn documents(old: &Value, new: &Value) -> Result<ComparisonReport, Unusable> {
    let mut changes = Vec::new();
    match (by_name(old), by_name(new)) {
        _ if asyncapi::is_document(old) != asyncapi::is_document(new) => return Err(Unusable::Kinds),
        _ if asyncapi::is_document(old) => {
            let found = asyncapi::changes(old, new)?.into_iter();
            changes.extend(found.map(|change| NamedChange { name: None, change }));
        }
        (None, None) => {
            Contract::from_value(old.clone()).map_err(|fault| Unusable::Schema { side: "OLD", fault })?;
            Contract::from_value(new.clone()).map_err(|fault| Unusable::Schema { side: "NEW", fault })?;
            changes.extend(compare(old, new).into_iter().map(|change| NamedChange { name: None, change }));
        }
        (Some(old), Some(new)) => {
            usable(old, "OLD")?;
            usable(new, "NEW")?;
            for name in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
                let named = |change| NamedChange { name: Some(name.clone()), change };
                match (old.get(name), new.get(name)) {
                    (Some(old), Some(new)) => changes.extend(compare(old, new).into_iter().map(named)),
                    (Some(_), None) => changes.push(named(gone())),
                    _ => changes.push(named(added())),
                }
            }
        }
        _ => return Err(Unusable::Kinds),
    }
    changes.sort_by_key(|named| !named.change.breaking);
    Ok(ComparisonReport { breaking: changes.iter().any(|named| named.change.breaking), changes })
}

impl ComparisonReport {
    /// Whether any change is breaking, for either side.
    pub fn is_breaking(&self) -> bool {
        self.breaking
    }

    /// Whether any change is breaking for one side. If consumers are always updated before publishers, only [`Side::Queued`]
    /// counts.
    pub fn is_breaking_for(&self, side: Side) -> bool {
        self.changes.iter().any(|named| named.change.breaking && named.change.side == side)
    }

    /// All changes, breaking ones first.
    pub fn changes(&self) -> &[NamedChange] {
        &self.changes
    }
}

impl fmt::Display for ComparisonReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for NamedChange { name, change } in &self.changes {
            let kind = if change.breaking { "breaking" } else { "fine" };
            let name = name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
            let at = if change.pointer.is_empty() { "the whole schema" } else { &change.pointer };
            writeln!(f, "{kind}:{name} {at}: {}", change.what)?;
        }
        let queued = self.is_breaking_for(Side::Queued);
        match (queued, self.is_breaking_for(Side::Readers)) {
            (false, false) if self.changes.is_empty() => f.write_str("no relevant change"),
            (false, false) => f.write_str("no breaking change"),
            (false, true) => f.write_str(
                "safe once every consumer has the new schema: update consumers first, then the publisher",
            ),
            (true, _) => f.write_str(
                "refused: publish the new schema under a new name, or keep accepting the old form",
            ),
        }
    }
}

/// Whether a document is a registry: every key is the name of an event or task. No keyword of JSON Schema is one.
fn by_name(document: &Value) -> Option<&Map<String, Value>> {
    let schemas = document.as_object()?;
    let named = |name: &String| name.contains('.');
    schemas.keys().any(named).then_some(schemas)
}

fn usable(schemas: &Map<String, Value>, side: &'static str) -> Result<(), Unusable> {
    for (name, schema) in schemas {
        name.parse::<EventName>().map_err(|fault| {
            let name = name.chars().take(300).collect();
            Unusable::Name { side, fault: RegistryError::Name { name, fault } }
        })?;
        Contract::from_value(schema.clone()).map_err(|fault| {
            let pointer = format!("/{}{}", step(name), fault.pointer);
            Unusable::Schema { side, fault: SchemaError { pointer, ..fault } }
        })?;
    }
    Ok(())
}

fn gone() -> Change {
    let what = "is no longer published; its consumers receive nothing more".into();
    Change { pointer: String::new(), what, breaking: true, side: Side::Readers }
}

fn added() -> Change {
    Change { pointer: String::new(), what: "is new".into(), breaking: false, side: Side::Queued }
}
