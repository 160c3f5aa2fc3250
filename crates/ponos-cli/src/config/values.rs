//! Values of `ponos.toml` by the path of their keys, such as `queues.0.timeout`. What can't be understood is noted as a fault at
//! its place, and counts as left out.

use super::keys;
use crate::span;
use ponos_toml::{
    FaultCode,
    diagnostic::{Diagnostic, Diagnostics, Text, toml_table},
    toml_tree::{Spans, Walk},
};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// What was read of one file.
pub(super) struct Values<'a> {
    text: &'a Text<'a>,
    /// From which relative paths count.
    folder: &'a Path,
    read: Value,
    spans: Spans,
    pub(super) faults: Diagnostics,
}

impl<'a> Values<'a> {
    /// Takes the text apart.
    pub(super) fn of(text: &'a Text<'a>, folder: &'a Path) -> Self {
        let mut faults = Diagnostics::default();
        let (read, spans) = match toml_table(text, &mut faults) {
            Some(table) => {
                let mut walk = Walk::new(text, place, &mut faults);
                let read = walk.table("", table.get_ref(), keys::KEYS);
                (Value::Object(read), walk.spans)
            }
            None => (Value::Null, Spans::new()),
        };
        Self { text, folder, read, spans, faults }
    }

    /// Whether it is TOML at all.
    pub(super) fn is_toml(&self) -> bool {
        self.read.is_object()
    }

    /// Notes a fault of that value, or of the file, if nothing stands there.
    pub(super) fn fault(&mut self, path: &str, what: impl Into<String>, help: impl Into<String>) {
        let fault = self.diagnostic(path, what.into()).help(help);
        self.faults.push(fault);
    }

    /// The same, without a remedy beside it.
    pub(super) fn fault_alone(&mut self, path: &str, what: impl Into<String>) {
        let fault = self.diagnostic(path, what.into());
        self.faults.push(fault);
    }

    /// Notes what is no fault, and that somebody should know.
    pub(super) fn warning(&mut self, path: &str, what: impl Into<String>) {
        let warning = self.diagnostic(path, what.into()).warning();
        self.faults.push(warning);
    }

    fn diagnostic(&self, path: &str, what: String) -> Diagnostic {
        let fault = match self.spans.get(path) {
            Some(span) => self.text.error(span.clone(), what),
            None => Diagnostic::error(what).in_file(&self.text.file()),
        };
        fault.code(FaultCode::InvalidValue)
    }

    /// Whether something is written there, even what can't be read.
    pub(super) fn is_written(&self, path: &str) -> bool {
        self.spans.contains_key(path)
    }

    fn get(&self, path: &str) -> Option<&Value> {
        path.split('.').try_fold(&self.read, |value, word| match value {
            Value::Array(items) => items.get(word.parse::<usize>().ok()?),
            value => value.get(word),
        })
    }

    /// How many tables a list has, those included that are none.
    pub(super) fn count(&self, path: &str) -> usize {
        self.get(path).and_then(Value::as_array).map_or(0, Vec::len)
    }

    pub(super) fn text(&self, path: &str) -> Option<String> {
        self.get(path)?.as_str().map(str::to_owned)
    }

    /// A list of texts, each with its path.
    pub(super) fn texts(&self, path: &str) -> Vec<(String, String)> {
        let items = self.get(path).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let texts = items.iter().enumerate();
        texts.filter_map(|(at, item)| Some((format!("{path}.{at}"), item.as_str()?.to_owned()))).collect()
    }

    /// A table of texts, in the order of the file.
    pub(super) fn texts_by_key(&self, path: &str) -> Vec<(String, String)> {
        let table = self.get(path).and_then(Value::as_object).into_iter().flatten();
        table.filter_map(|(key, item)| Some((key.clone(), item.as_str()?.to_owned()))).collect()
    }

    pub(super) fn boolean(&self, path: &str) -> Option<bool> {
        self.get(path)?.as_bool()
    }

    /// A whole number from 1 on that its type can hold.
    pub(super) fn count_of<T: TryFrom<u64>>(&mut self, path: &str, most: u64) -> Option<T> {
        let number = self.get(path)?.as_u64()?;
        let fits = (1..=most).contains(&number).then(|| T::try_from(number).ok()).flatten();
        if fits.is_none() {
            self.fault(path, format!("{number} is out of bounds"), format!("allowed are 1 to {most}"));
        }
        fits
    }

    pub(super) fn number(&mut self, path: &str) -> Option<f64> {
        let value = self.get(path)?;
        let number = value.as_f64();
        if number.is_none() {
            self.fault(path, "this is not a number", "write it without quotes, such as 1.5");
        }
        number
    }

    pub(super) fn duration(&mut self, path: &str) -> Option<Duration> {
        self.parsed(path, span::duration)
    }

    /// What `parse` makes of a text; its error is a fault.
    pub(super) fn parsed<T>(
        &mut self,
        path: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(path)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(what) => {
                self.fault_alone(path, what);
                None
            }
        }
    }

    /// A path; a relative one counts from the file's folder.
    pub(super) fn path(&mut self, path: &str) -> Option<PathBuf> {
        let text = self.text(path)?;
        if text.is_empty() {
            self.fault(path, "the path is empty", "leave the key out, or write a path");
            return None;
        }
        Some(self.folder.join(text))
    }

    /// As [`Values::path`], of a path that stands within another value.
    pub(super) fn in_folder(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }
}

/// Where an unknown key stands, in words.
fn place(section: &str) -> String {
    let list = section.rsplit_once('.').filter(|(_, last)| last.bytes().all(|byte| byte.is_ascii_digit()));
    match list {
        Some((list, _)) => format!(" in [[{list}]]"),
        None if section.is_empty() => String::new(),
        None => format!(" in [{section}]"),
    }
}
