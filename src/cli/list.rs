//! `khronos list`.

use super::Globals;
use std::process::ExitCode;

/// Lists the schedules as they run.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_globals: &Globals, _args: Args) -> ExitCode {
    ExitCode::FAILURE
}
