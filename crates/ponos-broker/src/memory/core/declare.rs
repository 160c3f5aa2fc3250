//! Declaring a topology: what exists must be the same, what is named must exist.

use super::{
    BrokerState,
    exchange::ExchangeState,
    queue::StoredQueue,
    settings::{COMPARED, QueueSettings},
};
use crate::{LinkError, LinkErrorClass};
use ponos_event::topology::{Binding, Destination, Exchange, Queue, Topology};
use ponos_event::{HeaderValue, Headers};
use std::fmt::Display;

impl BrokerState {
    /// Declares `topology` for `connection`; gives the name made up for its queue without one. A binding to the queue
    /// "" means that one. What was declared before an error stays, as in RabbitMQ.
    ///
    /// # Errors
    /// The first thing that exists otherwise (406), does not exist (404), belongs to another (405), or is one too many.
    pub(crate) fn declare(
        &mut self,
        connection: u64,
        topology: &Topology,
    ) -> Result<Option<String>, LinkError> {
        if topology.passive {
            return self.find_all(topology, true).map(|()| None);
        }
        for exchange in &topology.exchanges {
            self.declare_exchange(exchange)?;
        }
        let mut made_up = None;
        for queue in &topology.queues {
            let mut queue = queue.clone();
            if queue.name.is_empty() {
                queue.name = format!("amq.gen-{}", self.next_id());
                made_up = Some(queue.name.clone());
                self.add_queue(connection, queue)?;
            } else {
                self.declare_queue(connection, queue)?;
            }
        }
        for binding in &topology.bindings {
            self.bind(connection, binding, made_up.as_deref())?;
        }
        if self.queues.values().any(|queue| !queue.undelivered.is_empty()) {
            // now they may have somewhere to go
            self.wake_by(Some(0));
        }
        Ok(made_up)
    }

    /// As the other adapter compares: bindings, which can't be looked for, are there again after it unless the topology is
    /// passive.
    ///
    /// # Errors
    /// What is missing, or not as declared.
    pub(crate) fn compare(&mut self, connection: u64, topology: &Topology) -> Result<(), LinkError> {
        let lasting = topology.lasting();
        self.find_all(&lasting, topology.passive)?;
        self.declare(connection, &lasting).map(drop)
    }

    /// Sees that all exchanges and queues exist, and changes nothing.
    fn find_all(&self, topology: &Topology, passive: bool) -> Result<(), LinkError> {
        for Exchange { name, .. } in &topology.exchanges {
            self.exchanges.get(name).ok_or_else(|| LinkError::missing("exchange", name, passive))?;
        }
        for Queue { name, .. } in &topology.queues {
            if name.is_empty() {
                return Err(LinkError::nameless());
            }
            self.queues.get(name).ok_or_else(|| LinkError::missing("queue", name, passive))?;
        }
        Ok(())
    }

    fn declare_exchange(&mut self, wanted: &Exchange) -> Result<(), LinkError> {
        let name = &wanted.name;
        if let Some(ExchangeState { declared, .. }) = self.exchanges.get(name) {
            let thing = format!("exchange '{name}'");
            same(&thing, "type", kind(wanted), kind(declared))?;
            same(&thing, "durable", wanted.durable, declared.durable)?;
            return same_argument(&thing, "alternate-exchange", &wanted.arguments, &declared.arguments);
        }
        reserved(name, "exchange")?;
        room(self.exchanges.len(), self.limits.exchanges, "exchanges")?;
        self.exchanges.insert(name.clone(), ExchangeState::new(wanted.clone()));
        Ok(())
    }

    fn declare_queue(&mut self, connection: u64, wanted: Queue) -> Result<(), LinkError> {
        let Some(StoredQueue { declared, owner, .. }) = self.queues.get(&wanted.name) else {
            if !wanted.name.starts_with(REPLY_ADDRESSES) {
                reserved(&wanted.name, "queue")?;
            }
            return self.add_queue(connection, wanted);
        };
        owned(&wanted.name, *owner, connection)?;
        let thing = format!("queue '{}'", wanted.name);
        same(&thing, "durable", wanted.durable, declared.durable)?;
        same(&thing, "exclusive", wanted.exclusive, declared.exclusive)?;
        same(&thing, "auto_delete", wanted.auto_delete, declared.auto_delete)?;
        COMPARED
            .iter()
            .try_for_each(|name| same_argument(&thing, name, &wanted.arguments, &declared.arguments))
    }

    fn add_queue(&mut self, connection: u64, queue: Queue) -> Result<(), LinkError> {
        let settings = QueueSettings::parse(&queue)?;
        room(self.queues.len(), self.limits.queues, "queues")?;
        let owner = queue.exclusive.then_some(connection);
        self.queues.insert(queue.name.clone(), StoredQueue::new(queue, settings, owner));
        Ok(())
    }

    /// Whether there was such a binding.
    pub(crate) fn unbind(&mut self, binding: &Binding) -> bool {
        let Some(source) = self.exchanges.get_mut(&binding.source) else { return false };
        let before = source.bindings.len();
        source.bindings.retain(|(key, to)| (key, to) != (&binding.routing_key, &binding.destination));
        source.bindings.len() < before
    }

    fn bind(&mut self, connection: u64, binding: &Binding, made_up: Option<&str>) -> Result<(), LinkError> {
        let destination = match &binding.destination {
            Destination::Queue(name) => {
                let name = if name.is_empty() { made_up.unwrap_or_default() } else { name };
                let queue = self.queues.get(name).ok_or_else(|| not_found("queue", name))?;
                owned(name, queue.owner, connection)?;
                Destination::Queue(name.to_owned())
            }
            Destination::Exchange(name) if self.exchanges.contains_key(name) => {
                Destination::Exchange(name.clone())
            }
            Destination::Exchange(name) => return Err(not_found("exchange", name)),
        };
        let most = self.limits.bindings_per_exchange;
        let source = self.exchanges.get_mut(&binding.source);
        let source = source.ok_or_else(|| not_found("exchange", &binding.source))?;
        let entry = (binding.routing_key.clone(), destination);
        if !source.bindings.contains(&entry) {
            room(source.bindings.len(), most, "bindings of one exchange")?;
            source.bindings.push(entry);
        }
        Ok(())
    }
}

/// 404.
pub(super) fn not_found(what: &str, name: &str) -> LinkError {
    LinkError {
        class: LinkErrorClass::Missing,
        what: format!("there is no {what} '{name}' (404)"),
        remedy: format!("declare the {what} first"),
    }
}

/// 405.
pub(super) fn owned(queue: &str, owner: Option<u64>, connection: u64) -> Result<(), LinkError> {
    match owner {
        Some(other) if other != connection => Err(LinkError {
            class: LinkErrorClass::Forbidden,
            what: format!("queue '{queue}' is exclusive to another connection (405)"),
            remedy: "use another name, or a queue that is not exclusive".into(),
        }),
        _ => Ok(()),
    }
}

/// The twin's requesters name their queues so, as RabbitMQ names the addresses of direct replies.
const REPLY_ADDRESSES: &str = "amq.rabbitmq.reply-to.";

fn reserved(name: &str, what: &str) -> Result<(), LinkError> {
    if name.starts_with("amq.") || name.is_empty() {
        return Err(LinkError {
            class: LinkErrorClass::Forbidden,
            what: format!("the {what} name '{name}' is reserved for the broker (403)"),
            remedy: "use a name that is not empty and does not begin with 'amq.'".into(),
        });
    }
    Ok(())
}

fn room(held: usize, most: usize, what: &str) -> Result<(), LinkError> {
    if held < most {
        return Ok(());
    }
    Err(LinkError {
        class: LinkErrorClass::Configuration,
        what: format!("the in-memory broker holds {most} {what} at most"),
        remedy: "raise its BrokerLimits, or declare fewer".into(),
    })
}

fn same<T: PartialEq + Display>(thing: &str, name: &str, received: T, current: T) -> Result<(), LinkError> {
    if received == current {
        return Ok(());
    }
    Err(LinkError::inequivalent(thing, name, &received.to_string(), &current.to_string()))
}

fn same_argument(thing: &str, name: &str, received: &Headers, current: &Headers) -> Result<(), LinkError> {
    same(thing, name, argument_text(name, received), argument_text(name, current))
}

fn argument_text(name: &str, arguments: &Headers) -> String {
    match arguments.get(name) {
        // left out means classic
        None if name == "x-queue-type" => "classic".into(),
        None | Some(HeaderValue::Null) => "none".into(),
        Some(HeaderValue::Text(text)) => text.clone(),
        Some(HeaderValue::Int(number)) => number.to_string(),
        Some(HeaderValue::Bool(truth)) => truth.to_string(),
        Some(other) => format!("{other:?}"),
    }
}

fn kind(exchange: &Exchange) -> String {
    format!("{:?}", exchange.kind).to_ascii_lowercase()
}
