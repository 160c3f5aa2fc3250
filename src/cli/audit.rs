//! `khronos audit`.

use super::Globals;
use std::process::ExitCode;

/// Compares the record with the arithmetic.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_globals: &Globals, _args: Args) -> ExitCode {
    ExitCode::FAILURE
}
