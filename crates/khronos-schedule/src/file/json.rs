//! A schedule as JSON: text → a [`Definition`] and the [`Schedule`] built from it, or all that is wrong, each at its JSON
//! pointer (RFC 6901). The keys, and what they mean, are those of a `[[schedule]]`. Strict: a key that is given twice, or
//! a number that would be kept as another one, is refused. Bounded: long texts before they are read, deep ones where
//! they are too deep.

mod entries;
mod envelope;
mod words;

pub use self::envelope::{Envelope, Opened, object_from_json};

use self::{
    entries::Entries,
    words::{expected, first, is_decimal, least_bytes, remedy, type_name},
};
use super::{
    advice, build,
    exact::number,
    field_fault::{FieldFault, FieldFaults, MOST},
    keys::{KEYS, form},
    of_values,
    pointer::Path,
};
use crate::{
    Calendars, Definition, FaultCode, Schedule,
    definition::build::MAX_DATA,
    diagnostic::did_you_mean,
    fault::{Fault, shown},
    lint::near_miss,
    toml_tree::{Key, Kind, joined},
};
use ponos_event::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};
use std::collections::HashSet;

/// The longest text: the largest payload, with each of its bytes escaped (`\u0061`) and room for the rest.
pub const LONGEST_JSON: usize = 512 << 10;
/// How deep lists and objects may be nested, the schedule itself being the first.
const DEEPEST: usize = 64;

/// What the clock notes in a definition by itself.
const NOTED: [&str; 3] = ["calendars", "zones", "created"];

/// A schedule that can run.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonEntry {
    /// What is written.
    pub definition: Definition,
    /// What it means.
    pub schedule: Schedule,
    /// What can run and was seldom meant.
    pub remarks: Vec<FieldFault>,
}

/// Understands a schedule, which may name these calendars; with remarks about what was seldom meant, as seen at `now`. What
/// the clock noted in a definition that it gave back (`calendars`, `zones`, `created`) says nothing: it is noted anew.
///
/// # Errors
/// All that is wrong with it.
pub fn from_json(text: &[u8], calendars: &Calendars, now: Timestamp) -> Result<JsonEntry, FieldFaults> {
    let mut walk = JsonWalk::default();
    let Some(object) = walk.whole(text) else { return Err(walk.faults) };
    if !walk.faults.list.is_empty() {
        for fault in of_values(object, calendars).iter().map(located) {
            walk.add_unless_known(fault);
        }
        return Err(walk.faults);
    }
    let read = serde_json::from_value::<Definition>(Value::Object(object));
    let mut definition = read.map_err(|error| {
        let said = || Said::new(format!("this schedule can't be read: {error}"));
        walk.refuse(&Path::Whole, FaultCode::InvalidValue, said);
        std::mem::take(&mut walk.faults)
    })?;
    let schedule = build(&mut definition, calendars).map_err(|found| {
        found.iter().for_each(|fault| walk.faults.add(located(fault)));
        walk.faults
    })?;
    let misspelt = near_miss::suspicious(schedule.event.as_str()).map(|(meant, odd)| FieldFault {
        pointer: "/event".to_owned(),
        code: FaultCode::SeldomMeant,
        detail: format!("event: '{}' looks misspelt ('{odd}')", schedule.event),
        expected: None,
        suggestion: Some(format!("did you mean '{meant}'?")),
    });
    let remarks = advice(&definition, &schedule, now).iter().map(located).chain(misspelt).collect();
    Ok(JsonEntry { definition, schedule, remarks })
}

/// Understands any JSON object, as strictly: the body of a request.
///
/// # Errors
/// What is given twice, nested too deep or not kept as it is written; or that it is no object.
pub fn json_object(text: &[u8]) -> Result<Value, FieldFaults> {
    let mut walk = JsonWalk::default();
    let value = walk.top(text, "the body", LONGEST_JSON).and_then(|raw| walk.payload(&Path::Whole, raw, 1));
    value.filter(|_| walk.faults.list.is_empty()).ok_or(walk.faults)
}

/// A fault of the arithmetic at its place.
fn located(fault: &Fault) -> FieldFault {
    let path = fault.path();
    let name = fault.key.rsplit('.').next().unwrap_or_default();
    let form = || form(name).filter(|_| fault.code.is_of_the_form()).map(str::to_owned);
    FieldFault {
        pointer: format!("/{}", path.replace('.', "/")),
        code: fault.code,
        detail: format!("{path}: {}", fault.what),
        expected: fault.expected.as_deref().map(str::to_owned).or_else(form),
        suggestion: fault.help.clone(),
    }
}

/// A walk over JSON by a table of keys.
#[derive(Debug, Default)]
struct JsonWalk {
    faults: FieldFaults,
    /// Where the outermost keys stand, in words, where that is no schedule.
    whole: Option<String>,
}

/// What is said of a fault.
struct Said {
    detail: String,
    expected: Option<String>,
    suggestion: Option<String>,
}

impl Said {
    fn new(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), expected: None, suggestion: None }
    }

    fn expected(self, expected: impl Into<String>) -> Self {
        Self { expected: Some(expected.into()), ..self }
    }

    fn help(self, suggestion: impl Into<String>) -> Self {
        Self { suggestion: Some(suggestion.into()), ..self }
    }
}

impl JsonWalk {
    fn refuse(&mut self, path: &Path<'_>, code: FaultCode, said: impl FnOnce() -> Said) {
        self.faults.add_with(code, || {
            let (Said { mut detail, expected, suggestion }, (pointer, below)) = (said(), path.pointer());
            if let Some(key) = below {
                detail = format!("below the key '{}': {detail}", shown(key));
            }
            FieldFault { pointer, code, detail, expected, suggestion }
        });
    }

    /// Adds what is wrong with a value, unless it could not be read to begin with.
    fn add_unless_known(&mut self, fault: FieldFault) {
        let mut above =
            std::iter::successors(Some(&*fault.pointer), |at| at.rsplit_once('/').map(|(above, _)| above));
        let is_known = above.any(|at| !at.is_empty() && self.faults.list.iter().any(|one| one.pointer == at));
        if !is_known && self.faults.list.len() < MOST {
            self.faults.add(fault);
        }
    }

    /// The keys of the schedule that can be read; `None` where the text is no object.
    fn whole(&mut self, text: &[u8]) -> Option<Map<String, Value>> {
        let raw = self.top(text, "a schedule", LONGEST_JSON)?;
        let entries = self.entries(&Path::Whole, raw);
        let is_named = entries.iter().any(|(key, _)| key == "name");
        let (noted, entries): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|(key, _)| NOTED.contains(&&**key));
        noted.iter().for_each(|(key, raw)| self.noted(&Path::Whole.key(key), raw));
        let object = self.object(&Path::Whole, entries, KEYS, 1);
        if !is_named {
            self.refuse(&Path::Whole.key("name"), FaultCode::MissingKey, || {
                let what =
                    "this schedule has no name: it must be unique and is the key of the schedule's history";
                Said { expected: form("name").map(str::to_owned), ..Said::new(what) }
            });
        }
        Some(object)
    }

    /// The outermost object of a text of at most `longest` bytes; `what` it is to be.
    fn top<'a>(&mut self, text: &'a [u8], what: &str, longest: usize) -> Option<&'a RawValue> {
        let whole = Path::Whole;
        if text.len() > longest {
            let said = || Said::new(format!("the text has {} bytes; {longest} are read", text.len()));
            self.refuse(&whole, FaultCode::TooLarge, said);
            return None;
        }
        let read = std::str::from_utf8(text).map_err(|error| format!("this is not UTF-8: {error}"));
        let read = read.and_then(|text| match text.strip_prefix('\u{feff}') {
            Some(_) => Err("this begins with a byte order mark; JSON has none (RFC 8259, 8.1)".to_owned()),
            None => serde_json::from_str::<&RawValue>(text).map_err(|error| syntax(&error)),
        });
        match read {
            Ok(raw) if raw.get().starts_with('{') => return Some(raw),
            Ok(raw) => {
                let said = || Said::new(format!("{what} is an object, not {}", type_name(raw)));
                self.refuse(&whole, FaultCode::WrongType, || said().expected("an object"));
            }
            Err(what) => self.refuse(&whole, FaultCode::Syntax, || Said::new(what)),
        }
        None
    }

    /// An object's keys with their values, each once.
    fn entries<'a>(&mut self, path: &Path<'_>, raw: &'a RawValue) -> Vec<(String, &'a RawValue)> {
        let Some(Entries(mut entries)) = self.read(path, raw) else { return Vec::new() };
        let mut seen = HashSet::with_capacity(entries.len());
        entries.retain(|(key, _)| {
            let new = seen.insert(key.clone());
            if !new {
                self.refuse(&path.key(key), FaultCode::DuplicateKey, || {
                    Said::new(format!("'{}' is given twice", shown(key))).help("leave one of them out")
                });
            }
            new
        });
        entries
    }

    fn read<'a, T: Deserialize<'a>>(&mut self, path: &Path<'_>, raw: &'a RawValue) -> Option<T> {
        let read = serde_json::from_str(raw.get());
        read.map_err(|error| self.refuse(path, FaultCode::Syntax, || Said::new(syntax(&error)))).ok()
    }

    fn object(
        &mut self,
        path: &Path<'_>,
        entries: Vec<(String, &RawValue)>,
        keys: &[Key],
        depth: usize,
    ) -> Map<String, Value> {
        let mut object = Map::new();
        for (key, raw) in entries {
            let at = path.key(&key);
            let known = keys.iter().find(|(known, _)| *known == key);
            let value = match known {
                Some((_, kind)) => self.value(&at, *kind, raw, depth),
                None => {
                    self.unknown(path, &at, &key, keys);
                    None
                }
            };
            if let Some(value) = value {
                object.insert(key, value);
            }
        }
        object
    }

    fn unknown(&mut self, path: &Path<'_>, at: &Path<'_>, key: &str, keys: &[Key]) {
        let place = self.whole.clone().filter(|_| matches!(path, Path::Whole));
        self.refuse(at, FaultCode::UnknownKey, || {
            let place = place.unwrap_or_else(|| super::place(&path.dotted()));
            let what = format!("unknown key '{}'{place}", shown(key));
            let help = did_you_mean(key, keys.iter().map(|(key, _)| *key));
            Said::new(what).expected(format!("one of {}", joined(keys))).help(help)
        });
    }

    /// What the clock noted in a definition that it gave back.
    fn noted(&mut self, path: &Path<'_>, raw: &RawValue) {
        match first(raw) {
            b'{' => {
                self.entries(path, raw);
            }
            _ => self.refuse(path, FaultCode::WrongType, || {
                let what = format!("{} must be an object, not {}", path.dotted(), type_name(raw));
                let help = "leave it out: the clock itself notes it";
                Said::new(what).expected("an object").help(help)
            }),
        }
    }

    fn value(&mut self, path: &Path<'_>, kind: Kind, raw: &RawValue, depth: usize) -> Option<Value> {
        Some(match (kind, first(raw)) {
            (Kind::Text | Kind::Duration, b'"') => Value::String(self.read(path, raw)?),
            (Kind::Texts, b'[') => self.list(path, raw, Kind::Text, depth),
            (Kind::TextsByKey, b'{') => {
                let texts = self.entries(path, raw).into_iter().filter_map(|(key, raw)| {
                    let text = self.value(&path.key(&key), Kind::Text, raw, depth + 1)?;
                    Some((key, text))
                });
                Value::Object(texts.collect())
            }
            (Kind::Boolean, b't' | b'f') => Value::Bool(first(raw) == b't'),
            (Kind::Table(keys) | Kind::Section(keys), b'{') => {
                let entries = self.entries(path, raw);
                Value::Object(self.object(path, entries, keys, depth + 1))
            }
            (Kind::Tables(keys), b'[') => self.list(path, raw, Kind::Table(keys), depth + 1),
            (Kind::Count { .. }, b'-' | b'0'..=b'9') if !is_decimal(raw) => {
                return self.count(path, kind, raw);
            }
            (Kind::Integer, b'-' | b'0'..=b'9') => return self.number(path, raw),
            (Kind::Payload, byte) if byte != b'n' => return self.payload_within_bound(path, raw, depth + 1),
            (kind, _) => {
                self.refuse(path, FaultCode::WrongType, || {
                    let expected = expected(kind);
                    let what = format!("{} must be {expected}, not {}", path.dotted(), type_name(raw));
                    Said { suggestion: remedy(kind, raw), ..Said::new(what).expected(expected) }
                });
                return None;
            }
        })
    }

    /// What is far too long is not made into values, which take much more memory than their text.
    fn payload_within_bound(&mut self, path: &Path<'_>, raw: &RawValue, depth: usize) -> Option<Value> {
        let bytes = least_bytes(raw);
        if bytes > MAX_DATA {
            let what = format!("{bytes} bytes as JSON, or more; {MAX_DATA} are allowed");
            let said = || Said::new(what).expected(format!("at most {MAX_DATA} bytes as JSON"));
            self.refuse(path, FaultCode::OutOfRange, said);
            return None;
        }
        self.payload(path, raw, depth)
    }

    /// What can't be read leaves its place to a null, so that what is said of the others is said of the right ones.
    fn list(&mut self, path: &Path<'_>, raw: &RawValue, kind: Kind, depth: usize) -> Value {
        let items: Vec<&RawValue> = self.read(path, raw).unwrap_or_default();
        let item = |(index, item)| self.value(&path.item(index), kind, item, depth).unwrap_or_default();
        Value::Array(items.into_iter().enumerate().map(item).collect())
    }

    fn count(&mut self, path: &Path<'_>, kind: Kind, raw: &RawValue) -> Option<Value> {
        let count = raw.get().parse::<u32>().ok();
        if count.is_none() {
            self.refuse(path, FaultCode::OutOfRange, || {
                let expected = expected(kind);
                Said::new(format!("{} must be {expected}", path.dotted())).expected(expected)
            });
        }
        count.map(Value::from)
    }

    fn number(&mut self, path: &Path<'_>, raw: &RawValue) -> Option<Value> {
        let read = number(raw.get());
        if read.is_none() {
            self.refuse(path, FaultCode::InexactNumber, || {
                Said::new(format!("the number {} would be kept as another one", shown(raw.get())))
                    .expected("a whole number of 64 bits, or a decimal one of 64 bits (IEEE 754)")
                    .help("write it as a text")
            });
        }
        read
    }

    /// Anything that JSON can say, and that is said once and exactly.
    fn payload(&mut self, path: &Path<'_>, raw: &RawValue, depth: usize) -> Option<Value> {
        if depth > DEEPEST {
            let said = || Said::new(format!("lists and objects are nested more than {DEEPEST} deep"));
            self.refuse(path, FaultCode::TooDeep, said);
            return None;
        }
        Some(match first(raw) {
            b'{' => {
                let mut object = Map::new();
                for (key, raw) in self.entries(path, raw) {
                    let value = self.payload(&path.key(&key), raw, depth + 1).unwrap_or_default();
                    object.insert(key, value);
                }
                Value::Object(object)
            }
            b'[' => {
                let items: Vec<&RawValue> = self.read(path, raw)?;
                let item = |(index, item)| self.payload(&path.item(index), item, depth + 1);
                Value::Array(items.into_iter().enumerate().map(item).map(Option::unwrap_or_default).collect())
            }
            b'"' => Value::String(self.read(path, raw)?),
            b't' => Value::Bool(true),
            b'f' => Value::Bool(false),
            b'n' => Value::Null,
            _ => return self.number(path, raw),
        })
    }
}

fn syntax(error: &serde_json::Error) -> String {
    format!("this is not valid JSON: {error}")
}

#[cfg(test)]
mod tests;
