//! `khronos health`: one look at a running clock, as a probe. For places where nothing else could ask: the image that
//! `Dockerfile` builds has no shell tools.

use super::{
    Globals,
    error::{CliError, finish},
    exit::Exit,
    output,
    reach::{CredentialArgs, named_clock},
};
use crate::{
    config::{Config, StorePath},
    http::client::{Client, ClientError, Target},
    ops::PauseView,
};
use serde::Deserialize;
use serde_json::Value;
use std::{process::ExitCode, time::Duration};

/// How long to wait for the answer; asking more often than this tells nothing more.
const ANSWER: Duration = Duration::from_secs(5);

/// Asks a running clock whether it is well; ends with 1 if not, or if none answers.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Whether events go out (/readyz), and not only whether the clock's loop turns (/healthz)
    #[arg(long)]
    ready: bool,
    /// The clock, such as http://127.0.0.1:7650; without it and --config the one in KHRONOS_URL, else the one at the
    /// configured address
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The whole answer, as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    shown: CredentialArgs,
}

pub(super) fn run(globals: &Globals, args: Args) -> ExitCode {
    finish(ask(globals, args))
}

async fn ask(globals: &Globals, args: Args) -> Result<Exit, CliError> {
    let client = match named_clock(globals, args.url.as_deref())? {
        Some(target) => args.shown.client(target)?,
        None => configured(&globals.load(Vec::new())?, &args.shown)?,
    };
    let (path, well) = if args.ready { ("/readyz", "ready") } else { ("/healthz", "alive") };
    let answer = tokio::time::timeout(ANSWER, client.get::<Value>(path)).await.unwrap_or_else(|_| {
        let what = format!("no answer within {} s", ANSWER.as_secs());
        Err(ClientError::Broken { target: client.target().clone(), what })
    });
    match answer {
        Ok(answer) => {
            let paused = PauseView::deserialize(&answer["paused"]).ok();
            output::print(|out| match paused {
                _ if args.json => writeln!(out, "{answer}"),
                Some(pause) => writeln!(out, "{well}, and {pause}"),
                None => writeln!(out, "{well}"),
            })?;
            Ok(Exit::Done)
        }
        Err(error) => {
            output::complain(&format!("not {well}: {error}"));
            Ok(Exit::Findings)
        }
    }
}

/// The clock where it serves HTTP; by its control socket without HTTP, and where HTTP is encrypted: the authority of its
/// certificate may be unknown here.
fn configured(config: &Config, shown: &CredentialArgs) -> Result<Client, CliError> {
    let by_socket = !config.http.enabled || config.http.tls.is_some();
    match &config.store.path {
        StorePath::Folder(folder) if by_socket => Ok(Client::new(Target::of_store(folder))),
        _ => shown.web_client(config),
    }
}
