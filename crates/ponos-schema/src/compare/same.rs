//! Whether two schemas say the same in the same words, annotations aside. What can't be compared otherwise can be compared so.

use super::document::{Document, address};
use serde_json::{Map, Value};

/// Keywords that mean nothing to a validator, or only name what is referred to.
const ANNOTATIONS: &[&str] = &[
    "$comment",
    "$defs",
    "$id",
    "$schema",
    "default",
    "definitions",
    "deprecated",
    "description",
    "examples",
    "readOnly",
    "title",
    "writeOnly",
];
/// Their values are schemas by name.
const NAMED: &[&str] = &["properties", "patternProperties", "dependentSchemas"];
/// Their values are schemas, or lists of schemas.
const NESTED: &[&str] = &[
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "contains",
    "else",
    "if",
    "items",
    "not",
    "oneOf",
    "prefixItems",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];

/// Whether two documents mean the same: everything equal but annotations.
pub(super) fn documents(a: &Document<'_>, b: &Document<'_>) -> bool {
    a.draft == b.draft && (a.root == b.root || Same::new(a, b).schema(a.root, b.root))
}

/// Whether a part of each says the same.
pub(super) fn parts(
    a: &Document<'_>,
    x: &Map<String, Value>,
    b: &Document<'_>,
    y: &Map<String, Value>,
) -> bool {
    Same::new(a, b).fields(x, y)
}

/// Whether these keywords of a part of each say the same; being absent from both says the same too.
pub(super) fn keywords(
    (a, x): (&Document<'_>, &Map<String, Value>),
    (b, y): (&Document<'_>, &Map<String, Value>),
    keywords: &[&str],
) -> bool {
    let mut same = Same::new(a, b);
    keywords.iter().all(|keyword| match (x.get(*keyword), y.get(*keyword)) {
        (None, None) => true,
        (Some(x), Some(y)) => same.keyword(keyword, x, y),
        _ => false,
    })
}

struct Same<'c, 'd> {
    a: &'c Document<'d>,
    b: &'c Document<'d>,
    /// Pairs of parts that are being compared, or were: references may lead round.
    seen: Vec<(usize, usize)>,
}

impl<'c, 'd> Same<'c, 'd> {
    fn new(a: &'c Document<'d>, b: &'c Document<'d>) -> Self {
        Self { a, b, seen: Vec::new() }
    }

    fn schema(&mut self, x: &Value, y: &Value) -> bool {
        match (x, y) {
            (Value::Object(x), Value::Object(y)) => self.fields(x, y),
            (Value::Array(x), Value::Array(y)) => {
                x.len() == y.len() && x.iter().zip(y).all(|(x, y)| self.schema(x, y))
            }
            _ => x == y,
        }
    }

    fn fields(&mut self, x: &Map<String, Value>, y: &Map<String, Value>) -> bool {
        let counts = |name: &&String| !ANNOTATIONS.contains(&name.as_str());
        x.keys().filter(counts).count() == y.keys().filter(counts).count()
            && x.iter()
                .filter(|(name, _)| counts(name))
                .all(|(name, x)| y.get(name).is_some_and(|y| self.keyword(name, x, y)))
    }

    fn keyword(&mut self, name: &str, x: &Value, y: &Value) -> bool {
        match (name, x, y) {
            ("$ref", Value::String(to), Value::String(other)) => to == other && self.targets(to),
            // What these lead to is decided while validating: only whole documents can be the same.
            ("$dynamicRef" | "$recursiveRef", ..) => self.a.root == self.b.root,
            (name, Value::Object(x), Value::Object(y)) if NAMED.contains(&name) => {
                x.len() == y.len() && x.iter().all(|(name, x)| y.get(name).is_some_and(|y| self.schema(x, y)))
            }
            (name, ..) if NESTED.contains(&name) => self.schema(x, y),
            _ => x == y,
        }
    }

    fn targets(&mut self, reference: &str) -> bool {
        match (self.a.resolve(reference), self.b.resolve(reference)) {
            (Some(Value::Object(x)), Some(Value::Object(y))) => {
                let pair = (address(x), address(y));
                if self.seen.contains(&pair) {
                    return true;
                }
                self.seen.push(pair);
                self.fields(x, y)
            }
            (Some(x), Some(y)) => x == y,
            // By a name or an id: the same word means the same where the documents are the same.
            _ => self.a.root == self.b.root,
        }
    }
}
