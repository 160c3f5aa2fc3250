//! One JSON Schema, compiled once.

use super::{
    Mismatch,
    cost::{self, Cost},
    mismatch, text,
};
use jsonschema::{Draft, PatternOptions, Validator, error::ValidationErrorKind};
use ponos_event::from_json;
use schemars::{JsonSchema, Schema, generate::SchemaSettings, transform::RecursiveTransform};
use serde_json::Value;
use std::{
    fmt,
    sync::{Arc, OnceLock},
};

/// A compiled JSON Schema that values are validated against. Clones share it.
///
/// The draft is the one that `$schema` names, else 2020-12. Known formats are asserted; unknown ones are annotations. Fields
/// that the schema does not name are accepted unless it forbids them.
#[derive(Clone)]
pub struct Contract(Arc<Compiled>);

struct Compiled {
    schema: Value,
    validator: Validator,
    /// Computed when the first value does not fit.
    cost: OnceLock<Cost>,
}

/// Why a schema was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schema is refused{}: {reason}", at_pointer(.pointer))]
pub struct SchemaError {
    /// Where in the schema, as JSON pointer; empty for the whole.
    pub pointer: String,
    /// What is wrong there, and what to do.
    pub reason: String,
}

fn at_pointer(pointer: &str) -> String {
    if pointer.is_empty() { String::new() } else { format!(" at {}", text::shortened(pointer, 200)) }
}

impl SchemaError {
    pub(super) fn new(pointer: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), reason: reason.into() }
    }
}

impl Contract {
    /// The longest schema, in bytes of JSON.
    pub const MAX_BYTES: usize = 1024 * 1024;
    /// The deepest nesting of a schema: that of serde_json's reader.
    pub const MAX_DEPTH: usize = 127;
    /// The largest compiled size of each pattern, in bytes.
    const PATTERN_BYTES: usize = 1024 * 1024;

    /// Derives the contract from a Rust type, as its deserialization reads it: a field with a serde default is not required.
    /// Integers are bounded by the range of their type.
    pub fn of<T: JsonSchema>() -> Result<Self, SchemaError> {
        let settings = SchemaSettings::draft2020_12().with_transform(RecursiveTransform(bound_integer));
        Self::from_value(settings.into_generator().into_root_schema_for::<T>().to_value())
    }

    /// Compiles a schema given as JSON text.
    pub fn parse(schema: &str) -> Result<Self, SchemaError> {
        if schema.len() > Self::MAX_BYTES {
            return Err(SchemaError::new("", format!("it has {} bytes; the limit is 1 MiB", schema.len())));
        }
        let value = from_json(schema.as_bytes())
            .map_err(|fault| SchemaError::new("", format!("it is not valid JSON: {fault}")))?;
        Self::from_value(value)
    }

    /// Compiles a schema.
    pub fn from_value(schema: Value) -> Result<Self, SchemaError> {
        if deeper_than(&schema, Self::MAX_DEPTH) {
            let reason = format!("it is nested more than {} levels deep", Self::MAX_DEPTH);
            return Err(SchemaError::new("", reason));
        }
        // before it is compiled: what multiplies there multiplies here too
        cost::check(&schema)?;
        let validator = options().build(&schema).map_err(|error| refused(&schema, &error))?;
        Ok(Self(Arc::new(Compiled { schema, validator, cost: OnceLock::new() })))
    }

    /// Validates a value.
    pub fn check(&self, value: &Value) -> Result<(), Mismatch> {
        if self.0.validator.is_valid(value) {
            return Ok(());
        }
        if !self.0.cost.get_or_init(|| Cost::of(&self.0.schema)).affordable(value) {
            return Err(Mismatch::without_place());
        }
        Err(mismatch::collect(self.0.validator.iter_errors(value)))
    }

    /// The schema, as given or derived.
    pub fn schema(&self) -> &Value {
        &self.0.schema
    }
}

impl fmt::Debug for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Contract({})", text::json_excerpt(&self.0.schema, 200))
    }
}

/// The options of every compilation: nothing is fetched, and patterns run in linear time.
pub(super) fn options() -> jsonschema::ValidationOptions<'static> {
    let patterns =
        PatternOptions::regex().size_limit(Contract::PATTERN_BYTES).dfa_size_limit(Contract::PATTERN_BYTES);
    jsonschema::options().offline().should_validate_formats(true).with_pattern_options(patterns)
}

/// The draft that a schema is written in.
pub(super) fn draft(schema: &Value) -> Draft {
    Draft::default().detect(schema)
}

fn deeper_than(value: &Value, levels: usize) -> bool {
    let inner: Box<dyn Iterator<Item = &Value>> = match value {
        Value::Array(items) => Box::new(items.iter()),
        Value::Object(fields) => Box::new(fields.values()),
        _ => return false,
    };
    levels == 0 || inner.into_iter().any(|value| deeper_than(value, levels - 1))
}

/// schemars names the width of an integer in `format`, which no validator asserts, and bounds only the narrowest.
fn bound_integer(schema: &mut Schema) {
    let (least, most): (i64, u64) = match schema.get("format").and_then(Value::as_str) {
        Some("int32") => (i32::MIN.into(), i32::MAX as u64),
        Some("int64" | "int") => (i64::MIN, i64::MAX as u64),
        Some("uint32") => (0, u32::MAX.into()),
        Some("uint64" | "uint") => (0, u64::MAX),
        _ => return,
    };
    for (keyword, bound) in [("minimum", Value::from(least)), ("maximum", Value::from(most))] {
        if schema.get(keyword).is_none() {
            schema.insert(keyword.into(), bound);
        }
    }
}

fn refused(schema: &Value, error: &jsonschema::ValidationError<'_>) -> SchemaError {
    if let ValidationErrorKind::Referencing(fault) = error.kind() {
        let unknown = unresolved(schema, &mut String::new());
        let (pointer, what) = unknown.unwrap_or_else(|| (String::new(), fault.to_string()));
        let remedy = "put the definition into the schema itself, under $defs; schemas are never fetched";
        return SchemaError::new(
            pointer,
            format!("{} can't be resolved: {remedy}", text::shortened(&what, 200)),
        );
    }
    let pointer = error.instance_path().as_str();
    let found = text::json_excerpt(error.instance().as_ref(), text::VALUE_CHARS);
    if matches!(schema.pointer(pointer), Some(Value::String(_))) && error.to_string().contains("regex") {
        let remedy = "use the syntax of the regex crate: no look-around, no back-references, bounded size";
        return SchemaError::new(pointer, format!("{found} is not a valid pattern; {remedy}"));
    }
    SchemaError::new(pointer, mismatch::message(error))
}

/// The first reference that leads nowhere within the schema, with its pointer.
fn unresolved(schema: &Value, at: &mut String) -> Option<(String, String)> {
    unresolved_in(schema, schema, at)
}

fn unresolved_in(root: &Value, value: &Value, at: &mut String) -> Option<(String, String)> {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (text::step(name), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(n, value)| (n.to_string(), value)).collect(),
        _ => return None,
    };
    for (step, value) in inner {
        let length = at.len();
        at.push('/');
        at.push_str(&step);
        if let ("$ref" | "$schema" | "$dynamicRef", Value::String(to)) = (step.as_str(), value) {
            let known = match to.strip_prefix('#') {
                Some(pointer) if pointer.is_empty() || pointer.starts_with('/') => {
                    root.pointer(pointer).is_some()
                }
                Some(_) => false,
                None => step == "$schema" && draft(root) != Draft::Unknown,
            };
            if !known {
                return Some((at.clone(), format!("{to:?}")));
            }
        }
        if let Some(found) = unresolved_in(root, value, at) {
            return Some(found);
        }
        at.truncate(length);
    }
    None
}
