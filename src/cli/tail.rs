//! `khronos tail`.

use super::Globals;
use std::process::ExitCode;

/// Prints events as they arrive.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_globals: &Globals, _args: Args) -> ExitCode {
    ExitCode::FAILURE
}
