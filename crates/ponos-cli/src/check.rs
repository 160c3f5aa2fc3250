//! `ponos check`: every fault of a `ponos.toml`, all at once, each with its place.

use crate::{
    config::{self, Config},
    exit::Exit,
    output,
    trouble::Trouble,
};
use ponos_toml::diagnostic::counted;
use std::path::PathBuf;

/// Checks a file ponos.toml, with the contracts that it names, without touching the broker.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The file; ponos.toml in this folder if left out
    #[arg(value_name = "FILE", env = config::VARIABLE, hide_env_values = true)]
    file: Option<PathBuf>,
    /// One JSON object a line for each finding: severity, code, file, line, column, message, help, source_line
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Trouble> {
    let (config, found) = match Config::read(args.file.as_deref()) {
        Ok(read) => read,
        Err(trouble) if args.json => (Config::default(), config::unreadable(&trouble)),
        Err(trouble) => return Err(trouble),
    };
    if args.json {
        output::print(|out| {
            found.list().iter().try_for_each(|one| {
                serde_json::to_writer(&mut *out, one)?;
                writeln!(out)
            })
        })?;
    } else {
        let queues = counted(config.described.queues.len(), "queue");
        output::print_findings(&found, || {
            format!("the service '{}' with {queues} is valid", config.described.service)
        })?;
    }
    Ok(if found.errors() > 0 { Exit::Findings } else { Exit::Done })
}
