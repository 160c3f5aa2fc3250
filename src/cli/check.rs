//! `khronos check`.

use super::Globals;
use std::process::ExitCode;

/// Checks the configuration and all schedules.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_globals: &Globals, _args: Args) -> ExitCode {
    ExitCode::FAILURE
}
