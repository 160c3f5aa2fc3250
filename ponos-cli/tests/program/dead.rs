//! `ponos dead`.

use super::support::{LIMIT, declare, holds, look, ponos, ponos_ends, start, start_unread, transport, wait};
use ponos::{
    broker::Publishing,
    event::{Event, Message},
    topology::{
        Topology,
        worker::{DEAD, PARKING, RETURN},
    },
};
use serde_json::Value;
use testkit::Node;

const QUEUE: &str = "shop.stock.shelf.clean";

/// A vhost with dead letters as a worker writes them: id, kind, reason.
fn with_letters(vhost: &str, letters: &[(&str, &str, &str)]) -> String {
    let url = Node::shared().vhost(vhost);
    declare(&url, QUEUE);
    let messages: Vec<Message> = letters.iter().map(|(id, kind, reason)| letter(id, kind, reason)).collect();
    put(&url, DEAD, messages);
    holds(&url, &format!("{QUEUE}.dlq"), letters.len() as u64);
    url
}

fn letter(id: &str, kind: &str, reason: &str) -> Message {
    let event = Event::new(id.parse().unwrap(), "/shop", "stock.shelf.clean".parse().unwrap(), r#"{"n":1}"#);
    let mut message = event.into_message();
    message.routing_key = QUEUE.into();
    for (name, value) in [
        ("dead-kind", kind),
        ("dead-reason", reason),
        ("dead-queue", QUEUE),
        ("dead-at", "2026-01-02T03:04:05.000Z"),
        ("retry-reason", "old"),
    ] {
        message.headers.set(name.to_owned(), value);
    }
    message.headers.set("dead-attempt", 5);
    message
}

fn put(url: &str, exchange: &str, messages: Vec<Message>) {
    wait(async {
        let mut publisher = transport(url).publisher(Topology::default());
        let mut link = publisher.link();
        link.wait_for(|link| matches!(link, ponos::broker::Link::Up { .. })).await.unwrap();
        let count = messages.len();
        let batch = messages.into_iter().zip(0..).map(|(message, token)| Publishing {
            token,
            lane: 0,
            exchange: exchange.into(),
            message,
        });
        publisher.submit(batch.collect()).await.unwrap();
        let mut settled = 0;
        while settled < count {
            settled += publisher.settlements().await.unwrap().len();
        }
    });
}

fn ids(out: &str) -> Vec<String> {
    let id = |line: &str| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned();
    out.lines().map(id).collect()
}

#[test]
fn a_list_leaves_everything_where_it_is_in_order() {
    let url = with_letters(
        "dead-list",
        &[("a", "attempts", "refused"), ("b", "schema", "/n is no text"), ("c", "attempts", "gone")],
    );
    // more often than RabbitMQ 4 delivers a message where no limit is said
    for _ in 0..25 {
        let ended = ponos_ends(&url, &["dead", "list", "--queue", QUEUE, "--json"], 0);
        assert_eq!(ids(&ended.out), ["a", "b", "c"]);
    }
    let ended = ponos_ends(&url, &["dead", "list", "--queue", QUEUE], 0);
    assert!(
        ended.out.contains("shop.stock.shelf.clean  stock.shelf.clean  b  schema (attempt 5)  /n is no text"),
        "{}",
        ended.out
    );
    assert!(ended.err.contains("3 dead letters"), "{}", ended.err);
    let some = |words: &[&str]| {
        ids(&ponos_ends(&url, &[&["dead", "list", "--queue", QUEUE, "--json"], words].concat(), 0).out)
    };
    assert_eq!(some(&["--kind", "attempts"]), ["a", "c"]);
    assert_eq!(some(&["--reason", "REFUSED"]), ["a"]);
    assert_eq!(some(&["--limit", "2"]), ["a", "b"]);
    assert_eq!(some(&["--older", "1h", "--id", "c", "--name", "#"]), ["c"]);
    assert_eq!(some(&["--newer", "1h"]), [""; 0]);
    holds(&url, "shop.stock.shelf.clean.dlq", 3);
}

#[test]
fn one_letter_is_shown_with_everything() {
    let url = with_letters("dead-show", &[("a", "attempts", "refused")]);
    let ended = ponos_ends(&url, &["dead", "show", "a", "--queue", QUEUE], 0);
    for part in ["reason   refused", "  cloudEvents_source: /shop", "  retry-reason: old", "\"n\": 1"] {
        assert!(ended.out.contains(part), "{part}: {}", ended.out);
    }
    let whole: Value =
        serde_json::from_str(&ponos_ends(&url, &["dead", "show", "a", "--queue", QUEUE, "--json"], 0).out)
            .unwrap();
    assert_eq!(whole["message"]["body"]["n"], 1);
    ponos_ends(&url, &["dead", "show", "z", "--queue", QUEUE], 1);
    holds(&url, "shop.stock.shelf.clean.dlq", 1);
}

#[test]
fn what_is_requeued_begins_anew_under_its_own_id() {
    let url = with_letters("dead-requeue", &[("a", "attempts", "refused"), ("b", "schema", "no")]);
    ponos_ends(&url, &["dead", "requeue", "--queue", QUEUE], 2);
    let dry = ponos_ends(&url, &["dead", "requeue", "--queue", QUEUE, "--all", "--dry-run"], 0);
    assert!(dry.err.contains("2 would be requeued"), "{}", dry.err);
    holds(&url, "shop.stock.shelf.clean.dlq", 2);
    let words = ["dead", "requeue", "--queue", QUEUE, "--kind", "attempts", "--rate", "100/s"];
    let ended = ponos_ends(&url, &words, 0);
    assert!(ended.err.contains("1 requeued, 0 stayed"), "{}", ended.err);
    holds(&url, "shop.stock.shelf.clean.dlq", 1);
    holds(&url, QUEUE, 1);
    let message = &look(&url, QUEUE, 1)[0];
    assert_eq!(message.properties.message_id.as_deref(), Some("a"));
    assert_eq!(message.headers.int("requeued-count"), Some(1));
    assert!(message.headers.text("requeued-by").unwrap().starts_with("tester@"), "{message:?}");
    assert!(message.headers.text("requeued-at").is_some());
    let history =
        message.headers.iter().filter(|(name, _)| name.starts_with("dead-") || name.starts_with("retry-"));
    assert_eq!(history.count(), 0, "{message:?}");
    assert_eq!(Event::from_message(message).unwrap().data, br#"{"n":1}"#);
}

#[test]
fn a_letter_whose_queue_is_gone_stays() {
    let url = with_letters("dead-gone", &[("a", "attempts", "refused")]);
    Node::shared().delete_queue("dead-gone", QUEUE);
    let ended = ponos_ends(&url, &["dead", "requeue", "--queue", QUEUE, "--all"], 1);
    assert!(ended.err.contains("a stayed: the queue 'shop.stock.shelf.clean' is not there"), "{}", ended.err);
    holds(&url, "shop.stock.shelf.clean.dlq", 1);
}

#[test]
fn what_was_parked_goes_to_the_queue_it_was_meant_for() {
    let url = Node::shared().vhost("dead-parked");
    declare(&url, QUEUE);
    let mut lost = letter("a", "", "");
    lost.headers = lost
        .headers
        .iter()
        .filter(|(name, _)| !name.starts_with("dead-"))
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect();
    lost.routing_key = "shop.later".into();
    put(&url, RETURN, vec![lost]);
    holds(&url, PARKING, 1);
    let listed = ponos_ends(&url, &["dead", "list", "--parking", "--json"], 0);
    assert!(listed.out.contains(r#""kind":"parked""#) && listed.out.contains("shop.later"), "{}", listed.out);
    ponos_ends(&url, &["dead", "requeue", "--parking", "--all"], 1);
    declare(&url, "shop.later");
    ponos_ends(&url, &["dead", "requeue", "--parking", "--all"], 0);
    holds(&url, "shop.later", 1);
    holds(&url, PARKING, 0);
}

#[test]
fn nothing_is_dropped_without_a_word() {
    let url = with_letters("dead-drop", &[("a", "attempts", "refused"), ("b", "schema", "no")]);
    let unasked = ponos(&url, &["dead", "drop", "--queue", QUEUE, "--all"]);
    assert_eq!(unasked.code, Some(2), "{}", unasked.err);
    ponos_ends(&url, &["dead", "drop", "--queue", QUEUE, "--all", "--dry-run"], 0);
    holds(&url, "shop.stock.shelf.clean.dlq", 2);
    let ended = ponos_ends(&url, &["dead", "drop", "--queue", QUEUE, "--id", "a", "--yes", "--json"], 0);
    assert_eq!(ids(&ended.out), ["a"]);
    holds(&url, "shop.stock.shelf.clean.dlq", 1);
    assert_eq!(look(&url, "shop.stock.shelf.clean.dlq", 1)[0].properties.message_id.as_deref(), Some("b"));
}

#[test]
fn a_queue_that_is_not_there_is_named() {
    let url = Node::shared().vhost("dead-no-queue");
    let ended = ponos_ends(&url, &["dead", "list", "--queue", "nobody"], 77);
    assert!(ended.err.contains("'nobody.dlq'"), "{}", ended.err);
    assert_eq!(start(&url, &["dead", "list"]).end().code, Some(2));
}

#[test]
fn letters_are_requeued_once_when_the_connection_was_lost_in_between() {
    // its connections are its own to be closed
    let node = Node::start();
    let url = node.vhost("lost");
    declare(&url, QUEUE);
    put(&url, DEAD, ["a", "b", "c"].map(|id| letter(id, "attempts", "refused")).into());
    holds(&url, &format!("{QUEUE}.dlq"), 3);
    let running = start(&url, &["dead", "requeue", "--queue", QUEUE, "--all", "--rate", "1/5s", "--json"]);
    testkit::block_until("one to be put back", LIMIT, || (!running.out().is_empty()).then_some(()));
    holds(&url, QUEUE, 1);
    node.close_connections();
    let ended = running.end();
    assert_eq!(ended.code, Some(69), "{}", ended.err);
    ponos_ends(&url, &["dead", "requeue", "--queue", QUEUE, "--all"], 0);
    holds(&url, QUEUE, 3);
    holds(&url, &format!("{QUEUE}.dlq"), 0);
}

#[test]
fn what_is_dropped_does_not_depend_on_who_reads_of_it() {
    let url = with_letters("dead-unread", &[("a", "attempts", "refused"), ("b", "schema", "no")]);
    let ended = start_unread(&url, &["dead", "drop", "--queue", QUEUE, "--all", "--yes"]).end();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.err.contains("2 dropped"), "{}", ended.err);
    holds(&url, &format!("{QUEUE}.dlq"), 0);
}
