//! JSON with one byte for each usual piece of it.

use super::usual::USUAL;

/// Appends JSON, with one byte for each usual piece of it.
pub(super) fn shorten(mut json: &[u8], bytes: &mut Vec<u8>) {
    while let Some((first, after)) = json.split_first() {
        let worth = matches!(first, b'"' | b',' | b':' | b'p' | b'E' | b'A');
        let found = worth
            .then(|| (0_u8..).zip(USUAL).find(|(_, usual)| json.starts_with(usual.as_bytes())))
            .flatten();
        match found {
            Some((byte, usual)) => {
                bytes.push(byte);
                json = &json[usual.len()..];
            }
            None => {
                bytes.push(*first);
                json = after;
            }
        }
    }
}

/// Appends the JSON that was shortened to these bytes.
pub(super) fn lengthen(bytes: &[u8], json: &mut Vec<u8>) {
    for byte in bytes {
        match USUAL.get(usize::from(*byte)) {
            Some(usual) => json.extend_from_slice(usual.as_bytes()),
            None => json.push(*byte),
        }
    }
}
