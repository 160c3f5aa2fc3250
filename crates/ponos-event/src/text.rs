//! Texts for people: how many of something, and what is too long to be shown.

use std::fmt::Display;

/// `1 schedule`, `2 schedules`.
pub fn counted<N: Display + PartialEq + From<u8>>(count: N, noun: &str) -> String {
    let plural = if count == N::from(1) { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// The text, cut after `chars` characters; `…` says that something is left out.
pub fn shortened(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
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
    fn what_is_cut_says_so() {
        assert_eq!(["", "äbcd", "äbcde"].map(|text| shortened(text, 4)), ["", "äbcd", "äbcd…"]);
        assert_eq!(shortened("a", 0), "…");
    }
}
