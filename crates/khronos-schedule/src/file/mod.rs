//! The form of a schedule file: TOML text → entries, each a [`Definition`] and the [`Schedule`] built from it, and all
//! that is wrong with the text, each at its line and column. `json.rs` is the same of one schedule as JSON, by the same table
//! of keys. Pure; `sources.rs` reads the folder.

mod exact;
mod field_fault;
mod json;
mod keys;
mod pointer;

pub use field_fault::{FieldFault, FieldFaults};
/// The most items of a list: of `timings`, `exclude` and `only`.
pub const LONGEST_LIST: usize = MOST_CALENDARS;

pub use json::{Envelope, JsonEntry, LONGEST_JSON, Opened, from_json, json_object, object_from_json};

use self::keys::KEYS;
use super::{
    Calendars, Definition, Fault, Schedule,
    definition::calendars::MOST_CALENDARS,
    diagnostic::{Diagnostic, Diagnostics, Text, toml_table},
    fault::FaultCode,
    lint::advice::advice,
    toml_tree::{Spans, Walk, position},
};
use ponos_event::Timestamp;
use ponos_event::text::shortened;
use serde_json::{Map, Value};
use std::ops::Range;
use toml::{Spanned, de::DeValue};

/// One `[[schedule]]` that can run.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What is written.
    pub definition: Definition,
    /// What it means.
    pub schedule: Schedule,
    /// Where its table begins: a byte of the text.
    pub begins: usize,
    /// Where its name stands: bytes of the text.
    pub name: Range<usize>,
    /// Where its event stands; its name if the event is left out.
    pub event: Range<usize>,
}

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
                    .code(FaultCode::WrongType)
                    .help("write [[schedule]], in double brackets"),
            ),
            (other, _) => {
                let fault = text.error(name.span(), format!("unknown key '{other}'"));
                faults.push(fault.code(FaultCode::UnknownKey).help(match other {
                    "calendar" => {
                        "a schedule file holds only [[schedule]] tables; calendars lie in a folder of their own, and what \
                         was exported is for khronos put --file"
                    }
                    _ => "a schedule file holds only [[schedule]] tables; a schedule's keys stand below its header",
                }));
            }
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
        let fault = text.error(item.span(), "a schedule is a table").code(FaultCode::WrongType);
        faults.push(fault.help("write [[schedule]] and its keys below it"));
        return None;
    };
    let mut walk = Walk::new(text, place, faults);
    let object = walk.table("", table, KEYS);
    let (spans, unread) = (walk.spans, walk.unread);
    if !table.contains_key("name") {
        let help = "add name = \"...\": it must be unique and is the key of the schedule's history";
        let fault = text.error(item.span(), "this schedule has no name").code(FaultCode::MissingKey);
        faults.push(fault.help(help));
    }
    if faults.errors() > before {
        let name = object.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        for fault in of_values(object, calendars) {
            if unread.iter().any(|path| is_within(&fault.path(), path)) {
                continue;
            }
            faults.push(located(text, &name, &fault, &spans, item));
        }
        return None;
    }
    let mut definition: Definition = match serde_json::from_value(Value::Object(object)) {
        Ok(definition) => definition,
        Err(error) => {
            faults.push(text.error(item.span(), format!("this schedule can't be read: {error}")));
            return None;
        }
    };
    match build(&mut definition, calendars) {
        Ok(schedule) => {
            for fault in now.map_or_else(Vec::new, |now| advice(&definition, &schedule, now)) {
                faults.push(located(text, &definition.name, &fault, &spans, item).warning());
            }
            let (name, event) = (span(&spans, "name", item), span(&spans, "event", item));
            Some(Entry { definition, schedule, begins: item.span().start, name, event })
        }
        Err(found) => {
            for fault in found {
                faults.push(located(text, &definition.name, &fault, &spans, item));
            }
            None
        }
    }
}

/// Whether a path is that one, or leads below it.
fn is_within(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn place(path: &str) -> String {
    if path.is_empty() { " in a schedule".to_owned() } else { format!(" in '{path}'") }
}

/// Pins the calendars that it names and builds it; a calendar that is missing hides no other fault.
fn build(definition: &mut Definition, calendars: &Calendars) -> Result<Schedule, Vec<Fault>> {
    // None is said by no key: as the clock shows it again.
    definition.labels.take_if(|labels| labels.is_empty());
    let Err(mut faults) = calendars.pin(definition) else {
        return Schedule::build_with(definition, calendars.store());
    };
    let every_day = Definition { exclude: None, only: None, ..definition.clone() };
    faults.extend(Schedule::build_with(&every_day, calendars.store()).err().into_iter().flatten());
    Err(faults)
}

/// What is wrong with single values of a table in which other faults were found. What its keys mean together is not judged. Of
/// a list, what could not be read has its place all the same; what is said of that is for the caller to leave out.
fn of_values(mut object: Map<String, Value>, calendars: &Calendars) -> Vec<Fault> {
    object.entry("name").or_insert_with(|| "x".into());
    for (key, instead) in
        [("exclude", Value::from("")), ("only", "".into()), ("timings", Value::Object(Map::new()))]
    {
        let items = object.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten();
        items.filter(|item| item.is_null()).for_each(|item| *item = instead.clone());
    }
    let Ok(mut definition) = serde_json::from_value(Value::Object(object)) else { return Vec::new() };
    let mut found = build(&mut definition, calendars).err().unwrap_or_default();
    found.retain(|fault| fault.code.is_of_one_value());
    found
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
    text.error(exact.unwrap_or(whole), message).code(fault.code).maybe_help(fault.help.clone())
}

fn span(spans: &Spans, key: &str, item: &Spanned<DeValue<'_>>) -> Range<usize> {
    let above = std::iter::successors(Some(key), |key| key.rsplit_once('.').map(|(above, _)| above));
    above.chain(["name"]).find_map(|key| spans.get(key)).cloned().unwrap_or_else(|| item.span())
}

#[cfg(test)]
mod tests;
