//! `ponos publish --at | --in`: the clock keeps the event until it is due.

use crate::{connection::Options, exit::Exit, output, span::duration, trouble::Trouble};
use ponos::{
    Client,
    client::{ClientError, ClockError, DelayedEvent, EventOutcome},
    event::{EventId, Timestamp},
};
use serde_json::{Value, json};
use std::time::Duration;

/// When, of an event that is not sent at once.
#[derive(Debug, Clone, clap::Args)]
#[group(multiple = false)]
pub(crate) struct When {
    /// Sent at this instant, such as 2026-12-24T17:00:00Z, by the clock 'khronos', which keeps it until then
    #[arg(long, value_name = "INSTANT", value_parser = instant, conflicts_with_all = APART)]
    at: Option<Timestamp>,
    /// Sent so long after the clock 'khronos' took it, such as 10m
    #[arg(long = "in", value_name = "DURATION", value_parser = duration, conflicts_with_all = APART)]
    delay: Option<Duration>,
}

/// What the clock says itself of what it sends.
const APART: [&str; 3] = ["source", "subject", "mandatory"];

/// An instant with its offset.
pub(crate) fn instant(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|why| format!("{why}; write an instant with its offset, as 2026-12-24T17:00:00Z"))
}

impl When {
    /// Whether it is sent later.
    pub(crate) fn is_later(&self) -> bool {
        self.at.is_some() || self.delay.is_some()
    }
}

/// What is to be put.
pub(crate) struct Put<'a> {
    pub(crate) when: &'a When,
    /// The event's or task's name.
    pub(crate) name: &'a str,
    pub(crate) payload: &'a Value,
    /// Of a task, its service.
    pub(crate) task: Option<&'a str>,
    /// The command's id: under it the clock takes it once.
    pub(crate) id: EventId,
    pub(crate) correlation_id: Option<&'a str>,
    pub(crate) json: bool,
}

pub(crate) async fn put(options: &Options, put: Put<'_>) -> Result<Exit, Trouble> {
    let Put { when, name, payload, task, id, correlation_id, json } = put;
    let transport = options.transport("ponos publish").await?;
    let connect = Client::connect_on(transport, task.unwrap_or("ponos"));
    let (connect, mut event) = match task {
        Some(_) => (connect.sends_task::<Value>(name), DelayedEvent::task(name, payload)),
        None => (connect.publishes::<Value>(name), DelayedEvent::event(name, payload)),
    };
    event = match (when.at, when.delay) {
        (Some(at), _) => event.at(at),
        (None, delay) => event.after(delay.unwrap_or_default()),
    };
    if let Some(id) = correlation_id {
        event = event.correlation(id);
    }
    let client = connect.await.map_err(|error| trouble(error.into()))?;
    let put = client.clock().put_event(event).id(id.as_str()).await;
    // whatever comes of it: the answer is there, or it is not
    let _ = client.close().await;
    let EventOutcome { name, outcome, due_at, event_id, .. } = put.map_err(trouble)?;
    if json {
        let report = json!({ "command": id.as_str(), "name": name, "outcome": outcome, "due_at": due_at, "event_id": event_id });
        output::print(|out| writeln!(out, "{report}"))?;
    } else {
        let due = due_at.map(|due| format!(" {due}")).unwrap_or_default();
        output::print(|out| writeln!(out, "{name}{due}"))?;
    }
    Ok(Exit::Done)
}

fn trouble(error: ClockError) -> Trouble {
    match error {
        ClockError::Client(ClientError::Broker(error)) => Trouble::Link(error),
        ClockError::Client(ClientError::Invalid(_) | ClientError::Unfit(_)) => {
            Trouble::usage(error.to_string())
        }
        ClockError::Problem { ref problem, .. } if !problem.is_for_now() => {
            Trouble::findings(error.to_string())
        }
        ClockError::NoClock { .. } => Trouble::findings(error.to_string()),
        _ => Trouble::lost(error.to_string()),
    }
}
