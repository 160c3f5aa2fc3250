//! A topology as resources of Terraform's provider `cyrilgdn/rabbitmq`, in Terraform's JSON syntax.
//!
//! What a resource needs is named by reference where it stands in the same document, so that it is made before.

use super::{
    Document,
    definitions::{arguments, destination, kind},
    resource_name::{binding_name, resource_name},
};
use serde_json::{Map, Value, json};

const EXCHANGE: &str = "rabbitmq_exchange";
const QUEUE: &str = "rabbitmq_queue";

pub(super) fn document(document: &Document<'_>) -> Value {
    let (topology, vhost) = (document.listed(), literal(document.vhost));
    let reference = |kind: &str, name: &str| {
        let declared = match kind {
            EXCHANGE => topology.exchanges.iter().any(|exchange| exchange.name == name),
            _ => topology.queues.iter().any(|queue| queue.name == name),
        };
        if declared { format!("${{{kind}.{}.name}}", label(name)) } else { literal(name) }
    };
    let exchanges = topology.exchanges.iter().map(|exchange| {
        let resource = json!({
            "name": literal(&exchange.name),
            "vhost": vhost,
            "settings": {
                "type": kind(exchange.kind),
                "durable": exchange.durable,
                "auto_delete": false,
                "arguments": literals(arguments(&exchange.arguments)),
            },
        });
        (label(&exchange.name), resource)
    });
    let queues = topology.queues.iter().map(|queue| {
        let resource = json!({
            "name": literal(&queue.name),
            "vhost": vhost,
            "settings": {
                "durable": queue.durable,
                "auto_delete": queue.auto_delete,
                // as a text, for the provider's map would make texts of numbers
                "arguments_json": literal(&Value::from(arguments(&queue.arguments)).to_string()),
            },
        });
        (label(&queue.name), resource)
    });
    let bindings = topology.bindings.iter().map(|binding| {
        let (name, kind) = destination(&binding.destination);
        let resource = json!({
            "source": reference(EXCHANGE, &binding.source),
            "vhost": vhost,
            "destination": reference(if kind == "queue" { QUEUE } else { EXCHANGE }, name),
            "destination_type": kind,
            "routing_key": literal(&binding.routing_key),
        });
        (label(&binding_name(binding)), resource)
    });
    let mut resources = Map::new();
    let mut add = |kind: &str, of_kind: Map<String, Value>| {
        if !of_kind.is_empty() {
            resources.insert(kind.to_owned(), of_kind.into());
        }
    };
    add(EXCHANGE, exchanges.collect());
    add(QUEUE, queues.collect());
    add("rabbitmq_binding", bindings.collect());
    if let Some(permissions) = document.permissions {
        let (name, user) = (label(&permissions.user), literal(&permissions.user));
        let topics = permissions.topics.iter().map(|topic| {
            json!({
                "exchange": reference(EXCHANGE, &topic.exchange),
                "write": literal(&topic.write),
                "read": literal(&topic.read),
            })
        });
        let topics = json!({ "user": user, "vhost": vhost, "permissions": topics.collect::<Vec<_>>() });
        let objects = json!({
            "configure": literal(&permissions.configure),
            "write": literal(&permissions.write),
            "read": literal(&permissions.read),
        });
        let objects = json!({ "user": user, "vhost": vhost, "permissions": objects });
        add("rabbitmq_permissions", Map::from_iter([(name.clone(), objects)]));
        add("rabbitmq_topic_permissions", Map::from_iter([(name, topics)]));
    }
    json!({ "resource": resources })
}

/// A text that Terraform takes as it is: it reads `${` and `%{` in texts as the beginning of an expression.
fn literal(text: &str) -> String {
    text.replace("${", "$${").replace("%{", "%%{")
}

fn literals(arguments: Map<String, Value>) -> Map<String, Value> {
    let texts = arguments.into_iter().map(|(name, value)| match value {
        Value::String(text) => (name, literal(&text).into()),
        other => (name, other),
    });
    texts.collect()
}

/// The name of a resource: letters, digits, `-` and `_`, no digit first.
fn label(name: &str) -> String {
    let label = resource_name(name).replace('.', "_");
    if label.starts_with(|c: char| c.is_ascii_digit()) { format!("_{label}") } else { label }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{Binding, Exchange, Queue, Topology, permissions};

    #[test]
    fn a_queue_is_bound_by_reference_and_what_stands_elsewhere_by_name() {
        let topology = Topology {
            exchanges: vec![Exchange::direct("dlx").with("alternate-exchange", "parking")],
            queues: vec![Queue::quorum("s.a").with("x-delivery-limit", 50)],
            bindings: vec![Binding::queue("events", "s.a", "a.b"), Binding::queue("dlx", "s.a", "s.a")],
            ..Topology::default()
        };
        let permissions = permissions("shop", &topology, &["a.b.c"], false);
        let found =
            Document { topology: &topology, vhost: "${x}", permissions: Some(&permissions) }.terraform();
        let found = &found["resource"];
        assert_eq!(
            found["rabbitmq_queue"],
            json!({ "s_a": { "name": "s.a", "vhost": "$${x}", "settings": {
                "durable": true, "auto_delete": false,
                "arguments_json": r#"{"x-queue-type":"quorum","x-delivery-limit":50}"#,
            } } })
        );
        assert_eq!(
            found["rabbitmq_exchange"]["dlx"]["settings"]["arguments"]["alternate-exchange"],
            "parking"
        );
        let bindings = found["rabbitmq_binding"].as_object().unwrap();
        let ends: Vec<_> = bindings.values().map(|one| (&one["source"], &one["destination"])).collect();
        let queue = Value::from("${rabbitmq_queue.s_a.name}");
        assert_eq!(ends, [(&json!("events"), &queue), (&json!("${rabbitmq_exchange.dlx.name}"), &queue)]);
        assert_eq!(found["rabbitmq_permissions"]["shop"]["permissions"]["read"], r"^(s\.a)$");
        assert_eq!(found["rabbitmq_topic_permissions"]["shop"]["permissions"][0]["write"], r"^(a\.b\.c)$");
    }
}
