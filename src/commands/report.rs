//! What is logged, counted and shown of commands.

use super::{answer::Answer, command::CommandKind, outbox::LONGEST};
use crate::{
    problem::Problem,
    telemetry::{CommandResult, EVENT_SPAN},
};
use ponos::{
    broker::Link,
    event::{Message, TraceParent},
};
use std::time::Duration;
use tokio::{sync::watch, time::Instant};
use tracing::{Span, debug, field::Empty, info, info_span, warn};

/// How an answered command is counted.
pub(super) fn result(answer: &Answer, problem: Option<&Problem>) -> CommandResult {
    match answer.status() {
        200..=299 => CommandResult::Done,
        _ if problem.is_some_and(Problem::is_of_the_request) => CommandResult::Invalid,
        429 => CommandResult::Limited,
        300..=499 => CommandResult::Refused,
        _ => CommandResult::Failed,
    }
}

/// A line of the log, in the trace of the command: of what was refused at a level that is seen, of what was read at none.
pub(super) fn log(message: &Message, kind: Option<CommandKind>, status: u16, problem: Option<&Problem>) {
    let properties = &message.properties;
    let user = properties.user_id.as_deref().unwrap_or("?");
    let id = properties.message_id.as_deref().unwrap_or("?");
    let kind = kind.map_or("unknown", CommandKind::word);
    span(message).in_scope(|| match problem {
        Some(problem) if status >= 500 => warn!(user, id, status, "{kind}: {}", problem.detail),
        Some(problem) => debug!(user, id, status, "{kind}: {}", problem.detail),
        None => debug!(user, id, status, "{kind}"),
    });
}

/// The span of a command's line, with the ids of the trace that it belongs to.
fn span(message: &Message) -> Span {
    let span = info_span!(target: EVENT_SPAN, "command", trace_id = Empty, span_id = Empty);
    if let Some(TraceParent { trace_id, parent_id, .. }) =
        message.headers.text("traceparent").and_then(TraceParent::parse)
    {
        span.record("trace_id", trace_id).record("span_id", parent_id);
    }
    span
}

/// What is wrong with the door, as `/readyz` shows it; the log says when that changes.
#[derive(Debug, Clone)]
pub(super) struct Warning {
    queue: String,
    shown: watch::Sender<Option<String>>,
}

impl Warning {
    pub(super) fn new(queue: &str, shown: watch::Sender<Option<String>>) -> Self {
        Self { queue: queue.to_owned(), shown }
    }

    /// How the door is: the connection by which commands come, the one by which answers go, and whether those are given up.
    pub(super) fn show(&self, taking: &Link, answering: &Link, gives_up: bool) {
        let limit = LONGEST.as_secs();
        let said = trouble(taking)
            .map(|why| format!("commands: nothing is taken from the queue '{}': {why}", self.queue))
            .or_else(|| {
                let why = trouble(answering)?;
                Some(format!("commands: answers can't be sent, and are dropped after {limit} s: {why}"))
            })
            .or_else(|| {
                gives_up.then(|| format!("commands: answers are dropped: the broker did not confirm the last one within {limit} s"))
            });
        self.say(said);
    }

    /// The door has ended, though nobody wanted that.
    pub(super) fn ended(&self, why: &str, wait: Duration) {
        self.say(Some(format!(
            "commands: nothing is taken from the queue '{}', for the door has ended; it is opened again within {} s: {why}",
            self.queue,
            wait.as_secs()
        )));
    }

    fn say(&self, said: Option<String>) {
        self.shown.send_if_modified(|shown| {
            let is_news = *shown != said;
            match &said {
                Some(said) if is_news => warn!("{said}"),
                None if is_news => info!("commands are taken from the queue '{}'", self.queue),
                _ => {}
            }
            shown.clone_from(&said);
            is_news
        });
    }
}

/// Why a connection is of no use at present.
fn trouble(link: &Link) -> Option<String> {
    match link {
        Link::Up { .. } => None,
        Link::Down { error: Some(error), .. } => Some(error.to_string()),
        Link::Down { error: None, .. } => Some("connecting".to_owned()),
        Link::Blocked { reason } => Some(format!("the broker accepts no messages ({reason})")),
        Link::Closed => Some("closed".to_owned()),
    }
}

/// How often the log says that messages of unknown users are passed over.
const SELDOM: Duration = Duration::from_secs(60);

/// Messages of unknown users that are passed over.
#[derive(Debug, Default)]
pub(super) struct PassedOver {
    said: Option<Instant>,
    since: u64,
}

impl PassedOver {
    /// One more was.
    pub(super) fn note(&mut self, message: &Message, now: Instant) {
        self.since += 1;
        if self.said.is_some_and(|said| now < said + SELDOM) {
            return;
        }
        let user = message.properties.user_id.as_deref().unwrap_or("?");
        warn!(
            user,
            messages = self.since,
            "users whom [[commands.users]] does not name send more commands than are answered; the others are dropped"
        );
        *self = Self { said: Some(now), since: 0 };
    }
}
