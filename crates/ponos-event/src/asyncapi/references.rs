//! The references of a JSON Schema, which have other targets once it stands in a document.

use serde_json::{Value, json};

/// Keywords whose values are no schemas, …
const DATA: [&str; 4] = ["const", "enum", "default", "examples"];
/// … and those whose values have schemas by names that are no keywords.
const NAMED: [&str; 6] =
    ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"];
/// References that AsyncAPI does not know.
const UNKNOWN: [&str; 2] = ["$dynamicRef", "$recursiveRef"];

/// Why a schema can't stand in an AsyncAPI document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schema of '{name}' can't stand in an AsyncAPI document: {reason}")]
pub struct Unwritable {
    /// The name that was given to the schema.
    pub name: String,
    /// What is in its way, and what to do.
    pub reason: String,
}

/// Calls `change` with each reference (`$ref` and its kind) of a schema: the keyword, and the text, which it may replace. Ends at the
/// first error.
///
/// # Errors
/// That of `change`.
pub fn for_each_reference<E>(
    schema: &mut Value,
    change: &mut impl FnMut(&str, &mut String) -> Result<(), E>,
) -> Result<(), E> {
    match schema {
        Value::Object(fields) => {
            for (key, inner) in fields {
                match (key.as_str(), inner) {
                    (key, Value::String(text)) if key == "$ref" || UNKNOWN.contains(&key) => {
                        change(key, text)?
                    }
                    (key, _) if DATA.contains(&key) => {}
                    (key, Value::Object(named)) if NAMED.contains(&key) => {
                        named.values_mut().try_for_each(|schema| for_each_reference(schema, change))?;
                    }
                    (_, inner) => for_each_reference(inner, change)?,
                }
            }
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| for_each_reference(item, change)),
        _ => Ok(()),
    }
}

/// The schema as it stands under this name of a document: with its references counted from the document's root, as an object.
pub(super) fn embedded(schema: &Value, name: &str) -> Result<Value, Unwritable> {
    let mut schema = match schema {
        // AsyncAPI wants objects
        Value::Bool(true) => json!({}),
        Value::Bool(false) => json!({ "not": {} }),
        schema => schema.clone(),
    };
    if let Value::Object(fields) = &mut schema {
        // pointers would count from it
        fields.shift_remove("$id");
    }
    let root = format!("#/components/schemas/{name}");
    for_each_reference(&mut schema, &mut |keyword, text| match text.strip_prefix('#') {
        Some(pointer) if keyword == "$ref" && (pointer.is_empty() || pointer.starts_with('/')) => {
            *text = format!("{root}{pointer}");
            Ok(())
        }
        _ => {
            let reason = format!(
                "it refers to {keyword} '{text}', and such documents know only references by pointer; write \"$ref\": \"#/$defs/NAME\""
            );
            Err(Unwritable { name: name.to_owned(), reason })
        }
    })?;
    Ok(schema)
}
