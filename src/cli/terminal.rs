//! What the terminal can show: how wide a line is, and whether it has blocks for bars.

pub(super) use ponos::output::columns;

/// Columns of a line on standard output: the terminal's, else what `COLUMNS` says, else 80; 40 at least.
pub(super) fn width() -> usize {
    columns().or_else(ponos::output::columns_variable).unwrap_or(80).clamp(40, 200)
}

/// Whether text is UTF-8, as the locale says (the first of the variables that is set decides).
pub(super) fn unicode() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// A bar of `value` out of `most` in `columns`: eighths of blocks, or whole hashes. What is above zero is seen.
pub(super) fn bar(value: u64, most: u64, columns: usize, unicode: bool) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if value == 0 || most == 0 {
        return String::new();
    }
    let eighths = (value as f64 / most as f64 * columns as f64 * 8.0).round() as usize;
    if !unicode {
        return "#".repeat(((eighths + 4) / 8).max(1));
    }
    let eighths = eighths.max(1);
    "█".repeat(eighths / 8) + PARTS.get(eighths % 8).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::bar;

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        assert_eq!(bar(10, 10, 4, true), "████");
        assert_eq!(bar(5, 10, 3, true), "█▌");
        assert_eq!(bar(1, 1000, 4, true), "▏");
        assert_eq!(bar(0, 10, 4, true), "");
        assert_eq!(bar(5, 10, 4, false), "##");
        assert_eq!(bar(1, 1000, 4, false), "#");
        assert_eq!(bar(u64::MAX, u64::MAX, 4, false), "####");
    }
}
