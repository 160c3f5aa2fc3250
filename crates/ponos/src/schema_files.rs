//! Schemas in files: the only place where [`schema`](crate::schema) meets the file system.
//!
//! A file `NAME.json` holds the schema of the event or task NAME; a folder of such files is what a service publishes.

use crate::{
    event::{EventName, from_json},
    files::{FileReader, ReadError},
    schema::{Contract, Registry, RegistryError, SchemaError},
};
use serde_json::{Map, Value};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The most files that a folder of schemas may hold.
const MOST_FILES: usize = 10_000;
/// The largest AsyncAPI document, in bytes: one holds the schemas of many.
const MOST_OF_DOCUMENT: u64 = 64 * 1024 * 1024;

/// Why schemas could not be read from files.
#[derive(Debug, thiserror::Error)]
pub enum SchemaFileError {
    /// The file or folder can't be read.
    #[error("{}: can't be read: {fault}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        fault: ReadError,
    },
    /// The file does not hold a valid JSON Schema.
    #[error("{}: {fault}", path.display())]
    Schema {
        /// Which.
        path: PathBuf,
        /// Why.
        fault: SchemaError,
    },
    /// The file's name is not a valid event name, or is declared twice.
    #[error("{}: {fault}", path.display())]
    Declaration {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        fault: RegistryError,
    },
    /// The folder holds no files `NAME.json`.
    #[error("{}: no files NAME.json in this folder", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds more than 10,000 files.
    #[error("{}: more than 10,000 files; a folder of schemas holds one per event or task", path.display())]
    TooMany {
        /// The folder.
        path: PathBuf,
    },
}

/// Reads the contract from a file with a JSON Schema, of at most 1 MiB. Blocks: call it at start, outside of handlers.
///
/// # Errors
/// [`SchemaFileError`]: the file can't be read, or does not hold a valid schema.
pub fn contract(path: impl AsRef<Path>) -> Result<Contract, SchemaFileError> {
    let path = path.as_ref();
    let schema = read(&mut FileReader::default(), path, Contract::MAX_BYTES as u64)?;
    Contract::from_value(schema).map_err(|fault| SchemaFileError::Schema { path: path.into(), fault })
}

/// Reads a registry from the files `NAME.json` of a folder; other files and subfolders are ignored. Blocks.
///
/// # Errors
/// [`SchemaFileError`] for the first file that is wrong.
pub fn registry(path: impl AsRef<Path>) -> Result<Registry, SchemaFileError> {
    let path = path.as_ref();
    Registry::from_json(&document(path)?)
        .map_err(|fault| SchemaFileError::Declaration { path: path.into(), fault })
}

/// Reads what `ponos schema check` compares: the JSON of a file, or a folder's files as one document `{name: schema}`. A file has
/// 1 MiB at most, and one that is an AsyncAPI document 64 MiB.
pub fn document(path: impl AsRef<Path>) -> Result<Value, SchemaFileError> {
    let path = path.as_ref();
    let mut reader = FileReader::default();
    if !path.is_dir() {
        return read(&mut reader, path, MOST_OF_DOCUMENT);
    }
    let failed = |fault: io::Error| SchemaFileError::Read { path: path.into(), fault: fault.into() };
    let mut schemas = Map::new();
    for (seen, entry) in fs::read_dir(path).map_err(failed)?.enumerate() {
        if seen == MOST_FILES {
            return Err(SchemaFileError::TooMany { path: path.into() });
        }
        let file = entry.map_err(failed)?.path();
        let name =
            file.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".json"));
        if let Some(name) = name.filter(|name| !name.starts_with('.') && file.is_file()) {
            name.parse::<EventName>().map_err(|fault| SchemaFileError::Declaration {
                path: file.clone(),
                fault: RegistryError::Name { name: name.to_owned(), fault },
            })?;
            schemas.insert(name.to_owned(), read(&mut reader, &file, Contract::MAX_BYTES as u64)?);
        }
    }
    if schemas.is_empty() {
        return Err(SchemaFileError::Empty { path: path.into() });
    }
    schemas.sort_keys();
    Ok(Value::Object(schemas))
}

/// The JSON of a file of at most so many bytes; what is not an AsyncAPI document is a schema, whatever is allowed.
fn read(reader: &mut FileReader, path: &Path, most: u64) -> Result<Value, SchemaFileError> {
    let failed = |fault| SchemaFileError::Read { path: path.into(), fault };
    let refused = |reason: String| {
        let fault = SchemaError { pointer: String::new(), reason };
        SchemaFileError::Schema { path: path.into(), fault }
    };
    let bytes = match reader.read(path, most) {
        Ok(bytes) => bytes,
        Err(fault @ ReadError::TooLarge(_)) => return Err(refused(fault.to_string())),
        Err(fault) => return Err(failed(fault)),
    };
    let document: Value =
        from_json(&bytes).map_err(|fault| refused(format!("it is not valid JSON: {fault}")))?;
    if bytes.len() > Contract::MAX_BYTES && document.get("asyncapi").is_none() {
        return Err(refused("it is larger than 1 MiB".into()));
    }
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_folder_of_files_is_a_registry() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        assert!(matches!(document(folder.path()), Err(SchemaFileError::Empty { .. })));
        write("order.item.shipped.json", r#"{"type": "object"}"#);
        write("a.b.done.json", "true");
        write("README.md", "not a schema");
        write(".a.b.c.json", "not looked at");
        let expected = json!({"a.b.done": true, "order.item.shipped": {"type": "object"}});
        assert_eq!(document(folder.path()).unwrap(), expected);
        assert_eq!(registry(folder.path()).unwrap().to_json(), expected);
        write("short.json", "true");
        assert!(
            document(folder.path())
                .unwrap_err()
                .to_string()
                .contains("short.json: \"short\" can't be declared")
        );
    }

    #[test]
    fn a_file_that_is_none_is_refused_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.b.c.json");
        assert!(contract(&file).unwrap_err().to_string().contains("a.b.c.json: can't be read: "));
        fs::write(&file, "{\"type\": \"text\"}").unwrap();
        assert!(
            contract(&file).unwrap_err().to_string().contains("a.b.c.json: the schema is refused at /type")
        );
        fs::write(&file, "\u{feff}{\"type\": \"string\"}").unwrap();
        let refusal = contract(&file).unwrap_err().to_string();
        assert!(refusal.contains("a.b.c.json") && refusal.contains("byte order mark"), "{refusal}");
        fs::write(&file, " ".repeat(Contract::MAX_BYTES + 1)).unwrap();
        assert!(contract(&file).unwrap_err().to_string().contains("larger than 1 MiB"));
        fs::write(&file, "{\"type\": \"string\"}").unwrap();
        assert!(contract(&file).unwrap().check(&json!(1)).is_err());
    }
}
