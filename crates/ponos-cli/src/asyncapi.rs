//! `ponos asyncapi`: what a service sends and receives, as an AsyncAPI document.

use crate::{
    connection::Options, contracts::Contracts, described::unfit, exit::Exit, output, streams::Streams,
    trouble::Trouble,
};
use ponos::{
    asyncapi,
    worker::{Outcome, Policy},
};
use std::path::PathBuf;

/// Prints what a service takes and publishes as an AsyncAPI 3.0 document.
///
/// One channel for each event, pattern and task, with the schemas of payloads, and the queues by which they are taken. The broker is
/// not asked; its hosts stand in the document where a URL is named, without user and password. ponos schema check compares two such
/// documents.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    streams: Streams,
    /// The schemas of what is taken: a file for all, or a folder with NAME.json for each name; instead of those of the file
    #[arg(long, value_name = "PATH", requires = "service", conflicts_with = "config")]
    schema: Option<PathBuf>,
    /// The version of the service, for those who read the document
    #[arg(long, value_name = "VERSION", default_value = "1.0.0")]
    service_version: String,
}

pub(crate) fn run(options: &Options, args: Args) -> Result<Exit, Trouble> {
    let contracts = args.schema.as_deref().map(Contracts::read).transpose()?;
    let config = args.streams.read(&Policy::default(), contracts.as_ref())?;
    let worker = config.described.worker(Clone::clone, |_, _| |_, _| async { Ok(Outcome::Done) });
    let mut document = worker.asyncapi().map_err(unfit)?;
    document.version = args.service_version;
    if let Some(url) = options.or(&config).named_url()? {
        document.servers = asyncapi::servers(&url);
    }
    let document = document.to_json();
    output::print(|out| writeln!(out, "{document:#}"))?;
    Ok(Exit::Done)
}
