//! A schedule as JSON: text → a [`Definition`] and the [`Schedule`] built from it, or all that is wrong, each at its JSON
//! pointer (RFC 6901). The keys, and what they mean, are those of a `[[schedule]]`. Strict: a key that is given twice, or
//! a number that would be kept as another one, is refused. Bounded: long texts before they are read, deep ones where
//! they are too deep.

use super::{
    advice, build,
    exact::number,
    field_fault::{FieldFault, FieldFaults},
    keys::{KEYS, form},
    of_values, place,
};
use crate::{
    Calendars, Definition, FaultCode, Schedule,
    diagnostic::did_you_mean,
    fault::{Fault, shown},
    lint::near_miss,
    toml_tree::{Key, Kind, joined},
};
use ponos_event::{Timestamp, text::shortened};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Map, Value, value::RawValue};
use std::{collections::HashSet, fmt};

/// The longest text: the largest payload, with each of its bytes escaped (`\u0061`) and room for the rest.
pub const LONGEST_JSON: usize = 512 << 10;
/// How deep lists and objects may be nested, the schedule itself being the first.
const DEEPEST: usize = 64;

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

/// Understands a schedule, which may name these calendars; with remarks about what was seldom meant, as seen at `now`.
///
/// # Errors
/// All that is wrong with it.
pub fn from_json(text: &[u8], calendars: &Calendars, now: Timestamp) -> Result<JsonEntry, FieldFaults> {
    let mut walk = JsonWalk::default();
    let Some(object) = walk.whole(text) else { return Err(walk.faults) };
    if !object.contains_key("name") && walk.seen_no("/name") {
        let what = "this schedule has no name: it must be unique and is the key of the schedule's history";
        walk.refuse("/name", FaultCode::MissingKey, what, form("name"), None);
    }
    if !walk.faults.list.is_empty() {
        of_values(object, calendars).iter().for_each(|fault| walk.faults.push(located(fault)));
        return Err(walk.faults);
    }
    let read = serde_json::from_value::<Definition>(Value::Object(object));
    let mut definition = read.map_err(|error| {
        walk.refuse("", FaultCode::InvalidValue, format!("this schedule can't be read: {error}"), None, None);
        std::mem::take(&mut walk.faults)
    })?;
    let schedule = build(&mut definition, calendars).map_err(|found| {
        found.iter().for_each(|fault| walk.faults.push(located(fault)));
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

/// A fault of the arithmetic at its place.
fn located(fault: &Fault) -> FieldFault {
    let path = fault.path();
    let name = fault.key.rsplit('.').next().unwrap_or_default();
    FieldFault {
        pointer: format!("/{}", path.replace('.', "/")),
        code: fault.code,
        detail: format!("{path}: {}", fault.what),
        expected: form(name).filter(|_| fault.code.is_of_one_value()).map(str::to_owned),
        suggestion: fault.help.clone(),
    }
}

/// A walk over JSON by a table of keys.
#[derive(Debug, Default)]
struct JsonWalk {
    faults: FieldFaults,
}

/// An object as it is written: in its order, and with what is given twice.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Entries<'de>, M::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

impl JsonWalk {
    fn refuse(
        &mut self,
        pointer: &str,
        code: FaultCode,
        detail: impl Into<String>,
        expected: Option<&str>,
        suggestion: Option<String>,
    ) {
        let (pointer, expected) = (pointer.to_owned(), expected.map(str::to_owned));
        self.faults.push(FieldFault { pointer, code, detail: detail.into(), expected, suggestion });
    }

    fn seen_no(&self, pointer: &str) -> bool {
        self.faults.list.iter().all(|fault| fault.pointer != pointer)
    }

    /// The keys of the schedule that can be read; `None` where the text is no object.
    fn whole(&mut self, text: &[u8]) -> Option<Map<String, Value>> {
        if text.len() > LONGEST_JSON {
            let what = format!("the text has {} bytes; {LONGEST_JSON} are read", text.len());
            self.refuse("", FaultCode::TooLarge, what, None, None);
            return None;
        }
        let read = std::str::from_utf8(text).map_err(|error| format!("this is not UTF-8: {error}"));
        let read = read.and_then(|text| match text.strip_prefix('\u{feff}') {
            Some(_) => Err("this begins with a byte order mark; JSON has none (RFC 8259, 8.1)".to_owned()),
            None => serde_json::from_str::<&RawValue>(text).map_err(|error| syntax(&error)),
        });
        match read {
            Ok(raw) if raw.get().starts_with('{') => Some(self.object("", raw, KEYS, 1)),
            Ok(raw) => {
                let what = format!("a schedule is an object, not {}", type_name(raw));
                self.refuse("", FaultCode::WrongType, what, Some("an object"), None);
                None
            }
            Err(what) => {
                self.refuse("", FaultCode::Syntax, what, None, None);
                None
            }
        }
    }

    /// An object's keys with their values, each once.
    fn entries<'a>(&mut self, pointer: &str, raw: &'a RawValue) -> Vec<(String, &'a RawValue)> {
        let Entries(mut entries) = match serde_json::from_str(raw.get()) {
            Ok(entries) => entries,
            Err(error) => {
                self.refuse(pointer, FaultCode::Syntax, syntax(&error), None, None);
                return Vec::new();
            }
        };
        let mut seen = HashSet::with_capacity(entries.len());
        entries.retain(|(key, _)| {
            let new = seen.insert(key.clone());
            if !new {
                let what = format!("'{}' is given twice", shown(key));
                let help = Some("leave one of them out".to_owned());
                self.refuse(&below(pointer, key), FaultCode::DuplicateKey, what, None, help);
            }
            new
        });
        entries
    }

    fn object(&mut self, pointer: &str, raw: &RawValue, keys: &[Key], depth: usize) -> Map<String, Value> {
        let mut object = Map::new();
        for (key, raw) in self.entries(pointer, raw) {
            let at = below(pointer, &key);
            let Some((_, kind)) = keys.iter().find(|(known, _)| *known == key) else {
                self.unknown(pointer, &at, &key, keys);
                continue;
            };
            if let Some(value) = self.value(&at, *kind, raw, depth) {
                object.insert(key, value);
            }
        }
        object
    }

    fn unknown(&mut self, pointer: &str, at: &str, key: &str, keys: &[Key]) {
        let what = format!("unknown key '{}'{}", shown(key), place(&path(pointer)));
        let help = match key {
            "calendars" | "zones" if pointer.is_empty() => {
                "leave it out: the clock itself notes which days and rules a schedule has".to_owned()
            }
            _ => did_you_mean(key, keys.iter().map(|(key, _)| *key)),
        };
        let allowed = format!("one of {}", joined(keys));
        self.refuse(at, FaultCode::UnknownKey, what, Some(&allowed), Some(help));
    }

    fn value(&mut self, pointer: &str, kind: Kind, raw: &RawValue, depth: usize) -> Option<Value> {
        Some(match (kind, first(raw)) {
            (Kind::Text | Kind::Duration, b'"') => Value::String(self.text(pointer, raw)?),
            (Kind::Texts, b'[') => self.texts(pointer, raw),
            (Kind::Boolean, b't' | b'f') => Value::Bool(first(raw) == b't'),
            (Kind::Table(keys) | Kind::Section(keys), b'{') => {
                Value::Object(self.object(pointer, raw, keys, depth + 1))
            }
            (Kind::Tables(keys), b'[') => self.objects(pointer, raw, keys, depth + 1),
            (Kind::Count, b'-' | b'0'..=b'9') => return self.count(pointer, raw),
            (Kind::Integer, b'-' | b'0'..=b'9') => return self.number(pointer, raw),
            (Kind::Payload, byte) if byte != b'n' => return self.payload(pointer, raw, depth),
            (kind, _) => {
                self.wrong_type(pointer, kind, raw);
                return None;
            }
        })
    }

    fn wrong_type(&mut self, pointer: &str, kind: Kind, raw: &RawValue) {
        let expected = expected(kind);
        let what = format!("{} must be {expected}, not {}", path(pointer), type_name(raw));
        self.refuse(pointer, FaultCode::WrongType, what, Some(expected), remedy(kind, raw));
    }

    fn text(&mut self, pointer: &str, raw: &RawValue) -> Option<String> {
        serde_json::from_str(raw.get())
            .map_err(|error| self.refuse(pointer, FaultCode::Syntax, syntax(&error), None, None))
            .ok()
    }

    fn items<'a>(&mut self, pointer: &str, raw: &'a RawValue) -> Vec<&'a RawValue> {
        serde_json::from_str(raw.get())
            .map_err(|error| self.refuse(pointer, FaultCode::Syntax, syntax(&error), None, None))
            .unwrap_or_default()
    }

    fn texts(&mut self, pointer: &str, raw: &RawValue) -> Value {
        let mut texts = Vec::new();
        for (index, item) in self.items(pointer, raw).into_iter().enumerate() {
            let at = format!("{pointer}/{index}");
            texts.extend(self.value(&at, Kind::Text, item, 0));
        }
        Value::Array(texts)
    }

    fn objects(&mut self, pointer: &str, raw: &RawValue, keys: &[Key], depth: usize) -> Value {
        let mut objects = Vec::new();
        for (index, item) in self.items(pointer, raw).into_iter().enumerate() {
            let at = format!("{pointer}/{index}");
            if first(item) == b'{' {
                objects.push(Value::Object(self.object(&at, item, keys, depth + 1)));
                continue;
            }
            let what = format!("{} must be an object, not {}", path(&at), type_name(item));
            let help = format!("its keys are {}", joined(keys));
            self.refuse(&at, FaultCode::WrongType, what, Some("an object"), Some(help));
        }
        Value::Array(objects)
    }

    fn count(&mut self, pointer: &str, raw: &RawValue) -> Option<Value> {
        let count = raw.get().parse::<u32>().ok();
        if count.is_none() {
            let expected = format!("a whole number from 0 to {}", u32::MAX);
            let what = format!("{} must be {expected}", path(pointer));
            self.refuse(pointer, FaultCode::OutOfRange, what, Some(&expected), None);
        }
        count.map(Value::from)
    }

    fn number(&mut self, pointer: &str, raw: &RawValue) -> Option<Value> {
        let read = number(raw.get());
        if read.is_none() {
            let what = format!("the number {} would be kept as another one", shown(raw.get()));
            let expected = "a whole number of 64 bits, or a decimal one of 64 bits (IEEE 754)";
            let help = Some("write it as a text".to_owned());
            self.refuse(pointer, FaultCode::InexactNumber, what, Some(expected), help);
        }
        read
    }

    /// Anything that JSON can say, and that is said once and exactly.
    fn payload(&mut self, pointer: &str, raw: &RawValue, depth: usize) -> Option<Value> {
        if depth > DEEPEST {
            let what = format!("lists and objects are nested more than {DEEPEST} deep");
            self.refuse(pointer, FaultCode::TooDeep, what, None, None);
            return None;
        }
        Some(match first(raw) {
            b'{' => {
                let mut object = Map::new();
                for (key, raw) in self.entries(pointer, raw) {
                    let at = below(pointer, &key);
                    object.insert(key, self.payload(&at, raw, depth + 1).unwrap_or_default());
                }
                Value::Object(object)
            }
            b'[' => {
                let items = self.items(pointer, raw).into_iter().enumerate();
                let item = |(index, item)| self.payload(&format!("{pointer}/{index}"), item, depth + 1);
                Value::Array(items.map(item).map(Option::unwrap_or_default).collect())
            }
            b'"' => Value::String(self.text(pointer, raw)?),
            b't' => Value::Bool(true),
            b'f' => Value::Bool(false),
            b'n' => Value::Null,
            _ => return self.number(pointer, raw),
        })
    }
}

fn syntax(error: &serde_json::Error) -> String {
    format!("this is not valid JSON: {error}")
}

fn first(raw: &RawValue) -> u8 {
    raw.get().as_bytes().first().copied().unwrap_or_default()
}

/// The pointer of a key below another one (RFC 6901, 3).
fn below(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// The way to a known key, as other messages have it: `catch_up.grace`.
fn path(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

fn type_name(raw: &RawValue) -> &'static str {
    match first(raw) {
        b'"' => "a text",
        b'{' => "an object",
        b'[' => "a list",
        b't' | b'f' => "true or false",
        b'n' => "null",
        _ => "a number",
    }
}

/// What a key takes, in the words of JSON.
fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Duration => "a text",
        Kind::Texts => "a list of texts",
        Kind::Boolean => "true or false",
        Kind::Count | Kind::Integer => "a whole number",
        Kind::Table(_) | Kind::Section(_) => "an object",
        Kind::Tables(_) => "a list of objects",
        Kind::Payload => "anything but null",
    }
}

/// What to write instead of a value of the wrong type.
fn remedy(kind: Kind, raw: &RawValue) -> Option<String> {
    let written = raw.get();
    Some(match (kind, first(raw)) {
        (_, b'n') => "leave the key out".to_owned(),
        (Kind::Duration, b'0'..=b'9') => format!("write a number with its unit: \"{}s\"", shown(written)),
        (Kind::Text, b'-' | b'0'..=b'9') => format!("put it in quotes: \"{}\"", shown(written)),
        (Kind::Texts, b'"') => format!("put it in brackets: [{}]", shortened(written, 80)),
        (Kind::Boolean | Kind::Count, b'"') => "remove the quotes".to_owned(),
        (Kind::Table(keys) | Kind::Tables(keys), _) => format!("its keys are {}", joined(keys)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
