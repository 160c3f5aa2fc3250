//! Texts for people: counted nouns, ages, and shortened texts.

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

/// The age of something, of milliseconds: `3 d`, `2 h`, `5 min`, `40 s`.
pub fn ago(millis: i64) -> String {
    match millis / 1_000 {
        seconds @ 172_800.. => format!("{} d", seconds / 86_400),
        seconds @ 7_200.. => format!("{} h", seconds / 3_600),
        seconds @ 120.. => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
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
    fn an_age_is_in_the_largest_unit_of_which_there_are_two() {
        let shown = [119_999, 120_000, 7_199_999, 7_200_000, 172_800_000].map(ago);
        assert_eq!(shown, ["119 s", "2 min", "119 min", "2 h", "2 d"]);
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
