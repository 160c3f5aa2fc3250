//! Diagnostics as people see them: the line, with a caret.

use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use ponos_event::terminal;
use std::io::{self, Write};

/// Draws all of them: each with its line and a caret below it.
///
/// # Errors
/// Those of the output.
pub fn draw(out: &mut dyn Write, diagnostics: &Diagnostics, colours: bool) -> io::Result<()> {
    let renderer = if colours { Renderer::styled() } else { Renderer::plain() };
    for diagnostic in diagnostics.list() {
        writeln!(out, "{}\n", renderer.render(&[group(&cleaned(diagnostic))]))?;
    }
    match diagnostics.left_out() {
        0 => Ok(()),
        more => writeln!(out, "… and {more} more\n"),
    }
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
