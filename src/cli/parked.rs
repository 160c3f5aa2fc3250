//! `khronos parked`.

use super::Globals;
use std::process::ExitCode;

/// Lists, releases or drops parked events.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_globals: &Globals, _args: Args) -> ExitCode {
    ExitCode::FAILURE
}
