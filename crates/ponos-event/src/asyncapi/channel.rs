//! A channel: what goes over one address, and whose it is.

use super::{BINDING, HEADERS};
use crate::{Event, HeaderValue};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The most examples of one message.
const MOST_EXAMPLES: usize = 3;

/// Where messages are published, and how they are found there.
#[derive(Debug, Clone, Copy)]
pub enum Address<'a> {
    /// Events of this name or topic pattern, on this topic exchange.
    Event {
        /// The exchange.
        exchange: &'a str,
        /// The routing key, or a pattern of it.
        pattern: &'a str,
    },
    /// Tasks of this name, which wait in this queue.
    Task {
        /// The queue, which is the routing key too.
        queue: &'a str,
        /// The task's name.
        name: &'a str,
    },
}

/// What goes over one address.
#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    /// For people.
    pub description: Option<String>,
    /// Who is asked before it is changed.
    pub owners: BTreeSet<String>,
    /// What it is found by: `team:billing`.
    pub labels: BTreeSet<String>,
    address: String,
    /// A topic exchange; none for a queue.
    exchange: Option<String>,
    messages: BTreeMap<String, MessageDraft>,
}

/// A message of a channel.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct MessageDraft {
    /// The event's name or pattern, or the task's name.
    name: String,
    /// Under which its schema stands in the document.
    schema: String,
    /// What the schema says of itself.
    title: Option<String>,
    summary: Option<String>,
    examples: Vec<Value>,
}

impl Address<'_> {
    /// The name of its channel.
    pub(super) fn id(self) -> String {
        id(match self {
            Self::Event { pattern, .. } => pattern,
            Self::Task { queue, .. } => queue,
        })
    }
}

/// A name, pattern or queue as a name in the document. They are words of `a-z`, digits and hyphens, so that what stands for a
/// wildcard is no word.
pub(super) fn id(text: &str) -> String {
    let word = |word| match word {
        "*" => "_",
        "#" => "__",
        word => word,
    };
    text.split('.').map(word).collect::<Vec<_>>().join(".")
}

impl Channel {
    pub(super) fn new(address: Address<'_>) -> Self {
        let (address, exchange, description) = match address {
            Address::Event { exchange, pattern } => (pattern, Some(exchange.to_owned()), None),
            Address::Task { queue, name } => {
                let what = format!(
                    "Tasks '{name}', published to the exchange 'tasks' with the queue's name as the routing key."
                );
                (queue, None, Some(what))
            }
        };
        Self {
            description,
            owners: BTreeSet::new(),
            labels: BTreeSet::new(),
            address: address.to_owned(),
            exchange,
            messages: BTreeMap::new(),
        }
    }

    /// Adds a message under this name, or with `otherwise` behind it where another one has the name. Returns its name.
    pub(super) fn message(&mut self, id: &str, draft: MessageDraft, otherwise: &str) -> String {
        let is_other = |known: &MessageDraft| known.schema != draft.schema;
        let id = match self.messages.get(id).is_some_and(is_other) {
            true => format!("{id}_{otherwise}"),
            false => id.to_owned(),
        };
        self.messages.entry(id.clone()).or_insert(draft);
        id
    }

    /// Adds an event as an example of the channel's first message, under this name. Of one message three are kept.
    pub fn example(&mut self, name: &str, event: &Event) {
        let Some(message) = self.messages.values_mut().next() else { return };
        let headers = event.to_message().headers;
        let texts = headers.iter().filter_map(|(header, value)| match value {
            HeaderValue::Text(text) => Some((header.to_owned(), Value::from(text.as_str()))),
            _ => None,
        });
        let data: Value = serde_json::from_slice(&event.data).unwrap_or_default();
        let headers: Map<String, Value> = texts.collect();
        message.push(json!({ "name": name, "headers": headers, "payload": data }));
    }

    pub(super) fn to_json(&self, vhost: Option<&str>) -> Value {
        let messages: Map<String, Value> = self
            .messages
            .keys()
            .map(|id| (id.clone(), json!({ "$ref": format!("#/components/messages/{id}") })))
            .collect();
        let mut channel = json!({ "address": self.address });
        if let Some(description) = &self.description {
            channel["description"] = description.as_str().into();
        }
        channel["messages"] = messages.into();
        if !self.labels.is_empty() {
            channel["tags"] = self.labels.iter().map(|label| json!({ "name": label })).collect();
        }
        if !self.owners.is_empty() {
            channel["x-owners"] = self.owners.iter().map(String::as_str).collect();
        }
        let mut place = match &self.exchange {
            Some(exchange) => {
                json!({ "name": exchange, "type": "topic", "durable": true, "autoDelete": false })
            }
            None => {
                json!({ "name": self.address, "durable": true, "exclusive": false, "autoDelete": false })
            }
        };
        if let Some(vhost) = vhost {
            place["vhost"] = vhost.into();
        }
        let binding = match self.exchange {
            Some(_) => json!({ "is": "routingKey", "exchange": place, "bindingVersion": BINDING }),
            None => json!({ "is": "queue", "queue": place, "bindingVersion": BINDING }),
        };
        channel["bindings"] = json!({ "amqp": binding });
        channel
    }

    /// Its messages by their names.
    pub(super) fn messages(&self) -> impl Iterator<Item = (String, Value)> {
        self.messages.iter().map(|(id, message)| (id.clone(), message.to_json()))
    }
}

impl MessageDraft {
    /// Of what is sent there; `schema` is the name of its schema, and `says` the schema as it was given.
    pub(super) fn new(address: Address<'_>, schema: String, says: &Value) -> Self {
        let (Address::Event { pattern: name, .. } | Address::Task { name, .. }) = address;
        let text = |key: &str| says.get(key).and_then(Value::as_str).map(str::to_owned);
        let examples = says.get("examples").and_then(Value::as_array).into_iter().flatten();
        let mut draft = Self {
            name: name.to_owned(),
            schema,
            title: text("title"),
            summary: text("description"),
            examples: Vec::new(),
        };
        examples.for_each(|payload| draft.push(json!({ "payload": payload })));
        draft
    }

    fn push(&mut self, example: Value) {
        if self.examples.len() < MOST_EXAMPLES {
            self.examples.push(example);
        }
    }

    fn to_json(&self) -> Value {
        let mut message = json!({ "name": self.name });
        for (key, text) in [("title", &self.title), ("summary", &self.summary)] {
            if let Some(text) = text {
                message[key] = text.as_str().into();
            }
        }
        message["contentType"] = "application/json".into();
        message["headers"] = json!({ "$ref": format!("#/components/schemas/{HEADERS}") });
        message["correlationId"] = json!({ "location": "$message.header#/cloudEvents_correlationid" });
        message["payload"] = json!({ "$ref": format!("#/components/schemas/{}", self.schema) });
        if !self.name.contains(['*', '#']) {
            message["bindings"] = json!({ "amqp": { "messageType": self.name, "bindingVersion": BINDING } });
        }
        if !self.examples.is_empty() {
            message["examples"] = self.examples.iter().cloned().collect();
        }
        message
    }
}
