//! A schema document: references followed within it, its parts validated against single values.

use crate::text::step;
use crate::{SchemaError, contract, contract::Contract};
use jsonschema::{Draft, ValidatorMap};
use serde_json::{Map, Value};
use std::{cell::OnceCell, collections::HashMap};

pub(super) struct Document<'d> {
    pub(super) root: &'d Value,
    pub(super) draft: Draft,
    /// The pointer of each part, by its place in memory.
    places: HashMap<usize, String>,
    /// Parts of it with an `$id` of their own change what a reference means: then none is followed.
    nested_ids: bool,
    validators: OnceCell<Option<ValidatorMap>>,
}

impl<'d> Document<'d> {
    pub(super) fn of(root: &'d Value) -> Result<Self, SchemaError> {
        Contract::from_value(root.clone())?;
        let mut places = HashMap::new();
        let mut ids = 0;
        visit(root, String::from("#"), &mut |value, at| {
            ids += usize::from(at != "#" && (value.get("$id").is_some_and(Value::is_string)));
            places.insert(place(value), at.to_owned());
        });
        let draft = contract::draft(root);
        Ok(Self { root, draft, places, nested_ids: ids > 0, validators: OnceCell::new() })
    }

    /// The target of a `$ref`, if that is a pointer into this document.
    pub(super) fn resolve(&self, reference: &str) -> Option<&'d Value> {
        let pointer = reference.strip_prefix('#')?;
        if self.nested_ids || pointer.contains('%') {
            return None;
        }
        self.root.pointer(pointer)
    }

    /// Whether a value fits a part of this document; nothing if that can't be told.
    pub(super) fn fits(&self, part: &'d Map<String, Value>, value: &Value) -> Option<bool> {
        let validators =
            self.validators.get_or_init(|| contract::options().build_map(self.root).ok()).as_ref()?;
        Some(validators.get(self.places.get(&address(part))?)?.is_valid(value))
    }

    /// Whether a `$ref` hides the keywords beside it, as before the draft of 2019.
    pub(super) fn references_hide(&self) -> bool {
        matches!(self.draft, Draft::Draft4 | Draft::Draft6 | Draft::Draft7)
    }
}

/// Schemas are compared in place, nothing moves meanwhile: the address of its fields is the identity of a part.
pub(super) fn address(part: &Map<String, Value>) -> usize {
    std::ptr::from_ref(part) as usize
}

pub(super) fn place(value: &Value) -> usize {
    match value {
        Value::Object(fields) => address(fields),
        other => std::ptr::from_ref(other) as usize,
    }
}

fn visit<'d>(value: &'d Value, at: String, seen: &mut impl FnMut(&'d Value, &str)) {
    seen(value, &at);
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                visit(value, format!("{at}/{}", step(name)), seen);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                visit(value, format!("{at}/{index}"), seen);
            }
        }
        _ => {}
    }
}
