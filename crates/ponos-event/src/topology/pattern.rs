//! Checks topic patterns. A broker accepts any text, and a pattern that matches no name would wait for ever.

use crate::EventName;

/// Why a text is not a topic pattern. `Display` says what is wrong and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{}' {reason}", .pattern.chars().take(60).flat_map(char::escape_debug).collect::<String>())]
pub struct InvalidPattern {
    /// As given.
    pub pattern: String,
    /// What is wrong.
    pub reason: String,
}

/// Checks that a text is a topic pattern: at most 255 bytes; words of letters, digits, `-` and `_`, or `*` or `#`
/// alone, joined by single dots. A whole name is a pattern too.
///
/// # Errors
/// [`InvalidPattern`].
pub fn check_pattern(pattern: &str) -> Result<(), InvalidPattern> {
    let word = |word: &str| {
        matches!(word, "*" | "#")
            || !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    };
    if pattern.len() > EventName::MAX_BYTES {
        let reason = format!("is too long: a name or pattern has at most {} bytes", EventName::MAX_BYTES);
        return Err(InvalidPattern { pattern: pattern.to_owned(), reason });
    }
    if !pattern.split('.').all(word) {
        let reason = "is not a name or pattern; words joined by dots, * for one word, # for any number: time.*.passed, order.#";
        return Err(InvalidPattern { pattern: pattern.to_owned(), reason: reason.to_owned() });
    }
    Ok(())
}

/// Checks that some event's name could match a pattern: [`check_pattern`], and an [`EventName`] remains when its
/// wildcards are filled in.
///
/// # Errors
/// [`InvalidPattern`].
pub fn check_event_pattern(pattern: &str) -> Result<(), InvalidPattern> {
    check_pattern(pattern)?;
    // The first `#` stands for the words that a name would lack, any other for none.
    let mut missing = 3_usize.saturating_sub(pattern.split('.').filter(|word| *word != "#").count());
    let mut filled = Vec::new();
    for word in pattern.split('.') {
        match word {
            "#" => filled.extend(std::iter::repeat_n("x", std::mem::take(&mut missing))),
            "*" => filled.push("x"),
            literal => filled.push(literal),
        }
    }
    match filled.join(".").parse::<EventName>() {
        Ok(_) => Ok(()),
        Err(fault) => {
            let reason =
                format!("matches no event: {}; # stands for any number of words, as in time.#", fault.reason);
            Err(InvalidPattern { pattern: pattern.to_owned(), reason })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_is_none_is_refused() {
        for right in ["#", "*", "time.#", "time.*.passed", "#.b.#", "Time.one_day", "a", &"a".repeat(255)] {
            assert_eq!(check_pattern(right), Ok(()), "{right}");
        }
        let long = "a".repeat(256);
        for wrong in [
            "",
            ".",
            "time.",
            ".#",
            "time..passed",
            "time.#x",
            "two-*",
            "**",
            "time.##",
            "a b",
            "é",
            "a.\u{1b}",
            &long,
        ] {
            let refused = check_pattern(wrong).unwrap_err();
            assert!(!refused.to_string().contains('\u{1b}') && refused.to_string().len() < 300, "{refused}");
        }
    }

    #[test]
    fn a_pattern_that_no_events_name_can_match_is_refused() {
        let wide = format!("#.{}", "a".repeat(251));
        for right in ["#", "#.#", "time.#", "time.#.passed", "*.*.*", "a.b.c", "#.x", &wide] {
            assert_eq!(check_event_pattern(right), Ok(()), "{right}");
        }
        for (wrong, reason) in [
            ("time.*", "three or more words"),
            ("*", "three or more words"),
            ("Time.#", "'T' is not allowed"),
            ("time.one_day.passed", "'_' is not allowed"),
            ("time.-a.#", "hyphen"),
            ("", "not a name or pattern"),
            (&*format!("#.{}", "a".repeat(252)), "at most 255 bytes"),
        ] {
            let refused = check_event_pattern(wrong).unwrap_err().to_string();
            assert!(refused.contains(reason), "{refused}");
        }
    }
}
