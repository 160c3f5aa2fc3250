//! Raw values → typed values. Each fault is noted at the value's origin, and the default is used instead.

use super::{
    layers::{Origin, Value, Values},
    text,
};
use crate::diagnostic::{Diagnostic, Diagnostics, Text, did_you_mean};
use ponos::event::duration::parse_span;
use std::{
    fmt::Display,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

/// Gives out one value after another.
pub(super) struct Reader<'a> {
    pub(super) text: &'a Text<'a>,
    pub(super) values: Values,
    /// The folder from which relative paths in the file count.
    pub(super) folder: PathBuf,
    pub(super) faults: Diagnostics,
}

impl Reader<'_> {
    /// Notes a fault of that key's value.
    pub(super) fn fault(&mut self, key: &str, what: &str, help: impl Into<String>) {
        self.faults.push(self.diagnostic(key, what).help(help));
    }

    /// Notes what a person should know of that key's value.
    pub(super) fn warn(&mut self, key: &str, what: &str, help: impl Into<String>) {
        self.faults.push(self.diagnostic(key, what).help(help).warning());
    }

    fn diagnostic(&self, key: &str, what: &str) -> Diagnostic {
        match self.values.get(key) {
            Some((_, origin)) => origin.fault(self.text, key, what),
            None => Diagnostic::error(format!("{key}: {what}")),
        }
    }

    /// Whether a key is set; in a table of a list also to a value of another kind, which was refused.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// The tables of a list.
    pub(super) fn rows(&self, key: &str) -> Vec<Values> {
        match self.values.get(key) {
            Some((Value::Rows(rows), _)) => rows.clone(),
            _ => Vec::new(),
        }
    }

    /// The text of a key, if it is set.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        match self.values.get(key) {
            Some((Value::Text(text), _)) => Some(text.clone()),
            _ => None,
        }
    }

    /// The layer that a key was set in.
    pub(super) fn rank(&self, key: &str) -> Option<u8> {
        self.values.get(key).map(|(_, origin)| origin.rank())
    }

    pub(super) fn duration(&mut self, key: &str, default: Duration, most: Duration) -> Duration {
        let Some(text) = self.text(key) else { return default };
        match parse_span(&text) {
            Ok(duration) if duration <= most && !duration.is_zero() => duration,
            Ok(_) => {
                let what = format!("'{text}' is out of bounds");
                self.fault(key, &what, format!("it must be more than 0 and at most {}", shown(most)));
                default
            }
            Err(_) => {
                let what = format!("'{text}' is not a valid duration");
                self.fault(key, &what, "write a number and a unit: 250ms, 30s, 5m, 1h, 7 days");
                default
            }
        }
    }

    pub(super) fn size(&mut self, key: &str, default: u64, allowed: RangeInclusive<u64>) -> u64 {
        let Some(text) = self.text(key) else { return default };
        match text::size(&text) {
            Some(size) if allowed.contains(&size) => size,
            _ => {
                let what = format!("'{text}' is not an allowed size");
                let (least, most) = (allowed.start() >> 20, allowed.end() >> 20);
                self.fault(
                    key,
                    &what,
                    format!("write it as in \"8 MiB\"; allowed are {least} MiB to {most} MiB"),
                );
                default
            }
        }
    }

    pub(super) fn integer<T>(&mut self, key: &str, default: T, allowed: RangeInclusive<T>) -> T
    where
        T: TryFrom<i64> + PartialOrd + Display + Copy,
    {
        let Some((Value::Integer(number), _)) = self.values.get(key) else { return default };
        let number = *number;
        match T::try_from(number) {
            Ok(value) if allowed.contains(&value) => value,
            _ => {
                let help = format!("allowed are {} to {}", allowed.start(), allowed.end());
                self.fault(key, &format!("{number} is out of bounds"), help);
                default
            }
        }
    }

    /// A number, which may have a fraction, if it is set.
    pub(super) fn number(&mut self, key: &str) -> Option<f64> {
        let number = match &self.values.get(key)?.0 {
            Value::Integer(whole) => Some(*whole as f64),
            Value::Number(number) => Some(*number),
            Value::Text(text) => text.trim().parse().ok(),
            Value::Boolean(_) | Value::List(_) | Value::Rows(_) => None,
        };
        if number.is_none() {
            self.fault(key, "this is not a number", "write it without quotes, such as 0.01");
        }
        number
    }

    pub(super) fn boolean(&self, key: &str, default: bool) -> bool {
        match self.values.get(key) {
            Some((Value::Boolean(value), _)) => *value,
            _ => default,
        }
    }

    pub(super) fn list(&self, key: &str, default: &[&str]) -> Vec<String> {
        self.texts(key).unwrap_or_else(|| default.iter().map(|item| (*item).to_owned()).collect())
    }

    /// The texts of a key, if it is set.
    pub(super) fn texts(&self, key: &str) -> Option<Vec<String>> {
        match self.values.get(key) {
            Some((Value::List(items), _)) => Some(items.clone()),
            _ => None,
        }
    }

    pub(super) fn choice<T: Copy>(&mut self, key: &str, default: T, choices: &[(&'static str, T)]) -> T {
        let Some(text) = self.text(key) else { return default };
        if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == text) {
            return *choice;
        }
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        self.fault(key, &format!("'{text}' is not one of the choices"), did_you_mean(&text, names));
        default
    }

    pub(super) fn parsed<T: FromStr>(&mut self, key: &str, default: T, help: &str) -> T {
        let Some(text) = self.text(key) else { return default };
        text.parse().unwrap_or_else(|_| {
            self.fault(key, &format!("'{text}' can't be understood"), help);
            default
        })
    }

    pub(super) fn path(&mut self, key: &str) -> Option<PathBuf> {
        let text = self.text(key)?;
        if text.is_empty() {
            self.fault(key, "the path is empty", "leave the key out, or write a path");
            return None;
        }
        let in_file = matches!(self.values.get(key), Some((_, Origin::File(_))));
        Some(if in_file { self.folder.join(text) } else { Path::new(&text).to_owned() })
    }
}

fn shown(duration: Duration) -> String {
    match duration.as_secs() {
        days if days >= 172_800 => format!("{} days", days / 86_400),
        hours if hours >= 7_200 => format!("{} hours", hours / 3_600),
        minutes if minutes >= 120 => format!("{} minutes", minutes / 60),
        seconds => format!("{seconds} seconds"),
    }
}
