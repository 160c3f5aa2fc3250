//! Hides secrets in text that is about to be shown: passwords in URLs, also in mistyped ones, and values whose name marks
//! them as secrets.
//!
//! Every exit of diagnostics goes through it: standard error, log lines, panics, findings, what HTTP says of a fault. A URL is
//! shown where something else was meant as often as where it belongs (`--config amqp://user:password@host`), so nothing is
//! assumed of who wrote the text. Where it can't be seen what is the password, more is hidden rather than less. Data that
//! somebody asked for (events, payloads) is not a diagnostic and passes as it is.

mod secrets;

pub use secrets::secrets;

use crate::terminal;
use secrets::names_a_secret;
use serde_json::Value;
use std::{
    backtrace::{Backtrace, BacktraceStatus},
    borrow::Cow,
    io::{self, Write},
    panic::{self, PanicHookInfo},
    thread,
};

/// The replacement of a secret.
pub const HIDDEN: &str = "***";

/// The text with `***` in place of every secret: `amqp://user:***@host`, `user:***@host`, `http://host/?token=***`,
/// `host=h password=***`.
///
/// A password in a URL may hold anything, spaces, slashes and `@` too, except for the end of the line: it ends at the last `@`
/// before the next URL. What stands behind a host and is no port is hidden as well (`amqp://user:passw`, cut off before
/// its `@`).
pub fn redact(text: &str) -> Cow<'_, str> {
    let ranges = secrets(text);
    if ranges.is_empty() {
        return Cow::Borrowed(text);
    }
    let (mut shown, mut at) = (String::with_capacity(text.len()), 0);
    for range in ranges {
        shown.push_str(text.get(at..range.start).unwrap_or_default());
        shown.push_str(HIDDEN);
        at = range.end;
    }
    shown.push_str(text.get(at..).unwrap_or_default());
    Cow::Owned(shown)
}

/// A writer that redacts what is written through it; each write must consist of whole lines, as log lines do.
#[derive(Debug)]
pub struct Redacted<W> {
    inner: W,
    json: bool,
}

impl<W: Write> Redacted<W> {
    /// For lines of text.
    pub fn text(inner: W) -> Self {
        Self { inner, json: false }
    }

    /// For lines of JSON objects, which stay valid JSON.
    pub fn json(inner: W) -> Self {
        Self { inner, json: true }
    }
}

impl<W: Write> Write for Redacted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        match self.json.then(|| redacted_json(&text)).flatten() {
            Some(line) => self.inner.write_all(line.as_bytes())?,
            None => self.inner.write_all(redact(&text).as_bytes())?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Its texts redacted one by one: to the whole line a quotation mark would be a part of a password.
fn redacted_json(line: &str) -> Option<String> {
    fn each(value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Cow::Owned(shown) = redact(text) {
                    *text = shown;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(each),
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value {
                        Value::String(_) | Value::Number(_) if names_a_secret(name) => *value = HIDDEN.into(),
                        value => each(value),
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    // what is escaped looks otherwise than what it says
    if !line.contains('\\') && secrets(line).is_empty() {
        return Some(line.to_owned());
    }
    let mut value = serde_json::from_str(line).ok()?;
    each(&mut value);
    Some(format!("{value}\n"))
}

/// Replaces the panic hook: messages go to standard error as before, without secrets and cleaned for a terminal.
pub fn redact_panics() {
    panic::set_hook(Box::new(|panic| {
        let _ = writeln!(io::stderr().lock(), "{}", panic_text(panic));
        // as the environment says
        let trace = Backtrace::capture();
        if trace.status() == BacktraceStatus::Captured {
            let _ = writeln!(io::stderr().lock(), "{trace}");
        }
    }));
}

fn panic_text(panic: &PanicHookInfo<'_>) -> String {
    let thread = thread::current();
    let text = format!("thread '{}' {panic}", thread.name().unwrap_or("<unnamed>"));
    terminal::message(&redact(&text)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_every_url_is_hidden() {
        for (text, shown) in [
            ("amqp://u:hunter2@h", "amqp://u:***@h"),
            ("see amqps://u:hunter2@h:5671/v?x=1, then", "see amqps://u:***@h:5671/v?x=1, then"),
            ("amqp://u:hun%74er2%40x@h", "amqp://u:***@h"),
            ("'amqp://u:hun ter2@h'", "'amqp://u:***@h'"),
            ("amqp://u:hun/ter2@h/v", "amqp://u:***@h/v"),
            ("amqp://u:hun#ter2?@h/v", "amqp://u:***@h/v"),
            ("amqp://u:hun@ter2@h/v", "amqp://u:***@h/v"),
            ("amqp://u:12/34@h", "amqp://u:***@h"),
            ("amqp://:hunter2@h", "amqp://:***@h"),
            ("amqp://u:hun://ter2@h and amqp://v:hunter2@i", "amqp://u:***@h and amqp://v:***@i"),
            ("amqp://u://hunter2@h and x://y:hunter2@i", "amqp://u:***@h and x://y:***@i"),
            ("amqp://u:hunter2@[::1]:5672/v", "amqp://u:***@[::1]:5672/v"),
            ("postgres://u:hunter2@h/db and http://v:hunter2@i", "postgres://u:***@h/db and http://v:***@i"),
            ("amqp://u:hunter2@h,amqp://v:hunter2@i", "amqp://u:***@h,amqp://v:***@i"),
            ("amqp://u:hunter2", "amqp://u:***"),
            ("amqp://u:hunter2/v", "amqp://u:***/v"),
            ("\"amqp://u:hunter2\".", "\"amqp://u:***\"."),
            ("a\namqp://u:hunter2@h\nb@c", "a\namqp://u:***@h\nb@c"),
            ("\u{1b}[33mamqp://u:hunter2@h\u{1b}[0m'", "\u{1b}[33mamqp://u:***@h\u{1b}[0m'"),
            ("AMQP://U:hunter2@h", "AMQP://U:***@h"),
        ] {
            assert_eq!(redact(text), shown, "{text}");
            assert_eq!(redact(shown), shown, "what is hidden stays as it is");
        }
    }

    #[test]
    fn many_urls_in_one_long_line_are_soon_looked_through() {
        let look = |many: usize| {
            assert_eq!(redact(&"a://u:hunter2@h ".repeat(many)), "a://u:***@h ".repeat(many));
            assert_eq!(redact(&"://".repeat(5 * many)).len(), 15 * many);
        };
        testkit::assert_in_proportion("a line of URLs", || look(10_000), || look(100_000));
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_password_is_made_of_it_is_hidden(password in "[^\r\n]{1,30}", host in "[a-z.]{1,9}|\\[::1\\]:80") {
            proptest::prop_assume!(!password.contains("://"));
            // a port with a path or words behind it
            let after = password.trim_start_matches(|c: char| c.is_ascii_digit());
            proptest::prop_assume!(password.len() < after.len() + 2 || !after.starts_with(['/', ':']));
            let text = |password: &str| format!("see 'amqp://me:{password}@{host}/v', then\nme@home");
            proptest::prop_assert_eq!(redact(&text(&password)).into_owned(), text(HIDDEN));
        }
    }

    #[test]
    fn what_holds_no_password_is_left_as_it_is() {
        for text in [
            "",
            "no URL, but me@home: it is so",
            "amqp://localhost",
            "http://127.0.0.1:7650/feed (or khronos tail); see also /schedules",
            "amqp://[::1]:5672/v",
            "use http://[::1]:7650.",
            "write it as http://host:port/path",
            "user@host: amqp://rabbit:5672: nobody listens there",
            "amqp://user@host/v",
            "write amqp://user:password@host:5672/vhost, or memory:",
        ] {
            assert!(matches!(redact(text), Cow::Borrowed(same) if same == text), "{text}: {}", redact(text));
        }
    }

    #[test]
    fn places_are_bytes_of_the_text() {
        let text = "é amqp://ü:pässword@h x://y:z@é";
        let found: Vec<_> = secrets(text).into_iter().filter_map(|range| text.get(range)).collect();
        assert_eq!(found, ["pässword", "z"]);
    }

    #[test]
    fn a_long_line_of_separators_takes_no_longer_than_its_length() {
        // With the end of the line looked for by each of them this takes minutes.
        let text = format!("{} amqp://u:hunter2@h\nand x://y:z@h", "://".repeat(400_000));
        let shown = redact(&text);
        assert!(shown.ends_with("amqp://u:***@h\nand x://y:***@h"));
    }

    #[test]
    fn a_line_of_json_stays_one() {
        let line = "{\"url\":\"amqp://u:hun\\\"ter2@h\",\"n\":1,\"list\":[\"x://y:hunter2\"],\"by\":\"me@home\",\"token\":\"hunter2\"}\n";
        let mut written = Vec::new();
        assert_eq!(Redacted::json(&mut written).write(line.as_bytes()).unwrap(), line.len());
        let shown = "{\"url\":\"amqp://u:***@h\",\"n\":1,\"list\":[\"x://y:***\"],\"by\":\"me@home\",\"token\":\"***\"}\n";
        assert_eq!(String::from_utf8(written).unwrap(), shown);
        let mut written = Vec::new();
        Redacted::text(&mut written).write_all(b"to amqp://u:hunter2@h\n").unwrap();
        assert_eq!(written, b"to amqp://u:***@h\n");
    }

    #[test]
    fn a_line_of_json_is_judged_by_what_it_says() {
        for (line, shown) in [
            (
                r#"{"m":"Config { user: \"u\", password: \"hunter2\" }"}"#,
                r#"{"m":"Config { user: \"u\", password: \"***\" }"}"#,
            ),
            (r#"{"m":"{\"password\":\"hun, ter2\"}"}"#, r#"{"m":"{\"password\":\"***\"}"}"#),
            (r#"{"m":"{\"pwd\":90001}"}"#, r#"{"m":"{\"pwd\":***}"}"#),
            (r#"{"m":"a\nauth=hunter2"}"#, r#"{"m":"a\nauth=***"}"#),
            (r#"{"pwd":90001,"n":1}"#, r#"{"pwd":"***","n":1}"#),
            (r#"{"max_tokens":9000,"m":"\"x\""}"#, r#"{"max_tokens":9000,"m":"\"x\""}"#),
            (
                r#"{"instance":"http://api/orders/7","m":"of jane@x.y"}"#,
                r#"{"instance":"http://api/orders/7","m":"of jane@x.y"}"#,
            ),
        ] {
            let mut written = Vec::new();
            Redacted::json(&mut written).write_all(format!("{line}\n").as_bytes()).unwrap();
            assert_eq!(String::from_utf8(written).unwrap(), format!("{shown}\n"));
        }
    }

    #[test]
    fn a_panic_is_told_of_without_secrets() {
        let said = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
        let (noting, before) = (std::sync::Arc::clone(&said), panic::take_hook());
        panic::set_hook(Box::new(move |panic| match panic_text(panic) {
            text if text.contains("can't reach") => *noting.lock().unwrap() = text,
            // another test's
            _ => before(panic),
        }));
        let panicking = thread::Builder::new().name("busy".into());
        let panicking = panicking.spawn(|| panic!("can't reach amqp://me:hunter2@host\n\u{1b}[1m"));
        assert!(panicking.unwrap().join().is_err());
        let said = said.lock().unwrap();
        let as_ever = said.starts_with("thread 'busy' panicked at ") && said.contains("redact.rs:");
        assert!(as_ever && said.ends_with("can't reach amqp://me:***@host\n  \\u001b[1m"), "{said}");
    }
}
