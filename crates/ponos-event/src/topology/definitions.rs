//! A topology as a RabbitMQ definitions file, for an administrator: `rabbitmqctl import_definitions FILE`.

use super::{Destination, ExchangeKind, Topology};
use crate::{HeaderValue, Headers};
use serde_json::{Map, Value, json};

/// The document `{"exchanges": […], "queues": […], "bindings": […]}` for that vhost. Importing it twice changes
/// nothing; objects that exist with other arguments stay unchanged, without an error.
///
/// Queues that belong to one connection, or that the broker names, can't stand in it and are left out with their
/// bindings.
pub fn definitions(topology: &Topology, vhost: &str) -> Value {
    let lasting = |name: &str| topology.queues.iter().any(|queue| queue.name == name && !queue.exclusive);
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
    let queues = topology.queues.iter().filter(|queue| !queue.name.is_empty() && lasting(&queue.name));
    let queues = queues.map(|queue| {
        json!({
            "name": queue.name,
            "vhost": vhost,
            "durable": queue.durable,
            "auto_delete": queue.auto_delete,
            "arguments": arguments(&queue.arguments),
        })
    });
    let bindings = topology.bindings.iter().filter_map(|binding| {
        let (destination, kind) = match &binding.destination {
            Destination::Queue(queue) if lasting(queue) && !queue.is_empty() => (queue, "queue"),
            Destination::Queue(_) => return None,
            Destination::Exchange(exchange) => (exchange, "exchange"),
        };
        Some(json!({
            "source": binding.source,
            "vhost": vhost,
            "destination": destination,
            "destination_type": kind,
            "routing_key": binding.routing_key,
            "arguments": {},
        }))
    });
    json!({
        "exchanges": exchanges.collect::<Vec<_>>(),
        "queues": queues.collect::<Vec<_>>(),
        "bindings": bindings.collect::<Vec<_>>(),
    })
}

fn kind(kind: ExchangeKind) -> &'static str {
    match kind {
        ExchangeKind::Topic => "topic",
        ExchangeKind::Direct => "direct",
        ExchangeKind::Fanout => "fanout",
    }
}

fn arguments(headers: &Headers) -> Value {
    headers.iter().map(|(name, value)| (name.to_owned(), argument(value))).collect::<Map<_, _>>().into()
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
        HeaderValue::Table(table) => arguments(table),
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
    }
}
