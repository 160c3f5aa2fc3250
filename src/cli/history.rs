//! `khronos history`.

use super::Globals;
use std::process::ExitCode;

/// Shows how occurrences ended.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_globals: &Globals, _args: Args) -> ExitCode {
    ExitCode::FAILURE
}
