//! What is wrong with a text that a person wrote: where, what, and what to do about it.
//!
//! A [`Diagnostic`] carries its own source line, so that it can be shown when the text is long gone. Pure: how it is
//! drawn stands in `draw.rs`. No diagnostic shows the password of a URL, wherever it stood; of texts that may hold
//! other secrets ([`Text::masked`]) the values of harmless keys alone are shown.

mod nearest;
mod text;
mod toml;

pub use self::toml::toml_table;
pub use nearest::{did_you_mean, is_one_edit, nearest};
pub use ponos_event::text::counted;
pub use text::Text;

use crate::FaultCode;
use ponos_event::{redact::redact, terminal::line};
use serde::Serialize;
use std::{borrow::Cow, fmt, ops::Range, sync::Arc};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It can't be used.
    Error,
    /// It can be used, but is probably not what was meant.
    Warning,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of fault it is, for programs; of what is wrong with files as such, none.
    pub code: Option<FaultCode>,
    /// The file, as the person named it.
    pub file: Option<Arc<str>>,
    /// Counted from 1.
    pub line: Option<usize>,
    /// Counted from 1, in characters.
    pub column: Option<usize>,
    /// What happened, to what.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// The line it is about.
    pub source_line: Option<String>,
    /// Byte range within `source_line`.
    #[serde(skip)]
    pub underline: Range<usize>,
}

impl Diagnostic {
    /// An error that is about no place in a text.
    pub fn error(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code: None,
            file: None,
            line: None,
            column: None,
            message: message.into(),
            help: None,
            source_line: None,
            underline: 0..0,
        }
    }

    /// The same, but only a warning.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// The same, of this kind.
    #[must_use]
    pub fn code(mut self, code: FaultCode) -> Self {
        self.code = Some(code);
        self
    }

    /// The same, about this file as a whole.
    #[must_use]
    pub fn in_file(mut self, file: &str) -> Self {
        self.file = Some(file.into());
        self
    }

    /// The same, with what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same, with what to do where that is known.
    #[must_use]
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }
}

/// Characters of a message or a help; what they repeat may be as long as a file.
const LONGEST: usize = 2_000;

impl Diagnostic {
    /// Without passwords, and no longer than somebody reads.
    fn presentable(mut self) -> Self {
        self.message = presentable(self.message);
        self.help = self.help.map(presentable);
        // A line break in a password ends no URL: what would be shown instead of it does not either.
        let shown = self.file.as_deref().and_then(|file| match redact(&line(file)) {
            Cow::Owned(shown) => Some(shown),
            Cow::Borrowed(_) => None,
        });
        if let Some(shown) = shown {
            self.file = Some(shown.into());
        }
        self
    }
}

fn presentable(text: String) -> String {
    let mut text = match redact(&text) {
        Cow::Owned(shown) => shown,
        Cow::Borrowed(_) => text,
    };
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push('…');
    }
    text
}

impl fmt::Display for Diagnostic {
    /// One line, for logs: `schedules/a.toml:3:8: what; what to do`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}:")?;
            if let (Some(line), Some(column)) = (self.line, self.column) {
                write!(f, "{line}:{column}:")?;
            }
            f.write_str(" ")?;
        }
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

/// All that was found, in the order found. Keeps at most [`Diagnostics::MOST`]; the rest is only counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
}

impl Diagnostics {
    /// How many are kept of each severity.
    pub const MOST: usize = 500;

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let count = match diagnostic.severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        *count += 1;
        if *count <= Self::MOST {
            self.list.push(diagnostic.presentable());
        }
    }

    /// Adds all of another.
    pub fn append(&mut self, other: Self) {
        let (errors, warnings) = (self.errors + other.errors, self.warnings + other.warnings);
        other.list.into_iter().for_each(|diagnostic| self.push(diagnostic));
        (self.errors, self.warnings) = (errors, warnings);
    }

    /// Puts those of one text into the order of their places; what has none comes last.
    pub fn sort(&mut self) {
        self.list.sort_by_key(|one| (one.line.is_none(), one.line, one.column));
    }

    /// What was kept.
    pub fn list(&self) -> &[Diagnostic] {
        &self.list
    }

    /// How many errors there were.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// How many warnings there were.
    pub fn warnings(&self) -> usize {
        self.warnings
    }

    /// How many of either were counted but not kept.
    pub fn left_out(&self) -> usize {
        self.errors + self.warnings - self.list.len()
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(one: Diagnostic) -> Self {
        let mut all = Self::default();
        all.push(one);
        all
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.list.iter().enumerate() {
            let gap = if index == 0 { "" } else { "\n" };
            write!(f, "{gap}{diagnostic}")?;
        }
        match self.left_out() {
            0 => Ok(()),
            more => write!(f, "\n… and {more} more"),
        }
    }
}

impl std::error::Error for Diagnostics {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_the_bound_is_counted_but_not_kept() {
        let mut all = Diagnostics::default();
        for _ in 0..Diagnostics::MOST + 7 {
            all.push(Diagnostic::error("broken"));
        }
        let mut more = Diagnostics::default();
        more.push(Diagnostic::error("odd").warning());
        more.append(all);
        assert_eq!((more.errors(), more.warnings(), more.left_out()), (Diagnostics::MOST + 7, 1, 7));
        assert!(more.to_string().ends_with("… and 7 more"));
    }

    #[test]
    fn what_is_kept_shows_no_password_and_is_no_longer_than_somebody_reads() {
        let mut all = Diagnostics::default();
        let url = "amqp://me:hunter2@host";
        all.push(Diagnostic::error(format!("{url} is no folder")).in_file(url).help(format!("not {url}")));
        all.push(Diagnostic::error("é".repeat(1 << 20)));
        assert!(!format!("{all:?}").contains("hunter2"), "{all:?}");
        assert_eq!(
            all.list()[0].to_string(),
            "amqp://me:***@host: amqp://me:***@host is no folder; not amqp://me:***@host"
        );
        assert_eq!(all.list()[1].message.chars().count(), LONGEST + 1);
    }

    #[test]
    fn one_line_says_where_what_and_what_to_do() {
        let text = Text::new("a.toml", "x = 1\ny = 2\n");
        let diagnostic = text.error(6..7, "unknown key 'y'").help("did you mean 'x'?");
        assert_eq!(diagnostic.to_string(), "a.toml:2:1: unknown key 'y'; did you mean 'x'?");
    }
}
