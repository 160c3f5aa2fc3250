//! Canonical JSON: one text for what is the same data (RFC 8785, but that no integer is rounded).

use serde_json::{Number, Value};

/// The text.
pub(super) fn written(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Number(number) => write_number(number, text),
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                comma(at, text);
                write(item, text);
            }
            text.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
            text.push('{');
            for (at, (name, field)) in fields.into_iter().enumerate() {
                comma(at, text);
                // serde_json escapes what has to be, in the form of RFC 8785
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write(field, text);
            }
            text.push('}');
        }
        Value::Null | Value::Bool(_) | Value::String(_) => text.push_str(&value.to_string()),
    }
}

fn comma(at: usize, text: &mut String) {
    if at > 0 {
        text.push(',');
    }
}

fn write_number(number: &Number, text: &mut String) {
    match number.as_f64().filter(|_| number.is_f64()) {
        Some(number) => text.push_str(&ecmascript(number)),
        None => text.push_str(&number.to_string()),
    }
}

/// `Number::toString` of ECMAScript, of a finite number: the fewest digits that read back as it, in its layout.
fn ecmascript(number: f64) -> String {
    if number == 0.0 {
        return "0".into();
    }
    let text = format!("{:e}", number.abs());
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits = digits.replace('.', "");
    // the digits before the point
    let before = exponent.parse::<i32>().unwrap_or(0) + 1;
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    let laid_out = match before {
        1..=21 if count <= before => format!("{digits}{}", zeros(before - count)),
        1..=21 => {
            let (whole, rest) = digits.split_at(usize::try_from(before).unwrap_or(0));
            format!("{whole}.{rest}")
        }
        -5..=0 => format!("0.{}{digits}", zeros(-before)),
        _ => {
            let (first, rest) = digits.split_at(1);
            let point = if rest.is_empty() { "" } else { "." };
            format!("{first}{point}{rest}e{}{}", if before > 0 { '+' } else { '-' }, (before - 1).abs())
        }
    };
    if number < 0.0 { format!("-{laid_out}") } else { laid_out }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As node 22 writes them.
    #[test]
    fn numbers_are_laid_out_as_javascript_does() {
        for (number, expected) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1 + 0.2, "0.30000000000000004"),
            (123_456.789, "123456.789"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (0.000_001, "0.000001"),
            (0.000_000_1, "1e-7"),
            (1.234e-10, "1.234e-10"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (9_007_199_254_740_993.0, "9007199254740992"),
        ] {
            assert_eq!(ecmascript(number), expected);
        }
    }

    #[test]
    fn the_order_of_names_and_the_spaces_between_do_not_count_and_big_integers_do() {
        let read = |text: &str| written(&serde_json::from_str(text).unwrap());
        assert_eq!(
            read(r#"{ "b": [1, 2.0, null], "a": {"d": true, "c": "\u00e9\n\u001f"} }"#),
            "{\"a\":{\"c\":\"é\\n\\u001f\",\"d\":true},\"b\":[1,2,null]}"
        );
        // by UTF-16 units the second comes first
        assert_eq!(read("{\"\u{fb33}\":1,\"\u{1f600}\":2}"), "{\"\u{1f600}\":2,\"\u{fb33}\":1}");
        assert_eq!(
            read("[9007199254740993,18446744073709551615,-9223372036854775808]"),
            "[9007199254740993,18446744073709551615,-9223372036854775808]"
        );
    }
}
