//! Standard output and error. A reader that goes away (`khronos next | head`) ends the output and is no error.

use super::exit::Exit;
use crate::telemetry;
use ponos::{
    redact::redact,
    terminal::{Cleaned, block, line, message, styled},
};
use std::{
    io::{self, BufWriter, ErrorKind, Write},
    process::ExitCode,
};

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

/// Writes a message to standard error, cleaned for a terminal and without passwords; when nobody can read that, there is nobody to tell.
pub(super) fn complain(text: &str) {
    complain_styled(&message(text));
}

/// The same as it is: with colours, and only with texts that were cleaned.
pub(super) fn complain_styled(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", redact(text));
}

/// Says what clap has to say of these arguments: that they are wrong (it repeats them), or the help that was asked for.
pub(super) fn told_by_clap<Arguments: clap::Parser>(said: &clap::Error) -> ExitCode {
    if !said.use_stderr() {
        // A reader that is gone needs no help.
        let _ = said.print();
        return ExitCode::SUCCESS;
    }
    // Parsed again as they may be shown: then all that a terminal would obey is clap's own.
    let words = std::env::args_os().map(|word| line(&redact(&word.to_string_lossy())).into_owned());
    let parsed = Arguments::try_parse_from(words);
    // Where they are right as they may be shown, what was said is cleaned as it is.
    let said = parsed.as_ref().err().filter(|shown| shown.use_stderr()).unwrap_or(said).render();
    let text = match telemetry::colours(&io::stderr()) {
        true => styled(&said.ansi().to_string()),
        false => block(&said.to_string()).into_owned(),
    };
    complain_styled(text.trim_end());
    Exit::Usage.into()
}

/// One JSON object a line.
pub(super) fn lines<T: serde::Serialize>(out: &mut dyn Write, items: &[T]) -> io::Result<()> {
    for item in items {
        serde_json::to_writer(&mut *out, item)?;
        writeln!(out)?;
    }
    Ok(())
}
