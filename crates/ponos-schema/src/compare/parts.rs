//! A schema as a conjunction of parts, with references and `allOf` followed.

use super::{
    document::{Document, address},
    types::Types,
};
use serde_json::{Map, Value};

pub(super) type Part<'d> = &'d Map<String, Value>;

/// Parts that hold at once, of one document.
#[derive(Clone)]
pub(super) struct All<'d> {
    /// Nothing fits: one of them is `false`.
    pub(super) never: bool,
    pub(super) parts: Vec<Part<'d>>,
    /// Alternatives (`anyOf`, `oneOf`) of the parts that are not yet chosen from.
    pub(super) splits: Vec<&'d Vec<Value>>,
    /// The types chosen, in addition to those of the parts.
    only: Types,
    /// A reference that can't be followed, if any.
    pub(super) unknown: Option<String>,
    /// The schemas already added, by address.
    entered: Vec<usize>,
}

impl<'d> All<'d> {
    pub(super) fn of(document: &Document<'d>, schemas: impl IntoIterator<Item = &'d Value>) -> Self {
        let mut all = Self {
            never: false,
            parts: Vec::new(),
            splits: Vec::new(),
            only: Types::ALL,
            unknown: None,
            entered: Vec::new(),
        };
        for schema in schemas {
            all.add(document, schema);
        }
        all
    }

    /// Adds a schema. One that is there already says nothing new: so recursion in place ends.
    pub(super) fn add(&mut self, document: &Document<'d>, schema: &'d Value) {
        match schema {
            Value::Bool(false) => self.never = true,
            Value::Object(part) if !self.entered.contains(&address(part)) => {
                self.entered.push(address(part));
                if let Some(reference) = part.get("$ref").and_then(Value::as_str) {
                    match document.resolve(reference) {
                        Some(target) => self.add(document, target),
                        None => self.unknown = Some(reference.to_owned()),
                    }
                    if document.references_hide() {
                        return;
                    }
                }
                self.parts.push(part);
                for schema in part.get("allOf").and_then(Value::as_array).into_iter().flatten() {
                    self.add(document, schema);
                }
                let alternatives =
                    ["anyOf", "oneOf"].into_iter().filter_map(|name| part.get(name)?.as_array());
                self.splits.extend(alternatives);
            }
            _ => {}
        }
    }

    /// Of these types only.
    pub(super) fn limited(mut self, types: Types) -> Self {
        self.only = self.only.and(types);
        self
    }

    /// The values of a keyword in all parts.
    pub(super) fn each(&self, keyword: &str) -> impl Iterator<Item = &'d Value> {
        self.parts.iter().filter_map(move |part| part.get(keyword))
    }

    /// Which types can fit, alternatives included that are not yet chosen from.
    pub(super) fn wide_types(&self, document: &Document<'d>) -> Types {
        let of_branch = |branch| Self::of(document, [branch]).types();
        let of_split = |split: &&'d Vec<Value>| split.iter().map(of_branch).fold(Types::NONE, Types::or);
        self.splits.iter().map(of_split).fold(self.types(), Types::and)
    }

    /// Which types were chosen.
    pub(super) fn chosen(&self) -> Types {
        self.only
    }

    /// Which types can fit.
    pub(super) fn types(&self) -> Types {
        if self.never {
            return Types::NONE;
        }
        let listed = self.parts.iter().filter_map(|part| listed(part));
        let listed = listed
            .map(|values| values.iter().map(Types::of_value).fold(Types::NONE, Types::or))
            .fold(Types::ALL, Types::and);
        self.parts.iter().map(|part| Types::of_part(part)).fold(self.only.and(listed), Types::and)
    }

    /// The values that can fit, where they are listed.
    pub(super) fn values(&self, document: &Document<'d>) -> Option<Vec<&'d Value>> {
        let values = self.parts.iter().filter_map(|part| listed(part)).min_by_key(|values| values.len())?;
        let types = self.types();
        let fits = |value: &&Value| {
            types.meets(Types::of_value(value))
                && self.parts.iter().all(|part| document.fits(part, value) != Some(false))
        };
        Some(values.iter().filter(fits).collect())
    }

    /// Whether a field must be there.
    pub(super) fn requires(&self, name: &str) -> bool {
        self.each("required")
            .any(|names| names.as_array().is_some_and(|names| names.iter().any(|n| n == name)))
    }

    /// All fields that the parts name.
    pub(super) fn names(&self) -> Vec<&'d str> {
        let mut names: Vec<&str> = Vec::new();
        for fields in self.each("properties").filter_map(Value::as_object) {
            names.extend(fields.keys().map(String::as_str));
        }
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The schemas that apply to a field: each part's for this name, else its schema for other fields. Patterns are left out: less is
    /// known then, never more.
    pub(super) fn field(&self, name: &str) -> Vec<&'d Value> {
        let of_part = |part: &Part<'d>| match named(part, name) {
            Some(schema) => Some(schema),
            None if part.contains_key("patternProperties") => None,
            None => part.get("additionalProperties"),
        };
        self.parts.iter().filter_map(of_part).collect()
    }

    /// The schemas that apply to fields that no part names.
    pub(super) fn other_fields(&self) -> Vec<&'d Value> {
        self.each("additionalProperties").collect()
    }

    /// Whether a part names the field.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.parts.iter().any(|part| named(part, name).is_some())
    }
}

/// The schema that a part has for a field that it names.
pub(super) fn named<'d>(part: Part<'d>, name: &str) -> Option<&'d Value> {
    part.get("properties")?.as_object()?.get(name)
}

/// The values that a part lists, by `const` or `enum`.
pub(super) fn listed<'d>(part: Part<'d>) -> Option<&'d [Value]> {
    match (part.get("const"), part.get("enum")) {
        (Some(value), _) => Some(std::slice::from_ref(value)),
        (None, Some(Value::Array(values))) => Some(values),
        _ => None,
    }
}
