//! What a file has that is put: definitions, as schedule files or programs write them, or an export.

use super::super::error::CliError;
use crate::{ops::export::ExportedCalendar, sources::EXPORTED};
use ponos::files::{self, ReadError};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};
use std::{io::Read, path::Path};

/// Bytes of a file of definitions.
const FILE: u64 = 64 << 20;

/// What a file has.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) calendars: Vec<ExportedCalendar>,
    pub(super) definitions: Vec<Box<RawValue>>,
}

impl Given {
    fn of(definitions: Vec<Box<RawValue>>) -> Self {
        Self { definitions, ..Self::default() }
    }
}

/// Reads it, as it is written.
pub(super) fn read(file: &Path) -> Result<Given, CliError> {
    let wrong = |what: String| CliError::Usage(format!("{}: {what}", file.display()));
    let text = if file.as_os_str() == "-" {
        let mut text = String::new();
        let read = std::io::stdin().lock().take(FILE + 1).read_to_string(&mut text);
        match read {
            Ok(length) if length as u64 > FILE => Err(ReadError::TooLarge(FILE)),
            Ok(_) => Ok(text),
            Err(error) => Err(error.into()),
        }
    } else {
        files::read_text(file, FILE)
    };
    let text = text.map_err(|error| match &error {
        ReadError::TooLarge(_) => {
            wrong(format!("{error}; put it in parts: cut it above a line [[schedule]]"))
        }
        _ => wrong(error.to_string()),
    })?;
    let is_json = text.trim_start().starts_with('{')
        || file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
        || (text.trim_start().starts_with('[') && serde_json::from_str::<Vec<&RawValue>>(&text).is_ok());
    let given = if is_json { of_json(&text) } else { of_toml(&text) }.map_err(wrong)?;
    // Of a clock on which nothing was created: put again, there is nothing wrong with it.
    let is_export = text.starts_with(EXPORTED) || (is_json && text.trim_start().starts_with('{'));
    if given.definitions.is_empty() && given.calendars.is_empty() && !is_export {
        return Err(wrong("it has no schedules".into()));
    }
    Ok(given)
}

/// What `khronos export --json` writes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exported {
    #[serde(default)]
    calendars: Vec<ExportedCalendar>,
    schedules: Vec<Box<RawValue>>,
}

/// Which key a text would have as an export.
#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    schedules: Option<IgnoredAny>,
}

/// One definition, a list, or an export; each as it is written, for it is the clock that reads them.
pub(super) fn of_json(text: &str) -> Result<Given, String> {
    let whole: &RawValue = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if whole.get().starts_with('[') {
        return serde_json::from_str(text).map(Given::of).map_err(|error| error.to_string());
    }
    match serde_json::from_str(text) {
        Ok(Said { schedules: Some(_) }) => {
            let Exported { calendars, schedules } =
                serde_json::from_str(text).map_err(|error| error.to_string())?;
            Ok(Given { calendars, definitions: schedules })
        }
        _ => Ok(Given::of(vec![whole.to_owned()])),
    }
}

pub(super) fn of_toml(text: &str) -> Result<Given, String> {
    let mut file: toml::Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    let mut tables = |key| match file.remove(key) {
        Some(toml::Value::Array(list)) => Ok(list),
        Some(_) => Err(format!("write [[{key}]], in two pairs of brackets")),
        None => Ok(Vec::new()),
    };
    let (calendars, schedules) = (tables("calendar")?, tables("schedule")?);
    if let Some(key) = file.keys().next() {
        return Err(format!(
            "unknown key '{key}': a file of schedules has [[schedule]] tables alone, an export [[calendar]] besides"
        ));
    }
    let calendar = |value: toml::Value| value.try_into().map_err(|error| format!("a [[calendar]]: {error}"));
    let raw = |value| to_raw_value(&of_value(value)?).map_err(|error| error.to_string());
    Ok(Given {
        calendars: calendars.into_iter().map(calendar).collect::<Result<_, _>>()?,
        definitions: schedules.into_iter().map(raw).collect::<Result<_, _>>()?,
    })
}

fn of_value(value: toml::Value) -> Result<Value, String> {
    Ok(match value {
        toml::Value::String(text) => Value::from(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Float(number) if !number.is_finite() => {
            return Err(format!("{number} is no number of JSON"));
        }
        toml::Value::Float(number) => Value::from(number),
        toml::Value::Boolean(value) => Value::from(value),
        toml::Value::Datetime(at) => Value::from(at.to_string()),
        toml::Value::Array(list) => list.into_iter().map(of_value).collect::<Result<Vec<_>, _>>()?.into(),
        toml::Value::Table(table) => {
            let pairs = table.into_iter().map(|(key, value)| Ok((key, of_value(value)?)));
            Value::Object(pairs.collect::<Result<_, String>>()?)
        }
    })
}
