//! Lines that fit the terminal.

use crate::output::Paint;
use ponos::{output::columns, terminal::line};

/// The indent of further lines.
const INDENT: usize = 2;
/// Between two parts.
const GAP: usize = 2;
/// A narrower terminal is treated as if it were this wide.
const NARROWEST: usize = 20;

/// A part of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    text: String,
    style: Style,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Faint,
    Strong,
}

impl Segment {
    /// Cleaned for a terminal: what is styled is printed as it is.
    fn new(text: &str, style: Style) -> Self {
        Self { text: line(text).into_owned(), style }
    }

    /// Without a style.
    pub(crate) fn plain(text: impl AsRef<str>) -> Self {
        Self::new(text.as_ref(), Style::Plain)
    }

    /// Faint.
    pub(crate) fn faint(text: impl AsRef<str>) -> Self {
        Self::new(text.as_ref(), Style::Faint)
    }

    /// Bold.
    pub(crate) fn strong(text: impl AsRef<str>) -> Self {
        Self::new(text.as_ref(), Style::Strong)
    }

    fn painted(&self, paint: Paint) -> String {
        match self.style {
            Style::Plain => self.text.clone(),
            Style::Faint => paint.faint(&self.text),
            Style::Strong => paint.strong(&self.text),
        }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

/// The parts in one line; on a terminal that is narrower, in several, of which the further ones are set in. A part stays whole, so
/// that it can be copied; what is too long for a line by itself is wrapped by the terminal. Elsewhere (a file, a pipe) it is one
/// line always.
pub(crate) fn fitted(parts: &[Segment], paint: Paint) -> String {
    laid_out(parts, paint, columns())
}

fn laid_out(parts: &[Segment], paint: Paint, columns: Option<usize>) -> String {
    let mut text = String::new();
    let mut at = 0;
    for part in parts.iter().filter(|part| !part.text.is_empty()) {
        let is_first = text.is_empty();
        let fits = columns.is_none_or(|columns| at + GAP + part.width() <= columns.max(NARROWEST));
        if !is_first && fits {
            text.push_str(&" ".repeat(GAP));
            at += GAP;
        } else if !is_first {
            text.push('\n');
            text.push_str(&" ".repeat(INDENT));
            at = INDENT;
        }
        text.push_str(&part.painted(paint));
        at += part.width();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_broken_between_its_parts_where_the_terminal_is_narrow() {
        let parts = [
            Segment::faint("3 h ago"),
            Segment::plain("docker.time.one-day.passed"),
            Segment::plain(""),
            Segment::strong("attempts"),
            Segment::plain("no such image"),
        ];
        let paint = Paint::none();
        let line = "3 h ago  docker.time.one-day.passed  attempts  no such image";
        assert_eq!(laid_out(&parts, paint, None), line);
        assert_eq!(laid_out(&parts, paint, Some(line.len())), line);
        assert_eq!(
            laid_out(&parts, paint, Some(line.len() - 1)),
            "3 h ago  docker.time.one-day.passed  attempts\n  no such image"
        );
        assert_eq!(
            laid_out(&parts, paint, Some(30)),
            "3 h ago\n  docker.time.one-day.passed\n  attempts  no such image"
        );
        // an id stays whole
        assert_eq!(laid_out(&parts, paint, Some(1)), laid_out(&parts, paint, Some(NARROWEST)));
    }
}
