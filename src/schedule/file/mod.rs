//! The form of a schedule file: TOML text → entries, each a [`Definition`] and the [`Schedule`] built from it, and all
//! that is wrong with the text, each at its line and column. Pure; `sources.rs` reads the folder.

mod keys;
pub(in crate::schedule) mod position;
pub(in crate::schedule) mod value;

use self::keys::{KEYS, Key, Kind};
use super::{
    Calendars, Definition, Fault, Schedule,
    diagnostic::{Diagnostic, Diagnostics, Text, did_you_mean, toml_table},
    lint::advice::advice,
};
use ponos::{event::Timestamp, text::shortened};
use serde_json::{Map, Value};
use std::{collections::HashMap, ops::Range};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// One `[[schedule]]` that can run.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What is written.
    pub definition: Definition,
    /// What it means.
    pub schedule: Schedule,
    /// Where its name stands: bytes of the text.
    pub name: Range<usize>,
    /// Where its event stands; its name if the event is left out.
    pub event: Range<usize>,
}

/// Byte ranges of values by the path of their keys.
type Spans = HashMap<String, Range<usize>>;

/// Understands a schedule file, whose schedules may name these calendars: every entry that is right, in the order of the
/// text, and all that is wrong.
pub fn parse(text: &Text<'_>, calendars: &Calendars) -> (Vec<Entry>, Diagnostics) {
    advised(text, calendars, None)
}

/// The same, with warnings about what can run and was seldom meant, as seen at `now`.
pub fn advised(text: &Text<'_>, calendars: &Calendars, now: Option<Timestamp>) -> (Vec<Entry>, Diagnostics) {
    let (mut entries, mut faults) = (Vec::new(), Diagnostics::default());
    let Some(table) = toml_table(text, &mut faults) else { return (entries, faults) };
    for (name, value) in table.get_ref() {
        match (name.get_ref().as_ref(), value.get_ref()) {
            ("schedule", DeValue::Array(items)) => {
                entries
                    .extend(items.iter().filter_map(|item| entry(text, item, calendars, now, &mut faults)));
            }
            ("schedule", _) => faults.push(
                text.error(name.span(), "'schedule' is a list of tables")
                    .help("write [[schedule]], in double brackets"),
            ),
            (other, _) => faults.push(text.error(name.span(), format!("unknown key '{other}'")).help(
                "a schedule file holds only [[schedule]] tables; a schedule's keys stand below its header",
            )),
        }
    }
    faults.sort();
    (entries, faults)
}

fn entry(
    text: &Text<'_>,
    item: &Spanned<DeValue<'_>>,
    calendars: &Calendars,
    now: Option<Timestamp>,
    faults: &mut Diagnostics,
) -> Option<Entry> {
    let before = faults.errors();
    let DeValue::Table(table) = item.get_ref() else {
        faults.push(
            text.error(item.span(), "a schedule is a table").help("write [[schedule]] and its keys below it"),
        );
        return None;
    };
    let mut spans = Spans::new();
    let object = read(text, "", table, KEYS, &mut spans, faults);
    if !table.contains_key("name") {
        let help = "add name = \"...\": it must be unique and is the key of the schedule's history";
        faults.push(text.error(item.span(), "this schedule has no name").help(help));
    }
    if faults.errors() > before {
        return None;
    }
    let mut definition: Definition = match serde_json::from_value(Value::Object(object)) {
        Ok(definition) => definition,
        Err(error) => {
            faults.push(text.error(item.span(), format!("this schedule can't be understood: {error}")));
            return None;
        }
    };
    match build(&mut definition, calendars) {
        Ok(schedule) => {
            for fault in now.map_or_else(Vec::new, |now| advice(&definition, &schedule, now)) {
                faults.push(located(text, &definition.name, &fault, &spans, item).warning());
            }
            let (name, event) = (span(&spans, "name", item), span(&spans, "event", item));
            Some(Entry { definition, schedule, name, event })
        }
        Err(found) => {
            for fault in found {
                faults.push(located(text, &definition.name, &fault, &spans, item));
            }
            None
        }
    }
}

/// Pins the calendars that it names and builds it; a calendar that is missing hides no other fault.
fn build(definition: &mut Definition, calendars: &Calendars) -> Result<Schedule, Vec<Fault>> {
    let Err(mut faults) = calendars.pin(definition) else {
        return Schedule::build_with(definition, calendars.store());
    };
    let every_day = Definition { exclude: None, only: None, ..definition.clone() };
    faults.extend(Schedule::build(&every_day).err().into_iter().flatten());
    Err(faults)
}

/// Reads one table by its keys; what is wrong is noted and left out.
fn read(
    text: &Text<'_>,
    path: &str,
    table: &DeTable<'_>,
    keys: &[Key],
    spans: &mut Spans,
    faults: &mut Diagnostics,
) -> Map<String, Value> {
    let mut object = Map::new();
    let mut written: Vec<_> = table.iter().collect();
    written.sort_by_key(|(name, _)| name.span().start);
    for (name, value) in written {
        let Some((key, kind)) = keys.iter().find(|(key, _)| key == name.get_ref()) else {
            let place = if path.is_empty() { "a schedule".to_owned() } else { format!("'{path}'") };
            let help = did_you_mean(name.get_ref(), keys.iter().map(|(key, _)| *key));
            faults.push(
                text.error(name.span(), format!("unknown key '{}' in {place}", name.get_ref())).help(help),
            );
            continue;
        };
        let full = if path.is_empty() { (*key).to_owned() } else { format!("{path}.{key}") };
        spans.insert(full.clone(), value.span());
        let read_value = match (kind, value.get_ref()) {
            (Kind::Text, DeValue::String(text)) => Value::String(text.to_string()),
            (Kind::Texts, DeValue::Array(items)) => texts(text, &full, items, spans, faults),
            (Kind::Boolean, DeValue::Boolean(value)) => Value::Bool(*value),
            (Kind::Table(keys), DeValue::Table(inner)) => {
                Value::Object(read(text, &full, inner, keys, spans, faults))
            }
            (Kind::Tables(keys), DeValue::Array(items)) => {
                Value::Array(tables(text, &full, items, keys, spans, faults))
            }
            (Kind::Count, DeValue::Integer(number)) => {
                let Some(count) = value::integer(number).and_then(|number| u32::try_from(number).ok()) else {
                    let message = format!("{full} must be a whole number from 0 to {}", u32::MAX);
                    faults.push(text.error(value.span(), message));
                    continue;
                };
                Value::from(count)
            }
            (Kind::Payload, _) => match value::json(value) {
                Ok(payload) => payload,
                Err((span, message)) => {
                    faults.push(text.error(span, format!("{full}: {message}")));
                    continue;
                }
            },
            (kind, found) => {
                let message = format!("{full} must be {}, not {}", kind.expected(), value::type_name(found));
                faults.push(text.error(value.span(), message).maybe_help(kind.remedy(text, value, found)));
                continue;
            }
        };
        object.insert((*key).to_owned(), read_value);
    }
    object
}

/// Reads a list of tables; their paths are numbered from 0.
fn tables(
    text: &Text<'_>,
    path: &str,
    items: &[Spanned<DeValue<'_>>],
    keys: &[Key],
    spans: &mut Spans,
    faults: &mut Diagnostics,
) -> Vec<Value> {
    let mut tables = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}.{index}");
        spans.insert(path.clone(), item.span());
        match item.get_ref() {
            DeValue::Table(table) => {
                tables.push(Value::Object(read(text, &path, table, keys, spans, faults)));
            }
            found => {
                let message = format!("{path} must be a table, not {}", value::type_name(found));
                let help = format!("its keys are {}", value::joined(keys));
                faults.push(text.error(item.span(), message).help(help));
            }
        }
    }
    tables
}

/// Reads a list of texts; what is none is noted and left out.
fn texts(
    text: &Text<'_>,
    path: &str,
    items: &[Spanned<DeValue<'_>>],
    spans: &mut Spans,
    faults: &mut Diagnostics,
) -> Value {
    let mut texts = Vec::new();
    for (index, item) in items.iter().enumerate() {
        spans.insert(format!("{path}.{index}"), item.span());
        match item.get_ref() {
            DeValue::String(text) => texts.push(Value::String(text.to_string())),
            found => {
                let message = format!("{path} holds texts in quotes, not {}", value::type_name(found));
                faults.push(text.error(item.span(), message));
            }
        }
    }
    Value::Array(texts)
}

/// A fault of the arithmetic at its place: the part of the value where that is known, else the value, else the
/// nearest key above it, else the schedule's header.
fn located(
    text: &Text<'_>,
    name: &str,
    fault: &Fault,
    spans: &Spans,
    item: &Spanned<DeValue<'_>>,
) -> Diagnostic {
    let path = fault.path();
    let whole = span(spans, &path, item);
    let exact =
        spans.get(&path).zip(fault.at.clone()).map(|(value, at)| position::within(text.as_str(), value, at));
    let message = format!("schedule '{}': {}: {}", shortened(name, 80), path, fault.what);
    text.error(exact.unwrap_or(whole), message).maybe_help(fault.help.clone())
}

fn span(spans: &Spans, key: &str, item: &Spanned<DeValue<'_>>) -> Range<usize> {
    let above = std::iter::successors(Some(key), |key| key.rsplit_once('.').map(|(above, _)| above));
    above.chain(["name"]).find_map(|key| spans.get(key)).cloned().unwrap_or_else(|| item.span())
}

#[cfg(test)]
mod tests;
