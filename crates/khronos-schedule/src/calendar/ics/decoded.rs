//! The bytes of a file → text. Lines are folded at a number of bytes (RFC 5545 §3.1), so that a letter may be cut in two:
//! such a one is put together again before anything is decoded. Else what is not UTF-8 is taken for Windows-1252, as
//! older programs write it.

use std::borrow::Cow;

/// Windows-1252 from 0x80 to 0x9F; its gaps are control characters.
const WINDOWS: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The text of an iCalendar file, with line feeds where lines end with carriage returns alone.
pub fn decoded(bytes: Vec<u8>) -> String {
    let text = match &*bytes {
        [0xff, 0xfe, rest @ ..] => utf_16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf_16(rest, u16::from_be_bytes),
        _ => String::from_utf8(bytes).unwrap_or_else(|error| mended(error.as_bytes())),
    };
    if text.contains('\n') { text } else { text.replace('\r', "\n") }
}

fn utf_16(bytes: &[u8], read: fn([u8; 2]) -> u16) -> String {
    let units = bytes.chunks_exact(2).filter_map(|pair| pair.try_into().ok().map(read));
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

fn mended(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + bytes.len() / 8);
    let mut rest = bytes;
    while let Err(error) = std::str::from_utf8(rest) {
        let (right, wrong) = rest.split_at(error.valid_up_to());
        text.push_str(&String::from_utf8_lossy(right));
        rest = match (folded_letter(wrong), wrong) {
            (Some((letter, folds, after)), _) => {
                text.push(letter);
                text.push_str(&folds);
                after
            }
            (None, [byte, after @ ..]) => {
                text.push(match byte {
                    0x80..=0x9f => WINDOWS.get(usize::from(byte - 0x80)).copied().unwrap_or(' '),
                    byte => char::from(*byte),
                });
                after
            }
            (None, []) => wrong,
        };
    }
    text.push_str(&String::from_utf8_lossy(rest));
    text
}

/// A letter with which the bytes begin and through which a fold goes: the letter, the fold, and what follows.
fn folded_letter(bytes: &[u8]) -> Option<(char, Cow<'_, str>, &[u8])> {
    let length = match bytes.first()? {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return None,
    };
    let (mut letter, mut folds, mut at) = (vec![*bytes.first()?], Vec::new(), 1);
    while letter.len() < length {
        let rest = bytes.get(at..)?;
        let fold = match rest {
            [b'\r', b'\n', b' ' | b'\t', ..] => 3,
            [b'\n', b' ' | b'\t', ..] => 2,
            [0x80..=0xbf, ..] => {
                letter.push(*rest.first()?);
                at += 1;
                continue;
            }
            _ => return None,
        };
        folds.extend_from_slice(rest.get(..fold)?);
        at += fold;
    }
    let letter = std::str::from_utf8(&letter).ok()?.chars().next()?;
    let folds = String::from_utf8(folds).ok()?;
    Some((letter, folds.into(), bytes.get(at..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_that_a_fold_cuts_in_two_is_put_together() {
        for (bytes, text) in [
            (&b"SUMMARY:F\xc3\xaate\r\n"[..], "SUMMARY:F\u{ea}te\r\n"),
            (b"SUMMARY:F\xc3\r\n \xaate", "SUMMARY:F\u{ea}\r\n te"),
            (b"SUMMARY:\xe2\n \x82\n\t\xac.", "SUMMARY:\u{20ac}\n \n\t."),
            (b"SUMMARY:\xf0\x9f\r\n \x8e\x84", "SUMMARY:\u{1f384}\r\n "),
            // Windows-1252, and a cut that leads nowhere.
            (b"SUMMARY:F\xeate \x80", "SUMMARY:F\u{ea}te \u{20ac}"),
            (b"SUMMARY:F\xc3\r\nX:\xff", "SUMMARY:F\u{c3}\r\nX:\u{ff}"),
            (b"SUMMARY:\xc3", "SUMMARY:\u{c3}"),
            (b"A:1\rB:2\r", "A:1\nB:2\n"),
            (b"\xff\xfeA\0:\0\xe9\0", "A:\u{e9}"),
            (b"\xfe\xff\0A\0:", "A:"),
        ] {
            assert_eq!(decoded(bytes.to_vec()), text, "{bytes:?}");
        }
    }
}
