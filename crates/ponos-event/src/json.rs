//! Reads JSON from outside.

use serde::de::DeserializeOwned;

/// Byte order marks, with what they are. The longer first: one begins with another.
const MARKS: [(&[u8], &str); 5] = [
    (b"\xef\xbb\xbf", "a byte order mark (EF BB BF)"),
    (b"\x00\x00\xfe\xff", "the byte order mark of UTF-32 (00 00 FE FF)"),
    (b"\xff\xfe\x00\x00", "the byte order mark of UTF-32 (FF FE 00 00)"),
    (b"\xfe\xff", "the byte order mark of UTF-16 (FE FF)"),
    (b"\xff\xfe", "the byte order mark of UTF-16 (FF FE)"),
];

/// Reads JSON, which is UTF-8 without a byte order mark (RFC 8259, section 8.1).
///
/// # Errors
/// The fault and its place, for people. A byte order mark is named, because editors don't show it.
pub fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    match MARKS.iter().find(|(mark, _)| bytes.starts_with(mark)) {
        Some((_, name)) => {
            Err(format!("it begins with {name}; JSON is UTF-8 without one, so save or send it without"))
        }
        None => serde_json::from_slice(bytes).map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_byte_order_mark_is_named() {
        for (bytes, named) in [
            (&b"\xef\xbb\xbf{}"[..], "a byte order mark (EF BB BF)"),
            (b"\xef\xbb\xbf", "a byte order mark (EF BB BF)"),
            (b"\xff\xfe{\0}\0", "UTF-16 (FF FE)"),
            (b"\xfe\xff\0{\0}", "UTF-16 (FE FF)"),
            (b"\xff\xfe\0\0{\0\0\0}\0\0\0", "UTF-32 (FF FE 00 00)"),
        ] {
            let error = from_json::<Value>(bytes).unwrap_err();
            assert!(error.contains(named) && error.contains("without"), "{error}");
        }
        assert_eq!(from_json::<Value>("\"\u{feff}\"".as_bytes()), Ok(json!("\u{feff}")));
        assert_eq!(from_json::<Value>(b" {}"), Ok(json!({})));
        assert!(from_json::<Value>(b"{").unwrap_err().contains("line 1"));
    }
}
