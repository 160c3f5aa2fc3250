//! `ponos publish`.

use super::support::{
    Ended, LIMIT, declare, declare_all, holds, look, ponos_ends, start_reading, start_with,
};
use ponos::{
    broker::{Consume, Link, Publishing, Settle, Transport, amqp::AmqpConfig},
    event::{Event, Message, Properties},
    topology::{
        Binding, Exchange, Queue, Topology,
        worker::{QueueIntake, shared, work_queue},
    },
};
use serde_json::{Value, json};
use testkit::{Node, Signal};

fn with_subscriber(vhost: &str) -> String {
    let url = Node::shared().vhost(vhost);
    let mut all: Topology = shared();
    all.join(work_queue("shop.order", QueueIntake::Events(&["order.#"]), false));
    declare_all(&url, &all);
    url
}

#[test]
fn an_event_arrives_with_all_that_was_said() {
    let url = with_subscriber("publish-arrives");
    let words = [
        "publish",
        "order.parcel.shipped",
        r#"{"order": 7}"#,
        "--id",
        "my-id",
        "--source",
        "/shop",
        "--subject",
        "7",
    ];
    let ended = ponos_ends(&url, &words, 0);
    assert_eq!((ended.out.as_str(), ended.err.as_str()), ("my-id\n", ""));
    let event = Event::from_message(&look(&url, "shop.order", 1)[0]).unwrap();
    assert_eq!((event.id.as_str(), event.name.as_str()), ("my-id", "order.parcel.shipped"));
    assert_eq!((event.source.as_str(), event.subject.as_deref()), ("/shop", Some("7")));
    assert_eq!(event.data, br#"{"order": 7}"#);
    assert!(event.time.is_some());
}

#[test]
fn ids_are_fresh_unless_a_key_makes_them() {
    let url = with_subscriber("publish-ids");
    let id = |words: &[&str]| ponos_ends(&url, words, 0).out;
    assert_ne!(id(&["publish", "order.a.made", "1"]), id(&["publish", "order.a.made", "1"]));
    let keyed = id(&["publish", "order.a.made", "1", "--key", "k"]);
    assert_eq!(keyed, id(&["publish", "order.a.made", "2", "--key", "k"]));
    assert_ne!(keyed, id(&["publish", "order.b.made", "1", "--key", "k"]));
}

#[test]
fn an_event_that_nobody_receives_is_a_note_or_a_failure() {
    let url = with_subscriber("publish-nobody");
    let ended = ponos_ends(&url, &["publish", "weather.today.changed", "1"], 0);
    assert!(ended.err.contains("note: nobody receives it"), "{}", ended.err);
    ponos_ends(&url, &["publish", "weather.today.changed", "1", "--mandatory"], 1);
    ponos_ends(&url, &["publish", "order.today.changed", "1", "--mandatory"], 0);
}

#[test]
fn a_task_must_reach_its_service() {
    let url = Node::shared().vhost("publish-task");
    declare(&url, "docker.stock.shelf.clean");
    ponos_ends(&url, &["publish", "stock.shelf.clean", "1", "--task", "docker"], 0);
    holds(&url, "docker.stock.shelf.clean", 1);
    let ended = ponos_ends(&url, &["publish", "stock.shelf.clean", "1", "--task", "podman"], 1);
    assert!(ended.err.contains("'podman.stock.shelf.clean'"), "{}", ended.err);
}

#[test]
fn without_the_exchange_it_says_who_declares_it() {
    let url = Node::shared().vhost("publish-no-exchange");
    let ended = ponos_ends(&url, &["publish", "a.b.c", "1"], 1);
    assert!(ended.err.contains("'events'") && ended.err.contains("worker"), "{}", ended.err);
}

#[test]
fn the_payload_may_come_from_standard_input() {
    let url = with_subscriber("publish-stdin");
    let ended = start_with(&url, &["publish", "order.a.made", "-", "--json"], "[1, 2]\n").end();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((&report["received"], &report["routing_key"]), (&true.into(), &"order.a.made".into()));
    assert_eq!(look(&url, "shop.order", 1)[0].body, b"[1, 2]");
}

#[test]
fn what_can_not_be_is_refused_before_the_broker_is_asked() {
    let nobody = "amqp://127.0.0.1:1";
    let ended = ponos_ends(nobody, &["publish", "a.b.c", "{nope"], 2);
    assert!(ended.err.contains("not valid JSON"), "{}", ended.err);
    ponos_ends(nobody, &["publish", "No Name", "1"], 2);
    let task = ponos_ends(nobody, &["publish", "images.cleanup", "1", "--task", "docker"], 2);
    assert!(task.err.contains("a task's name has three or more words"), "{}", task.err);
    ponos_ends(nobody, &["publish", "a.b.c", "1", "--id", "x", "--key", "y"], 2);
}

#[test]
fn a_payload_is_held_to_its_schema() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("order.a.made.json");
    std::fs::write(
        &file,
        r#"{"type": "object", "required": ["order"], "properties": {"order": {"type": "integer"}}}"#,
    )
    .unwrap();
    let nobody = "amqp://127.0.0.1:1";
    for schema in [file.to_str().unwrap(), folder.path().to_str().unwrap()] {
        let ended =
            ponos_ends(nobody, &["publish", "order.a.made", r#"{"order": "x"}"#, "--schema", schema], 1);
        assert!(ended.err.contains("/order"), "{}", ended.err);
        // one that keeps it goes on to the broker, which is not there
        ponos_ends(nobody, &["publish", "order.a.made", r#"{"order": 1}"#, "--schema", schema], 69);
    }
    let ended =
        ponos_ends(nobody, &["publish", "order.b.made", "1", "--schema", folder.path().to_str().unwrap()], 1);
    assert!(ended.err.contains("order.b.made"), "{}", ended.err);
}

#[test]
fn a_broker_in_want_of_memory_is_named() {
    let node = Node::start();
    declare_all(&node.url(), &shared());
    node.raise_memory_alarm();
    let ended = ponos_ends(&node.url(), &["publish", "order.a.made", "1"], 69);
    assert!(ended.err.contains("the broker accepts no messages at present (low on memory)"), "{}", ended.err);
    assert!(ended.err.contains("not confirmed within the limit"), "{}", ended.err);
}

#[test]
fn a_byte_order_mark_is_named() {
    let nobody = "amqp://127.0.0.1:1";
    let ended = ponos_ends(nobody, &["publish", "a.b.c", "\u{feff}{}"], 2);
    assert!(ended.err.contains("byte order mark (EF BB BF)"), "{}", ended.err);
    let ended = start_with(nobody, &["publish", "a.b.c", "-"], "\u{feff}{}").end();
    assert_eq!(ended.code, Some(2));
    assert!(ended.err.contains("byte order mark (EF BB BF)"), "{}", ended.err);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.b.c.json");
    std::fs::write(&file, "\u{feff}{}").unwrap();
    let ended = ponos_ends(nobody, &["publish", "a.b.c", "1", "--schema", file.to_str().unwrap()], 78);
    assert!(ended.err.contains("byte order mark (EF BB BF)"), "{}", ended.err);
}

#[test]
fn ctrl_c_ends_a_publish_that_waits_for_its_payload_with_130_and_one_line() {
    let (reader, writer) = std::io::pipe().unwrap();
    let running = start_reading("amqp://127.0.0.1:1", &["publish", "order.a.made", "-"], reader);
    let status = format!("/proc/{}/status", running.program.id());
    testkit::block_until("SIGINT to be listened for", LIMIT, || {
        let status = std::fs::read_to_string(&status).ok()?;
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
        (u64::from_str_radix(caught.trim(), 16).ok()? & 0b10 != 0).then_some(())
    });
    running.program.signal(Signal::INT);
    let ended = running.end();
    assert_eq!((ended.code, ended.out.as_str()), (Some(130), ""), "{}", ended.err);
    let said = "interrupted: if no id was printed, the message may not have been published\n";
    assert_eq!(ended.err, said);
    drop(writer);
}

/// A clock's door as `ponos publish --in` meets it: one command is taken and answered so. Returns that command.
fn answered_once(url: &str, words: &[&str], answer: Value) -> (Message, Ended) {
    let door = Topology {
        exchanges: vec![Exchange::topic("khronos.commands")],
        queues: vec![Queue::quorum("khronos.commands")],
        bindings: vec![Binding::queue("khronos.commands", "khronos.commands", "#")],
        ..Topology::default()
    };
    declare_all(url, &door);
    let running = start_with(url, words, "");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let transport = Transport::amqp(AmqpConfig::parse(url).unwrap());
    let command = runtime.block_on(async {
        let mut consumer = transport.consumer(Topology::default(), Consume::new("khronos.commands"));
        let delivery = tokio::time::timeout(LIMIT, consumer.next()).await.expect("a command").unwrap();
        consumer.settle(delivery.tag, Settle::Ack).await.unwrap();
        let Properties { correlation_id, reply_to, .. } = delivery.message.properties.clone();
        let properties =
            Properties { correlation_id, message_id: Some("answer".into()), ..Properties::default() };
        let body = serde_json::to_vec(&answer).unwrap();
        let message = Message { routing_key: reply_to.unwrap(), properties, body, ..Message::default() };
        let mut publisher = transport.publisher(Topology::default());
        publisher.link().wait_for(|link| matches!(link, Link::Up { .. })).await.unwrap();
        publisher.submit(vec![Publishing { token: 1, lane: 0, exchange: "".into(), message }]).await.unwrap();
        publisher.settlements().await.unwrap();
        delivery.message
    });
    (command, running.end())
}

#[test]
fn what_is_for_later_is_given_to_the_clock() {
    let url = Node::shared().vhost("publish-later");
    let words = [
        "publish",
        "order.reminder.due",
        r#"{"order": 7}"#,
        "--in",
        "10m",
        "--id",
        "my-id",
        "--correlation-id",
        "request-1",
    ];
    let outcome =
        json!({ "name": "e-7", "outcome": "created", "due_at": "2026-12-24T17:00:00.000Z", "event_id": "e" });
    let (command, ended) = answered_once(&url, &words, json!({ "status": 201, "body": outcome }));
    assert_eq!(
        (ended.code, ended.out.as_str()),
        (Some(0), "e-7 2026-12-24T17:00:00.000Z\n"),
        "{}",
        ended.err
    );
    assert_eq!(command.properties.kind.as_deref(), Some("event.put"));
    assert_eq!(command.properties.message_id.as_deref(), Some("my-id"));
    assert!(command.properties.user_id.is_some(), "the broker can't vouch for it");
    let body: Value = serde_json::from_slice(&command.body).unwrap();
    let item = json!({
        "event": "order.reminder.due", "in": "600000 ms", "data": { "order": 7 }, "correlation_id": "request-1"
    });
    assert_eq!(body, json!({ "item": item }));
    let words =
        ["publish", "stock.shelf.clean", "1", "--task", "docker", "--at", "2026-12-24T18:00:00+01:00"];
    let problem = json!({ "status": 403, "code": "forbidden", "detail": "no rule allows it" });
    let (command, ended) = answered_once(&url, &words, json!({ "status": 403, "body": problem }));
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.contains("403 forbidden: no rule allows it"), "{}", ended.err);
    let body: Value = serde_json::from_slice(&command.body).unwrap();
    assert_eq!(body["item"]["to"], json!({ "task": "docker.stock.shelf.clean" }));
    assert_eq!(body["item"]["at"], "2026-12-24T17:00:00.000Z");
}

#[test]
fn without_a_clock_nothing_is_for_later() {
    let url = Node::shared().vhost("publish-no-clock");
    let ended = ponos_ends(&url, &["publish", "a.b.c", "1", "--in", "1m"], 1);
    assert!(ended.err.contains("no clock takes event.put"), "{}", ended.err);
    let nobody = "amqp://127.0.0.1:1";
    for words in [
        ["--in", "5x"].as_slice(),
        &["--at", "tomorrow"],
        &["--in", "5s", "--at", "2026-12-24T18:00:00Z"],
        &["--in", "5s", "--source", "/shop"],
        &["--in", "5s", "--mandatory"],
    ] {
        ponos_ends(nobody, &[&["publish", "a.b.c", "1"], words].concat(), 2);
    }
}
