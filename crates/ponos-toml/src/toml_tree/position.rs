//! A byte range within a text value → the byte range in the file, through quotes and escapes.

use std::ops::Range;

/// `value` is the value's range in `text`, quotes included; `at` the range within what it says. An empty range
/// becomes one character, so that a caret has something to point at; what lies at the end points at the last quote.
pub fn within(text: &str, value: &Range<usize>, at: Range<usize>) -> Range<usize> {
    let Some(raw) = text.get(value.clone()) else { return value.clone() };
    let (open, escapes) = opening(raw);
    let mut start = raw_offset(raw, open, escapes, at.start);
    // What a line-ending backslash swallows says nothing: the fault is behind it.
    while let Some(rest) = raw.get(start..).filter(|rest| escapes && rest.starts_with('\\')) {
        match escape(rest) {
            (written, 0) => start += written,
            _ => break,
        }
    }
    let end = raw_offset(raw, open, escapes, at.end.max(at.start)).max(start);
    let one = raw.get(start..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    value.start + start..value.start + end.max(start + one)
}

/// How long the opening quotes are, and whether backslashes mean something.
fn opening(raw: &str) -> (usize, bool) {
    for (quotes, escapes) in [("\"\"\"", true), ("'''", false)] {
        if let Some(rest) = raw.strip_prefix(quotes) {
            // The first line end of a multi-line text is not part of it.
            let line_end = if rest.starts_with("\r\n") { 2 } else { usize::from(rest.starts_with('\n')) };
            return (3 + line_end, escapes);
        }
    }
    (1, raw.starts_with('"'))
}

/// The offset in `raw` of the offset `target` in what it says.
fn raw_offset(raw: &str, open: usize, escapes: bool, target: usize) -> usize {
    let (mut at, mut said) = (open, 0);
    while said < target {
        let Some(rest) = raw.get(at..).filter(|rest| !rest.is_empty()) else { break };
        let (written, meaning) = if escapes && rest.starts_with('\\') { escape(rest) } else { plain(rest) };
        at += written;
        said += meaning;
    }
    at.min(raw.len().saturating_sub(1))
}

/// Bytes written and bytes meant of the next character.
fn plain(rest: &str) -> (usize, usize) {
    let length = rest.chars().next().map_or(1, char::len_utf8);
    (length, length)
}

/// The same of an escape.
fn escape(rest: &str) -> (usize, usize) {
    let digits = match rest.as_bytes().get(1) {
        Some(b'x') => 2,
        Some(b'u') => 4,
        Some(b'U') => 8,
        Some(b' ' | b'\t' | b'\r' | b'\n') => {
            let end = rest.find(|c: char| c != '\\' && !c.is_whitespace());
            return (end.unwrap_or(rest.len()), 0);
        }
        _ => return (2, 1),
    };
    let code = rest.get(2..2 + digits).and_then(|hex| u32::from_str_radix(hex, 16).ok());
    (2 + digits, code.and_then(char::from_u32).map_or(1, char::len_utf8))
}

#[cfg(test)]
mod tests {
    use super::within;

    fn part(raw: &str, at: std::ops::Range<usize>) -> &str {
        let text = format!("k = {raw}\n");
        let found = within(&text, &(4..4 + raw.len()), at);
        &raw[found.start - 4..found.end - 4]
    }

    #[test]
    fn a_range_is_found_through_quotes_and_escapes() {
        assert_eq!(part("\"0 25 * * *\"", 2..4), "25");
        assert_eq!(part("'0 25 * * *'", 2..4), "25");
        assert_eq!(part("\"\"\"\n0 25 * * *\"\"\"", 2..4), "25");
        assert_eq!(part("\"\\u0030 \\t25\"", 3..5), "25");
        assert_eq!(part("\"é\\u00e9x\"", 4..5), "x");
        assert_eq!(part("\"\"\"a\\\n   b\"\"\"", 1..2), "b");
        assert_eq!(part("\"abc\"", 1..1), "b");
        assert_eq!(part("\"abc\"", 3..3), "\"");
        assert_eq!(part("\"abc\"", 30..40), "\"");
    }
}
