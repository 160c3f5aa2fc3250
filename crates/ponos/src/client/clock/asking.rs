//! One command and its answer: sent, and sent again under the same id while no answer comes.

use super::{ClockError, Problem};
use crate::{
    broker::{Link, PublishOutcome, RequestEnd, Requester},
    client::{ClientError, PAUSE, no_link},
    event::{Headers, Message, Properties},
};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// The exchange of commands.
const EXCHANGE: &str = "khronos.commands";
/// How long one of them is waited for before it is sent again.
const PATIENCE: Duration = Duration::from_secs(10);

/// A command.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) kind: &'static str,
    /// The same for the same command.
    pub(crate) id: String,
    pub(crate) body: Vec<u8>,
    pub(crate) traceparent: Option<String>,
}

/// What the clock answers.
#[derive(Debug, Deserialize)]
struct Answer {
    status: u16,
    #[serde(default)]
    body: Value,
    #[serde(default)]
    retry_after: Option<u64>,
}

/// Asks, for at most `limit`; returns the answer's body.
pub(crate) async fn ask(requester: &Requester, ask: &Ask, limit: Duration) -> Result<Value, ClockError> {
    let deadline = Instant::now() + limit;
    let mut unanswered: Option<&str> = None;
    let kind = ask.kind;
    loop {
        let mut link = requester.link();
        let up = link.wait_for(|link| matches!(link, Link::Up { .. } | Link::Closed));
        match timeout_at(deadline, up).await {
            Ok(Ok(link)) if matches!(*link, Link::Up { .. }) => {}
            Ok(_) => return Err(ClientError::Closed.into()),
            Err(_) => {
                let why = no_link(&requester.link().borrow());
                return Err(match unanswered {
                    None => ClientError::NoConnection { name: kind.to_owned(), limit, why }.into(),
                    Some(_) => ask.no_answer(limit, &why),
                });
            }
        }
        let patience = PATIENCE.min(deadline.saturating_duration_since(Instant::now()));
        unanswered = Some(match timeout(patience, requester.ask(EXCHANGE, ask.message())).await {
            Ok(Ok(RequestEnd::Answered(answer))) => return ask.read(&answer),
            Ok(Ok(RequestEnd::Unanswered(PublishOutcome::Lost))) => "the connection was lost",
            Ok(Ok(RequestEnd::Unanswered(outcome))) => {
                let refused = refused(kind, outcome);
                // what was sent before may be done all the same
                return Err(match unanswered {
                    None => refused,
                    Some(_) => ask.no_answer(limit, &refused.to_string()),
                });
            }
            Ok(Err(_)) => return Err(ClientError::Closed.into()),
            Err(_) => "the clock is away, or busy",
        });
        if Instant::now() + PAUSE >= deadline {
            return Err(ask.no_answer(limit, unanswered.unwrap_or_default()));
        }
        sleep(PAUSE).await;
    }
}

/// Why the broker did not take a command.
fn refused(kind: &'static str, outcome: PublishOutcome) -> ClockError {
    match outcome {
        PublishOutcome::Confirmed { .. } => {
            ClockError::NoClock { kind, why: format!("no queue is bound to the exchange '{EXCHANGE}'") }
        }
        PublishOutcome::Missing(why) => ClockError::NoClock { kind, why },
        PublishOutcome::Nacked => {
            let why = "the clock's queue is full, or its node is in trouble; try again later".into();
            ClockError::Refused { kind, why }
        }
        PublishOutcome::Refused(why) => ClockError::Refused { kind, why },
        PublishOutcome::Lost => ClockError::Refused { kind, why: "the connection was lost".into() },
    }
}

impl Ask {
    fn message(&self) -> Message {
        let mut headers = Headers::default();
        if let Some(parent) = &self.traceparent {
            headers.set("traceparent", parent.as_str());
        }
        let properties = Properties {
            content_type: Some("application/json".into()),
            persistent: true,
            message_id: Some(self.id.clone()),
            kind: Some(self.kind.to_owned()),
            ..Properties::default()
        };
        Message { routing_key: self.kind.to_owned(), properties, headers, body: self.body.clone() }
    }

    fn no_answer(&self, limit: Duration, why: &str) -> ClockError {
        ClockError::NoAnswer { kind: self.kind, id: self.id.clone(), limit, why: why.to_owned() }
    }

    fn read(&self, answer: &Message) -> Result<Value, ClockError> {
        let kind = self.kind;
        let unreadable = |why: serde_json::Error| ClockError::Unreadable { kind, why: why.to_string() };
        let Answer { status, body, retry_after } =
            serde_json::from_slice(&answer.body).map_err(unreadable)?;
        if status < 400 {
            return Ok(body);
        }
        let mut problem: Problem = serde_json::from_value(body).map_err(unreadable)?;
        problem.status = status;
        problem.retry_after = retry_after.map(Duration::from_secs);
        Err(ClockError::Problem { kind, problem: Box::new(problem) })
    }
}
