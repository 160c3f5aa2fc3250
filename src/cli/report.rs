//! Diagnostics as people see them (the line, with a caret) and as JSON lines.

use super::{exit::Exit, output::complain_styled};
use crate::{
    diagnostic::{Diagnostics, Text},
    schedule::Fault,
    telemetry,
};
pub(super) use ponos_toml::draw;
use std::io;

/// Draws all of them on standard error, for a verb that can't go on.
pub(super) fn to_stderr(diagnostics: &Diagnostics) {
    let mut text = Vec::new();
    if draw(&mut text, diagnostics, telemetry::colours(&io::stderr())).is_ok() {
        complain_styled(String::from_utf8_lossy(&text).trim_end());
    }
}

/// Shows what is wrong with a flag's value, with a caret where that is known.
pub(super) fn refuse(flag: &str, value: &str, fault: &Fault) -> Exit {
    let at = fault.at.clone().unwrap_or(0..value.len());
    let diagnostic = Text::new(flag, value).error(at, format!("{flag}: {}", fault.what));
    to_stderr(&diagnostic.maybe_help(fault.help.clone()).into());
    Exit::Usage
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Diagnostic;
    use testkit::{HOSTILE, assert_harmless};

    #[test]
    fn with_colours_nothing_but_the_colours_is_obeyed_and_the_caret_stays() {
        let source = "a\u{1b}[31m\u{9b}\u{202e} = wrong";
        let at = source.find("wrong").unwrap();
        let mut all = Diagnostics::default();
        all.push(Text::new(HOSTILE, source).error(at..at + 5, HOSTILE).help(HOSTILE));
        all.push(Diagnostic::error(HOSTILE).in_file(HOSTILE));
        let drawn = |colours| {
            let mut out = Vec::new();
            draw(&mut out, &all, colours).unwrap();
            String::from_utf8(out).unwrap()
        };
        let plain = drawn(false);
        assert_harmless("a diagnostic", &plain);
        let lines: Vec<&str> = plain.lines().collect();
        let shown = lines.iter().position(|line| line.ends_with("= wrong")).unwrap();
        let (line, carets) = (lines[shown], lines[shown + 1]);
        assert_eq!(line.find("wrong"), carets.find("^^^^^"), "{plain}");
        // each colour is ESC [ digits and semicolons m
        let coloured = drawn(true);
        let bare: Vec<&str> = coloured
            .split('\u{1b}')
            .map(|part| {
                part.strip_prefix('[').and_then(|part| part.split_once('m')).map_or(part, |(_, rest)| rest)
            })
            .collect();
        assert_eq!(bare.concat(), plain);
    }
}
