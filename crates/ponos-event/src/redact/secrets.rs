//! Where the secrets of a text are: passwords of URLs, logins without a URL, tokens of a clock, and values whose name says
//! what they are. Pure.
//!
//! A line is looked at by itself, and each of its bytes a bounded number of times, for it may be as long as it likes.

mod named;

pub(super) use named::names_a_secret;

use super::HIDDEN;
use std::ops::Range;

/// How the documentation and the remedies write a URL: nobody's password.
const EXAMPLES: [&str; 2] = ["user:password@", "USER:PASSWORD@"];

/// Placeholders of a port, in remedies and in text that was redacted before.
const PLACEHOLDERS: [&str; 3] = ["port", "PORT", HIDDEN];

/// Words that may stay before an `@`.
const NO_TOKENS: [&str; 4] = ["", "user", "USER", HIDDEN];

/// Behind these something else than `://` is a slip: `amqp:/user:password@host`.
const SCHEMES: [&str; 7] = ["amqp", "http", "postgres", "postgresql", "redis", "mysql", "mqtt"];

/// Where the secrets are: bytes of the text, in its order; none overlaps another.
pub fn secrets(text: &str) -> Vec<Range<usize>> {
    let (mut found, mut begin) = (Vec::new(), 0);
    for line in text.split(['\n', '\r']) {
        let mut hidden = in_urls(line);
        let urls = hidden.len();
        hidden.extend(in_logins(line));
        hidden.extend(in_tokens(line));
        hidden.extend(named::in_parameters(line));
        if hidden.len() > urls {
            hidden = joined(hidden);
        }
        found.extend(hidden.into_iter().map(|range| begin + range.start..begin + range.end));
        begin += line.len() + 1;
    }
    found
}

/// How a token of a clock begins: `kh_`, the eight characters of its id, and `_`. The secret stands behind that.
const TOKEN: &str = "kh_";
const TOKEN_ID: usize = 8;

/// The secret parts of tokens, those of one that was cut off or run together with other text included.
fn in_tokens(line: &str) -> Vec<Range<usize>> {
    let (mut found, mut hidden): (Vec<Range<usize>>, usize) = (Vec::new(), 0);
    for (at, _) in line.match_indices(TOKEN) {
        let id = at + TOKEN.len();
        let secret = id + TOKEN_ID + 1;
        let named = line.get(id..secret).and_then(|id| id.strip_suffix('_'));
        if at < hidden || !named.is_some_and(|id| id.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
            continue;
        }
        let rest = line.get(secret..).unwrap_or_default();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        hidden = secret + rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        if hidden > secret {
            found.push(secret..hidden);
        }
    }
    found
}

fn joined(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| range.start);
    let mut joined: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

/// The separator between a scheme and the rest of its URL.
#[derive(Debug, Clone, Copy)]
struct Separator {
    scheme: usize,
    end: usize,
    /// It is `://`, and no slip.
    is_right: bool,
}

/// The passwords of URLs. One may hold anything, spaces, slashes and `@` too: it ends at the last `@` before the next URL. It
/// begins at a colon in the first word: behind a path no user's name goes on.
fn in_urls(line: &str) -> Vec<Range<usize>> {
    let separators = separators(line);
    if separators.is_empty() {
        return Vec::new();
    }
    let places = |of: char| -> Vec<usize> { line.match_indices(of).map(|(at, _)| at).collect() };
    let (ats, colons) = (places('@'), places(':'));
    let stops: Vec<usize> = line.match_indices(ends_a_user).map(|(at, _)| at).collect();
    // No URL begins behind a colon: a password may hold `://` itself.
    let begins: Vec<usize> = separators
        .iter()
        .filter(|separator| separator.is_right)
        .map(|separator| separator.scheme)
        .filter(|scheme| !line.get(..*scheme).is_some_and(|before| before.ends_with(':')))
        .collect();
    let (mut found, mut hidden, mut judged) = (Vec::new(), 0, 0);
    for Separator { scheme, end: start, .. } in separators {
        if start <= hidden {
            continue;
        }
        // not a scheme but a user, whose password begins with two slashes
        let next = begins.get(begins.partition_point(|begin| *begin <= start));
        let end = next.copied().unwrap_or(line.len());
        let rest = line.get(start..end).unwrap_or_default();
        if EXAMPLES.iter().any(|example| rest.starts_with(example)) {
            continue;
        }
        let at = ats.partition_point(|at| *at < end).checked_sub(1).and_then(|last| ats.get(last));
        let password = match at.copied().filter(|at| *at >= start) {
            Some(at) => {
                // an IPv6 host before a later '@' can't be told from a password: it is hidden too
                let user = start + rest.len() - rest.trim_start_matches(['/', '\\']).len();
                let next = |places: &[usize]| {
                    places.get(places.partition_point(|place| *place < user)).copied().unwrap_or(end)
                };
                let (colon, stop) = (next(&colons), next(&stops));
                let is_http = starts_with(line.get(scheme..).unwrap_or_default(), "http");
                let password = colon + 1..at;
                let is_one = colon < stop && password.start < password.end;
                let is_one = is_one && !is_digest(line, at) && !is_port(line, &password, is_http);
                let alone = is_http.then(|| token_alone(line, user, &ats, colon, stop)).flatten();
                alone.or_else(|| is_one.then_some(password))
            }
            None => {
                // each colon is judged once
                let colon = colons.get(colons.partition_point(|colon| *colon < start)).copied();
                let is_new = colon.is_some_and(|colon| colon < end && colon >= judged);
                judged = colon.map_or(judged, |colon| colon + 1);
                let is_amqp = starts_with(line.get(scheme..).unwrap_or_default(), "amqp");
                let password = if is_new { cut_off(rest, is_amqp) } else { None };
                password.map(|range| start + range.start..start + range.end)
            }
        };
        if let Some(password) = password {
            hidden = password.end;
            found.push(password);
        }
    }
    found
}

/// The text before the `@` of an HTTP URL if it is a token, not a name with a password.
fn token_alone(line: &str, user: usize, ats: &[usize], colon: usize, stop: usize) -> Option<Range<usize>> {
    let at = ats.partition_point(|at| *at < stop).checked_sub(1).and_then(|last| ats.get(last)).copied()?;
    let login = line.get(user..at).filter(|login| !NO_TOKENS.contains(login))?;
    (colon > at || login.ends_with(':') || login.ends_with(":x-oauth-basic")).then_some(user..at)
}

/// Characters that a user's name can't have.
fn ends_a_user(c: char) -> bool {
    c.is_whitespace() || is_quote(c) || matches!(c, '/' | '?' | '#')
}

fn starts_with(text: &str, start: &str) -> bool {
    text.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start))
}

/// Whether what stands behind that `@` is the digest of an image, and no host.
fn is_digest(line: &str, at: usize) -> bool {
    line.get(at + 1..).is_some_and(|after| after.starts_with("sha256:"))
}

/// Whether what begins like a password is a port with a path or words behind it, and the `@` belongs to something else. No word
/// of a password is written with a space; that a path with an `@` is one is believed of HTTP alone.
fn is_port(line: &str, password: &Range<usize>, is_http: bool) -> bool {
    let text = line.get(password.clone()).unwrap_or_default();
    let after = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_number = (2..=5).contains(&(text.len() - after.len()));
    match after.as_bytes().first() {
        Some(b'/') if is_number && is_http => true,
        Some(b'/' | b':') if is_number => after.contains(char::is_whitespace),
        _ => false,
    }
}

fn separators(line: &str) -> Vec<Separator> {
    let mut all: Vec<Separator> = line
        .match_indices("://")
        .map(|(at, _)| Separator { scheme: scheme(line, at), end: at + 3, is_right: true })
        .collect();
    let lower = line.to_ascii_lowercase();
    for known in SCHEMES {
        for (scheme, _) in lower.match_indices(known) {
            let rest = lower.get(scheme + known.len()..).unwrap_or_default();
            let rest = rest.strip_prefix('s').unwrap_or(rest);
            let slip = slip(rest);
            let is_right = slip == 3 && rest.starts_with("://");
            if slip > 0 && !is_right {
                all.push(Separator { scheme, end: line.len() - rest.len() + slip, is_right });
            }
        }
    }
    all.sort_by_key(|separator| separator.end);
    all
}

/// How long a mistyped separator is: `:`, `:/`, `;//`, `//`, `:\\` and the like, with something behind it; 0 if none is there.
fn slip(rest: &str) -> usize {
    let slashes = |from: &str| from.len() - from.trim_start_matches(['/', '\\']).len();
    let length = match rest.as_bytes().first() {
        Some(b':') => 1 + slashes(&rest[1..]),
        Some(b';') if slashes(&rest[1..]) > 0 => 1 + slashes(&rest[1..]),
        Some(b'/') if rest.starts_with("//") => slashes(rest),
        _ => 0,
    };
    // `postgres::store` is a path
    let goes_on = |next: char| !next.is_whitespace() && next != ':';
    if rest.get(length..).and_then(|after| after.chars().next()).is_some_and(goes_on) { length } else { 0 }
}

/// Where the scheme begins whose `://` stands here.
fn scheme(line: &str, separator: usize) -> usize {
    let before = line.get(..separator).unwrap_or_default();
    before.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || "+-.".contains(c)).len()
}

/// The password in a URL without an `@`: the text after the host that is not a port. In a broker's URL further hosts may follow the
/// port.
fn cut_off(rest: &str, is_amqp: bool) -> Option<Range<usize>> {
    let authority = rest.get(..rest.find(ends_a_word).unwrap_or(rest.len())).unwrap_or_default();
    let after_host = match authority.strip_prefix('[').and_then(|inner| inner.find(']')) {
        Some(bracket) => bracket + 2,
        None => 0,
    };
    let colon = after_host + authority.get(after_host..)?.find(':')?;
    let port = authority.get(colon + 1..)?;
    // The end of a sentence or of a quotation is no part of the URL.
    let port = port.trim_end_matches(['.', ',', ';', ':', ')', ']', '\'', '`', '…']);
    let (first, more) = port.split_once(',').unwrap_or((port, ""));
    let are_hosts = || is_amqp && is_port_of_cluster(first) && more.split(',').all(is_host_with_port);
    let is_port = if port == first { is_number(first) } else { are_hosts() };
    (!is_port && !PLACEHOLDERS.contains(&port)).then(|| colon + 1..colon + 1 + port.len())
}

/// Whether it is a further host of a cluster. One without a port can't be told from the rest of a password with a comma in it.
fn is_host_with_port(text: &str) -> bool {
    let (name, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let is_name = match address {
        Some(address) => address.chars().all(|c| c.is_ascii_hexdigit() || matches!(c, ':' | '.')),
        None => name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '.' | '_')),
    };
    is_port_of_cluster(port) && !name.is_empty() && is_name
}

/// Shorter ones are seldom a broker's, and often a part of a password.
fn is_port_of_cluster(port: &str) -> bool {
    (4..=5).contains(&port.len()) && is_number(port)
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn ends_a_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '<' | '>' | '\u{1b}')
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'' | '`')
}

/// Passwords of what is written as a login without a URL: `user:password@host`. One that holds a space is known only by the
/// quotation that it stands in.
fn in_logins(line: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    if !line.contains('@') {
        return found;
    }
    let mut begin = 0;
    for word in line.split(|c: char| c.is_whitespace() || is_quote(c)) {
        let before = word
            .find("://")
            .map_or(word, |separator| word.get(..scheme(word, separator)).unwrap_or_default());
        // a URL was looked at, unless it is a part of something
        if before.contains(':') {
            found.extend(login(word, begin));
        }
        begin += word.len()
            + line.get(begin + word.len()..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8);
    }
    let mut from = 0;
    while let Some((quote, inner)) = quotation(line, from) {
        let text = line.get(inner.clone()).unwrap_or_default();
        let user = text.find(|c: char| c == ':' || c == '@' || c.is_whitespace());
        if user.is_some_and(|at| text[at..].starts_with(':')) && !text.contains("://") {
            found.extend(login(text, inner.start));
        }
        from = inner.end + quote.len_utf8();
    }
    found
}

fn login(text: &str, begin: usize) -> Option<Range<usize>> {
    let (before, _) = text.rsplit_once('@').filter(|(before, _)| !is_digest(text, before.len()))?;
    let mut colon = before.find(':')?;
    // an address of mail has no password
    if before.get(colon.saturating_sub(6)..colon).is_some_and(|word| word.eq_ignore_ascii_case("mailto")) {
        colon += 1 + before.get(colon + 1..)?.find(':')?;
    }
    let password = before.get(colon + 1..).filter(|password| !password.is_empty() && *password != HIDDEN)?;
    let with_at = text.get(..=before.len())?;
    let is_example = EXAMPLES.iter().any(|example| with_at.ends_with(example));
    (!is_example).then(|| begin + colon + 1..begin + colon + 1 + password.len())
}

/// The next quotation from there on, and what stands in it; an end that is missing is the line's.
fn quotation(line: &str, from: usize) -> Option<(char, Range<usize>)> {
    let mut before = line.get(..from)?.chars().next_back();
    for (at, c) in line.get(from..)?.char_indices() {
        if is_quote(c) && !before.is_some_and(char::is_alphanumeric) {
            let start = from + at + c.len_utf8();
            return Some((c, start..closing(line, start, c)));
        }
        before = Some(c);
    }
    None
}

/// Where a quotation that began before `start` ends: at a quote that no word goes on behind.
fn closing(line: &str, start: usize, quote: char) -> usize {
    let rest = line.get(start..).unwrap_or_default();
    let closes = |(at, _): &(usize, &str)| {
        let after = rest.get(at + quote.len_utf8()..).and_then(|after| after.chars().next());
        !after.is_some_and(char::is_alphanumeric)
    };
    rest.match_indices(quote).find(closes).map_or(line.len(), |(at, _)| start + at)
}

#[cfg(test)]
mod tests;
