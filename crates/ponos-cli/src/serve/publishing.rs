//! What programs publish: checked against what the service declares, then held by a delivery, or sent at once.

use super::forms::{Published, Publishing, length};
use crate::{
    connection::Options,
    described::{Described, Takes},
    http::{
        RequestTrace,
        problem::{BodyFault, Problem},
    },
    trouble::Trouble,
};
use hyper::StatusCode;
use ponos::{
    Client,
    broker::Transport,
    client::{ClientError, ClockError, DelayedEvent},
    event::{EventName, Timestamp},
    schema::{Contract, Registry},
    traces::SHORT_BAGGAGE,
    worker::{Context, PublishError},
};
use serde_json::Value;
use std::time::Duration;
use tokio::{sync::OnceCell, time::timeout};

/// How long a message waits for the first connection, and for others that wait for it.
const CONNECTING: Duration = Duration::from_secs(15);
/// How many messages the outcome of a delivery may publish, as every handler.
const MOST: usize = 10_000;

/// What a service may publish, and its client, which connects when something is published outside of a delivery.
pub(super) struct Publisher {
    described: Described,
    pub(super) events: Registry,
    pub(super) tasks: Registry,
    transport: Transport,
    client: OnceCell<Client>,
}

/// When it is sent.
#[derive(Debug, Clone, Copy)]
enum Due {
    Now,
    At(Timestamp),
    In(Duration),
}

/// A message whose name and data are right.
pub(super) struct Checked<'a> {
    is_task: bool,
    name: &'a str,
    due: Due,
    of: &'a Publishing,
}

impl Publisher {
    /// Of that service, on that broker.
    pub(super) fn new(described: &Described, options: &Options) -> Result<Self, Trouble> {
        let config = options.config(&format!("ponos serve {}, publishing", described.service))?;
        Ok(Self::on(described, Transport::amqp(config)))
    }

    /// The same by way of this transport.
    pub(super) fn on(described: &Described, transport: Transport) -> Self {
        let handled = described.queues.iter().filter(|queue| queue.takes == Takes::Tasks);
        let tasks = registry(handled.flat_map(|queue| &queue.handlers).chain(&described.tasks));
        let (events, client) = (registry(&described.events), OnceCell::new());
        Self { described: described.clone(), events, tasks, transport, client }
    }

    /// Checks all that an outcome publishes.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(super) fn check<'a>(&self, publish: &'a [Publishing]) -> Result<Vec<Checked<'a>>, Vec<BodyFault>> {
        if publish.len() > MOST {
            return Err(vec![BodyFault::new("/publish", format!("it publishes more than {MOST} messages"))]);
        }
        let (mut checked, mut faults) = (Vec::with_capacity(publish.len()), Vec::new());
        for (at, one) in publish.iter().enumerate() {
            let pointer = format!("/publish/{at}");
            let derived =
                [("id", &one.id), ("subject", &one.subject), ("correlation_id", &one.correlation_id)];
            for (key, _) in derived.iter().filter(|(_, value)| value.is_some()) {
                faults.push(BodyFault::new(
                    format!("{pointer}/{key}"),
                    "what is published with a delivery has it from the delivery; leave it out",
                ));
            }
            match self.one(&pointer, one) {
                Ok(one) => checked.push(one),
                Err(wrong) => faults.extend(wrong),
            }
        }
        if faults.is_empty() { Ok(checked) } else { Err(faults) }
    }

    fn one<'a>(&self, pointer: &str, of: &'a Publishing) -> Result<Checked<'a>, Vec<BodyFault>> {
        let at = |key: &str| format!("{pointer}/{key}");
        let (is_task, name) = match (&of.event, &of.task) {
            (Some(name), None) => (false, name.as_str()),
            (None, Some(name)) => (true, name.as_str()),
            _ => return Err(vec![BodyFault::new(pointer, "it needs one of event and task")]),
        };
        let mut faults = Vec::new();
        let (key, registry) = if is_task { ("task", &self.tasks) } else { ("event", &self.events) };
        match if is_task { EventName::of_task(name) } else { name.parse() } {
            Err(why) => faults.push(BodyFault::new(at(key), format!("'{name}' is not a valid name: {why}"))),
            Ok(name) => match registry.get(&name) {
                Some(contract) => {
                    if let Err(mismatch) = contract.check(&of.data) {
                        faults.push(BodyFault::new(at("data"), mismatch.to_string()));
                    }
                }
                None => {
                    let why = registry.check(&name, &of.data).err();
                    let why = why.map(|why| why.to_string()).unwrap_or_default();
                    faults.push(BodyFault::new(at(key), why));
                }
            },
        }
        let due = match (&of.at, &of.delay) {
            (None, None) => Ok(Due::Now),
            (Some(when), None) => instant(&at("at"), when).map(Due::At),
            (None, Some(delay)) => {
                length(&at("in"), Some(delay)).map(|delay| Due::In(delay.unwrap_or_default()))
            }
            (Some(_), Some(_)) => Err(BodyFault::new(at("in"), "it has at already")),
        };
        match due {
            Ok(due) if faults.is_empty() => Ok(Checked { is_task, name, due, of }),
            Ok(_) => Err(faults),
            Err(fault) => {
                faults.push(fault);
                Err(faults)
            }
        }
    }

    /// Sends one message, and waits until the broker has it, or the clock has taken what is sent later.
    pub(super) async fn publish(&self, of: &Publishing, trace: &RequestTrace) -> Result<Published, Problem> {
        let checked = self.one("", of).map_err(Problem::of_body)?;
        let connecting = self.client.get_or_try_init(|| self.connect());
        let Ok(client) = timeout(CONNECTING, connecting).await else {
            let what = "there is no connection to the broker yet; nothing was sent";
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", what).again_in(1));
        };
        let client = client.map_err(|error| refused(&error))?;
        match checked.due {
            Due::Now => send(client, &checked, trace).await.map_err(|error| refused(&error)),
            Due::At(_) | Due::In(_) => put(client, &checked, trace).await,
        }
    }

    async fn connect(&self) -> Result<Client, ClientError> {
        let any = || Contract::parse("true").ok();
        let mut connect = Client::connect_on(self.transport.clone(), &self.described.service);
        for name in self.events.names() {
            if let Some(contract) = self.events.get(name).cloned().or_else(any) {
                connect = connect.publishes_under(name.as_str(), contract);
            }
        }
        for name in self.tasks.names() {
            if let Some(contract) = self.tasks.get(name).cloned().or_else(any) {
                connect = connect.sends_task_under(name.as_str(), contract);
            }
        }
        connect.await
    }

    /// Closes the client, if it was used.
    pub(super) async fn close(&self) {
        if let Some(client) = self.client.get() {
            // whatever comes of it: whoever published was answered
            let _ = client.close().await;
        }
    }
}

impl Checked<'_> {
    /// Has the delivery hold it until it is done.
    pub(super) fn hold(&self, context: &Context) -> Result<(), PublishError> {
        let (name, data) = (self.name, &self.of.data);
        macro_rules! hold {
            ($on:expr, $now:ident, $at:ident, $in:ident) => {
                match self.due {
                    Due::Now => $on.$now(name, data),
                    Due::At(when) => $on.$at(when, name, data),
                    Due::In(delay) => $on.$in(delay, name, data),
                }
            };
        }
        match (&self.of.key, self.is_task) {
            (None, false) => hold!(context, publish, publish_at, publish_in),
            (None, true) => hold!(context, task, task_at, task_in),
            (Some(key), false) => hold!(context.keyed(key), publish, publish_at, publish_in),
            (Some(key), true) => hold!(context.keyed(key), task, task_at, task_in),
        }
    }
}

/// The contracts by name; of one that has none, whatever it is told.
fn registry<'a>(of: impl IntoIterator<Item = &'a (String, Option<Contract>)>) -> Registry {
    of.into_iter().fold(Registry::new(), |registry, (name, contract)| {
        let contract = contract.clone().or_else(|| Contract::parse("true").ok());
        let more = contract.and_then(|contract| registry.clone().contract(name, contract).ok());
        // names that are wrong, or there twice, were refused with the whole
        more.unwrap_or(registry)
    })
}

fn instant(pointer: &str, text: &str) -> Result<Timestamp, BodyFault> {
    text.parse().map_err(|why| {
        BodyFault::new(pointer, format!("{why}; write an instant with its offset, as 2026-12-24T17:00:00Z"))
    })
}

async fn send(
    client: &Client,
    checked: &Checked<'_>,
    trace: &RequestTrace,
) -> Result<Published, ClientError> {
    let Checked { is_task, name, of, .. } = *checked;
    let mut message = if is_task { client.task(name, &of.data) } else { client.publish(name, &of.data) };
    if let Some(id) = &of.id {
        message = message.id(id);
    }
    if let Some(key) = &of.key {
        message = message.key(key);
    }
    if let Some(subject) = &of.subject {
        message = message.subject(subject);
    }
    if let Some(id) = &of.correlation_id {
        message = message.correlation(id);
    }
    if let Some(parent) = &trace.parent {
        message = message.trace(parent, trace.state.clone());
    }
    if let Some(baggage) = &trace.baggage {
        message = message.header("baggage", baggage.as_str());
    }
    let id = message.await?.to_string();
    Ok(Published { id: Some(id), ..Published::default() })
}

async fn put(client: &Client, checked: &Checked<'_>, trace: &RequestTrace) -> Result<Published, Problem> {
    let Checked { is_task, name, of, due } = *checked;
    if of.subject.is_some() {
        return Err(Problem::of_body(vec![BodyFault::new("/subject", "what the clock sends has its own")]));
    }
    let mut event =
        if is_task { DelayedEvent::task(name, &of.data) } else { DelayedEvent::event(name, &of.data) };
    event = match due {
        Due::At(when) => event.at(when),
        Due::In(delay) => event.after(delay),
        Due::Now => event,
    };
    if let Some(id) = &of.correlation_id {
        event = event.correlation(id);
    }
    // more of it would be beyond what the clock takes of headers
    if let Some(baggage) = trace.baggage.as_deref().filter(|text| text.len() <= SHORT_BAGGAGE) {
        event = event.header("baggage", baggage);
    }
    let mut command = client.clock().put_event(event);
    // under either the clock takes it once
    if let Some(id) = &of.id {
        command = command.id(id);
    } else if let Some(key) = &of.key {
        command = command.key(key);
    }
    if let Some(parent) = &trace.parent {
        command = command.trace(parent);
    }
    match command.await {
        Ok(put) => {
            Ok(Published { id: put.event_id.map(|id| id.to_string()), name: Some(put.name), due: put.due_at })
        }
        Err(error) => Err(not_put(&error)),
    }
}

/// A clock's error as an answer.
fn not_put(error: &ClockError) -> Problem {
    let (status, code) = match error {
        ClockError::Client(error) => return refused(error),
        // it may be done all the same
        ClockError::NoAnswer { .. } | ClockError::Unreadable { .. } => {
            (StatusCode::GATEWAY_TIMEOUT, "unconfirmed")
        }
        ClockError::Problem { problem, .. } if !problem.is_for_now() => {
            return Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "refused", error.to_string());
        }
        _ => (StatusCode::SERVICE_UNAVAILABLE, "no-clock"),
    };
    Problem::new(status, code, error.to_string()).again_in(1)
}

/// A client's error as an answer.
fn refused(error: &ClientError) -> Problem {
    let (status, code) = match error {
        ClientError::Attribute { .. } | ClientError::Unfit(_) => {
            (StatusCode::UNPROCESSABLE_ENTITY, "invalid")
        }
        ClientError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too-large"),
        ClientError::Full { .. } => (StatusCode::TOO_MANY_REQUESTS, "full"),
        ClientError::Unrouted { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "unrouted"),
        ClientError::Unconfirmed { .. } => (StatusCode::GATEWAY_TIMEOUT, "unconfirmed"),
        ClientError::Refused { .. } => (StatusCode::BAD_GATEWAY, "refused"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    let problem = Problem::new(status, code, error.to_string());
    match code {
        "full" | "unavailable" | "unconfirmed" => problem.again_in(1),
        _ => problem,
    }
}

/// The schemas of what a queue takes, by name or pattern.
pub(super) fn schemas(handlers: &[(String, Option<Contract>)]) -> Value {
    let schema =
        |contract: &Option<Contract>| contract.as_ref().map_or(Value::Bool(true), |one| one.schema().clone());
    Value::Object(handlers.iter().map(|(name, contract)| (name.clone(), schema(contract))).collect())
}
