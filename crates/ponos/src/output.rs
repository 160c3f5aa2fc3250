//! Standard output and error of the programs. A reader that goes away (`ponos tail | head`) ends the output; that is not
//! an error.
//!
//! All is cleaned for a terminal ([`terminal`]), and what is said on standard error is without passwords ([`redact()`]).

use crate::{
    redact::redact,
    terminal::{self, Cleaned},
};
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};

/// Writes to standard output, buffered and cleaned for a terminal. Returns false once nobody reads it any more.
///
/// # Errors
/// It can't be written (a full disk).
pub fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<bool> {
    print_styled(|out| write(&mut Cleaned::new(out)))
}

/// As [`print()`], without cleaning: the texts may have styles, and must have been cleaned before.
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

/// Writes a message to standard error. A failure is ignored, because there is no other place to report it.
pub fn complain(text: &str) {
    complain_styled(&terminal::message(text));
}

/// As [`complain`], without cleaning: the text may have styles, and must have been cleaned before.
pub fn complain_styled(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", redact(text));
}

/// Reports what clap says about the arguments, and ends with the right code: an error, or the help that was asked for.
///
/// An error may repeat an argument, with a password or escapes in it. So the cleaned arguments are parsed, for the error
/// that repeats those; if they are right once cleaned, the first error is cleaned itself.
#[cfg(feature = "clap")]
pub fn report_clap_error<Arguments: clap::Parser>(error: &clap::Error) -> std::process::ExitCode {
    if !error.use_stderr() {
        // a reader that is gone needs no help
        let _ = error.print();
        return crate::exit::Exit::Done.into();
    }
    let clean = |word: std::ffi::OsString| terminal::line(&redact(&word.to_string_lossy())).into_owned();
    let parsed = Arguments::try_parse_from(std::env::args_os().map(clean));
    let text = parsed.as_ref().err().filter(|cleaned| cleaned.use_stderr()).unwrap_or(error).render();
    let text = match colours(&io::stderr()) {
        true => terminal::styled(&text.ansi().to_string()),
        false => terminal::block(&text.to_string()).into_owned(),
    };
    complain_styled(text.trim_end());
    crate::exit::Exit::Usage.into()
}

/// Whether colours may be used on this stream: it is a terminal, and `NO_COLOR` is not set (<https://no-color.org>).
pub fn colours(stream: &impl IsTerminal) -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    stream.is_terminal() && set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb")
}

/// The width of standard output in columns, if it is a terminal; into a pipe, lines may have any length.
pub fn columns() -> Option<usize> {
    io::stdout().is_terminal().then(|| measured().or_else(columns_variable)).flatten()
}

/// The value of `COLUMNS`.
pub fn columns_variable() -> Option<usize> {
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
