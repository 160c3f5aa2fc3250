//! How many of something, in words.

use std::fmt::Display;

/// `1 schedule`, `2 schedules`.
pub fn counted<N: Display + PartialEq + From<u8>>(count: N, what: &str) -> String {
    let plural = if count == N::from(1) { "" } else { "s" };
    format!("{count} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn one_is_singular() {
        let shown = [counted(0_usize, "file"), counted(1_u64, "file"), counted(2_i64, "file")];
        assert_eq!(shown, ["0 files", "1 file", "2 files"]);
    }
}
