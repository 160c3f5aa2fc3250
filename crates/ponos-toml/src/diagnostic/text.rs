//! A text with a name, in which byte offsets become lines and columns.

use super::{Diagnostic, Severity};
use ponos_event::redact::{HIDDEN, secrets};
use std::{ops::Range, sync::Arc};

/// Longer lines are not shown: nobody reads them, and a diagnostic must stay small.
const LONGEST_LINE: usize = 2000;

/// A text that a person wrote.
#[derive(Debug)]
pub struct Text<'a> {
    file: Arc<str>,
    text: &'a str,
    starts: Vec<usize>,
    /// Of which keys the values may be shown; `None` for all.
    harmless: Option<fn(&str) -> bool>,
}

impl<'a> Text<'a> {
    /// `file` is its name as the person knows it.
    pub fn new(file: &str, text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { file: file.into(), text, starts, harmless: None }
    }

    /// A text that may hold secrets: of its lines only names, and the values of keys that are `harmless`, are shown.
    #[must_use]
    pub fn masked(mut self, harmless: fn(&str) -> bool) -> Self {
        self.harmless = Some(harmless);
        self
    }

    /// Whether the values of keys of this name may be shown.
    pub fn shows(&self, key: &str) -> bool {
        self.harmless.is_none_or(|harmless| harmless(key))
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
            code: None,
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
        let end = self.harmless.and_then(|harmless| secret_start(line, harmless)).unwrap_or(line.len());
        let mut hidden = secrets(line.get(..end).unwrap_or_default());
        if end < line.len() {
            hidden.push(end..line.len());
        }
        let (shown, underline) = hide(line, &hidden, underline);
        (Some(shown), underline)
    }

    fn floor(&self, offset: usize) -> usize {
        let offset = offset.min(self.text.len());
        (0..=offset).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0)
    }
}

/// The line with `***` in place of what is hidden, and where what was underlined is then.
fn hide(line: &str, hidden: &[Range<usize>], underline: Range<usize>) -> (String, Range<usize>) {
    let (mut shown, mut at) = (String::with_capacity(line.len()), 0);
    let mut moved = underline.clone();
    for range in hidden {
        shown.push_str(line.get(at..range.start).unwrap_or_default());
        let start = shown.len();
        shown.push_str(HIDDEN);
        at = range.end;
        for (edge, was, within) in
            [(&mut moved.start, underline.start, start), (&mut moved.end, underline.end, shown.len())]
        {
            if was >= range.end {
                *edge = was - range.end + shown.len();
            } else if was > range.start {
                *edge = within;
            }
        }
    }
    shown.push_str(line.get(at..).unwrap_or_default());
    let end = moved.end.min(shown.len());
    (shown, moved.start.min(end)..end)
}

/// Where a line of TOML begins to be secret: behind `[section]`, behind the value of a harmless key, behind the `=` of any
/// other, and at once where there is no key: that may be the rest of a value.
fn secret_start(line: &str, harmless: fn(&str) -> bool) -> Option<usize> {
    let is_name = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    let start = line.len() - line.trim_start().len();
    let rest = line.get(start..)?;
    let header = rest.trim_start_matches('[').trim_start_matches(is_name).trim_start_matches(']');
    if rest.starts_with('[') && rest.contains(']') || rest.is_empty() {
        return rest_of(line, line.len() - header.len());
    }
    let quotes = |c: char| c == '"' || c == '\'';
    let after = rest.trim_start_matches(quotes).trim_start_matches(is_name).trim_start_matches(quotes);
    let name = rest.get(..rest.len() - after.len())?.trim_matches(quotes);
    let known = harmless(name.rsplit('.').next().unwrap_or_default());
    let Some(value) = after.trim_start().strip_prefix('=') else {
        return rest_of(line, if known { line.len() - after.len() } else { start });
    };
    let value = value.trim_start();
    let begin = line.len() - value.len();
    if !known {
        return rest_of(line, begin);
    }
    let close = match value.chars().next()? {
        quote @ ('"' | '\'') => value.get(1..)?.find(quote).map(|at| at + 2),
        '[' => value.find(']').map(|at| at + 1),
        _ => value.find(char::is_whitespace),
    };
    rest_of(line, close.map_or(line.len(), |close| begin + close))
}

/// From there on, if anything stands there.
fn rest_of(line: &str, from: usize) -> Option<usize> {
    let rest = line.get(from..)?;
    let shown = rest.trim_start();
    (!shown.is_empty()).then(|| from + rest.len() - shown.len())
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

    fn harmless(name: &str) -> bool {
        ["url_file", "name", "level", "hosts"].contains(&name)
    }

    #[test]
    fn a_masked_text_shows_no_secret_wherever_the_fault_is() {
        for line in [
            "url = \"amqp://me:hunter2@host",
            "url=amqp://me:hunter2@host",
            "pasword = \"hunter2\"",
            "broker.pasword = hunter2",
            "broker = { url = 'me:hunter2@host' }",
            "\"url\" = \"hunter2\"",
            "amqps://me:hunter2@h\"\"\"",
            "hunter2",
            "  \"hunter2\",",
            "[\"hunter2\"]",
            "[broker] hunter2",
            "name = \"x\" hunter2",
            "name = x hunter2",
            "name = \"x\", url = \"hunter2\"",
            "name hunter2",
        ] {
            for at in 0..line.len() {
                let shown = Text::new("c", line).masked(harmless).error(at..at + 2, "no");
                let source = shown.source_line.unwrap_or_default();
                assert!(!source.contains("hunter2") && source.ends_with("***"), "{source}");
                assert!(source.get(shown.underline).is_some());
            }
        }
        for line in
            ["url_file = \"secret.txt\"", "level = \"info,khronos=debug\"", "[broker]", "hosts = [\"a\"]"]
        {
            let kept = Text::new("c", line).masked(harmless).error(0..3, "no");
            assert_eq!(kept.source_line.as_deref(), Some(line));
        }
        let key = Text::new("c", "pasword = \"hunter2\"").masked(harmless).error(0..7, "no");
        assert_eq!((key.source_line.as_deref(), key.underline), (Some("pasword = ***"), 0..7));
    }

    #[test]
    fn the_password_of_a_url_is_hidden_in_every_text_and_the_underline_moves_with_it() {
        let text = "a = \"amqp://me:hunter2@host\" b";
        let shown = |range| {
            let shown = Text::new("c", text).error(range, "no");
            let line = shown.source_line.unwrap();
            let underlined = line.get(shown.underline).unwrap().to_owned();
            (line, underlined)
        };
        let line = "a = \"amqp://me:***@host\" b".to_owned();
        assert_eq!(shown(0..1), (line.clone(), "a".into()));
        assert_eq!(shown(4..28), (line.clone(), "\"amqp://me:***@host\"".into()));
        assert_eq!(shown(17..19), (line.clone(), "***".into()));
        assert_eq!(shown(29..30), (line, "b".into()));
    }
}
