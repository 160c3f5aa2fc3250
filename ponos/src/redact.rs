//! Hides the passwords of URLs in text that is about to be shown.
//!
//! Every exit of diagnostics goes through it: standard error, log lines, findings, what HTTP says of a fault. A URL is shown
//! where something else was meant as often as where it belongs (`--config amqp://user:password@host`), so nothing is
//! assumed of who wrote the text. Where it can't be seen what is the password, more is hidden rather than less. Data that
//! somebody asked for (events, payloads) is not a diagnostic and passes as it is.

use serde_json::Value;
use std::{
    borrow::Cow,
    io::{self, Write},
    ops::Range,
};

/// What stands in a password's place.
pub const HIDDEN: &str = "***";

/// How the documentation and the remedies write a URL: nobody's password.
const EXAMPLES: [&str; 2] = ["user:password@", "USER:PASSWORD@"];

/// What stands where a port would, in remedies and in what was hidden before.
const PLACEHOLDERS: [&str; 3] = ["port", "PORT", HIDDEN];

/// The text with the password of every URL in it replaced by `***`: `amqp://user:***@host`.
///
/// A password may hold anything, spaces, slashes and `@` too, except for the end of the line: it ends at the last `@` before
/// the next URL. What stands behind a host and is no port is hidden as well (`amqp://user:passw`, cut off before its `@`).
pub fn redact(text: &str) -> Cow<'_, str> {
    let ranges = passwords(text);
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

/// Where the passwords are: bytes of the text, in its order.
pub fn passwords(text: &str) -> Vec<Range<usize>> {
    let separators: Vec<usize> = text.match_indices("://").map(|(at, _)| at).collect();
    let (mut found, mut line, mut hidden) = (Vec::new(), 0, 0);
    for (index, separator) in separators.iter().enumerate() {
        let start = separator + 3;
        if start <= hidden {
            continue;
        }
        // Looked for once in each line: it may have many of them.
        if line < start {
            line = text
                .get(start..)
                .and_then(|rest| rest.find(['\n', '\r']))
                .map_or(text.len(), |at| start + at);
        }
        // What follows at once is no scheme but a user, whose password begins with two slashes.
        let mut others = separators.iter().skip(index + 1).map(|other| scheme(text, *other));
        // Nor does one begin behind a colon: a password may hold `://` itself.
        let begins =
            |next: &usize| *next > start && !text.get(..*next).is_some_and(|before| before.ends_with(':'));
        let next = others.find(begins).unwrap_or(text.len());
        let end = line.min(next).max(start);
        let rest = text.get(start..end).unwrap_or_default();
        if EXAMPLES.iter().any(|example| rest.starts_with(example)) {
            continue;
        }
        if let Some(password) = password(rest) {
            hidden = start + password.end;
            found.push(start + password.start..hidden);
        }
    }
    found
}

/// Where the scheme begins whose `://` stands here.
fn scheme(text: &str, separator: usize) -> usize {
    let before = text.get(..separator).unwrap_or_default();
    before.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || "+-.".contains(c)).len()
}

/// The password in what follows `://`.
fn password(rest: &str) -> Option<Range<usize>> {
    if let Some((userinfo, _)) = rest.rsplit_once('@') {
        // An IPv6 host before a later '@' is none of ours to judge: it is hidden too.
        return userinfo.find(':').map(|colon| colon + 1..userinfo.len()).filter(|range| !range.is_empty());
    }
    let authority = rest.get(..rest.find(ends_a_word).unwrap_or(rest.len())).unwrap_or_default();
    let after_host = match authority.strip_prefix('[').and_then(|inner| inner.find(']')) {
        Some(bracket) => bracket + 2,
        None => 0,
    };
    let colon = after_host + authority.get(after_host..)?.find(':')?;
    let port = authority.get(colon + 1..)?;
    // The end of a sentence or of a quotation is no part of the URL.
    let port = port.trim_end_matches(['.', ',', ';', ':', ')', ']', '\'', '`', '…']);
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) || PLACEHOLDERS.contains(&port);
    (!is_port).then(|| colon + 1..colon + 1 + port.len())
}

fn ends_a_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '<' | '>' | '\u{1b}')
}

/// Redacts what is written through it, a write of whole lines at a time, as log lines are.
#[derive(Debug)]
pub struct Redacted<W> {
    inner: W,
    json: bool,
}

impl<W: Write> Redacted<W> {
    /// Lines of text.
    pub fn text(inner: W) -> Self {
        Self { inner, json: false }
    }

    /// One JSON object a line, which stays one.
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
            Value::Object(fields) => fields.values_mut().for_each(each),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    if !line.contains("://") {
        return Some(line.to_owned());
    }
    let mut value = serde_json::from_str(line).ok()?;
    each(&mut value);
    Some(format!("{value}\n"))
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
    #[allow(clippy::disallowed_methods)] // a deadline in real time, outside of what is tested
    fn many_urls_in_one_long_line_are_soon_looked_through() {
        let begun = std::time::Instant::now();
        let many = "a://u:hunter2@h ".repeat(100_000);
        assert_eq!(redact(&many), "a://u:***@h ".repeat(100_000));
        assert_eq!(redact(&"://".repeat(500_000)).len(), 1_500_000);
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{:?}", begun.elapsed());
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_password_is_made_of_it_is_hidden(password in "[^\r\n]{1,30}", host in "[a-z.]{1,9}|\\[::1\\]:80") {
            proptest::prop_assume!(!password.contains("://"));
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
        let found: Vec<_> = passwords(text).into_iter().filter_map(|range| text.get(range)).collect();
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
        let line =
            "{\"url\":\"amqp://u:hun\\\"ter2@h\",\"n\":1,\"list\":[\"x://y:hunter2\"],\"by\":\"me@home\"}\n";
        let mut written = Vec::new();
        assert_eq!(Redacted::json(&mut written).write(line.as_bytes()).unwrap(), line.len());
        let shown = "{\"url\":\"amqp://u:***@h\",\"n\":1,\"list\":[\"x://y:***\"],\"by\":\"me@home\"}\n";
        assert_eq!(String::from_utf8(written).unwrap(), shown);
        let mut written = Vec::new();
        Redacted::text(&mut written).write_all(b"to amqp://u:hunter2@h\n").unwrap();
        assert_eq!(written, b"to amqp://u:***@h\n");
    }
}
