//! Sizes as an operator writes them: `8 MiB`. Durations are read as everywhere (`ponos::event::duration`).

const SIZES: &[(&[&str], u64)] =
    &[(&["B", "bytes"], 1), (&["KiB"], 1 << 10), (&["MiB"], 1 << 20), (&["GiB"], 1 << 30)];

/// Bytes: a whole number and B, KiB, MiB or GiB.
pub(super) fn size(text: &str) -> Option<u64> {
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
        let (_, factor) = SIZES.iter().find(|(names, _)| names.contains(&unit))?;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(*factor)?)?;
        rest = next.trim_start();
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_their_units() {
        assert_eq!(size("8 MiB"), Some(8 << 20));
        assert_eq!(size("1KiB 5 bytes"), Some(1029));
        for wrong in
            ["", "5", "B", "5x", "-5B", "1.5KiB", "99999999999999999999B", "99999999999999999GiB", "5 B 3"]
        {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }
}
