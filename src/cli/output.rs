//! Standard output and error, with the exit codes of what can't be written.

use super::exit::Exit;
use ponos::output;
pub(super) use ponos::output::{complain, complain_styled, report_clap_error};
use std::io::{self, Write};

/// Writes to standard output, buffered, and cleaned for a terminal.
///
/// # Errors
/// The exit code when it can't be written (a full disk); that was said on standard error then.
pub(super) fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Exit> {
    ended(output::print(write))
}

/// The same as it is: with colours, and only with texts that were cleaned.
pub(super) fn print_styled(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Exit> {
    ended(output::print_styled(write))
}

fn ended(printed: io::Result<bool>) -> Result<(), Exit> {
    printed.map(drop).map_err(|error| {
        complain(&format!("error: standard output can't be written: {error}"));
        Exit::InputOutput
    })
}

/// One JSON object a line.
pub(super) fn lines<T: serde::Serialize>(out: &mut dyn Write, items: &[T]) -> io::Result<()> {
    for item in items {
        serde_json::to_writer(&mut *out, item)?;
        writeln!(out)?;
    }
    Ok(())
}
