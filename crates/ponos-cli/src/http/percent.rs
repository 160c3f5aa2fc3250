//! Percent-encoding, as in URLs and in headers of CloudEvents.

/// Without it; a `%` that two hexadecimal digits do not follow stands for itself.
pub(crate) fn percent_decoded(text: &str) -> Vec<u8> {
    let digit =
        |byte: Option<&u8>| char::from(*byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, digit(after.first()).zip(digit(after.get(1)))) {
            (b'%', Some((high, low))) => {
                bytes.push(high << 4 | low);
                rest = &after[2..];
            }
            (byte, _) => bytes.push(*byte),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::percent_decoded;

    #[test]
    fn what_is_no_encoding_stands_for_itself() {
        for (text, decoded) in [
            ("a%20b%C3%a9", "a b\u{e9}"),
            ("%zz%4", "%zz%4"),
            ("%+f", "%+f"),
            ("100%", "100%"),
            ("%25%25", "%%"),
            ("", ""),
        ] {
            assert_eq!(percent_decoded(text), decoded.as_bytes(), "{text}");
        }
    }
}
