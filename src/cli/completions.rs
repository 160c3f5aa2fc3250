//! `khronos completions`.

use super::{Cli, Globals, exit::Exit, output};
use clap::CommandFactory;
use std::process::ExitCode;

/// Prints a shell's completion script.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Whose, as in: khronos completions bash > /etc/bash_completion.d/khronos
    shell: clap_complete::Shell,
}

pub(super) fn run(_globals: &Globals, args: Args) -> ExitCode {
    // Into memory first: clap_complete panics when a write fails.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "khronos", &mut script);
    output::print(|out| out.write_all(&script)).err().unwrap_or(Exit::Done).into()
}
