//! Cleans text from outside for a terminal: no control sequence is left in it, and no line that could be mistaken for one of
//! ours.
//!
//! Escaped are the control characters (C0, DEL, C1), the characters that turn the direction of writing, and line
//! separators, each as JSON writes it (`\u001b`): in a JSON text the meaning stays the same.
//!
//! A program cleans twice: each text from outside where it becomes part of a line ([`line()`]), and all that it writes
//! ([`Cleaned`]), so that what was forgotten does no harm.

use std::{
    borrow::Cow,
    fmt::Write as _,
    io::{self, Write},
};

/// Cleans a text to one line: line ends and tabs are escaped too.
pub fn line(text: &str) -> Cow<'_, str> {
    cleaned(text, &|c| is_obeyed(c) || is_white(c))
}

/// Cleans several lines, which may be indented by tabs.
pub fn block(text: &str) -> Cow<'_, str> {
    cleaned(text, &|c| is_obeyed(c) && !is_white(c))
}

/// Cleans several lines and keeps styles (colours, bold); every other control sequence is escaped.
pub fn styled(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for (number, part) in text.split('\u{1b}').enumerate() {
        let style = part.strip_prefix('[').and_then(|rest| rest.split_once('m')).map(|(codes, _)| codes);
        let is_style = style.is_some_and(|codes| codes.bytes().all(|b| b.is_ascii_digit() || b == b';'));
        if number > 0 {
            clean.push_str(if is_style { "\u{1b}" } else { "\\u001b" });
        }
        clean.push_str(&block(part));
    }
    clean
}

/// Cleans a message of several lines and indents all but the first, so that none can be mistaken for another message.
pub fn message(text: &str) -> Cow<'_, str> {
    match block(text.trim_end_matches('\n')) {
        text if text.contains('\n') => Cow::Owned(text.replace('\n', "\n  ")),
        text => text,
    }
}

fn is_white(c: char) -> bool {
    matches!(c, '\n' | '\t')
}

fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn cleaned<'a>(text: &'a str, escaped: &dyn Fn(char) -> bool) -> Cow<'a, str> {
    if !text.contains(escaped) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' if escaped(c) => clean.push_str("\\n"),
            '\r' if escaped(c) => clean.push_str("\\r"),
            '\t' if escaped(c) => clean.push_str("\\t"),
            // all of them lie in the first plane; writing to a String succeeds
            c if escaped(c) => drop(write!(clean, "\\u{:04x}", u32::from(c))),
            c => clean.push(c),
        }
    }
    Cow::Owned(clean)
}

/// A writer that cleans text as [`block`] does and writes it on; bytes that are not UTF-8 become U+FFFD.
#[derive(Debug)]
pub struct Cleaned<W> {
    to: W,
    /// The beginning of a character.
    begun: Vec<u8>,
}

impl<W: Write> Cleaned<W> {
    /// On to `to`.
    pub fn new(to: W) -> Self {
        Self { to, begun: Vec::new() }
    }
}

impl<W: Write> Write for Cleaned<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut all = std::mem::take(&mut self.begun);
        all.extend_from_slice(bytes);
        let mut rest = &all[..];
        while let Some(chunk) = rest.utf8_chunks().next() {
            self.to.write_all(block(chunk.valid()).as_bytes())?;
            let (valid, invalid) = (chunk.valid().len(), chunk.invalid().len());
            let is_begun = valid + invalid == rest.len() && is_begun(chunk.invalid());
            if is_begun {
                self.begun = chunk.invalid().to_vec();
            } else if invalid > 0 {
                self.to.write_all("\u{fffd}".as_bytes())?;
            }
            rest = &rest[valid + invalid..];
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Whether a character may go on after these bytes.
fn is_begun(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

/// A writer of log lines that cleans each call's text as a [`message`], as `tracing_subscriber` calls it. If that colours
/// lines, its own escapes stay: it has escaped those of the texts before.
#[derive(Debug)]
pub struct LogLines<W> {
    to: W,
    coloured: bool,
}

impl<W: Write> LogLines<W> {
    /// On to `to`.
    pub fn new(to: W, coloured: bool) -> Self {
        Self { to, coloured }
    }
}

impl<W: Write> Write for LogLines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let parts: Vec<Cow<'_, str>> = match self.coloured {
            true => text.trim_end_matches('\n').split('\u{1b}').map(message).collect(),
            false => vec![message(&text)],
        };
        self.to.write_all(format!("{}\n", parts.join("\u{1b}")).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\u{1b}[31mb\u{7}\u{7f}\u{9b}2J\u{202e}c\u{2066}\u{200f}\u{2028}d\re\0";
    const HARMLESS: &str = "a\\u001b[31mb\\u0007\\u007f\\u009b2J\\u202ec\\u2066\\u200f\\u2028d\\re\\u0000";

    #[test]
    fn nothing_is_left_that_a_terminal_obeys() {
        assert_eq!(line(HOSTILE), HARMLESS);
        assert_eq!(block(HOSTILE), HARMLESS);
        assert_eq!(line("one\ntwo\t3"), "one\\ntwo\\t3");
        assert_eq!(block("one\ntwo\t3"), "one\ntwo\t3");
        assert!(matches!(line("grüße, 你好 👋"), Cow::Borrowed(_)));
        for c in (0..=0x2fff).filter_map(char::from_u32) {
            let clean = line(c.encode_utf8(&mut [0; 4])).into_owned();
            assert_eq!(clean.len() > 4, clean.starts_with("\\u"), "{c:?}");
            assert!(!clean.contains(char::is_control), "{c:?}");
        }
    }

    #[test]
    fn of_a_styled_text_the_styles_stay_and_nothing_else_is_obeyed() {
        for (text, shown) in [
            ("a\n\u{1b}[1m\u{1b}[31;4mred\u{1b}[0m b", None),
            ("\u{1b}[m", None),
            ("\u{1b}[2J\u{1b}]0;owned\u{7}", Some("\\u001b[2J\\u001b]0;owned\\u0007")),
            ("\u{1b}[31", Some("\\u001b[31")),
            ("[31m\u{9b}31m\u{202e}", Some("[31m\\u009b31m\\u202e")),
            ("\u{1b}", Some("\\u001b")),
        ] {
            assert_eq!(styled(text), shown.unwrap_or(text), "{text:?}");
        }
    }

    #[test]
    fn a_json_text_keeps_its_meaning() {
        let value = serde_json::json!({ HOSTILE: ["\u{9b}", "\u{202e}"] });
        let text = block(&value.to_string()).into_owned();
        assert!(text.is_ascii(), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn what_is_written_is_cleaned_wherever_it_is_cut() {
        let text = format!("ü{HOSTILE}\n\tö\u{9b}é👋");
        let wanted = format!("ü{HARMLESS}\n\tö\\u009bé👋");
        for size in 1..=text.len() {
            let mut out = Cleaned::new(Vec::new());
            text.as_bytes().chunks(size).for_each(|part| out.write_all(part).unwrap());
            assert_eq!(String::from_utf8(out.to).unwrap(), wanted, "{size}");
        }
        let mut out = Cleaned::new(Vec::new());
        out.write_all(b"a\xffb\xc3").unwrap();
        out.write_all(b"c\x9b").unwrap();
        assert_eq!(String::from_utf8(out.to).unwrap(), "a\u{fffd}b\u{fffd}c\u{fffd}");
    }

    #[test]
    fn a_message_of_several_lines_passes_for_no_other() {
        assert_eq!(message("one\nINFO two\u{1b}\n"), "one\n  INFO two\\u001b");
        for (coloured, wanted) in
            [(true, "\u{1b}[2mx\u{1b}[0m one\n  two\\r\n"), (false, "\\u001b[2mx\\u001b[0m one\n  two\\r\n")]
        {
            let mut out = LogLines::new(Vec::new(), coloured);
            out.write_all(b"\x1b[2mx\x1b[0m one\ntwo\r\n").unwrap();
            assert_eq!(String::from_utf8(out.to).unwrap(), wanted);
        }
    }
}
