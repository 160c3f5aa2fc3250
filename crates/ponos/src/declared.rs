//! What a service declares that it publishes, and the messages that it makes of that: the same for handlers and for
//! clients. Names are checked, data are held to their contracts.

use crate::{
    compression,
    event::{Event, EventId, EventName, InvalidName},
    inbox::{Due, Held},
    outgoing_head::OutgoingHooks,
    schema::{Contract, Registry, SchemaError},
    topology::worker::{EVENTS, TASKS},
    worker::{Context, PublishError},
};
use serde::Serialize;
use std::{collections::HashSet, ops::RangeInclusive, sync::Arc};
use uuid::Uuid;

/// Where a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageKind {
    Event,
    Task,
}

/// How urgent a message is among those that wait in its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Priority {
    /// As it comes: the message says no priority.
    #[default]
    Normal,
    /// Before those of normal priority that wait: the message has the priority 9. What a worker holds already is not
    /// overtaken. RabbitMQ before 4.0 takes no notice in the queues of workers; up to 4.2 two of high priority come to one that is
    /// not; from 4.3 on all of them come first.
    High,
}

impl Priority {
    /// The property of the message.
    pub(crate) fn property(self) -> Option<u8> {
        match self {
            Self::Normal => None,
            Self::High => Some(9),
        }
    }
}

/// A service, and what it may publish.
#[derive(Debug)]
pub(crate) struct Declared {
    /// The service's name, the first part of every queue.
    pub(crate) service: Arc<str>,
    /// CloudEvents `source` of what is published: `/<service>`.
    pub(crate) source: String,
    /// Events that may be published.
    pub(crate) events: Registry,
    /// Tasks that may be published.
    pub(crate) tasks: Registry,
    /// Bodies of these lengths are compressed, if any. What is longer than workers read stays as it is, and is refused for it.
    pub(crate) compress: Option<RangeInclusive<usize>>,
    /// What sees each of them before it goes out.
    pub(crate) hooks: OutgoingHooks,
}

/// A name and data that keep their contract.
#[derive(Debug, Clone)]
pub(crate) struct Checked {
    pub(crate) kind: MessageKind,
    pub(crate) name: EventName,
    pub(crate) body: Vec<u8>,
}

impl Declared {
    /// Checks a name and data against what is declared.
    pub(crate) fn check(
        &self,
        kind: MessageKind,
        name: &str,
        payload: &impl Serialize,
    ) -> Result<Checked, PublishError> {
        let name: EventName = match kind {
            MessageKind::Event => name.parse().map_err(|why| PublishError::Name(name.to_owned(), why))?,
            MessageKind::Task => {
                EventName::of_task(name).map_err(|why| PublishError::Task(name.to_owned(), why))?
            }
        };
        let unwritable = |why| PublishError::Payload(name.to_string(), why);
        let value = serde_json::to_value(payload).map_err(unwritable)?;
        let declared = if kind == MessageKind::Event { &self.events } else { &self.tasks };
        declared.check(&name, &value)?;
        let body = serde_json::to_vec(&value).map_err(unwritable)?;
        Ok(Checked { kind, name, body })
    }

    /// The queue of a task.
    pub(crate) fn queue(&self, name: &EventName) -> String {
        format!("{}.{name}", self.service)
    }

    /// An event of this kind as a message to its exchange, to be sent when it is due, once the hooks have seen it. What the clock is to
    /// keep is plain: it takes the event, not the message.
    pub(crate) fn held(
        &self,
        kind: MessageKind,
        mut event: Event,
        (due, context): (Option<Due>, Option<&Context>),
    ) -> Result<Held, PublishError> {
        self.hooks.run(kind, &mut event, context)?;
        let (id, queue) = (event.id.clone(), self.queue(&event.name));
        let mut message = event.into_message();
        if kind == MessageKind::Task {
            message.routing_key = queue;
        }
        let exchange = if kind == MessageKind::Event { EVENTS } else { TASKS };
        let is_worth_it = self.compress.as_ref().is_some_and(|sizes| sizes.contains(&message.body.len()));
        if is_worth_it && due.is_none() {
            compression::gzip(&mut message);
        }
        Ok(Held { id, exchange: Arc::from(exchange), message, due })
    }
}

/// The id of what is published under a key: UUIDv5 in the URL namespace of `ponos:SOURCE ⏎ NAME ⏎ KEY`. Published again under
/// that key it has the same id, and inboxes take it once.
pub fn keyed_id(source: &str, name: &EventName, key: &str) -> EventId {
    Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("ponos:{source}\n{name}\n{key}").as_bytes()).into()
}

/// A random id.
pub(crate) fn random_id() -> EventId {
    uuid::Builder::from_random_bytes(fastrand::u128(..).to_be_bytes()).into_uuid().into()
}

/// Whether a service may have this name: words of `a-z` and `0-9` joined by single hyphens, at most 63 bytes.
pub(crate) fn is_service(name: &str) -> bool {
    let word =
        |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    name.len() <= 63 && name.split('-').all(word)
}

/// Why a service's name is refused.
pub(crate) fn service_fault(name: &str) -> Option<String> {
    (!is_service(name)).then(|| {
        format!(
            "the service's name '{name}' is not words of a-z and 0-9 joined by single hyphens, at most 63 bytes"
        )
    })
}

/// What was declared, as it was written.
pub(crate) type Declarations = Vec<(String, Result<Contract, SchemaError>)>;

/// Builds the registries of events and of tasks. Faults of a name or schema that a handler (`handled`) has too were reported
/// before and are left out here.
pub(crate) fn registries(
    events: Declarations,
    tasks: Declarations,
    handled: &HashSet<String>,
    faults: &mut Vec<String>,
) -> (Registry, Registry) {
    let events = registry(("publishes", str::parse), events, &HashSet::new(), faults);
    let tasks = registry(("task", EventName::of_task), tasks, handled, faults);
    (events, tasks)
}

/// The rule for a name.
type Parse = fn(&str) -> Result<EventName, InvalidName>;

fn registry(
    (what, parse): (&str, Parse),
    declared: Declarations,
    handled: &HashSet<String>,
    faults: &mut Vec<String>,
) -> Registry {
    let mut registry = Registry::new();
    for (name, contract) in declared {
        let parsed = parse(&name);
        if handled.contains(&name) && (parsed.is_err() || contract.is_err()) {
            continue;
        }
        if let Err(why) = parsed {
            faults.push(format!("{what} '{name}': {why}"));
            continue;
        }
        match contract {
            Ok(contract) => match registry.clone().contract(&name, contract) {
                Ok(more) => registry = more,
                Err(why) => faults.push(format!("{what} '{name}': {why}")),
            },
            Err(why) => faults.push(format!("{what} '{name}': its schema can't be used: {why}")),
        }
    }
    registry
}
