//! The three layers: file, environment, flags. Raw values with their origin; unknown keys are refused here.

use super::keys::{self, KEYS, Key, Kind};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Text, nearest, toml_table},
    schedule::{
        FaultCode,
        toml_tree::{Spans, Walk},
    },
};
use serde_json::Value as Json;
use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    ops::Range,
    path::PathBuf,
};
use toml::de::DeTable;

/// What a configuration is made from.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// `--config FILE` or `KHRONOS_CONFIG`.
    pub file: Option<PathBuf>,
    /// The process's variables; those that don't begin with `KHRONOS_` are ignored.
    pub environment: Vec<(OsString, OsString)>,
    /// What flags say.
    pub flags: Vec<Override>,
}

/// A key overridden by a flag.
#[derive(Debug, Clone)]
pub struct Override {
    /// Such as `broker.url`.
    pub key: &'static str,
    /// Such as `--broker`.
    pub flag: &'static str,
    /// As written in a variable.
    pub value: String,
}

/// A raw value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Number(f64),
    Boolean(bool),
    List(Vec<String>),
    /// Each with its own place under the key of the whole list.
    Rows(Vec<Values>),
}

/// Where a raw value came from; a later layer is greater.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Origin {
    File(Range<usize>),
    Variable(String),
    Flag(&'static str),
}

impl Origin {
    /// The layer, by precedence.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::File(_) => 0,
            Self::Variable(_) => 1,
            Self::Flag(_) => 2,
        }
    }

    /// A fault of the value that came from here.
    pub(super) fn fault(&self, text: &Text<'_>, key: &str, what: &str) -> Diagnostic {
        let fault = match self {
            Self::File(span) => text.error(span.clone(), format!("{key}: {what}")),
            Self::Variable(name) => Diagnostic::error(format!("{name} (environment): {what}")),
            Self::Flag(flag) => Diagnostic::error(format!("{flag}: {what}")),
        };
        fault.code(FaultCode::InvalidValue)
    }
}

/// Raw values by key.
pub(super) type Values = BTreeMap<&'static str, (Value, Origin)>;

/// Lays the three layers over each other.
pub(super) fn read(text: &Text<'_>, request: &Request, faults: &mut Diagnostics) -> Values {
    let mut values = Values::new();
    if let Some(table) = toml_table(text, faults) {
        from_file(table.get_ref(), text, &mut values, faults);
    }
    environment(request, text, &mut values, faults);
    for Override { key, flag, value } in &request.flags {
        let origin = Origin::Flag(flag);
        set_text(key, value, origin, text, &mut values, faults);
    }
    values
}

fn from_file(table: &DeTable<'_>, text: &Text<'_>, values: &mut Values, faults: &mut Diagnostics) {
    let mut walk = Walk::new(text, place, faults);
    let read = Json::Object(walk.table("", table, KEYS));
    for (key, kind) in keys::all() {
        let found = key.split('.').try_fold(&read, |section, name| section.get(name));
        // Who reads it says what it must be.
        let of_another_kind = || matches!(kind, Kind::Payload).then(|| Value::Rows(Vec::new()));
        let value = found.and_then(|found| of_json(found).or_else(of_another_kind));
        if let Some((value, span)) = value.zip(walk.spans.get(key)) {
            values.insert(key, (value, Origin::File(span.clone())));
        }
    }
    let spans = walk.spans;
    for (list, kind) in keys::LISTS {
        let Kind::Tables(keys) = kind else { continue };
        let found = list.split('.').try_fold(&read, |section, name| section.get(name));
        if let Some((Json::Array(tables), span)) = found.zip(spans.get(list)) {
            let row = |(index, table)| row(list, keys, index, table, &spans);
            // What is no table was refused.
            let tables = tables.iter().enumerate().filter(|(_, table)| table.is_object());
            let rows = Value::Rows(tables.map(row).collect());
            values.insert(list, (rows, Origin::File(span.clone())));
        }
    }
}

/// The values of one table of a list; its own place stands under the key of the list.
fn row(list: &'static str, keys: &'static [Key], index: usize, table: &Json, spans: &Spans) -> Values {
    let path = format!("{list}.{index}");
    let mut row = Values::new();
    if let Some(span) = spans.get(&path) {
        row.insert(list, (Value::Rows(Vec::new()), Origin::File(span.clone())));
    }
    for (key, _) in keys {
        let name = key.rsplit('.').next().unwrap_or(key);
        if let Some(span) = spans.get(&format!("{path}.{name}")) {
            // What is of another kind was refused; it is there all the same.
            let value = table.get(name).and_then(of_json).unwrap_or(Value::Rows(Vec::new()));
            row.insert(key, (value, Origin::File(span.clone())));
        }
    }
    row
}

fn place(section: &str) -> String {
    let list = section.rsplit_once('.').filter(|(_, last)| last.bytes().all(|byte| byte.is_ascii_digit()));
    match list {
        Some((list, _)) => format!(" in [[{list}]]"),
        None if section.is_empty() => String::new(),
        None => format!(" in [{section}]"),
    }
}

fn of_json(value: &Json) -> Option<Value> {
    Some(match value {
        Json::String(text) => Value::Text(text.clone()),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Integer(whole),
            None => Value::Number(number.as_f64()?),
        },
        Json::Bool(value) => Value::Boolean(*value),
        Json::Array(items) => {
            Value::List(items.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

/// Variables of those who ask a clock: no part of its configuration.
const CLIENTS: [&str; 3] = ["KHRONOS_URL", "KHRONOS_TOKEN", "KHRONOS_CA_FILE"];

/// What is wrong with KHRONOS_URL: it may be meant for the broker, and the clock would use another one without a word.
fn misplaced_url(value: &OsStr) -> Option<Diagnostic> {
    let value = value.to_string_lossy();
    if value.is_empty() || value.starts_with("http://") || value.starts_with("https://") {
        return None;
    }
    let what = "KHRONOS_URL (environment): it is the HTTP address at which khronos asks a clock, and must begin with http:// or https://";
    let help = "did you mean KHRONOS_BROKER_URL?";
    Some(Diagnostic::error(what).help(help).code(FaultCode::InvalidValue))
}

fn environment(request: &Request, text: &Text<'_>, values: &mut Values, faults: &mut Diagnostics) {
    let variables: Vec<_> = keys::all().into_iter().map(|(key, _)| (keys::variable(key), key)).collect();
    for (name, value) in &request.environment {
        let Some(name) = name.to_str().filter(|name| name.starts_with("KHRONOS_")) else {
            continue;
        };
        if let Some(fault) = misplaced_url(value).filter(|_| name == "KHRONOS_URL") {
            faults.push(fault);
        }
        // Kubernetes puts these into every container of a namespace that has a Service called khronos.
        if name == "KHRONOS_CONFIG"
            || CLIENTS.contains(&name)
            || name.starts_with("KHRONOS_SERVICE_")
            || name.starts_with("KHRONOS_PORT")
        {
            continue;
        }
        let Some((_, key)) = variables.iter().find(|(variable, _)| variable == name) else {
            let all = variables.iter().map(|(variable, _)| variable.as_str());
            let help = nearest(name, all).map_or_else(
                || "variables are named KHRONOS_<SECTION>_<KEY>, after the keys of config.toml; unset this one".to_owned(),
                |near| format!("did you mean {near}?"),
            );
            faults.push(Diagnostic::error(format!("unknown environment variable {name}")).help(help));
            continue;
        };
        let origin = Origin::Variable(name.to_owned());
        match value.to_str() {
            Some("") => {}
            Some(value) => set_text(key, value, origin, text, values, faults),
            None => faults.push(origin.fault(text, key, "the value is not UTF-8 text")),
        }
    }
}

fn set_text(
    key: &'static str,
    value: &str,
    origin: Origin,
    text: &Text<'_>,
    values: &mut Values,
    faults: &mut Diagnostics,
) {
    let Some((key, kind)) = keys::key(key) else {
        faults.push(origin.fault(text, key, "unknown key"));
        return;
    };
    let read = match kind {
        // Who reads it says what it must be.
        Kind::Text | Kind::Duration | Kind::Payload => Some(Value::Text(value.to_owned())),
        Kind::Integer => value.trim().parse().ok().map(Value::Integer),
        Kind::Boolean => value.trim().parse().ok().map(Value::Boolean),
        Kind::Texts => Some(Value::List(value.split(',').map(|item| item.trim().to_owned()).collect())),
        _ => None,
    };
    match read {
        Some(read) => {
            values.insert(key, (read, origin));
        }
        None => {
            let what = format!("'{value}' is not {}", kind.expected());
            faults.push(origin.fault(text, key, &what));
        }
    }
}
