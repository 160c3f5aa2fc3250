//! `tail --broker` on a real RabbitMQ.

use ponos::{
    broker::{
        PublishOutcome, Publishing,
        amqp::{AmqpConfig, publisher},
    },
    event::{Event, EventKind, EventName, OccurrenceId, Timestamp},
    topology::{Exchange, Topology},
};
use std::{
    process::{Child, Command, Output, Stdio},
    time::Duration,
};
use testkit::{Node, Sandbox};

fn tail(arguments: &[&str]) -> Child {
    let folder = std::env::temp_dir();
    Command::new(env!("CARGO_BIN_EXE_khronos"))
        .arg("tail")
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn event(name: &str) -> Event {
    let due = Timestamp::from_millis(60_000);
    let id = OccurrenceId { clock: "khronos", schedule: "one", due, kind: &EventKind::Occurrence }.id();
    let name: EventName = name.parse().unwrap();
    Event { time: Some(due), subject: Some("one".into()), ..Event::new(id, "/khronos/khronos", name, "{}") }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_a_broker_are_printed_as_they_match() {
    let node = Node::shared();
    let url = node.vhost("tail");
    let child = tail(&["--broker", &url, "--match", "time.#", "--count", "1", "--json"]);
    let topology = Topology { exchanges: vec![Exchange::topic("events")], ..Topology::default() };
    let mut publisher = publisher(AmqpConfig::parse(&url).unwrap(), topology);
    let mut link = publisher.link();
    let up = link.wait_for(|link| matches!(link, ponos::broker::Link::Up { .. }));
    tokio::time::timeout(Duration::from_secs(30), up).await.expect("in time").unwrap();
    // Published until somebody is bound: a return tells that the tail is not there yet.
    let reached = async {
        for token in 0.. {
            let batch = ["shop.order.placed", "time.one-minute.passed"].iter().map(|name| Publishing {
                token,
                lane: 0,
                exchange: "events".into(),
                message: event(name).to_message(),
            });
            publisher.submit(batch.collect()).await.unwrap();
            let mut left = 2;
            let mut routed = false;
            while left > 0 {
                for settlement in publisher.settlements().await.unwrap() {
                    left -= 1;
                    routed |= settlement.outcome == PublishOutcome::Confirmed { returned: false };
                }
            }
            if routed {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), reached).await.expect("in time");
    let output = finished(child).await;
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON line");
    assert_eq!((&line["type"], &line["subject"]), (&"time.one-minute.passed".into(), &"one".into()));
    assert_eq!(output.status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_with_headers_nested_as_deep_as_a_frame_holds_is_printed_and_the_next_one_too() {
    let url = Node::shared().vhost("tail-nested");
    let child = tail(&["--broker", &url, "--count", "2", "--json"]);
    let exchange = Topology { exchanges: vec![Exchange::topic("events")], ..Topology::default() };
    ponos::broker::amqp::check(&AmqpConfig::parse(&url).unwrap(), &exchange).await.unwrap();
    let sending = tokio::task::spawn_blocking(move || {
        let deepest = testkit::nested_lists(25_000);
        let waiting = std::thread::spawn(|| child.wait_with_output().unwrap());
        // what is sent before the tail is bound goes nowhere
        while !waiting.is_finished() {
            testkit::publish_nested(&url, ("events", "a.b.c"), ("a.b.c", "deep"), &deepest);
        }
        waiting.join().unwrap()
    });
    let output = tokio::time::timeout(Duration::from_secs(60), sending).await.expect("in time").unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 2, "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_ends_the_tail_with_the_remedy_and_not_the_secret() {
    let node = Node::shared();
    let url = node.url_for("guest", "not-the-password", "/");
    let output = finished(tail(&["--broker", &url])).await;
    assert_eq!(output.status.code(), Some(77), "{output:?}");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("not-the-password"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pattern_that_can_match_nothing_is_refused_before_anybody_is_asked() {
    for (arguments, named) in [
        (&["--broker", "amqp://127.0.0.1:1", "--match", "time..passed"][..], "time..passed"),
        (&["--broker", "amqp://127.0.0.1:1", "--match", "time.#", "--match", "two-*"], "two-*"),
        (&["--broker", "amqp://127.0.0.1:1", "--match", "time.*"], "time.*"),
        (&["--feed", "http://127.0.0.1:1", "--match", "time.*"], "time.*"),
        (&["--match", ""], "''"),
    ] {
        let output = finished(tail(arguments)).await;
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(named), "{output:?}");
    }
}

#[test]
fn that_a_lost_broker_is_tried_again_is_said_once() {
    let sandbox = Sandbox::new();
    let errors = || std::fs::read_to_string(sandbox.path("err")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_khronos"));
    command.args(["tail", "--broker", "amqp://127.0.0.1:1"]).env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let _tail = sandbox.start(command.stderr(std::fs::File::create(sandbox.path("err")).unwrap()));
    let line = testkit::block_until("a word about the broker", Duration::from_secs(60), || {
        errors().lines().find(|_| errors().ends_with('\n')).map(str::to_owned)
    });
    assert!(line.contains("127.0.0.1:1"), "{line}");
    assert_eq!((line.matches("tried again").count(), line.matches("trying").count()), (1, 0), "{line}");
}

async fn finished(child: Child) -> Output {
    let waited = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    tokio::time::timeout(Duration::from_secs(30), waited).await.expect("in time").unwrap()
}
