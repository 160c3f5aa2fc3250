//! A topology as a RabbitMQ definitions file, for an administrator: `rabbitmqctl import_definitions FILE`.

use super::{Destination, Document, ExchangeKind, Topology};
use crate::{HeaderValue, Headers};
use serde_json::{Map, Value, json};

/// The document `{"exchanges": […], "queues": […], "bindings": […]}` for that vhost, with `permissions` and `topic_permissions`
/// where there are any. Importing it twice changes nothing; objects that exist with other arguments stay unchanged, without an
/// error. A user who has permissions in it must exist.
pub(super) fn document(document: &Document<'_>) -> Value {
    let (topology, vhost) = (document.listed(), document.vhost);
    let exchanges = topology.exchanges.iter().map(|exchange| {
        json!({
            "name": exchange.name,
            "vhost": vhost,
            "type": kind(exchange.kind),
            "durable": exchange.durable,
            "auto_delete": false,
            "internal": false,
            "arguments": arguments(&exchange.arguments),
        })
    });
    let queues = topology.queues.iter().map(|queue| {
        json!({
            "name": queue.name,
            "vhost": vhost,
            "durable": queue.durable,
            "auto_delete": queue.auto_delete,
            "arguments": arguments(&queue.arguments),
        })
    });
    let bindings = topology.bindings.iter().map(|binding| {
        let (destination, kind) = destination(&binding.destination);
        json!({
            "source": binding.source,
            "vhost": vhost,
            "destination": destination,
            "destination_type": kind,
            "routing_key": binding.routing_key,
            "arguments": {},
        })
    });
    let mut definitions = json!({
        "exchanges": exchanges.collect::<Vec<_>>(),
        "queues": queues.collect::<Vec<_>>(),
        "bindings": bindings.collect::<Vec<_>>(),
    });
    if let Some(permissions) = document.permissions {
        let user = &permissions.user;
        let topics = permissions.topics.iter().map(|topic| {
            let (exchange, write, read) = (&topic.exchange, &topic.write, &topic.read);
            json!({ "user": user, "vhost": vhost, "exchange": exchange, "write": write, "read": read })
        });
        definitions["permissions"] = json!([{
            "user": user,
            "vhost": vhost,
            "configure": permissions.configure,
            "write": permissions.write,
            "read": permissions.read,
        }]);
        definitions["topic_permissions"] = topics.collect();
    }
    definitions
}

/// [`Document::definitions`] of a topology alone.
pub fn definitions(topology: &Topology, vhost: &str) -> Value {
    Document { topology, vhost, permissions: None }.definitions()
}

pub(super) fn kind(kind: ExchangeKind) -> &'static str {
    match kind {
        ExchangeKind::Topic => "topic",
        ExchangeKind::Direct => "direct",
        ExchangeKind::Fanout => "fanout",
    }
}

/// The name of a destination, and which of both it is.
pub(super) fn destination(destination: &Destination) -> (&str, &'static str) {
    match destination {
        Destination::Queue(queue) => (queue, "queue"),
        Destination::Exchange(exchange) => (exchange, "exchange"),
    }
}

pub(super) fn arguments(headers: &Headers) -> Map<String, Value> {
    headers.iter().map(|(name, value)| (name.to_owned(), argument(value))).collect()
}

fn argument(value: &HeaderValue) -> Value {
    match value {
        HeaderValue::Text(text) => text.clone().into(),
        HeaderValue::Int(number) => (*number).into(),
        HeaderValue::Float(number) => (*number).into(),
        HeaderValue::Bool(truth) => (*truth).into(),
        HeaderValue::Time(time) => time.millis().div_euclid(1_000).into(),
        HeaderValue::Bytes(bytes) => String::from_utf8_lossy(bytes).into(),
        HeaderValue::List(values) => values.iter().map(argument).collect(),
        HeaderValue::Table(table) => arguments(table).into(),
        HeaderValue::Null => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{Binding, Queue};

    #[test]
    fn a_queue_stands_there_with_its_arguments_and_bindings() {
        let topology = Topology {
            queues: vec![Queue::quorum("s.a").with("x-delivery-limit", 50), Queue::temporary()],
            bindings: vec![Binding::queue("events", "s.a", "a.#"), Binding::queue("events", "", "b")],
            ..Topology::default()
        };
        let document = definitions(&topology, "shop");
        let queues = json!([{
            "name": "s.a", "vhost": "shop", "durable": true, "auto_delete": false,
            "arguments": { "x-queue-type": "quorum", "x-delivery-limit": 50 },
        }]);
        assert_eq!(document["queues"], queues);
        assert_eq!(document["bindings"].as_array().map(Vec::len), Some(1));
        assert_eq!(document["bindings"][0]["routing_key"], "a.#");
        assert_eq!(document.get("permissions"), None);
    }
}
