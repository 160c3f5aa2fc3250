//! Standard output and error of the programs. A reader that goes away (`ponos tail | head`) ends the output and is no
//! error.
//!
//! All is cleaned for a terminal ([`terminal`]), and what is said on standard error is without passwords ([`redact()`]).
//! Absent: exit codes, which each program has its own of.

use crate::{
    redact::redact,
    terminal::{self, Cleaned},
};
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};

/// Writes to standard output, buffered, and cleaned for a terminal. False: nobody reads it any more.
///
/// # Errors
/// It can't be written (a full disk).
pub fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<bool> {
    print_styled(|out| write(&mut Cleaned::new(out)))
}

/// The same as it is: with styles, and only with texts that were cleaned.
///
/// # Errors
/// It can't be written (a full disk).
pub fn print_styled(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<bool> {
    let mut out = BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

/// Writes a message to standard error; when nobody can read that, there is nobody to tell.
pub fn complain(text: &str) {
    complain_styled(&terminal::message(text));
}

/// The same as it is: with styles, and only with texts that were cleaned.
pub fn complain_styled(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", redact(text));
}

/// The program's arguments as they may be shown: what parses them says of these what is wrong, and all that a terminal would
/// obey is its own.
pub fn arguments() -> impl Iterator<Item = String> {
    std::env::args_os().map(|word| terminal::line(&redact(&word.to_string_lossy())).into_owned())
}

/// Says on standard error what is wrong with the arguments: `styled` where colours may be used, else `plain`.
pub fn complain_of_arguments(styled: &str, plain: &str) {
    let text = match colours(&io::stderr()) {
        true => terminal::styled(styled),
        false => terminal::block(plain).into_owned(),
    };
    complain_styled(text.trim_end());
}

/// Whether colours may be used on this stream: a terminal, and nobody asked for none (<https://no-color.org>).
pub fn colours(stream: &impl IsTerminal) -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    stream.is_terminal() && set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb")
}

/// Columns of a line on standard output, if that is a terminal: into a pipe, lines may have any length.
pub fn columns() -> Option<usize> {
    io::stdout().is_terminal().then(|| measured().or_else(told_columns)).flatten()
}

/// What `COLUMNS` says.
pub fn told_columns() -> Option<usize> {
    std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok())
}

#[cfg(unix)]
fn measured() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|&columns| columns > 0)
}

#[cfg(not(unix))]
fn measured() -> Option<usize> {
    None
}
