//! `ponos coverage`: who handles what, and who is silent.

use crate::{
    ask::{self, Asked},
    exit::Exit,
    output,
    trouble::Trouble,
};
use ponos_observer::{Coverage, write_coverage};

/// Shows who handles which event, how much of it and how fast, who is silent, and which events reach nobody.
///
/// Asks an observer (ponos observe), which knows what services report.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    asked: Asked,
    /// Prints the answer as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args) -> Result<Exit, Trouble> {
    let body = args.asked.get("/v1/coverage").await?.map_err(Trouble::lost)?;
    if args.json {
        let value: serde_json::Value = ask::read(&body)?;
        output::print(|out| writeln!(out, "{value:#}"))?;
        return Ok(Exit::Done);
    }
    let coverage: Coverage = ask::read(&body)?;
    output::print(|out| write_coverage(out, &coverage))?;
    Ok(Exit::Done)
}
