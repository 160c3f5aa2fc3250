//! `ponos dead`.

use super::support::{LIMIT, declare, holds, look, ponos, ponos_ends, put, start, start_unread};
use ponos::{
    event::{Event, Message},
    topology::worker::{DEAD, PARKING, RETURN},
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

/// The letters that a program looked at return to their queue a moment after it has ended.
fn back(url: &str, count: u64) {
    holds(url, &format!("{QUEUE}.dlq"), count);
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
        back(&url, 3);
    }
    let ended = ponos_ends(&url, &["dead", "list", "--queue", QUEUE], 0);
    assert!(
        ended.out.contains("shop.stock.shelf.clean  stock.shelf.clean  b  schema (attempt 5)  /n is no text"),
        "{}",
        ended.out
    );
    assert!(ended.err.contains("3 dead letters"), "{}", ended.err);
    let some = |words: &[&str]| {
        back(&url, 3);
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
    back(&url, 1);
    let whole: Value =
        serde_json::from_str(&ponos_ends(&url, &["dead", "show", "a", "--queue", QUEUE, "--json"], 0).out)
            .unwrap();
    assert_eq!(whole["message"]["body"]["n"], 1);
    back(&url, 1);
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
fn ids_are_arguments_of_requeue_and_drop() {
    let url = with_letters("dead-ids", &[("a", "attempts", "x"), ("b", "schema", "x"), ("c", "schema", "x")]);
    let ended = ponos_ends(&url, &["dead", "requeue", "a", "b", "--queue", QUEUE], 0);
    assert!(ended.err.contains("2 requeued, 0 stayed"), "{}", ended.err);
    holds(&url, QUEUE, 2);
    back(&url, 1);
    // what is not there is said, and what is there done
    let ended = ponos_ends(&url, &["dead", "drop", "c", "z", "--queue", QUEUE, "--yes", "--json"], 1);
    assert_eq!(ids(&ended.out), ["c"]);
    assert!(ended.err.contains("no dead letter with the id 'z'"), "{}", ended.err);
    holds(&url, &format!("{QUEUE}.dlq"), 0);
}

#[test]
fn what_no_letter_has_is_an_error() {
    let url = with_letters("dead-unknown", &[("a", "attempts", "x")]);
    for verb in [&["list"][..], &["requeue", "--dry-run"], &["drop", "--dry-run"]] {
        let said = |words: &[&str], code| {
            back(&url, 1);
            ponos_ends(&url, &[&["dead"], verb, &["--queue", QUEUE], words].concat(), code).err
        };
        let err = said(&["--kind", "atempts"], 2);
        assert!(err.contains("'atempts'") && err.contains("attempts"), "{err}");
        let err = said(&["--name", "Stock.#"], 2);
        assert!(err.contains("'Stock.#'"), "{err}");
        let err = said(&["--id", "z"], 1);
        assert!(err.contains("no dead letter with the id 'z' in shop.stock.shelf.clean.dlq"), "{err}");
        let err = said(&["--name", "order.#"], 1);
        assert!(err.contains("whose name matches 'order.#' (there are: stock.shelf.clean)"), "{err}");
        // there are kinds of which there is none now
        said(&["--kind", "expired"], 0);
        said(&["--kind", "schema", "--name", "stock.#", "--id", "a"], 0);
    }
    holds(&url, &format!("{QUEUE}.dlq"), 1);
}

#[test]
fn a_letter_is_found_by_the_name_that_its_worker_acted_on() {
    let url = Node::shared().vhost("dead-names");
    declare(&url, QUEUE);
    let letters = ["cloudEvents_", "cloudEvents:", "ce-"].map(|prefix| {
        let mut message = letter(&format!("of-{prefix}"), "attempts", "x");
        message.headers = message
            .headers
            .iter()
            .map(|(name, value)| (name.replace("cloudEvents_", prefix), value.clone()))
            .collect();
        message.properties.kind = Some("SomethingElse".into());
        message
    });
    let mut structured = letter("property", "attempts", "x");
    structured.headers.retain(|name| !name.starts_with("cloudEvents_"));
    structured.properties.kind = None;
    structured.properties.content_type = Some("application/cloudevents+json".into());
    structured.body =
        br#"{"specversion":"1.0","id":"of-json","source":"/s","type":"stock.shelf.clean","data":1}"#.to_vec();
    put(&url, DEAD, letters.into_iter().chain([structured]).collect());
    holds(&url, &format!("{QUEUE}.dlq"), 4);
    let words = ["dead", "list", "--queue", QUEUE, "--name", "stock.shelf.clean", "--json"];
    let ended = ponos_ends(&url, &words, 0);
    assert_eq!(ids(&ended.out), ["of-cloudEvents_", "of-cloudEvents:", "of-ce-", "of-json"]);
    back(&url, 4);
    assert!(ended.out.lines().all(|line| line.contains(r#""name":"stock.shelf.clean""#)), "{}", ended.out);
    ponos_ends(&url, &["dead", "list", "--queue", QUEUE, "--name", "a.something.else"], 1);
}

#[test]
fn what_expired_in_its_queue_is_of_a_kind_of_its_own() {
    let url = Node::shared().vhost("dead-expired");
    declare(&url, QUEUE);
    let mut message = letter("a", "", "");
    message.headers.retain(|name| !name.starts_with("dead-"));
    message.properties.expiration = Some(1);
    put(&url, "", vec![message]);
    holds(&url, &format!("{QUEUE}.dlq"), 1);
    let ended = ponos_ends(&url, &["dead", "list", "--queue", QUEUE, "--kind", "expired", "--json"], 0);
    assert_eq!(ids(&ended.out), ["a"]);
}

#[test]
fn a_letter_that_can_not_be_read_is_told_with_the_remedy() {
    let url = Node::shared().vhost("dead-unreadable");
    declare(&url, QUEUE);
    let mut large = letter("a", "attempts", "x");
    large.headers.set("baggage", "b".repeat(20_000));
    put(&url, DEAD, vec![large]);
    holds(&url, &format!("{QUEUE}.dlq"), 1);
    // as if the broker had added that much
    let narrow = format!("{url}?frame_max=8192");
    for verb in [&["list"][..], &["requeue", "--all"], &["drop", "--all", "--yes"], &["show", "a"]] {
        let words = [&["dead"], verb, &["--queue", QUEUE]].concat();
        back(&url, 1);
        let ended = ponos_ends(&narrow, &words, 78);
        assert!(ended.err.contains("raise frame_max"), "{}", ended.err);
        assert!(ended.err.contains("shop.stock.shelf.clean.dlq"), "{}", ended.err);
    }
    holds(&url, &format!("{QUEUE}.dlq"), 1);
}

#[test]
fn an_interrupted_requeue_ends_with_130_and_leaves_the_rest() {
    let url = with_letters("dead-interrupted", &[("a", "attempts", "x"), ("b", "attempts", "x")]);
    let running = start(&url, &["dead", "requeue", "--queue", QUEUE, "--all", "--rate", "1/1h", "--json"]);
    testkit::block_until("one to be put back", LIMIT, || (!running.out().is_empty()).then_some(()));
    running.program.signal(testkit::Signal::INT);
    assert_eq!(running.end().code, Some(130));
    holds(&url, QUEUE, 1);
    holds(&url, &format!("{QUEUE}.dlq"), 1);
}

#[test]
fn a_letter_whose_queue_is_gone_stays() {
    let url = with_letters("dead-gone", &[("a", "attempts", "refused")]);
    Node::shared().delete_queue("dead-gone", QUEUE);
    let ended = ponos_ends(&url, &["dead", "requeue", "--queue", QUEUE, "--all"], 1);
    assert!(
        ended.err.contains("a stayed: the queue 'shop.stock.shelf.clean' does not exist"),
        "{}",
        ended.err
    );
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
    holds(&url, PARKING, 1);
    ponos_ends(&url, &["dead", "requeue", "--parking", "--all"], 1);
    declare(&url, "shop.later");
    holds(&url, PARKING, 1);
    ponos_ends(&url, &["dead", "requeue", "--parking", "--all"], 0);
    holds(&url, "shop.later", 1);
    holds(&url, PARKING, 0);
}

#[test]
fn nothing_is_dropped_without_a_word() {
    let url = with_letters("dead-drop", &[("a", "attempts", "refused"), ("b", "schema", "no")]);
    let unasked = ponos(&url, &["dead", "drop", "--queue", QUEUE, "--all"]);
    assert_eq!(unasked.code, Some(2), "{}", unasked.err);
    back(&url, 2);
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
    let running = start(&url, &["dead", "requeue", "--queue", QUEUE, "--all", "--rate", "1/20s", "--json"]);
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
