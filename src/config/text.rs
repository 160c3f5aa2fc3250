//! Durations and sizes as an operator writes them: `30s`, `5m`, `7 days`; `8 MiB`.

use std::time::Duration;

const UNITS: &[(&[&str], u64)] = &[
    (&["ms", "millisecond", "milliseconds"], 1),
    (&["s", "sec", "second", "seconds"], 1_000),
    (&["m", "min", "minute", "minutes"], 60_000),
    (&["h", "hour", "hours"], 3_600_000),
    (&["d", "day", "days"], 86_400_000),
];

const SIZES: &[(&[&str], u64)] =
    &[(&["B", "bytes"], 1), (&["KiB"], 1 << 10), (&["MiB"], 1 << 20), (&["GiB"], 1 << 30)];

/// A whole number and a unit from milliseconds to days (of 24 hours); several may follow each other: `1m 30s`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    sum(text, UNITS).map(Duration::from_millis)
}

/// Bytes: a whole number and B, KiB, MiB or GiB.
pub(super) fn size(text: &str) -> Option<u64> {
    sum(text, SIZES)
}

fn sum(text: &str, units: &[(&[&str], u64)]) -> Option<u64> {
    let mut rest = text.trim();
    let mut total: u64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at_checked(digits)?;
        let after = after.trim_start();
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, next) = after.split_at_checked(end)?;
        let (_, factor) = units.iter().find(|(names, _)| names.contains(&unit))?;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(*factor)?)?;
        rest = next.trim_start();
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_read_in_their_units() {
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("1m 30s"), Some(Duration::from_secs(90)));
        assert_eq!(duration(" 7 days"), Some(Duration::from_secs(7 * 86_400)));
        assert_eq!(size("8 MiB"), Some(8 << 20));
        for wrong in
            ["", "5", "s", "5x", "-5s", "1.5h", "99999999999999999999s", "99999999999999999d", "5 m 3"]
        {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }
}
