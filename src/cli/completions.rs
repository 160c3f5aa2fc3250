//! `khronos completions`.

use super::Globals;
use std::process::ExitCode;

/// Prints a shell's completion script.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_globals: &Globals, _args: Args) -> ExitCode {
    ExitCode::FAILURE
}
