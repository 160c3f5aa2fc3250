//! Values whose name says that they are secrets: `?password=…`, `&token=…`, `password='…'`, `"secret": "…"`,
//! `password: Some("…")`, `Authorization: Bearer …`. Pure.

use super::{HIDDEN, is_quote, starts_with};
use std::ops::Range;

/// A name that holds one of these is a secret's.
const SECRETS: [&str; 11] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "credential",
    "apikey",
    "api_key",
    "api-key",
    "accesskey",
    "access_key",
];
/// So is one whose last word is one of these.
const LAST_WORDS: [&str; 5] = ["auth", "sig", "signature", "authorization", "sas"];
/// So is one whose last word ends so (`max_tokens` does not), unless it is one of [`WORDS`].
const ENDS: [&str; 2] = ["pass", "token"];
/// So is one that ends so, be it with `_`, `-` or nothing between its words.
const KEYS: [&str; 4] = ["accountkey", "privatekey", "sharedkey", "secretkey"];
/// No secrets, though they end as one does.
const WORDS: [&str; 2] = ["bypass", "compass"];
/// Longer names are not looked through.
const LONGEST_NAME: usize = 100;
/// In a header a word like this stands before the secret.
const AUTH_SCHEMES: [&str; 5] = ["Bearer", "Basic", "Token", "Digest", "Negotiate"];

/// Whether a value of that name is a secret.
pub(in crate::redact) fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let last = name.rsplit(['_', '-', '.']).next().unwrap_or_default();
    let run_on = name.replace(['_', '-'], "");
    SECRETS.iter().any(|secret| name.contains(secret))
        || KEYS.iter().any(|key| run_on.ends_with(key))
        || LAST_WORDS.contains(&last)
        || (ENDS.iter().any(|end| last.ends_with(end)) && !WORDS.contains(&last))
}

/// Where such values are in a line.
pub(super) fn in_parameters(line: &str) -> Vec<Range<usize>> {
    let (mut found, mut hidden): (Vec<Range<usize>>, usize) = (Vec::new(), 0);
    let ands: Vec<usize> = line.match_indices('&').map(|(at, _)| at).collect();
    // the white space or quote that came last, and up to where it was looked for
    let (mut opened, mut looked) = (None, 0);
    for (at, sign) in line.match_indices(['=', ':']) {
        if at < hidden {
            continue;
        }
        let before = line.get(hidden..at).unwrap_or_default();
        let before = before.trim_end_matches(' ');
        let quoted = before.trim_end_matches(|c: char| is_quote(c) || c == '\\');
        let is_quoted = before.len() > quoted.len() && before.ends_with(is_quote);
        let name = name(quoted);
        let named_at = hidden + quoted.len() - name.len();
        let parameter = line.get(..named_at).is_some_and(|before| before.ends_with(['?', '&']));
        let is_key = parameter && name.eq_ignore_ascii_case("key");
        if name.is_empty() || !(is_key || names_a_secret(name)) {
            continue;
        }
        if looked < hidden {
            (opened, looked) = (None, hidden);
        }
        for c in line.get(looked..named_at).unwrap_or_default().chars() {
            if c.is_whitespace() || is_quote(c) {
                opened = Some(c);
            }
        }
        looked = named_at;
        let start = at + 1 + spaces(line.get(at + 1..).unwrap_or_default());
        let rest = line.get(start..).unwrap_or_default();
        let wrapped = if sign == ":" { wrapper(rest) } else { 0 };
        // in prose a colon stands behind any word
        let names_auth = is_auth(name) && auth_scheme(rest) > 0;
        if sign == ":" && !is_quoted && !is_debug(rest, wrapped) && !names_auth {
            continue;
        }
        let end = if parameter { ands.get(ands.partition_point(|and| *and < start)).copied() } else { None };
        let context =
            ValueContext { opened: opened.filter(|c| is_quote(*c) && !is_quoted), of_quoted: is_quoted };
        let range =
            value(line.get(..end.unwrap_or(line.len())).unwrap_or_default(), start + wrapped, &context);
        if !range.is_empty() && line.get(range.clone()) != Some(HIDDEN) {
            hidden = range.end;
            found.push(range);
        }
    }
    found
}

fn spaces(text: &str) -> usize {
    text.len() - text.trim_start_matches(' ').len()
}

/// The name at the end of a text.
fn name(text: &str) -> &str {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let start = text.char_indices().rev().take(LONGEST_NAME).take_while(|(_, c)| is_name(*c)).last();
    start.and_then(|(at, _)| text.get(at..)).unwrap_or_default()
}

/// How long `Some(` is, or whatever a quotation is wrapped in as Rust shows it; 0 if there is none.
fn wrapper(rest: &str) -> usize {
    let mut length = 0;
    for _ in 0..3 {
        let inner = rest.get(length..).unwrap_or_default();
        let word = inner.bytes().take(LONGEST_NAME).take_while(u8::is_ascii_alphanumeric).count();
        if word == 0 || !inner.get(word..).is_some_and(|after| after.starts_with('(')) {
            break;
        }
        length += word + 1;
    }
    let inner = rest.get(length..).unwrap_or_default();
    if inner.trim_start_matches('\\').starts_with('"') { length } else { 0 }
}

/// Whether Rust shows a text as a field's value there.
fn is_debug(rest: &str, wrapped: usize) -> bool {
    rest.get(wrapped..).is_some_and(|inner| inner.trim_start_matches('\\').starts_with('"'))
}

fn is_auth(name: &str) -> bool {
    name.rsplit(['_', '-', '.'])
        .next()
        .is_some_and(|last| last.eq_ignore_ascii_case("authorization") || last.eq_ignore_ascii_case("auth"))
}

/// How long `Bearer ` is, and the like, with a word behind it; 0 if none is there.
fn auth_scheme(rest: &str) -> usize {
    let scheme =
        AUTH_SCHEMES.iter().find(|scheme| starts_with(rest, scheme)).map_or(0, |scheme| scheme.len());
    let after = rest.get(scheme..).unwrap_or_default();
    let spaces = spaces(after);
    if scheme > 0 && spaces > 0 && spaces < after.len() { scheme + spaces } else { 0 }
}

/// The quotes around a value.
struct ValueContext {
    /// The quotation.
    opened: Option<char>,
    /// Its name stands in quotes, so that another field follows.
    of_quoted: bool,
}

/// A value that begins there: in quotes of its own, up to the end of the quotation that it stands in, or of the word; behind a
/// name in quotes, up to the next field.
fn value(line: &str, start: usize, context: &ValueContext) -> Range<usize> {
    let rest = line.get(start..).unwrap_or_default();
    let own = rest.trim_start_matches('\\');
    if own.starts_with(is_quote) {
        let escapes = rest.len() - own.len();
        return own_quotation(line, start + escapes + 1, own, escapes);
    }
    let end = match context.opened {
        Some(quote) => super::closing(line, start, quote),
        None => {
            let scheme = auth_scheme(rest);
            let ends = |c: char| {
                c.is_whitespace()
                    || matches!(c, '<' | '>' | '\u{1b}')
                    || (context.of_quoted && matches!(c, ',' | '}' | ']'))
            };
            let word = rest.get(scheme..).unwrap_or_default();
            start + scheme + word.find(ends).unwrap_or(word.len())
        }
    };
    let text = line.get(start..end).unwrap_or_default();
    // the end of a quotation is no part of it
    start..start + text.trim_end_matches(|c: char| is_quote(c) || c == ',').len()
}

/// What stands in quotes that begin before `start`, with so many `\` before the first: what has more is a part of it.
fn own_quotation(line: &str, start: usize, own: &str, escapes: usize) -> Range<usize> {
    let quote = own.chars().next().unwrap_or('"');
    let rest = line.get(start..).unwrap_or_default();
    for (at, _) in rest.match_indices(quote) {
        let before = rest.get(..at).unwrap_or_default();
        let slashes = at - before.trim_end_matches('\\').len();
        let after = rest.get(at + 1..).and_then(|after| after.chars().next());
        if slashes <= escapes && !after.is_some_and(char::is_alphanumeric) {
            return start..start + at - slashes;
        }
    }
    start..line.len()
}
