//! What comes from outside is printed so that no terminal obeys it.

use super::support::{Running, declare, holds, ponos, ponos_ends, start, start_in, transport, wait};
use ponos::{
    broker::Publishing,
    event::{Event, Message},
    topology::{
        Exchange, Topology,
        worker::{DEAD, EVENTS, TASKS},
    },
};
use testkit::{HOSTILE, Node, assert_harmless};

const QUEUE: &str = "shop.stock.shelf.clean";
const NAME: &str = "stock.shelf.clean";

/// An event whose texts are all hostile, as far as it stays one.
fn event() -> Message {
    let mut event =
        Event::new("id".parse().unwrap(), HOSTILE, NAME.parse().unwrap(), format!("\"{HOSTILE}\""));
    event.subject = Some(HOSTILE.into());
    event.correlation_id = Some(HOSTILE.into());
    let mut message = event.into_message();
    message.headers.set(HOSTILE.replace('\n', ""), HOSTILE);
    message
}

fn put(url: &str, exchange: &str, key: &str, message: Message) {
    wait(async {
        let mut publisher = transport(url).publisher(Topology::default());
        let mut link = publisher.link();
        link.wait_for(|link| matches!(link, ponos::broker::Link::Up { .. })).await.unwrap();
        let message = Message { routing_key: key.into(), ..message };
        publisher
            .submit(vec![Publishing { token: 0, lane: 0, exchange: exchange.into(), message }])
            .await
            .unwrap();
        publisher.settlements().await.unwrap();
    });
}

fn dead_letter(url: &str) {
    let mut message = event();
    message.properties.message_id = Some(HOSTILE.into());
    message.properties.kind = Some(HOSTILE.into());
    // what a letter is called are the attributes
    message.headers.set("cloudEvents_id", HOSTILE);
    message.headers.set("cloudEvents_type", HOSTILE);
    for (name, value) in [("dead-kind", HOSTILE), ("dead-reason", HOSTILE), ("dead-queue", QUEUE)] {
        message.headers.set(name, value);
    }
    put(url, DEAD, QUEUE, message);
}

fn both(what: &str, out: &str, err: &str) {
    assert_harmless(what, &format!("{out}{err}"));
}

#[test]
fn arguments_that_are_wrong_are_told_in_harmless_words_and_without_passwords() {
    let flag = format!("--{HOSTILE}");
    let secret = "amqp://me:p\nhunter2@host";
    for words in [
        &[HOSTILE][..],
        &["topology", HOSTILE],
        &["publish", &flag],
        &["tail", "--count", HOSTILE],
        &["run", "--log-format", HOSTILE, "--service", "a"],
    ] {
        let ended = ponos_ends("", words, 2);
        both(&format!("{words:?}"), &ended.out, &ended.err);
    }
    for words in [&["topology", secret][..], &["tail", "--count", secret]] {
        let ended = ponos_ends("", words, 2);
        assert!(!ended.err.contains("hunter2"), "{}", ended.err);
    }
    // clap itself leaves out what begins with ESC
    let one_line = "[31m\u{9b}2J\u{7f}\u{202e}\r\u{2028}";
    let ended = start_in("", &["run", "--service", "a"], ("PONOS_LOG_FORMAT", one_line)).end();
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    both("a variable", &ended.out, &ended.err);
}

#[test]
fn a_tail_prints_nothing_that_a_terminal_obeys() {
    let url = Node::shared().vhost("hostile-tail");
    for more in [&[][..], &["--json"]] {
        let tail: Running = start(&url, &[&["tail", "--count", "1"], more].concat());
        tail.says("listening");
        put(&url, EVENTS, NAME, event());
        let ended = tail.end();
        both("tail", &ended.out, &ended.err);
        if more == ["--json"] {
            let shown: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
            assert_eq!(shown["subject"], HOSTILE);
        }
    }
}

#[test]
fn a_tail_tells_of_what_is_no_event_in_harmless_words() {
    let url = Node::shared().vhost("hostile-tail-other");
    let tail = start(&url, &["tail", "--count", "1"]);
    tail.says("listening");
    let message = Message { properties: event().properties, ..Message::default() };
    put(&url, EVENTS, &HOSTILE[..100.min(HOSTILE.len())], message);
    let ended = tail.end();
    both("tail", &ended.out, &ended.err);
}

#[test]
fn dead_letters_are_listed_shown_requeued_and_dropped_without_what_a_terminal_obeys() {
    let url = Node::shared().vhost("hostile-dead");
    declare(&url, QUEUE);
    dead_letter(&url);
    let dlq = format!("{QUEUE}.dlq");
    for verb in [
        &["dead", "list"][..],
        &["dead", "list", "--json"],
        &["dead", "show", HOSTILE],
        &["dead", "show", HOSTILE, "--json"],
        &["dead", "drop", "--all", "--dry-run"],
        &["dead", "drop", "--all", "--dry-run", "--json"],
        &["dead", "requeue", "--all", "--dry-run", "--json"],
        &["dead", "requeue", "--all"],
    ] {
        // what was looked at is back a moment later
        holds(&url, &dlq, 1);
        let ended = ponos_ends(&url, &[verb, &["--queue", QUEUE]].concat(), 0);
        both(&verb.join(" "), &ended.out, &ended.err);
        if verb.contains(&"--json") {
            let shown: serde_json::Value = serde_json::from_str(ended.out.lines().next().unwrap()).unwrap();
            assert_eq!((&shown["id"], &shown["reason"]), (&HOSTILE.into(), &HOSTILE.into()));
        }
    }
    let missing = ponos_ends(&url, &["dead", "show", HOSTILE, "--queue", QUEUE], 1);
    both("dead show", &missing.out, &missing.err);
}

#[test]
fn a_worker_logs_a_message_in_harmless_words() {
    let url = Node::shared().vhost("hostile-run");
    declare(&url, QUEUE);
    put(&url, TASKS, QUEUE, event());
    let mut nameless = event();
    nameless.headers.set("cloudEvents_type", HOSTILE);
    nameless.properties.kind = Some(HOSTILE.into());
    put(&url, TASKS, QUEUE, nameless);
    let script = "printf '\\033[31mout of order\\n' >&2; exit 65";
    let words = ["run", "--service", "shop", "--task", NAME, "--drain", "--", "sh", "-c", script];
    let ended = start(&url, &words).end();
    // What the program itself writes is passed on as it is.
    let logged: String =
        ended.err.split_inclusive('\n').filter(|line| *line != "\u{1b}[31mout of order\n").collect();
    assert_harmless("run", &logged);
}

#[test]
fn what_the_broker_answers_is_told_in_harmless_words() {
    let url = Node::shared().vhost("hostile-broker");
    let name: String = HOSTILE.chars().filter(|&c| c != '\n').collect();
    let other = Topology { exchanges: vec![Exchange::fanout(EVENTS)], ..Topology::default() };
    wait(transport(&url).check(&other)).unwrap();
    let ended = ponos(&url, &["dead", "list", "--queue", &name]);
    assert_eq!(ended.code, Some(77), "{}", ended.err);
    both("dead list", &ended.out, &ended.err);
    let nowhere = Node::shared().url_for("guest", "guest", "%1b%5b31m%c2%9b");
    let ended = ponos(&nowhere, &["tail"]);
    assert_eq!(ended.code, Some(77), "{}", ended.err);
    both("tail", &ended.out, &ended.err);
}
