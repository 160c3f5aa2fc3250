//! `khronos run`.

use super::Globals;
use std::process::ExitCode;

/// Runs the clock.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_globals: &Globals, _args: Args) -> ExitCode {
    ExitCode::FAILURE
}
