//! `khronos coverage`: who handles what, and who is silent.

use super::{
    Globals,
    error::{CliError, finish},
    exit::Exit,
    output,
    reach::ClockArgs,
    source::ClockSource,
};
use ponos_observer::{Coverage, write_coverage};
use serde::Deserialize;
use serde_json::Value;
use std::{io, process::ExitCode};

/// Shows who handles which event, how much of it and how fast, who is silent, and which events reach nobody.
///
/// Asks a clock that listens to what services report ([reports] in its configuration).
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    clock: ClockArgs,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(globals: &Globals, args: Args) -> ExitCode {
    finish(show(globals, args))
}

async fn show(globals: &Globals, args: Args) -> Result<Exit, CliError> {
    let client = match args.clock.reach(globals).await? {
        ClockSource::Running(client) => client,
        stopped @ ClockSource::Stopped(_) => {
            stopped.close().await?;
            let what = "the clock does not run: what services report is known to a running one alone";
            return Err(CliError::Usage(what.to_owned()));
        }
    };
    let answer: Value = client.get("/v1/coverage").await?;
    output::print(|out| {
        if args.json {
            return writeln!(out, "{answer}");
        }
        write_coverage(out, &Coverage::deserialize(&answer).map_err(io::Error::other)?)
    })?;
    Ok(Exit::Done)
}
