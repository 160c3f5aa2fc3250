//! TOML taken apart, within bounds: a parser that recovers keeps an error for every byte that is wrong.

use super::{Diagnostics, Text};
use crate::FaultCode;
use toml::{
    Spanned,
    de::{DeTable, Error},
};
use toml_parser::Source;

/// Pieces (words, marks, line ends) of one text; the parser keeps 48 bytes of each. A text of 16 MiB in the usual form has
/// no more.
const MOST_PIECES: usize = 9_000_000;
/// How far behind the first error further ones are looked for.
const FURTHER: usize = 64 << 10;

/// The text as a table; `None` if it is no TOML: what is wrong is added to `faults`.
pub fn toml_table<'a>(text: &Text<'a>, faults: &mut Diagnostics) -> Option<Spanned<DeTable<'a>>> {
    let whole = text.as_str();
    if let Some(piece) = Source::new(whole).lex().nth(MOST_PIECES) {
        let at = piece.span().start();
        let what = format!("this file has more than {MOST_PIECES} words and marks");
        let fault = text.error(at..at, what).code(FaultCode::TooLarge);
        faults.push(fault.help("spread it over several files"));
        return None;
    }
    let first = match DeTable::parse(whole) {
        Ok(table) => return Some(table),
        Err(first) => first,
    };
    let end = end(whole, &first);
    let looked_at = whole.get(..end).unwrap_or(whole);
    let (_, mut errors) = DeTable::parse_recoverable(looked_at);
    // What is wrong with the end alone is that it is one.
    errors.retain(|error| end == whole.len() || error.span().is_none_or(|span| span.end < end));
    if errors.is_empty() {
        errors.push(first);
    }
    for error in &errors {
        let reason = error.message().lines().next().unwrap_or("syntax error");
        let fault = text.error(error.span().unwrap_or(0..0), format!("this is not valid TOML: {reason}"));
        faults.push(fault.code(FaultCode::Syntax));
    }
    None
}

/// Up to where errors are looked for: the end of a line.
fn end(text: &str, first: &Error) -> usize {
    let from = first.span().map_or(0, |span| span.end).saturating_add(FURTHER);
    let rest = (from..text.len()).find(|at| text.as_bytes().get(*at) == Some(&b'\n'));
    rest.map_or(text.len(), |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Diagnostics {
        let mut faults = Diagnostics::default();
        assert!(toml_table(&Text::new("a.toml", text), &mut faults).is_none());
        faults
    }

    #[test]
    fn a_text_that_is_right_is_a_table() {
        let mut faults = Diagnostics::default();
        let table = toml_table(&Text::new("a.toml", "a = 1\n[b]\nc = \"d\"\n"), &mut faults).unwrap();
        assert_eq!((table.get_ref().len(), faults.errors()), (2, 0));
    }

    #[test]
    fn each_error_is_told_of_with_its_place() {
        let found = faults("a = 1\nb 2\nc = 3\nd = = 4\n");
        let lines: Vec<_> = found.list().iter().map(|fault| fault.line).collect();
        assert!(lines.contains(&Some(2)) && lines.contains(&Some(4)), "{found}");
    }

    #[test]
    fn errors_are_looked_for_behind_the_first_one_and_not_to_the_end_of_a_large_file() {
        let right = "a = 1\n[[b]]\n".repeat(20_000);
        let found = faults(&format!("{right}wrong\n{}", "wrong\n".repeat(1_000_000)));
        assert!(found.errors() > 1 && found.errors() <= FURTHER, "{}: {}", found.errors(), found.list()[0]);
        assert!(found.list().len() <= Diagnostics::MOST);
        assert!(found.to_string().contains(" more"));
    }

    #[test]
    fn a_text_of_nothing_but_marks_is_refused_before_it_is_parsed() {
        let found = faults(&"[".repeat(16 << 20));
        assert_eq!(found.errors(), 1);
        assert!(found.to_string().contains("more than 9000000 words and marks"), "{found}");
    }
}
