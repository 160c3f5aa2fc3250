//! `ponos pause`, `resume`, `limit`, `cancel` and `control list`: what is said of queues and messages by hand, in the stream
//! `ponos.control`.

mod cancel;
mod limit;
mod list;
mod pause;

pub(crate) use cancel::Args as CancelArgs;
pub(crate) use limit::Args as LimitArgs;
pub(crate) use pause::{PauseArgs, ResumeArgs};

use crate::{connection::Options, exit::Exit, trouble::Trouble};
use ponos::{
    Client,
    client::{ClientError, ControlClient, ControlError},
};
use std::time::Duration;

/// Shows what is said of queues. What each is for stands with its arguments.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    List(list::Args),
}

pub(crate) async fn run(options: &Options, verb: Verb) -> Result<Exit, Trouble> {
    match verb {
        Verb::List(args) => list::run(options, args).await,
    }
}

pub(crate) async fn pause(options: &Options, args: PauseArgs) -> Result<Exit, Trouble> {
    pause::pause(options, args).await
}

pub(crate) async fn resume(options: &Options, args: ResumeArgs) -> Result<Exit, Trouble> {
    pause::resume(options, args).await
}

pub(crate) async fn limit(options: &Options, args: LimitArgs) -> Result<Exit, Trouble> {
    limit::run(options, args).await
}

pub(crate) async fn cancel(options: &Options, args: CancelArgs) -> Result<Exit, Trouble> {
    cancel::run(options, args).await
}

/// How long it holds where nothing is said.
const DAY: &str = "24h";

/// How long: at most 30 days.
fn span(text: &str) -> Result<Duration, String> {
    let span = crate::span::positive(text)?;
    let longest = ponos::client::LONGEST_CONTROL;
    if span <= longest { Ok(span) } else { Err("that is too long; 30 days (30d) is the maximum".into()) }
}

/// Says something, and goes.
async fn say<T>(
    options: &Options,
    by: Option<&str>,
    what: impl AsyncFnOnce(&ControlClient) -> Result<T, ControlError>,
) -> Result<T, Trouble> {
    let transport = options.transport("ponos control").await?;
    let client = Client::connect_on(transport, "ponos").await.map_err(|error| trouble(error.into()))?;
    let by = by.map_or_else(crate::dead::user_and_host, str::to_owned);
    let said = what(&client.control().by(by)).await;
    // whatever comes of it: it was said, or it was not
    let _ = client.close().await;
    said.map_err(trouble)
}

fn trouble(error: ControlError) -> Trouble {
    match error {
        ControlError::Broker(error) | ControlError::Client(ClientError::Broker(error)) => {
            Trouble::Link(error)
        }
        ControlError::Invalid(why) => Trouble::usage(why),
        ControlError::NoQueue(_) | ControlError::Full | ControlError::Client(ClientError::Refused { .. }) => {
            Trouble::findings(error.to_string())
        }
        _ => Trouble::lost(error.to_string()),
    }
}
