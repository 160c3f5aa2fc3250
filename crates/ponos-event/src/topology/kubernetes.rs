//! A topology as resources of RabbitMQ's messaging topology operator.

use super::{
    Document,
    definitions::{arguments, destination, kind},
    resource_name::{binding_name, resource_name},
};
use serde_json::{Value, json};

const VERSION: &str = "rabbitmq.com/v1beta1";
/// Of which the operator has a field of its own.
const QUEUE_TYPE: &str = "x-queue-type";

pub(super) fn document(document: &Document<'_>, cluster: &str) -> Value {
    let (topology, vhost) = (document.listed(), document.vhost);
    let cluster = match cluster.split_once('/') {
        Some((namespace, name)) => json!({ "name": name, "namespace": namespace }),
        None => json!({ "name": cluster }),
    };
    let resource = |kind: &str, name: String, mut spec: Value| {
        spec["vhost"] = vhost.into();
        spec["rabbitmqClusterReference"] = cluster.clone();
        json!({ "apiVersion": VERSION, "kind": kind, "metadata": { "name": name }, "spec": spec })
    };
    let exchanges = topology.exchanges.iter().map(|exchange| {
        let spec = json!({
            "name": exchange.name,
            "type": kind(exchange.kind),
            "durable": exchange.durable,
            "autoDelete": false,
            "arguments": arguments(&exchange.arguments),
        });
        resource("Exchange", resource_name(&exchange.name), spec)
    });
    let queues = topology.queues.iter().map(|queue| {
        let mut arguments = arguments(&queue.arguments);
        let of_type = arguments.shift_remove(QUEUE_TYPE);
        let mut spec = json!({
            "name": queue.name,
            "durable": queue.durable,
            "autoDelete": queue.auto_delete,
            "arguments": arguments,
        });
        if let Some(of_type) = of_type {
            spec["type"] = of_type;
        }
        resource("Queue", resource_name(&queue.name), spec)
    });
    let bindings = topology.bindings.iter().map(|binding| {
        let (destination, kind) = destination(&binding.destination);
        let spec = json!({
            "source": binding.source,
            "destination": destination,
            "destinationType": kind,
            "routingKey": binding.routing_key,
        });
        resource("Binding", binding_name(binding), spec)
    });
    let permissions = document.permissions.into_iter().flat_map(|permissions| {
        let user = &permissions.user;
        let objects = json!({
            "configure": permissions.configure,
            "write": permissions.write,
            "read": permissions.read,
        });
        let objects = json!({ "user": user, "permissions": objects });
        let topics = permissions.topics.iter().map(|topic| {
            let topics = json!({ "exchange": topic.exchange, "write": topic.write, "read": topic.read });
            let name = format!("{}.{}", resource_name(user), resource_name(&topic.exchange));
            resource("TopicPermission", name, json!({ "user": user, "permissions": topics }))
        });
        [resource("Permission", resource_name(user), objects)].into_iter().chain(topics).collect::<Vec<_>>()
    });
    let items: Vec<Value> = exchanges.chain(queues).chain(bindings).chain(permissions).collect();
    json!({ "apiVersion": "v1", "kind": "List", "items": items })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{Binding, Queue, Topology, permissions};

    #[test]
    fn a_queue_has_its_type_in_a_field_and_its_other_arguments_as_they_are() {
        let topology = Topology {
            queues: vec![Queue::quorum("s.a.#").with("x-delivery-limit", 50)],
            bindings: vec![Binding::queue("events", "s.a.#", "a.#")],
            ..Topology::default()
        };
        let permissions = permissions("shop", &topology, &["a.b.c"], false);
        let document = Document { topology: &topology, vhost: "shop", permissions: Some(&permissions) };
        let found = document.kubernetes("messaging/rabbit");
        let items = found["items"].as_array().unwrap();
        let kinds: Vec<_> = items.iter().map(|item| item["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["Queue", "Binding", "Permission", "TopicPermission"]);
        let cluster = json!({ "name": "rabbit", "namespace": "messaging" });
        let queue = json!({
            "name": "s.a.#", "vhost": "shop", "type": "quorum", "durable": true, "autoDelete": false,
            "arguments": { "x-delivery-limit": 50 }, "rabbitmqClusterReference": cluster,
        });
        assert_eq!(items[0]["spec"], queue);
        assert_eq!(items[1]["spec"]["routingKey"], "a.#");
        assert_eq!(items[3]["metadata"]["name"], "shop.events");
    }
}
