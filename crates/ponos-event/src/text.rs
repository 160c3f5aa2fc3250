//! Texts for people: counted nouns, and shortened texts.

use std::fmt::Display;

/// `1 schedule`, `2 schedules`.
pub fn counted<N: Display + PartialEq + From<u8>>(count: N, noun: &str) -> String {
    let plural = if count == N::from(1) { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// The text, cut after `chars` characters; `…` marks the cut.
pub fn shortened(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// A text from outside for use in a message: control characters escaped, cut after some forty characters.
pub fn shown(text: &str) -> String {
    let mut out: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    if text.chars().nth(40).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular() {
        let shown = [counted(0_usize, "file"), counted(1_u64, "file"), counted(2_i64, "file")];
        assert_eq!(shown, ["0 files", "1 file", "2 files"]);
    }

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!(["", "äbcd", "äbcde"].map(|text| shortened(text, 4)), ["", "äbcd", "äbcd…"]);
        assert_eq!(shortened("a", 0), "…");
    }

    #[test]
    fn what_is_shown_is_short_and_moves_no_cursor() {
        assert_eq!(shown("a\u{1b}\n\"é"), "a\\u{1b}\\n\\\"é");
        assert_eq!(shown(&"é".repeat(50)), format!("{}…", "é".repeat(40)));
    }
}
