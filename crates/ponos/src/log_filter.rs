//! Checks log filters as people write them: `info`, or `warn,ponos=debug`. Pure.
//!
//! The usual parsers take an unknown word for the name of a module, and silence everything else: `warning` would hide all
//! warnings.

/// Why a text is not a valid log filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilterError {
    /// The part that is wrong.
    pub what: String,
    /// What to write instead.
    pub help: String,
}

const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// Other programs' words for these levels.
const OTHERS: [(&str, &str); 18] = [
    ("all", "trace"),
    ("alert", "error"),
    ("crit", "error"),
    ("critical", "error"),
    ("emerg", "error"),
    ("err", "error"),
    ("fatal", "error"),
    ("fine", "debug"),
    ("finest", "trace"),
    ("information", "info"),
    ("informational", "info"),
    ("none", "off"),
    ("notice", "info"),
    ("quiet", "error"),
    ("severe", "error"),
    ("silent", "off"),
    ("verbose", "debug"),
    ("warning", "warn"),
];

/// Checks a comma-separated list of levels and `module=level`; returns it without spaces around its parts.
///
/// # Errors
/// [`LogFilterError`] for the first part that is neither, with the word that was probably meant.
pub fn checked(text: &str) -> Result<String, LogFilterError> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    parts.iter().try_for_each(|part| match part.split_once('=') {
        None => level(part),
        Some((module, word)) if is_module(module) => level(word),
        Some((module, _)) => Err(LogFilterError {
            what: format!("'{module}' is not a module"),
            help: "write module=level, as in ponos::worker=debug".into(),
        }),
    })?;
    Ok(parts.join(","))
}

fn level(word: &str) -> Result<(), LogFilterError> {
    let lower = word.to_ascii_lowercase();
    if LEVELS.contains(&lower.as_str()) {
        return Ok(());
    }
    let meant = OTHERS.iter().find(|(other, _)| *other == lower).map(|(_, level)| *level);
    // a beginning, or an end too much: "inf", "warns"
    let near = || {
        LEVELS
            .into_iter()
            .find(|level| lower.len() > 1 && (level.starts_with(&lower) || lower.starts_with(level)))
    };
    let help = match meant.or_else(near) {
        Some(level) => format!("write {level}"),
        None if is_module(word) => {
            format!("levels are {}; of one module alone: {word}=debug", LEVELS.join(", "))
        }
        None => format!("levels are {}", LEVELS.join(", ")),
    };
    Err(LogFilterError { what: format!("'{word}' is not a log level"), help })
}

fn is_module(text: &str) -> bool {
    let name =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    text.split("::").all(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_alone_and_of_modules_are_right() {
        for text in ["info", "WARN", "off", "warn,ponos=debug", "info, khronos::service=trace,lapin=off"] {
            assert_eq!(checked(text), Ok(text.replace(' ', "")), "{text}");
        }
    }

    #[test]
    fn another_word_is_refused_with_the_right_one() {
        for (text, help) in [
            ("warning", "write warn"),
            ("Warning", "write warn"),
            ("verbose", "write debug"),
            ("fatal", "write error"),
            ("inf", "write info"),
            ("infos", "write info"),
            ("ponos=warning", "write warn"),
            ("info,verbose", "write debug"),
            ("", "levels are error"),
            ("info,", "levels are error"),
            ("ponos", "ponos=debug"),
            ("loud", "levels are error"),
            ("7", "levels are error"),
            ("a b=info", "module=level"),
            ("worker[span]=info", "module=level"),
        ] {
            let wrong = checked(text).expect_err(text);
            assert!(wrong.help.contains(help), "{text}: {wrong:?}");
        }
    }
}
