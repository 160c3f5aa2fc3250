//! AsyncAPI 3.0: what an application sends and receives, as one document for people, for generators of code and for checks.
//!
//! A [`Document`] is filled operation by operation, and [`Document::to_json`] writes it. A channel is an event's name or pattern on
//! a topic exchange, or a queue of tasks; its messages are CloudEvents in binary mode, whose data follow a JSON Schema. Only what
//! this project knows is modelled. What AsyncAPI has no words for stands in `x-owners` (of a channel) and `x-queue` (of an
//! operation: through which queue it receives).
//!
//! Invariant: what is written refers to nothing outside itself, and holds no password. Absent: files, and comparing two documents.

mod channel;
mod headers;
mod references;

pub use channel::{Address, Channel};
pub use references::{Unwritable, for_each_reference};

use crate::topology::worker::dead_letters;
use channel::{MessageDraft, id};
use references::embedded;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The version of the bindings for AMQP 0-9-1.
const BINDING: &str = "0.3.0";
/// Under which name the schema of the headers stands.
const HEADERS: &str = "cloudevents-headers";
/// What tells the schema of what is sent from another one that the application has for the same name when it receives it.
const SENT: &str = "sent";

/// What an application sends and receives.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Whose it is, for people: `The service 'shop'`.
    pub title: String,
    /// The version of the application, as it counts them; `1.0.0` until it is set.
    pub version: String,
    /// What it is for.
    pub description: Option<String>,
    /// The brokers by which it is reached; none if that is nobody's business.
    pub servers: Vec<Server>,
    channels: BTreeMap<String, Channel>,
    operations: BTreeMap<String, Operation>,
    schemas: BTreeMap<String, Value>,
}

/// A broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// `rabbit.example:5671`.
    pub host: String,
    /// Whether it is reached by TLS.
    pub is_tls: bool,
    /// The vhost.
    pub vhost: String,
}

/// The schema of a message's data.
#[derive(Debug, Clone, Copy)]
pub struct Payload<'a> {
    /// Under which name it stands in the document: that of the event, pattern or task, or another such one. Another schema under the
    /// same name gets another one.
    pub name: &'a str,
    /// A JSON Schema that contains all that it refers to.
    pub schema: &'a Value,
}

#[derive(Debug, Clone, PartialEq)]
struct Operation {
    is_send: bool,
    channel: String,
    message: String,
    /// By which it receives.
    queue: Option<String>,
}

impl Document {
    /// Of an application that sends and receives nothing yet.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            version: "1.0.0".into(),
            description: None,
            servers: Vec::new(),
            channels: BTreeMap::new(),
            operations: BTreeMap::new(),
            schemas: BTreeMap::new(),
        }
    }

    /// The application sends such messages there. Again it changes nothing. Returns the channel.
    ///
    /// # Errors
    /// [`Unwritable`]: the schema can't stand in such a document.
    pub fn send(&mut self, address: Address<'_>, payload: Payload<'_>) -> Result<&mut Channel, Unwritable> {
        self.operate(address, payload, None)
    }

    /// The application receives such messages from there, through this queue. Again it changes nothing. Returns the channel.
    ///
    /// # Errors
    /// As [`Document::send`].
    pub fn receive(
        &mut self,
        address: Address<'_>,
        payload: Payload<'_>,
        queue: &str,
    ) -> Result<&mut Channel, Unwritable> {
        self.operate(address, payload, Some(queue))
    }

    fn operate(
        &mut self,
        address: Address<'_>,
        payload: Payload<'_>,
        queue: Option<&str>,
    ) -> Result<&mut Channel, Unwritable> {
        // what tells it from others of the same name
        let by = queue.map_or_else(|| SENT.to_owned(), id);
        let schema = self.schema(payload, &by)?;
        let channel_id = address.id();
        let channel = self.channels.entry(channel_id.clone()).or_insert_with(|| Channel::new(address));
        let draft = MessageDraft::new(address, schema, payload.schema);
        let message = channel.message(&channel_id, draft, &by);
        let operation = match queue {
            Some(_) => format!("receive_{by}_{channel_id}"),
            None => format!("send_{channel_id}"),
        };
        let queue = queue.map(str::to_owned);
        let is_send = queue.is_none();
        self.operations.insert(operation, Operation { is_send, channel: channel_id, message, queue });
        Ok(channel)
    }

    /// The name under which the schema stands.
    fn schema(&mut self, Payload { name, schema }: Payload<'_>, by: &str) -> Result<String, Unwritable> {
        let name = id(name);
        for name in [name.clone(), format!("{name}_{by}")] {
            let written = embedded(schema, &name)?;
            if *self.schemas.entry(name.clone()).or_insert_with(|| written.clone()) == written {
                return Ok(name);
            }
        }
        Err(Unwritable { name, reason: "it was given other schemas before".into() })
    }

    /// The document, as JSON.
    pub fn to_json(&self) -> Value {
        let mut info = json!({ "title": self.title, "version": self.version });
        if let Some(description) = &self.description {
            info["description"] = description.as_str().into();
        }
        let vhost = self.servers.first().map(|server| server.vhost.as_str());
        let servers: Map<String, Value> =
            self.servers.iter().enumerate().map(|(at, server)| (server_id(at), server.to_json())).collect();
        let channels: Map<String, Value> =
            self.channels.iter().map(|(id, channel)| (id.clone(), channel.to_json(vhost))).collect();
        let operations: Map<String, Value> =
            self.operations.iter().map(|(id, operation)| (id.clone(), operation.to_json())).collect();
        let messages: Map<String, Value> = self.channels.values().flat_map(Channel::messages).collect();
        let mut schemas: Map<String, Value> =
            self.schemas.iter().map(|(name, schema)| (name.clone(), schema.clone())).collect();
        if !messages.is_empty() {
            schemas.insert(HEADERS.into(), headers::schema());
        }
        let mut document =
            json!({ "asyncapi": "3.0.0", "info": info, "defaultContentType": "application/json" });
        if !servers.is_empty() {
            document["servers"] = servers.into();
        }
        document["channels"] = channels.into();
        document["operations"] = operations.into();
        document["components"] = json!({ "messages": messages, "schemas": schemas });
        document
    }
}

fn server_id(at: usize) -> String {
    if at == 0 { "broker".into() } else { format!("broker-{}", at + 1) }
}

impl Server {
    fn to_json(&self) -> Value {
        let protocol = if self.is_tls { "amqps" } else { "amqp" };
        json!({
            "host": self.host,
            "protocol": protocol,
            "protocolVersion": "0.9.1",
            "description": format!("RabbitMQ, vhost {}", self.vhost),
        })
    }
}

impl Operation {
    fn to_json(&self) -> Value {
        let Self { is_send, channel, message, queue } = self;
        let mut operation = json!({
            "action": if *is_send { "send" } else { "receive" },
            "channel": { "$ref": format!("#/channels/{channel}") },
            "messages": [{ "$ref": format!("#/channels/{channel}/messages/{message}") }],
        });
        operation["bindings"] = match is_send {
            true => json!({ "amqp": { "deliveryMode": 2, "bindingVersion": BINDING } }),
            false => json!({ "amqp": { "ack": true, "bindingVersion": BINDING } }),
        };
        if let Some(queue) = queue {
            operation["x-queue"] = json!({ "name": queue, "deadLetters": dead_letters(queue) });
        }
        operation
    }
}

#[cfg(test)]
mod tests;
