//! Diagnostics as people see them (the line, with a caret) and as JSON lines.

use super::{exit::Exit, output::complain_styled};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Severity, Text},
    schedule::Fault,
    telemetry,
};
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use ponos::terminal;
use std::io::{self, Write};

/// Draws all of them.
pub(super) fn draw(out: &mut dyn Write, diagnostics: &Diagnostics, colours: bool) -> io::Result<()> {
    let renderer = if colours { Renderer::styled() } else { Renderer::plain() };
    for diagnostic in diagnostics.list() {
        writeln!(out, "{}\n", renderer.render(&[group(&cleaned(diagnostic))]))?;
    }
    match diagnostics.left_out() {
        0 => Ok(()),
        more => writeln!(out, "… and {more} more\n"),
    }
}

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

/// Nothing is left in it that a terminal would obey; the caret stays where it points to.
fn cleaned(diagnostic: &Diagnostic) -> Diagnostic {
    let (mut source_line, mut underline) = (diagnostic.source_line.clone(), diagnostic.underline.clone());
    if let Some(line) = &diagnostic.source_line {
        let part = |range| line.get(range).map(terminal::block).unwrap_or_default();
        let before = part(0..underline.start);
        let marked = part(underline.clone());
        let after = part(underline.end..line.len());
        underline = before.len()..before.len() + marked.len();
        source_line = Some([before, marked, after].concat());
    }
    Diagnostic {
        file: diagnostic.file.as_deref().map(|file| terminal::line(file).into()),
        message: terminal::line(&diagnostic.message).into_owned(),
        help: diagnostic.help.as_deref().map(|help| terminal::line(help).into_owned()),
        source_line,
        underline,
        ..diagnostic.clone()
    }
}

fn group(diagnostic: &Diagnostic) -> Group<'_> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diagnostic.message.as_str());
    let group = match (&diagnostic.file, &diagnostic.source_line, diagnostic.line) {
        (Some(file), Some(source), Some(line)) => {
            let annotation = AnnotationKind::Primary.span(diagnostic.underline.clone());
            let snippet =
                Snippet::source(source.as_str()).path(&**file).line_start(line).annotation(annotation);
            title.element(snippet)
        }
        (Some(file), _, line) => {
            let origin = Origin::path(&**file);
            title.element(match (line, diagnostic.column) {
                (Some(line), Some(column)) => origin.line(line).char_column(column),
                _ => origin,
            })
        }
        (None, Some(source), _) => {
            let annotation = AnnotationKind::Primary.span(diagnostic.underline.clone());
            title.element(Snippet::source(source.as_str()).line_numbering(false).annotation(annotation))
        }
        (None, None, _) => Group::with_title(title),
    };
    match &diagnostic.help {
        Some(help) => group.element(Level::HELP.message(help.as_str())),
        None => group,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
