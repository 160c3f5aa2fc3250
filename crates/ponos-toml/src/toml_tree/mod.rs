//! A walk over TOML by a table of keys: what is written becomes JSON, with the place of each value by its path. What is
//! wrong is added to the faults and left out; of a list, a null keeps its place. Configuration and schedule files are read by it, each by its own table.

pub mod position;
pub mod value;

use crate::{
    FaultCode,
    diagnostic::{Diagnostics, Text, did_you_mean},
};
use serde_json::{Map, Value};
use std::{borrow::Cow, collections::HashMap, ops::Range};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// A key and its kind. The key may be written with its path (`broker.url`); its last part is its name.
pub type Key = (&'static str, Kind);

/// What may stand behind a key.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A text.
    Text,
    /// A text that says how long something is.
    Duration,
    /// A list of texts.
    Texts,
    /// A table of texts, whose keys are anybody's.
    TextsByKey,
    /// `true` or `false`.
    Boolean,
    /// A number of things.
    Count {
        /// The fewest.
        least: u32,
        /// The most.
        most: u32,
    },
    /// A number, which may be negative.
    Integer,
    /// A table within a line.
    Table(&'static [Key]),
    /// A table with a header of its own.
    Section(&'static [Key]),
    /// A list of tables.
    Tables(&'static [Key]),
    /// Anything that JSON can say.
    Payload,
}

/// Byte ranges of values by the path of their keys.
pub type Spans = HashMap<String, Range<usize>>;

/// A walk under way.
#[derive(Debug)]
pub struct Walk<'t, 'f> {
    text: &'t Text<'t>,
    /// Where an unknown key stands, in words, by the path of its table: ` in [broker]`.
    place: fn(&str) -> String,
    /// Where the values stand that were seen.
    pub spans: Spans,
    /// The items of lists that could not be read, by their paths. In what was read a null has their place.
    pub unread: Vec<String>,
    faults: &'f mut Diagnostics,
}

fn name(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

/// The keys' names, for people.
pub fn joined(keys: &[Key]) -> String {
    keys.iter().map(|(key, _)| name(key)).collect::<Vec<_>>().join(", ")
}

impl<'t, 'f> Walk<'t, 'f> {
    /// Begins one.
    pub fn new(text: &'t Text<'t>, place: fn(&str) -> String, faults: &'f mut Diagnostics) -> Self {
        Self { text, place, spans: Spans::new(), unread: Vec::new(), faults }
    }

    /// Reads one table, whose path is `""` for the outermost, by its keys.
    pub fn table(&mut self, path: &str, table: &DeTable<'_>, keys: &[Key]) -> Map<String, Value> {
        let mut object = Map::new();
        let mut written: Vec<_> = table.iter().collect();
        written.sort_by_key(|(name, _)| name.span().start);
        for (written, value) in written {
            let Some((key, kind)) = keys.iter().find(|(key, _)| name(key) == written.get_ref()) else {
                self.unknown(path, written, value.get_ref(), keys);
                continue;
            };
            let key = name(key);
            let full = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
            self.spans.insert(full.clone(), value.span());
            if let Some(read) = self.value(&full, *kind, value) {
                object.insert(key.to_owned(), read);
            }
        }
        object
    }

    fn unknown(&mut self, path: &str, written: &Spanned<Cow<'_, str>>, value: &DeValue<'_>, keys: &[Key]) {
        let sections = keys.iter().any(|(_, kind)| matches!(kind, Kind::Section(_)));
        let what = if sections && value.is_table() { "section" } else { "key" };
        let message = format!("unknown {what} '{}'{}", written.get_ref(), (self.place)(path));
        let help = did_you_mean(written.get_ref(), keys.iter().map(|(key, _)| name(key)));
        let fault = self.text.error(written.span(), message).code(FaultCode::UnknownKey);
        self.faults.push(fault.help(help));
    }

    fn value(&mut self, path: &str, kind: Kind, value: &Spanned<DeValue<'_>>) -> Option<Value> {
        Some(match (kind, value.get_ref()) {
            (Kind::Text | Kind::Duration, DeValue::String(text)) => Value::String(text.to_string()),
            (Kind::Texts, DeValue::Array(items)) => self.texts(path, items),
            (Kind::TextsByKey, DeValue::Table(inner)) => Value::Object(self.texts_by_key(path, inner)),
            (Kind::Boolean, DeValue::Boolean(value)) => Value::Bool(*value),
            (Kind::Table(keys) | Kind::Section(keys), DeValue::Table(inner)) => {
                Value::Object(self.table(path, inner, keys))
            }
            (Kind::Tables(keys), DeValue::Array(items)) => Value::Array(self.tables(path, items, keys)),
            (Kind::Count { least, most }, DeValue::Integer(number)) => {
                let count = value::integer(number).and_then(|number| u32::try_from(number).ok());
                if count.is_none() {
                    let message = format!("{path} must be a whole number from {least} to {most}");
                    self.faults.push(self.text.error(value.span(), message).code(FaultCode::OutOfRange));
                }
                Value::from(count?)
            }
            (Kind::Payload | Kind::Integer, found)
                if matches!((kind, found), (Kind::Payload, _) | (_, DeValue::Integer(_))) =>
            {
                match value::json(value) {
                    Ok(read) => read,
                    Err((span, message)) => {
                        let fault = self.text.error(span, format!("{path}: {message}"));
                        self.faults.push(fault.code(FaultCode::InvalidValue));
                        return None;
                    }
                }
            }
            (kind, found) => {
                let message = format!("{path} must be {}, not {}", kind.expected(), value::type_name(found));
                let remedy = kind.remedy(path, self.text, value, found);
                let fault = self.text.error(value.span(), message).code(FaultCode::WrongType);
                self.faults.push(fault.maybe_help(remedy));
                return None;
            }
        })
    }

    /// Reads a list of tables; their paths are numbered from 0.
    fn tables(&mut self, path: &str, items: &[Spanned<DeValue<'_>>], keys: &[Key]) -> Vec<Value> {
        let mut tables = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}.{index}");
            self.spans.insert(path.clone(), item.span());
            match item.get_ref() {
                DeValue::Table(table) => tables.push(Value::Object(self.table(&path, table, keys))),
                found => {
                    let message = format!("{path} must be a table, not {}", value::type_name(found));
                    let help = format!("its keys are {}", joined(keys));
                    let fault = self.text.error(item.span(), message).code(FaultCode::WrongType);
                    self.faults.push(fault.help(help));
                    self.unread.push(path);
                    tables.push(Value::Null);
                }
            }
        }
        tables
    }

    /// Reads a table of texts; other values are noted as faults.
    fn texts_by_key(&mut self, path: &str, table: &DeTable<'_>) -> Map<String, Value> {
        let mut texts = Map::new();
        let mut written: Vec<_> = table.iter().collect();
        written.sort_by_key(|(name, _)| name.span().start);
        for (name, value) in written {
            let path = format!("{path}.{}", name.get_ref());
            self.spans.insert(path.clone(), value.span());
            match self.value(&path, Kind::Text, value) {
                Some(read) => drop(texts.insert(name.get_ref().to_string(), read)),
                None => self.unread.push(path),
            }
        }
        texts
    }

    /// Reads a list of texts; other values are noted as faults.
    fn texts(&mut self, path: &str, items: &[Spanned<DeValue<'_>>]) -> Value {
        let mut texts = Vec::new();
        for (index, item) in items.iter().enumerate() {
            self.spans.insert(format!("{path}.{index}"), item.span());
            match item.get_ref() {
                DeValue::String(text) => texts.push(Value::String(text.to_string())),
                found => {
                    let message = format!("{path} holds texts in quotes, not {}", value::type_name(found));
                    self.faults.push(self.text.error(item.span(), message).code(FaultCode::WrongType));
                    self.unread.push(format!("{path}.{index}"));
                    texts.push(Value::Null);
                }
            }
        }
        Value::Array(texts)
    }
}

impl Kind {
    /// In words.
    pub fn expected(self) -> &'static str {
        match self {
            Self::Text | Self::Duration => "a text in quotes",
            Self::Texts => "a list of texts in quotes",
            Self::TextsByKey => "a table of texts such as { key = \"value\" }",
            Self::Boolean => "true or false",
            Self::Count { .. } | Self::Integer => "a whole number",
            Self::Table(_) => "a table such as { key = \"value\" }",
            Self::Section(_) => "a section",
            Self::Tables(_) => "a list of tables such as [{ key = \"value\" }]",
            Self::Payload => "anything",
        }
    }

    /// What to write instead of a value of the wrong type.
    fn remedy(
        self,
        path: &str,
        text: &Text<'_>,
        value: &Spanned<DeValue<'_>>,
        found: &DeValue<'_>,
    ) -> Option<String> {
        if let Self::Section(_) = self {
            return Some(format!("write [{path}] on a line of its own and its keys below it"));
        }
        // What may be a secret is not repeated.
        let written = text.as_str().get(value.span()).filter(|_| text.shows(name(path)))?;
        match (self, found) {
            (Self::Text, DeValue::Datetime(_) | DeValue::Integer(_))
            | (Self::Duration, DeValue::Datetime(_)) => Some(format!("put it in quotes: \"{written}\"")),
            (Self::Duration, DeValue::Integer(_)) => {
                Some(format!("write a number with its unit in quotes: \"{written}s\""))
            }
            (Self::Texts, DeValue::String(_)) => Some(format!("put it in brackets: [{written}]")),
            (Self::Boolean, DeValue::String(_)) => Some("remove the quotes".to_owned()),
            (Self::Count { .. }, DeValue::String(text)) if text.parse::<u32>().is_ok() => {
                Some(format!("remove the quotes: {text}"))
            }
            (Self::Tables(keys), _) => {
                let (key, _) = keys.first()?;
                Some(format!("its keys are {}, as in [{{ {} = \"...\" }}]", joined(keys), name(key)))
            }
            (Self::Table(keys), _) => {
                let (key, _) = keys.first()?;
                Some(format!("its keys are {}, as in {{ {} = \"...\" }}", joined(keys), name(key)))
            }
            _ => None,
        }
    }
}
