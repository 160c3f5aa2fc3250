//! `ponos pause`, `resume`, `limit` and `control list`.

use super::support::{LIMIT, declare, holds, import, ponos_ends, start};
use serde_json::Value;
use std::fs;
use testkit::{Node, Sandbox, Signal};

const QUEUE: &str = "shop.stock.shelf.clean";
const RUN: [&str; 7] =
    ["run", "--service", "shop", "--task", "stock.shelf.clean", "--task", "stock.shelf.count"];

fn list(url: &str) -> Vec<Value> {
    let out = ponos_ends(url, &["control", "list", "--json"], 0).out;
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn send(url: &str, task: &str) {
    ponos_ends(url, &["publish", task, "{}", "--task", "shop"], 0);
}

#[test]
fn a_queue_is_paused_and_resumed_while_another_goes_on() {
    let url = Node::shared().vhost("control-pause");
    let sandbox = Sandbox::new();
    for queue in [QUEUE, "shop.stock.shelf.count"] {
        declare(&url, queue);
    }
    assert!(ponos_ends(&url, &["control", "list"], 0).err.contains("nothing is paused or limited by hand"));
    let words = ["pause", QUEUE, "--for", "2h", "--why", "the shelf is being moved", "--as", "alice"];
    let paused = ponos_ends(&url, &words, 0).out;
    assert!(paused.starts_with(&format!("{QUEUE} is paused until 20")), "{paused}");
    let listed = list(&url);
    assert_eq!(listed.len(), 1);
    for (field, value) in [("queue", QUEUE), ("what", "pause"), ("by", "alice")] {
        assert_eq!(listed[0][field], value);
    }
    let text = ponos_ends(&url, &["control", "list"], 0).out;
    assert!(text.starts_with(&format!("{QUEUE}  paused  until ")), "{text}");
    assert!(text.ends_with("  by alice  the shelf is being moved\n"), "{text}");

    let health = sandbox.path("health");
    let words = [&RUN[..], &["--health-file", health.to_str().unwrap(), "--", "true"]].concat();
    let mut worker = start(&url, &words);
    send(&url, "stock.shelf.clean");
    send(&url, "stock.shelf.count");
    // it is there, and leaves the other alone
    holds(&url, "shop.stock.shelf.count", 0);
    testkit::block_until("the health file to tell of it", LIMIT, || {
        fs::read_to_string(&health).ok().filter(|text| text.contains("is paused by alice until "))
    });
    holds(&url, QUEUE, 1);
    assert!(worker.err().contains("the queue is paused by hand"), "{}", worker.err());
    ponos_ends(&url, &["resume", QUEUE], 0);
    holds(&url, QUEUE, 0);
    assert!(list(&url).is_empty());
    assert!(ponos_ends(&url, &["resume", QUEUE], 0).err.contains("was not paused"));
    worker.program.signal(Signal::TERM);
    assert_eq!(worker.program.wait(LIMIT), Some(0), "{}", worker.err());
}

#[test]
fn a_limit_is_listed_until_it_is_cleared() {
    let url = Node::shared().vhost("control-limit");
    declare(&url, QUEUE);
    let limited =
        ponos_ends(&url, &["limit", QUEUE, "--concurrency", "2", "--rate", "10/s", "--for", "1h"], 0);
    assert!(limited.out.contains("is limited to concurrency 2, rate 10 in 1s until 20"), "{}", limited.out);
    let listed = list(&url);
    assert_eq!(listed[0]["what"], "limit");
    assert_eq!(listed[0]["concurrency"], 2);
    assert_eq!(listed[0]["rate"], serde_json::json!({ "tasks": 10, "per_ms": 1000 }));
    ponos_ends(&url, &["limit", QUEUE, "--clear"], 0);
    assert!(list(&url).is_empty());
    assert!(ponos_ends(&url, &["limit", QUEUE, "--clear"], 0).err.contains("was not limited"));
}

#[test]
fn what_can_not_be_is_refused_before_anything_is_said() {
    let url = Node::shared().vhost("control-refused");
    declare(&url, QUEUE);
    for (words, code, says) in [
        (&["pause", "shop.stock.shelf.cleen"][..], 1, "there is no queue"),
        (&["pause", "shelves"], 2, "not the name of a queue of a service"),
        (&["pause", QUEUE, "--for", "31d"], 2, "30 days"),
        (&["pause", QUEUE, "--for", "0s"], 2, "longer than 0"),
        (&["limit", QUEUE], 2, "--concurrency"),
        (&["limit", QUEUE, "--concurrency", "0"], 2, "--concurrency"),
        (&["limit", QUEUE, "--rate", "1/2m"], 2, "less than one task a minute"),
        (&["limit", QUEUE, "--clear", "--concurrency", "1"], 2, "--clear"),
    ] {
        let ended = ponos_ends(&url, words, code);
        assert!(ended.err.contains(says), "{words:?}\n{}", ended.err);
    }
    assert!(list(&url).is_empty());
    ponos_ends("amqp://127.0.0.1:1", &["pause", QUEUE], 69);
}

#[test]
fn a_drain_does_not_wait_for_a_queue_that_is_paused_by_hand() {
    let url = Node::shared().vhost("control-drain");
    for queue in [QUEUE, "shop.stock.shelf.count"] {
        declare(&url, queue);
    }
    send(&url, "stock.shelf.clean");
    for _ in 0..3 {
        send(&url, "stock.shelf.count");
    }
    ponos_ends(&url, &["pause", QUEUE], 0);
    // so long that the other is not empty when the pause is seen
    let ended = ponos_ends(&url, &[&RUN[..], &["--drain", "--", "sleep", "1"]].concat(), 1);
    assert!(ended.err.contains(&format!("left: {QUEUE} is paused by ")), "{}", ended.err);
    holds(&url, QUEUE, 1);
    holds(&url, "shop.stock.shelf.count", 0);
}

#[test]
fn who_is_given_what_the_topology_says_is_steered_and_steers_nobody() {
    let (node, vhost) = (Node::shared(), "control-tenant");
    let url = node.vhost(vhost);
    node.add_user("steered", "sesame");
    let of_shop =
        ["topology", "--service", "shop", "--task", "stock.shelf.clean", "--task", "stock.shelf.count"];
    for more in [&["--part", "shared"][..], &["--part", "service", "--permissions", "steered"]] {
        import(node, &ponos_ends(&url, &[&of_shop[..], &["--vhost", vhost], more].concat(), 0).out);
    }
    let checked = ponos_ends(&url, &[&of_shop[..], &["--check"]].concat(), 0);
    assert!(checked.out.contains("ok         queue ponos.control\n"), "{}", checked.out);
    let tenant = node.url_for("steered", "sesame", vhost);
    // its words, and those of whoever may
    let refused = ponos_ends(&tenant, &["pause", QUEUE], 1);
    assert!(refused.err.contains("ACCESS_REFUSED"), "{}", refused.err);
    ponos_ends(&url, &["pause", QUEUE], 0);
    let mut worker = start(&tenant, &[&RUN[..], &["--passive", "--", "true"]].concat());
    send(&url, "stock.shelf.clean");
    send(&url, "stock.shelf.count");
    holds(&url, "shop.stock.shelf.count", 0);
    holds(&url, QUEUE, 1);
    ponos_ends(&url, &["resume", QUEUE], 0);
    holds(&url, QUEUE, 0);
    worker.program.signal(Signal::TERM);
    assert_eq!(worker.program.wait(LIMIT), Some(0), "{}", worker.err());
}
