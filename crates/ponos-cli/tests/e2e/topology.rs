//! `ponos topology`.

use super::support::{declare_all, import, ponos_ends};
use ponos::topology::{Queue, Topology};
use serde_json::Value;
use testkit::Node;

const STREAMS: [&str; 7] =
    ["topology", "--service", "shop", "--on", "order.#", "--task", "stock.shelf.clean"];

#[test]
fn the_broker_imports_what_it_prints_and_then_all_is_as_wanted() {
    let node = Node::shared();
    let url = node.vhost("topology-import");
    let missing = ponos_ends(&url, &[&STREAMS[..], &["--check"]].concat(), 1);
    assert!(missing.out.contains("missing    queue shop.order.#.dlq"), "{}", missing.out);
    // in two documents, as of several services: together they are all
    for part in ["shared", "service"] {
        import(node, &ponos_ends(&url, &[&STREAMS[..], &["--part", part]].concat(), 0).out);
    }
    let checked = ponos_ends(&url, &[&STREAMS[..], &["--check"]].concat(), 0);
    assert!(checked.out.lines().all(|line| line.starts_with("ok ")), "{}", checked.out);
    // bound, too: an event arrives
    ponos_ends(&url, &["publish", "order.a.made", "1", "--mandatory"], 0);
    ponos_ends(&url, &["publish", "stock.shelf.clean", "1", "--task", "shop"], 0);
}

#[test]
fn what_differs_is_named_and_left_as_it_is() {
    let url = Node::shared().vhost("topology-differs");
    let topology = Topology { queues: vec![Queue::classic("shop.stock.shelf.clean")], ..Topology::default() };
    declare_all(&url, &topology);
    let words = ["topology", "--service", "shop", "--task", "stock.shelf.clean", "--check", "--json"];
    let ended = ponos_ends(&url, &words, 1);
    let lines: Vec<Value> = ended.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let state = |name: &str| lines.iter().find(|line| line["name"] == name).unwrap();
    assert_eq!(state("shop.stock.shelf.clean")["state"], "different", "{}", ended.out);
    assert_eq!(state("shop.stock.shelf.clean.dlq")["state"], "missing");
    // still there, and nothing was made
    let again = ponos_ends(&url, &words, 1);
    assert_eq!(again.out, ended.out);
}

#[test]
fn each_format_has_all_that_the_definitions_have() {
    let printed = |format: &str| -> Value {
        let words = [&STREAMS[..], &["--format", format, "--permissions", "shop", "--vhost", "/"]].concat();
        serde_json::from_str(&ponos_ends("amqp://127.0.0.1:1", &words, 0).out).unwrap()
    };
    let (wanted, terraform, kubernetes) =
        (printed("definitions"), printed("terraform"), printed("kubernetes"));
    let kinds = [
        ("exchanges", "rabbitmq_exchange", "Exchange"),
        ("queues", "rabbitmq_queue", "Queue"),
        ("bindings", "rabbitmq_binding", "Binding"),
        ("permissions", "rabbitmq_permissions", "Permission"),
        ("topic_permissions", "rabbitmq_topic_permissions", "TopicPermission"),
    ];
    for (list, resource, kind) in kinds {
        let count = wanted[list].as_array().unwrap().len();
        let items = kubernetes["items"].as_array().unwrap().iter().filter(|item| item["kind"] == kind);
        let found = (terraform["resource"][resource].as_object().unwrap().len(), items.count());
        assert_eq!(found, (count, count), "{list}");
        assert!(count > 0, "{list}");
    }
}

#[test]
fn a_service_that_can_not_be_is_refused_with_all_faults() {
    let words = ["topology", "--service", "No Service", "--on", "a..b"];
    let ended = ponos_ends("amqp://127.0.0.1:1", &words, 2);
    assert!(ended.err.contains("No Service") && ended.err.contains("a..b"), "{}", ended.err);
}
