//! Standard output and error. A reader that goes away (`ponos tail | head`) ends the output; that is not an error.

use crate::{exit::Exit, trouble::Trouble};
use ponos::{clock::Clock, output, redact::redact, terminal, text};
use ponos_toml::diagnostic::{Diagnostics, counted};
use serde_json::json;
use std::{
    io::{self, Write},
    sync::atomic::{AtomicBool, Ordering},
};

/// Writes to standard output, buffered and cleaned for a terminal.
///
/// # Errors
/// [`Trouble::Unread`] when the reader is gone; else that it can't be written (a full disk).
pub(crate) fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Trouble> {
    report_error(output::print(write))
}

/// As [`print()`], without cleaning: the texts may have styles, and must have been cleaned before.
pub(crate) fn print_styled(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Trouble> {
    report_error(output::print_styled(write))
}

fn report_error(printed: io::Result<bool>) -> Result<(), Trouble> {
    match printed {
        Ok(true) => Ok(()),
        Ok(false) => Err(Trouble::Unread),
        Err(error) => {
            Err(Trouble::Words(Exit::InputOutput, format!("standard output can't be written: {error}")))
        }
    }
}

/// Writes what is wrong with a text to standard output, each with its line and a caret, and then a line that sums it up: `valid`
/// says what it says of a text that can be used.
pub(crate) fn print_findings(found: &Diagnostics, valid: impl FnOnce() -> String) -> Result<(), Trouble> {
    let colours = output::colours(&io::stdout());
    print_styled(|out| {
        ponos_toml::draw(out, found, colours)?;
        match (found.errors(), found.warnings()) {
            (0, 0) => writeln!(out, "{}", terminal::line(&valid())),
            (0, warnings) => writeln!(out, "{}; {}", counted(warnings, "warning"), terminal::line(&valid())),
            (errors, warnings) => {
                writeln!(out, "{}, {}", counted(errors, "error"), counted(warnings, "warning"))
            }
        }
    })
}

/// The same on standard error, without the last line, for a verb that can't go on.
pub(crate) fn complain_drawn(found: &Diagnostics) {
    let mut drawn = Vec::new();
    if AS_JSON.load(Ordering::Relaxed) {
        found.list().iter().for_each(|one| write_error_line("ERROR", &one.to_string(), ""));
    } else if ponos_toml::draw(&mut drawn, found, output::colours(&io::stderr())).is_ok() {
        hand_on(&drawn);
    }
}

/// Whether standard error is JSON, one object per line.
static AS_JSON: AtomicBool = AtomicBool::new(false);

/// Makes standard error JSON from now on.
pub(crate) fn speak_json() {
    AS_JSON.store(true, Ordering::Relaxed);
}

/// Writes a line to standard error, without passwords. A failure is ignored, because there is no other place to report it.
pub(crate) fn complain(line: &str) {
    write_error_line("INFO", line, line);
}

/// Writes the reason of the end to standard error, as [`complain`] does.
pub(crate) fn fail(why: &str) {
    write_error_line("ERROR", why, &format!("error: {why}"));
}

fn write_error_line(level: &str, message: &str, line: &str) {
    let (message, line) = (redact(message), redact(line));
    let (message, line) = (terminal::message(&message), terminal::message(&line));
    let mut out = io::stderr().lock();
    let _ = if AS_JSON.load(Ordering::Relaxed) {
        let now = Clock::system().now();
        writeln!(
            out,
            "{}",
            json!({ "timestamp": now, "level": level, "message": message, "target": "ponos" })
        )
    } else {
        writeln!(out, "{line}")
    };
}

/// Writes bytes to standard error as they are.
pub(crate) fn hand_on(bytes: &[u8]) {
    let _ = io::stderr().lock().write_all(bytes);
}

/// Colours on standard output; none if it is not a terminal, or `NO_COLOR` is set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint(bool);

impl Paint {
    /// For standard output, if that is a terminal.
    pub(crate) fn stdout() -> Self {
        Self(output::colours(&io::stdout()))
    }

    /// For an output that is not a terminal.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self(false)
    }

    #[cfg(test)]
    pub(crate) fn always() -> Self {
        Self(true)
    }

    /// Bold.
    pub(crate) fn strong(self, text: &str) -> String {
        self.set("1", text)
    }

    /// Faint.
    pub(crate) fn faint(self, text: &str) -> String {
        self.set("2", text)
    }

    fn set(self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// A text as one line, cleaned for a terminal and cut after `most` characters.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    terminal::line(&text::shortened(text, most)).into_owned()
}

/// A body as one line: text without its line ends; of other bytes, their number.
pub(crate) fn body(bytes: &[u8], most: usize) -> String {
    // a character has four bytes at most
    let head = &bytes[..bytes.len().min(most.saturating_mul(4).saturating_add(4))];
    match std::str::from_utf8(head) {
        Ok(text) => shortened(&joined(text), most),
        Err(error) if error.valid_up_to() + 4 > head.len() && head.len() < bytes.len() => {
            shortened(&joined(&String::from_utf8_lossy(&head[..error.valid_up_to()])), most)
        }
        Err(_) => format!("({} bytes that are not text)", bytes.len()),
    }
}

fn joined(text: &str) -> String {
    text.replace(['\n', '\t'], " ")
}

#[cfg(test)]
mod tests {
    use super::{body, shortened};

    #[test]
    fn a_line_is_one_line_and_cut_where_it_is_too_long() {
        assert_eq!(shortened("a\nb\u{1b}[1m", 10), "a\\nb\\u001b[1m");
        assert_eq!(shortened("a\u{9b}b\u{202e}", 3), "a\\u009bb…");
        assert_eq!(body(b"{\n\t\"a\": 1\x1b}", 40), "{  \"a\": 1\\u001b}");
        assert_eq!(shortened("abcdef", 4), "abcd…");
        assert_eq!(shortened("abcd", 4), "abcd");
    }

    #[test]
    fn a_body_that_is_no_text_is_told_by_its_size() {
        assert_eq!(body(&[0xff; 12], 40), "(12 bytes that are not text)");
        assert_eq!(body("ä".repeat(100).as_bytes(), 3), "äää…");
    }
}
