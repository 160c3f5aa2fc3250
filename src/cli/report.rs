//! Diagnostics as people see them (the line, with a caret) and as JSON lines.

use super::{exit::Exit, output::complain};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Severity, Text},
    schedule::Fault,
    telemetry,
};
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use std::io::{self, Write};

/// Draws all of them.
pub(super) fn draw(out: &mut dyn Write, diagnostics: &Diagnostics, colours: bool) -> io::Result<()> {
    let renderer = if colours { Renderer::styled() } else { Renderer::plain() };
    for diagnostic in diagnostics.list() {
        writeln!(out, "{}\n", renderer.render(&[group(diagnostic)]))?;
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
        complain(String::from_utf8_lossy(&text).trim_end());
    }
}

/// Shows what is wrong with a flag's value, with a caret where that is known.
pub(super) fn refuse(flag: &str, value: &str, fault: &Fault) -> Exit {
    let at = fault.at.clone().unwrap_or(0..value.len());
    let diagnostic = Text::new(flag, value).error(at, format!("{flag}: {}", fault.what));
    to_stderr(&diagnostic.maybe_help(fault.help.clone()).into());
    Exit::Usage
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
