//! Durations in words: `4h` ↔ `time.four-hours.passed`.
//!
//! Numbers up to 999 are spelled (`ninety`, `one-hundred-twenty`), larger ones are digits (`time.1500-milliseconds.passed`);
//! reading takes both, and an `and` between hundreds and the rest. One of a unit is singular, more are plural.

use ponos_event::duration::{TimeUnit, WrittenDuration};

const ONES: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] =
    ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

/// The event's name for a duration, in the numbers and units in which it was written.
pub(crate) fn event_name(duration: &WrittenDuration) -> String {
    let mut words = Vec::new();
    for &(n, unit) in duration.parts() {
        words.push(number(n));
        words.push(format!("{}{}", unit.name(), if n == 1 { "" } else { "s" }));
    }
    format!("time.{}.passed", words.join("-"))
}

/// What the middle of a name of the form `time.<duration>.passed` says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// This duration.
    Duration(WrittenDuration),
    /// It ends with a unit and begins almost like a number: a misspelt duration.
    Misspelt,
    /// Something else: any name may be chosen.
    Other,
}

/// Reads an event's name as a duration.
pub(crate) fn read(name: &str) -> Reading {
    let Some(words) = name.strip_prefix("time.").and_then(|rest| rest.strip_suffix(".passed")) else {
        return Reading::Other;
    };
    if words.contains('.') {
        return Reading::Other;
    }
    let words: Vec<&str> = words.split('-').collect();
    match duration(&words) {
        Some(duration) => Reading::Duration(duration),
        None if misspelt(&words) => Reading::Misspelt,
        None => Reading::Other,
    }
}

fn number(n: u64) -> String {
    let n = match usize::try_from(n) {
        Ok(n @ 0..=999) => n,
        _ => return n.to_string(),
    };
    let mut words = Vec::new();
    if n >= 100 {
        words.extend([ONES[n / 100], "hundred"]);
    }
    match n % 100 {
        0 if n > 0 => {}
        rest @ 0..20 => words.push(ONES[rest]),
        rest => {
            words.push(TENS[rest / 10]);
            if rest % 10 > 0 {
                words.push(ONES[rest % 10]);
            }
        }
    }
    words.join("-")
}

fn full_unit(word: &str) -> Option<(TimeUnit, bool)> {
    let singular = word.strip_suffix('s').unwrap_or(word);
    TimeUnit::read(singular)
        .filter(|unit| unit.name() == singular)
        .map(|unit| (unit, word.len() > singular.len()))
}

fn duration(words: &[&str]) -> Option<WrittenDuration> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (index, word) in words.iter().enumerate() {
        let Some((unit, plural)) = full_unit(word) else { continue };
        let n = value(&words[start..index])?;
        if plural != (n != 1) {
            return None;
        }
        parts.push((n, unit));
        start = index + 1;
    }
    if start < words.len() { None } else { WrittenDuration::of(parts) }
}

fn value(words: &[&str]) -> Option<u64> {
    if let [digits] = words
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && !digits.starts_with('0')
    {
        return digits.parse().ok();
    }
    let one = |word: &str| ONES.iter().position(|known| *known == word);
    let (hundreds, rest) = match words {
        [n, "hundred", "and", rest @ ..] if !rest.is_empty() => {
            (one(n).filter(|n| (1..10).contains(n))?, rest)
        }
        [n, "hundred", rest @ ..] => (one(n).filter(|n| (1..10).contains(n))?, rest),
        rest => (0, rest),
    };
    let rest = match rest {
        [] if hundreds > 0 => 0,
        [word] => one(word).filter(|n| *n > 0).or_else(|| Some(10 * tens(word)?))?,
        [ten, word] => 10 * tens(ten)? + one(word).filter(|n| (1..10).contains(n))?,
        _ => return None,
    };
    u64::try_from(hundreds * 100 + rest).ok()
}

fn tens(word: &str) -> Option<usize> {
    TENS.iter().position(|known| !known.is_empty() && *known == word)
}

fn misspelt(words: &[&str]) -> bool {
    // Two letters in the wrong order count as two: a word of three may have that, and the same letters.
    let sorted = |word: &str| {
        let mut letters = word.as_bytes().to_vec();
        letters.sort_unstable();
        letters
    };
    let near = |word: &str, known: &str| {
        let allowed = usize::from(known.len() > 3) + usize::from(known.len() > 4);
        strsim::levenshtein(word, known) <= allowed || sorted(word) == sorted(known)
    };
    let (Some(first), Some(last)) = (words.first(), words.last()) else { return false };
    if words.len() < 2 || words.iter().any(|word| word.len() > 16) {
        return false;
    }
    let numeric = first.bytes().all(|byte| byte.is_ascii_digit())
        || ONES.iter().chain(&TENS).any(|known| !known.is_empty() && near(first, known));
    let singular = last.strip_suffix('s').unwrap_or(last);
    let units = ["millisecond", "second", "minute", "hour", "day", "week", "month", "year"];
    numeric && units.iter().any(|unit| near(singular, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(text: &str) -> String {
        event_name(&WrittenDuration::parse(text).unwrap())
    }

    #[test]
    fn names_are_spelled_in_the_unit_written() {
        for (text, name) in [
            ("4h", "time.four-hours.passed"),
            ("PT4H", "time.four-hours.passed"),
            ("1 day", "time.one-day.passed"),
            ("60m", "time.sixty-minutes.passed"),
            ("90 minutes", "time.ninety-minutes.passed"),
            ("1h 30m", "time.one-hour-thirty-minutes.passed"),
            ("100ms", "time.one-hundred-milliseconds.passed"),
            ("115s", "time.one-hundred-fifteen-seconds.passed"),
            ("999 days", "time.nine-hundred-ninety-nine-days.passed"),
            ("1440m", "time.1440-minutes.passed"),
            ("21 days", "time.twenty-one-days.passed"),
        ] {
            assert_eq!(spelled(text), name);
            assert_eq!(read(name), Reading::Duration(WrittenDuration::parse(text).unwrap()));
        }
    }

    #[test]
    fn every_number_to_a_thousand_is_read_as_it_is_spelled() {
        for n in 1..=1100 {
            assert_eq!(value(&number(n).split('-').collect::<Vec<_>>()), Some(n), "{}", number(n));
        }
    }

    #[test]
    fn near_misses_are_told_from_other_names() {
        for name in [
            "time.fourty-hours.passed",
            "time.one-dya.passed",
            "time.one-days.passed",
            "time.two-hour.passed",
        ] {
            assert_eq!(read(name), Reading::Misspelt, "{name}");
        }
        for name in [
            "time.business-day.passed",
            "time.half-hour.passed",
            "office.hours.opened",
            "time.new-year.passed",
        ] {
            assert_eq!(read(name), Reading::Other, "{name}");
        }
    }
}
