//! `khronos next`.

use super::Globals;
use std::process::ExitCode;

/// Shows the next occurrences.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_globals: &Globals, _args: Args) -> ExitCode {
    ExitCode::FAILURE
}
