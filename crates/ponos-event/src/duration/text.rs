//! The two written forms of a duration: the friendly one (`1h 30m`) and ISO 8601 (`PT1H30M`).

use super::{DurationError, EXAMPLES, MAX_NUMBER, TimeUnit, WORDS, WrittenDuration};
use crate::text::shown;

/// The length of the run of bytes at the front of `text` that are of a kind.
fn run(text: &str, kind: fn(&u8) -> bool) -> usize {
    text.bytes().take_while(kind).count()
}

fn number(text: &str, at: usize, least: u64) -> Result<u64, DurationError> {
    let range = at..at + text.len();
    match text.parse::<u64>() {
        Ok(n) if n < least => {
            Err(DurationError::part(range, "0 of a unit is not a length of time; numbers start at 1"))
        }
        Ok(n) if n <= MAX_NUMBER => Ok(n),
        _ => Err(DurationError::part(range, "this number is too large: the horizon is the end of 2099")),
    }
}

/// That a unit may follow the parts before it.
fn follows(
    parts: &[(u64, TimeUnit)],
    unit: TimeUnit,
    at: std::ops::Range<usize>,
) -> Result<(), DurationError> {
    if let Some(&(_, last)) = parts.last()
        && last <= unit
    {
        let what = format!(
            "{}s after {}s: units go from the largest to the smallest, each once",
            unit.name(),
            last.name()
        );
        return Err(DurationError::part(at, what).help(EXAMPLES));
    }
    Ok(())
}

fn push(
    parts: &mut Vec<(u64, TimeUnit)>,
    n: u64,
    unit: TimeUnit,
    at: std::ops::Range<usize>,
) -> Result<(), DurationError> {
    follows(parts, unit, at)?;
    parts.push((n, unit));
    Ok(())
}

/// Numbers are at least `least`: 0 or 1.
pub(super) fn parse_friendly(text: &str, least: u64) -> Result<WrittenDuration, DurationError> {
    let mut parts = Vec::new();
    let mut at = run(text, u8::is_ascii_whitespace);
    let end = text.trim_ascii_end().len();
    while at < end {
        let start = at;
        let digits = run(&text[at..], u8::is_ascii_digit);
        if digits == 0 {
            let word = run(&text[at..], |byte| !byte.is_ascii_whitespace()).max(1);
            let what = format!("'{}' found where a number is needed", shown(&text[at..at + word]));
            let help = instead(&text[at..at + word]);
            return Err(DurationError::part(at..at + word, what).help(help));
        }
        let n = number(&text[at..at + digits], at, least)?;
        at += digits;
        if text[at..].starts_with(['.', ',']) {
            let what = "numbers are whole";
            return Err(DurationError::part(at..at + 1, what)
                .help("use a smaller unit, as in '90m' for an hour and a half"));
        }
        at += run(&text[at..], u8::is_ascii_whitespace);
        let word = run(&text[at..], u8::is_ascii_alphabetic);
        let Some(unit) = TimeUnit::read(&text[at..at + word]) else {
            return Err(unknown_unit(text, at, word));
        };
        at += word;
        push(&mut parts, n, unit, start..at)?;
        at += run(&text[at..], u8::is_ascii_whitespace);
    }
    Ok(WrittenDuration { parts })
}

/// The hint for a word in place of a number.
fn instead(word: &str) -> String {
    let folded = word.to_ascii_lowercase();
    let adverbs = [
        ("hourly", "1 hour"),
        ("daily", "1 day"),
        ("weekly", "1 week"),
        ("monthly", "1 month"),
        ("yearly", "1 year"),
    ];
    if let Some((_, duration)) = adverbs.iter().find(|(adverb, _)| *adverb == folded.trim_start_matches('@'))
    {
        return format!("write '{duration}'");
    }
    if TimeUnit::read(word).is_some() {
        return format!("write '1 {folded}'");
    }
    match folded.as_str() {
        "at" | "on" => "the time of day is the phase: phase = \"09:00\"".to_owned(),
        "every" | "each" => "leave this word away".to_owned(),
        _ => EXAMPLES.to_owned(),
    }
}

fn unknown_unit(text: &str, at: usize, length: usize) -> DurationError {
    if length == 0 {
        let end = (at + 1).min(text.len());
        return DurationError::part(
            at.min(end)..end,
            "a unit is missing after the number; ms, s, m, h, day, week, month and year are allowed",
        )
        .help(EXAMPLES);
    }
    let word = &text[at..at + length];
    let what = format!("'{}' is not a unit; ms, s, m, h, day, week, month and year are allowed", shown(word));
    let flaw = DurationError::part(at..at + length, what);
    if word == "M" {
        return flaw.help("write 'm' for minutes, 'month' for months");
    }
    let folded = word.to_ascii_lowercase();
    // "mon", "mons" and "mth" are months cut short, however near "min" is.
    let cuts: [fn(&str, &str) -> bool; 2] = [|whole, text| whole.starts_with(text), is_cut];
    for cut in cuts {
        let whole =
            |(_, words): &(TimeUnit, &[&'static str])| words.iter().copied().find(|word| cut(word, &folded));
        let found: Vec<&str> = WORDS.iter().filter_map(whole).filter(|_| folded.len() > 2).collect();
        if !found.is_empty() {
            return flaw.help(format!("did you mean '{}'?", found.join("' or '")));
        }
    }
    let near = |word: &&&str| strsim::levenshtein(word, &folded);
    let words = WORDS.iter().flat_map(|(_, words)| words.iter()).filter(|word| word.len() > 2);
    match words.min_by_key(near) {
        Some(best) if near(&best) <= 2 && word.len() > 2 => flaw.help(format!("did you mean '{best}'?")),
        _ => flaw.help(EXAMPLES),
    }
}

/// Whether letters of `whole`, at most half of them and not the first one, were left out of it.
fn is_cut(whole: &str, text: &str) -> bool {
    let mut left = whole.bytes();
    text.len() * 2 >= whole.len()
        && left.next() == text.bytes().next()
        && text.bytes().skip(1).all(|byte| left.any(|other| other == byte))
}

/// ISO 8601-1, 5.5.2: `P[n]Y[n]M[n]W[n]DT[n]H[n]M[n]S`; only the seconds may have up to three decimals.
/// Numbers are at least `least`: 0 or 1.
pub(super) fn parse_iso(text: &str, iso: &str, least: u64) -> Result<WrittenDuration, DurationError> {
    let mut parts = Vec::new();
    let mut at = text.len() - text.trim_ascii_start().len() + 1;
    let end = at + iso.len();
    let mut in_time = false;
    let malformed = |at: usize| {
        let found = text[at..end]
            .chars()
            .next()
            .map_or("the end".to_owned(), |c| format!("'{}'", shown(&c.to_string())));
        let what = format!("{found} is not allowed here in an ISO 8601 duration");
        DurationError::part(at..(at + 1).min(end), what).help("as in 'PT1H30M', 'P1D', 'P2W', 'P1M'")
    };
    while at < end {
        if !in_time && text[at..].starts_with(['T', 't']) {
            in_time = true;
            at += 1;
            if at == end {
                return Err(malformed(at));
            }
            continue;
        }
        let start = at;
        let digits = run(&text[at..end], u8::is_ascii_digit);
        if digits == 0 {
            return Err(malformed(at));
        }
        at += digits;
        let mut fraction = None;
        if text[at..end].starts_with(['.', ',']) {
            let decimals = run(&text[at + 1..end], u8::is_ascii_digit);
            if !(1..=3).contains(&decimals) {
                return Err(DurationError::part(
                    at..at + 1 + decimals,
                    "finer than a millisecond, or no digits",
                ));
            }
            let value = text[at + 1..at + 1 + decimals].parse::<u64>().unwrap_or_default();
            fraction = Some(value * 10u64.pow(3 - decimals as u32));
            at += 1 + decimals;
        }
        let unit = match (in_time, text.as_bytes().get(at).filter(|_| at < end).map(u8::to_ascii_uppercase)) {
            (false, Some(b'Y')) => TimeUnit::Year,
            (false, Some(b'M')) => TimeUnit::Month,
            (false, Some(b'W')) => TimeUnit::Week,
            (false, Some(b'D')) => TimeUnit::Day,
            (true, Some(b'H')) => TimeUnit::Hour,
            (true, Some(b'M')) => TimeUnit::Minute,
            (true, Some(b'S')) => TimeUnit::Second,
            _ => return Err(malformed(at)),
        };
        if fraction.is_some() && unit != TimeUnit::Second {
            return Err(DurationError::part(start..at + 1, "only the seconds may have decimals"));
        }
        let digits = &text[start..start + digits];
        at += 1;
        let no_whole_seconds = least > 0 && fraction.is_some() && digits.bytes().all(|byte| byte == b'0');
        if no_whole_seconds {
            follows(&parts, unit, start..at)?;
        } else {
            push(&mut parts, number(digits, start, least)?, unit, start..at)?;
        }
        match fraction {
            Some(millis @ 1..) => push(&mut parts, millis, TimeUnit::Millisecond, start..at)?,
            Some(0) if no_whole_seconds => {
                return Err(DurationError::part(start..at, "0 seconds are not a length of time"));
            }
            _ => {}
        }
    }
    if parts.is_empty() { Err(malformed(end)) } else { Ok(WrittenDuration { parts }) }
}
