//! What is wrong with a text: a [`Flaw`] of one value, and a [`Fault`] once the key is known under which it stands.
//! On the ground: everything that reads a text answers with these, and they know of nothing else.

pub(super) use ponos_event::text::shown;
pub use ponos_toml::FaultCode;
use std::ops::Range;

/// What is wrong with one key of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What kind of fault it is.
    pub code: FaultCode,
    /// The key, such as `cron` or `catch_up.grace`.
    pub key: &'static str,
    /// Of which of the `timings` (from 0) it is a key; `None` for the schedule's own.
    pub part: Option<u8>,
    /// What of the key's list or table is to blame; `None` where it holds neither, or all of it is.
    pub below: Option<Box<Below>>,
    /// Byte range within the key's text value, where a part of it is to blame; `None` for the whole value.
    pub at: Option<Range<usize>>,
    /// What was found and what is allowed.
    pub what: String,
    /// What is allowed, where that is known.
    pub expected: Option<Box<str>>,
    /// What to write instead, where it can be guessed.
    pub help: Option<String>,
}

/// A value below a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Below {
    /// The item of this number (from 0) of its list.
    Item(u32),
    /// The entry of this name of its table.
    Entry(Box<str>),
}

impl Fault {
    /// The key's full path, such as `timings.0.cron`.
    pub fn path(&self) -> String {
        let below = match self.below.as_deref() {
            None => String::new(),
            Some(Below::Item(item)) => format!(".{item}"),
            Some(Below::Entry(entry)) => format!(".{entry}"),
        };
        match self.part {
            Some(part) => format!("timings.{part}.{}{below}", self.key),
            None => format!("{}{below}", self.key),
        }
    }
}

/// A fault before it is known which key's value was read: what the parsers of single values return.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flaw {
    code: FaultCode,
    at: Option<Range<usize>>,
    what: String,
    expected: Option<Box<str>>,
    help: Option<String>,
}

impl Flaw {
    /// The whole value is to blame.
    pub(super) fn whole(what: impl Into<String>) -> Self {
        Self { code: FaultCode::InvalidValue, at: None, what: what.into(), expected: None, help: None }
    }

    /// The bytes `at` of the value are to blame.
    pub(super) fn part(at: Range<usize>, what: impl Into<String>) -> Self {
        Self { at: Some(at), ..Self::whole(what) }
    }

    /// What to write instead.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What is allowed.
    pub(super) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into().into());
        self
    }

    /// What kind of fault it is; [`FaultCode::InvalidValue`] if this is not said.
    pub(super) fn code(mut self, code: FaultCode) -> Self {
        self.code = code;
        self
    }

    /// The same, found `by` bytes further on in the value.
    pub(super) fn shifted(mut self, by: usize) -> Self {
        self.at = self.at.map(|at| at.start + by..at.end + by);
        self
    }

    /// The fault of an item of the key's list.
    pub(super) fn of_item(self, key: &'static str, item: usize) -> Fault {
        let item = u32::try_from(item).ok();
        Fault { below: item.map(|item| Box::new(Below::Item(item))), ..self.of(key) }
    }

    /// The fault of an entry of the key's table, which is named without a dot.
    pub(super) fn of_entry(self, key: &'static str, entry: &str) -> Fault {
        Fault { below: Some(Box::new(Below::Entry(entry.into()))), ..self.of(key) }
    }

    /// The fault, now that the key is known.
    pub(super) fn of(self, key: &'static str) -> Fault {
        let Self { code, at, what, expected, help } = self;
        Fault { code, key, part: None, below: None, at, what, expected, help }
    }
}

/// `at`, or the beginning of the character in the middle of which it lies.
pub(super) fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// The fault of a word that is not allowed, with the nearest allowed one if it is close.
pub(super) fn choice(found: &str, allowed: &[&str]) -> Flaw {
    let flaw = Flaw::whole(format!("'{}' is not one of '{}'", shown(found), allowed.join("', '")))
        .code(FaultCode::UnknownWord)
        .expected(format!("one of \"{}\"", allowed.join("\", \"")));
    if found.len() > 32 {
        return flaw;
    }
    let folded = found.trim().to_ascii_lowercase();
    let near = |word: &&&str| strsim::levenshtein(word, &folded);
    match allowed.iter().min_by_key(near) {
        Some(word) if near(&word) <= 2 => flaw.help(format!("did you mean '{word}'?")),
        _ => flaw,
    }
}
