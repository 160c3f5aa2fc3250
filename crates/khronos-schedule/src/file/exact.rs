//! Numbers as JSON writes them → numbers as they are kept. What would become another number is refused: who wrote
//! `12345678901234567890123` would be sent `1.2345678901234568e22`.

use serde_json::{Number, Value};

/// The number, if it is kept exactly as large as it is written. `text` is a number of valid JSON.
pub(super) fn number(text: &str) -> Option<Value> {
    if !text.contains(['.', 'e', 'E']) {
        let signed = text.parse::<i64>().ok().map(Value::from);
        return signed.or_else(|| text.parse::<u64>().ok().map(Value::from));
    }
    let read = Number::from_f64(text.parse().ok()?)?;
    (decimal(&read.to_string())? == decimal(text)?).then_some(Value::Number(read))
}

/// Sign, digits without zeros at either end, and the power of ten of the last of them: equal for equal numbers.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: String,
    power: i64,
}

fn decimal(text: &str) -> Option<Decimal> {
    let (mantissa, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (negative, mantissa) =
        mantissa.strip_prefix('-').map_or((false, mantissa), |mantissa| (true, mantissa));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let written = format!("{whole}{fraction}");
    let kept = written.trim_end_matches('0');
    let digits = kept.trim_start_matches('0').to_owned();
    if digits.is_empty() {
        return Some(Decimal { negative: false, digits, power: 0 });
    }
    let cut = i64::try_from(written.len() - kept.len()).ok()?;
    let fraction = i64::try_from(fraction.len()).ok()?;
    let power = power.parse::<i64>().ok()?.checked_sub(fraction)?.checked_add(cut)?;
    Some(Decimal { negative, digits, power })
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn a_number_is_kept_as_it_is_written_or_not_at_all() {
        for (text, kept) in [
            ("0", "0"),
            ("-7", "-7"),
            ("18446744073709551615", "18446744073709551615"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("0.1", "0.1"),
            ("2.50", "2.5"),
            ("1e2", "100.0"),
            ("-1.5E-3", "-0.0015"),
            ("0e99999999999999999999", "0.0"),
            ("9007199254740993", "9007199254740993"),
        ] {
            assert_eq!(number(text).map(|kept| kept.to_string()).as_deref(), Some(kept), "{text}");
        }
        for text in [
            "18446744073709551616",
            "12345678901234567890123",
            "9007199254740993.0",
            "0.1000000000000000055511151231257827",
            "1e400",
            "1e-400",
            "1e99999999999999999999",
        ] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
