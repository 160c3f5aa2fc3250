//! `ponos pause` and `ponos resume`.

use super::{DAY, say, span};
use crate::{connection::Options, exit::Exit, output, trouble::Trouble};
use ponos::client::Until;
use serde_json::json;
use std::time::Duration;

/// Pauses a queue in all workers of its service, also in those that are started later.
///
/// What is begun ends; what a worker holds and has not begun goes back to the queue; nothing is lost, and messages go on arriving. The
/// pause ends by itself, or by ponos resume. Said again, the new end counts. Workers obey within milliseconds.
#[derive(Debug, clap::Args)]
pub(crate) struct PauseArgs {
    /// The queue, by its full name: SERVICE.NAME
    #[arg(value_name = "QUEUE")]
    queue: String,
    /// How long, at most 30 days
    #[arg(long = "for", value_name = "DURATION", default_value = DAY, value_parser = span)]
    span: Duration,
    /// Why, for people: stands in logs, health checks and ponos control list
    #[arg(long, value_name = "TEXT", default_value = "")]
    why: String,
    /// Who pauses it; USER@HOST if left out
    #[arg(long = "as", value_name = "NAME")]
    by: Option<String>,
    /// Prints a JSON object
    #[arg(long)]
    json: bool,
}

/// Ends the pause of a queue.
#[derive(Debug, clap::Args)]
pub(crate) struct ResumeArgs {
    /// The queue, by its full name: SERVICE.NAME
    #[arg(value_name = "QUEUE")]
    queue: String,
    /// Who ends it; USER@HOST if left out
    #[arg(long = "as", value_name = "NAME")]
    by: Option<String>,
}

pub(super) async fn pause(options: &Options, args: PauseArgs) -> Result<Exit, Trouble> {
    let PauseArgs { queue, span, why, by, json } = args;
    let until = Until::after(span).why(why);
    let end = say(options, by.as_deref(), async |control| control.pause(&queue, until).await).await?;
    output::print(|out| match json {
        true => writeln!(out, "{}", json!({ "queue": queue, "what": "pause", "until": end })),
        false => writeln!(out, "{} is paused until {end}", output::shortened(&queue, 255)),
    })?;
    Ok(Exit::Done)
}

pub(super) async fn resume(options: &Options, args: ResumeArgs) -> Result<Exit, Trouble> {
    let ResumeArgs { queue, by } = args;
    if !say(options, by.as_deref(), async |control| control.resume(&queue).await).await? {
        output::complain(&format!("note: {queue} was not paused"));
    }
    Ok(Exit::Done)
}
