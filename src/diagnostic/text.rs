//! A text with a name, in which byte offsets become lines and columns.

use super::{Diagnostic, Severity};
use std::{ops::Range, sync::Arc};

/// Longer lines are not shown: nobody reads them, and a diagnostic must stay small.
const LONGEST_LINE: usize = 2000;

/// A text that a person wrote.
#[derive(Debug)]
pub struct Text<'a> {
    file: Arc<str>,
    text: &'a str,
    starts: Vec<usize>,
    masked: bool,
}

impl<'a> Text<'a> {
    /// `file` is its name as the person knows it.
    pub fn new(file: &str, text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { file: file.into(), text, starts, masked: false }
    }

    /// A text that may hold a secret behind `url =` or `://`: those parts of its lines are never shown.
    #[must_use]
    pub fn masked(mut self) -> Self {
        self.masked = true;
        self
    }

    /// The file's name.
    pub fn file(&self) -> Arc<str> {
        Arc::clone(&self.file)
    }

    /// The text itself.
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// Line and column, each from 1; the column in characters.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let offset = self.floor(offset);
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(line.wrapping_sub(1)).copied().unwrap_or(0);
        let column = self.text.get(start..offset).map_or(0, |before| before.chars().count()) + 1;
        (line, column)
    }

    /// An error about that byte range.
    pub fn error(&self, span: Range<usize>, message: impl Into<String>) -> Diagnostic {
        let (line, column) = self.position(span.start);
        let (source_line, underline) = match self.line(line) {
            Some((start, shown)) => {
                let from = self.floor(span.start).saturating_sub(start).min(shown.len());
                let to = self.floor(span.end).saturating_sub(start).clamp(from, shown.len());
                self.shown(shown, from..to)
            }
            None => (None, 0..0),
        };
        Diagnostic {
            severity: Severity::Error,
            file: Some(self.file()),
            line: Some(line),
            column: Some(column),
            message: message.into(),
            help: None,
            source_line,
            underline,
        }
    }

    /// Start and text of a line, without its end.
    fn line(&self, line: usize) -> Option<(usize, &'a str)> {
        let start = *self.starts.get(line.checked_sub(1)?)?;
        let end = self.starts.get(line).copied().unwrap_or(self.text.len());
        Some((start, self.text.get(start..end)?.trim_end_matches(['\n', '\r'])))
    }

    fn shown(&self, line: &str, underline: Range<usize>) -> (Option<String>, Range<usize>) {
        if line.len() > LONGEST_LINE {
            return (None, 0..0);
        }
        let Some(secret) = self.masked.then(|| secret_start(line)).flatten() else {
            return (Some(line.to_owned()), underline);
        };
        let shown = format!("{}***", line.get(..secret).unwrap_or_default());
        if underline.start >= secret {
            return (Some(shown), secret..secret + 3);
        }
        let end = underline.end.min(shown.len());
        (Some(shown), underline.start..end)
    }

    fn floor(&self, offset: usize) -> usize {
        let offset = offset.min(self.text.len());
        (0..=offset).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0)
    }
}

/// Where a line begins to be secret: after the `=` of a key `url`, or after `://`.
fn secret_start(line: &str) -> Option<usize> {
    let scheme = line.find("://").map(|at| at + 3);
    let key = line.match_indices("url").find_map(|(at, _)| {
        let rest = line.get(at + 3..)?;
        let value = rest.trim_start_matches(['"', '\'']).trim_start().strip_prefix('=')?;
        Some(line.len() - value.trim_start().len())
    });
    scheme.into_iter().chain(key).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_become_lines_and_columns_in_characters() {
        let text = Text::new("a", "é = 1\r\nüx = 2");
        assert_eq!(text.position(0), (1, 1));
        assert_eq!(text.position(3), (1, 3));
        assert_eq!(text.position(8), (2, 1));
        assert_eq!(text.position(10), (2, 2));
        assert_eq!(text.position(1000), (2, 7));
        let diagnostic = text.error(0..2, "no");
        assert_eq!(diagnostic.source_line.as_deref(), Some("é = 1"));
        assert_eq!(diagnostic.underline, 0..2);
    }

    #[test]
    fn a_masked_text_shows_no_secret_wherever_the_fault_is() {
        for line in [
            "url = \"amqp://me:hunter2@host",
            "url=amqp://me:hunter2@host",
            "broker = { url = 'me:hunter2@host' }",
            "\"url\" = \"hunter2\"",
            "amqps://me:hunter2@h\"\"\"",
        ] {
            for at in 0..line.len() {
                let shown = Text::new("c", line).masked().error(at..at + 2, "no");
                let source = shown.source_line.unwrap_or_default();
                assert!(!source.contains("hunter2") && source.ends_with("***"), "{source}");
                assert!(source.get(shown.underline).is_some());
            }
        }
        let kept = Text::new("c", "url_file = \"secret.txt\"").masked().error(0..3, "no");
        assert_eq!(kept.source_line.as_deref(), Some("url_file = \"secret.txt\""));
    }
}
