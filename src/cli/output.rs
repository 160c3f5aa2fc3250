//! Standard output and error. A reader that goes away (`khronos next | head`) ends the output and is no error.

use super::exit::Exit;
use ponos::terminal::{Cleaned, line, message};
use std::io::{self, BufWriter, ErrorKind, Write};

/// Writes to standard output, buffered, and cleaned for a terminal.
///
/// # Errors
/// The exit code when it can't be written (a full disk); that was said on standard error then.
pub(super) fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Exit> {
    print_styled(|out| write(&mut Cleaned::new(out)))
}

/// The same as it is: with colours, and only with texts that were cleaned.
pub(super) fn print_styled(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Exit> {
    let mut out = BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => {
            complain(&format!("error: standard output can't be written: {error}"));
            Err(Exit::InputOutput)
        }
    }
}

/// Writes a message to standard error, cleaned for a terminal; when nobody can read that, there is nobody to tell.
pub(super) fn complain(text: &str) {
    complain_styled(&message(text));
}

/// The same as it is: with colours, and only with texts that were cleaned.
pub(super) fn complain_styled(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Rows in columns, each as wide as its widest cell; the header is the first row.
pub(super) fn table(out: &mut dyn Write, rows: &[Vec<String>]) -> io::Result<()> {
    let rows: Vec<Vec<_>> = rows.iter().map(|row| row.iter().map(|cell| line(cell)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// One JSON object a line.
pub(super) fn lines<T: serde::Serialize>(out: &mut dyn Write, items: &[T]) -> io::Result<()> {
    for item in items {
        serde_json::to_writer(&mut *out, item)?;
        writeln!(out)?;
    }
    Ok(())
}
