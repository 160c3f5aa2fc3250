//! `ponos run`: schemas, waits, what is overtaken or awaited, several patterns in one queue, the health file.

use super::support::{Ended, LIMIT, declare, declare_all, holds, look, ponos_ends, start, start_in};
use ponos::{
    clock::Clock,
    event::{Timestamp, control},
    topology::worker::{QueueIntake, shared, work_queue},
};
use serde_json::json;
use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
};
use testkit::{Node, Signal};

const QUEUE: &str = "shop.stock.shelf.clean";
const TASK: [&str; 5] = ["run", "--service", "shop", "--task", "stock.shelf.clean"];

/// A vhost with the queue of the task, and with these in it: id and payload.
fn with_tasks(vhost: &str, tasks: &[(&str, &str)]) -> String {
    let url = Node::shared().vhost(vhost);
    declare(&url, QUEUE);
    for (id, payload) in tasks {
        ponos_ends(&url, &["publish", "stock.shelf.clean", payload, "--task", "shop", "--id", id], 0);
    }
    url
}

/// A shell script as the worker, until its queues are empty; 1 if something dies there or is put off.
fn drained(url: &str, words: &[&str], script: &str, code: i32) -> Ended {
    ponos_ends(url, &[words, &["--drain", "--", "sh", "-c", script]].concat(), code)
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn what_breaks_the_schema_goes_to_the_dead_letters_and_no_program_sees_it() {
    let url = with_tasks("told-schema", &[("bad", r#"{"n":"many"}"#), ("good", r#"{"n":1}"#)]);
    let folder = tempfile::tempdir().unwrap();
    let schema = r#"{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}"#;
    let file = write(folder.path(), "clean.json", schema);
    let ended = drained(&url, &[&TASK[..], &["--schema", &file]].concat(), "echo $PONOS_ID", 1);
    assert_eq!(ended.out, "good\n", "{}", ended.err);
    holds(&url, &format!("{QUEUE}.dlq"), 1);
    let dead = look(&url, &format!("{QUEUE}.dlq"), 1).remove(0);
    assert_eq!(dead.properties.message_id.as_deref(), Some("bad"));
    assert_eq!(dead.headers.text("dead-kind"), Some("schema"));
    let reason = dead.headers.text("dead-reason").unwrap();
    assert!(reason.contains("/n") && reason.contains("many"), "{reason}");
}

#[test]
fn several_patterns_in_one_queue_come_in_order_each_held_to_its_own_schema() {
    let url = Node::shared().vhost("told-fan-in");
    let (made, gone) = ("order.item.made", "order.item.gone");
    let mut topology = shared();
    topology.join(control::topology());
    topology.join(work_queue("shop.orders", QueueIntake::Events(&[made, gone]), false));
    declare_all(&url, &topology);
    let streams = ["--service", "shop", "--on", made, "--on", gone, "--fan-in", "orders"];
    // it is what is declared
    ponos_ends(&url, &[&["topology", "--check"], &streams[..]].concat(), 0);
    for (name, payload) in [(made, "1"), (gone, r#""a""#), (made, r#""b""#), (gone, r#""c""#), (made, "2")] {
        ponos_ends(&url, &["publish", name, payload, "--mandatory"], 0);
    }
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &format!("{made}.json"), r#"{"type":"integer"}"#);
    write(folder.path(), &format!("{gone}.json"), r#"{"type":"string"}"#);
    let schemas = folder.path().to_str().unwrap();
    let words = [&["run"], &streams[..], &["--schema", schemas]].concat();
    let ended = drained(&url, &words, r#"echo "$PONOS_QUEUE $PONOS_NAME $(cat)""#, 1);
    let expected = ["made 1", "gone \"a\"", "gone \"c\"", "made 2"];
    let expected: String = expected.iter().map(|one| format!("shop.orders order.item.{one}\n")).collect();
    assert_eq!(ended.out, expected, "{}", ended.err);
    holds(&url, "shop.orders.dlq", 1);
}

#[test]
fn an_attempt_that_failed_waits_as_long_as_told() {
    let url = with_tasks("told-backoff", &[("one", "1")]);
    drained(&url, &[&TASK[..], &["--backoff", "first=90m,longest=90m,jitter=0"]].concat(), "exit 75", 1);
    // the longest step that fits into it
    holds(&url, "retry.1h", 1);
    let message = look(&url, "retry.1h", 1).remove(0);
    let due: Timestamp = message.headers.text("retry-due").unwrap().parse().unwrap();
    let minutes = due.since(Clock::system().now()) / 60_000;
    assert!((80..=90).contains(&minutes), "{minutes}");
}

#[test]
fn what_a_later_one_has_overtaken_is_skipped() {
    let url = with_tasks("told-latest", &[("one", "1"), ("two", "2")]);
    let script = "echo $PONOS_ID; [ $PONOS_ID = two ] || exit 75";
    let words = ["--latest-only", "--backoff", "first=10s,jitter=0", "--", "sh", "-c", script];
    let worker = start_in(&url, &[&TASK[..], &words].concat(), ("PONOS_LOG", "ponos=debug,warn"));
    worker.says("overtaken");
    worker.program.signal(Signal::TERM);
    let ended = worker.end();
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), "one\ntwo\n"), "{}", ended.err);
    holds(&url, QUEUE, 0);
}

#[test]
fn a_promise_that_is_not_kept_is_an_error_in_the_log() {
    let promise = json!({ "next_due_at": "2026-01-02T03:04:05.000Z" }).to_string();
    let url = with_tasks("told-promise", &[("one", &promise)]);
    let worker = start(&url, &[&TASK[..], &["--expect-by-next", "1s", "--", "true"]].concat());
    worker.says("a promised event has not arrived");
    worker.program.signal(Signal::TERM);
    assert_eq!(worker.end().code, Some(0));
}

#[test]
fn the_health_file_is_kept_while_the_worker_lives() {
    let url = with_tasks("told-health", &[]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alive");
    let file = path.to_str().unwrap();
    let worker = start(&url, &[&TASK[..], &["--health-file", file, "--", "true"]].concat());
    let text = || std::fs::read_to_string(&path).ok().filter(|text| !text.is_empty());
    let first = testkit::block_until("the health file", LIMIT, text);
    testkit::block_until("it to be written again", LIMIT, || text().filter(|text| *text != first));
    worker.program.signal(Signal::TERM);
    let ended = worker.end();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(!path.exists());
    let nowhere = folder.path().join("no/such/folder");
    let words = [&TASK[..], &["--health-file", nowhere.to_str().unwrap(), "--", "true"]].concat();
    assert!(ponos_ends(&url, &words, 74).err.contains("--health-file"));
}

#[test]
fn what_can_not_be_is_refused_with_its_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |words: &[&str], code: i32, why: &str| {
        let words = [&["run", "--service", "shop"], words, &["--", "true"]].concat();
        let err = ponos_ends("amqp://127.0.0.1:1", &words, code).err;
        assert!(err.contains(why), "{words:?}: {err}");
    };
    refused(&["--task", "a.b.c", "--fan-in", "all"], 2, "--on");
    refused(&["--on", "a.b.c", "--fan-in", "No Label"], 2, "label");
    for (backoff, why) in [
        ("5s", "first=2s,factor=3"),
        ("factor=0.5", "backoff.factor is 0.5"),
        ("first=2h", "longer than backoff.longest"),
        ("longest=30d", "7 days"),
    ] {
        refused(&["--on", "a.b.c", "--backoff", backoff], 2, why);
    }
    refused(&["--on", "a.b.c", "--expect-by-next", "soon"], 2, "'soon' is not a valid duration");
    refused(&["--on", "a.b.c", "--timeout", "1h"], 2, "consumer_timeout");
    let schemas = write(folder.path(), "a.b.c.json", "{\"type\": \"text\"}");
    refused(&["--on", "a.b.c", "--schema", &schemas], 78, "a.b.c.json: the schema is refused at /type");
    refused(&["--on", "a.b.c", "--schema", "no/such/file"], 78, "no/such/file");
    write(folder.path(), "a.b.c.json", "true");
    let schemas = folder.path().to_str().unwrap();
    refused(&["--on", "a.b.c", "--on", "a.b.d", "--schema", schemas], 78, "no file a.b.d.json");
    refused(&["--on", "a.#", "--schema", schemas], 2, "'a.#' is not a name");
}

#[test]
fn a_program_that_takes_long_is_let_run_where_the_broker_waits_longer() {
    let url = with_tasks("told-long", &[("one", "1")]);
    let words = [&TASK[..], &["--timeout", "1h", "--consumer-timeout", "6h"]].concat();
    assert_eq!(drained(&url, &words, "cat", 0).out, "1");
}

/// The answer to `GET /metrics` there.
fn scraped(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn metrics_are_served_where_it_was_told_to() {
    let url = with_tasks("told-metrics", &[("one", "{}"), ("two", "{}")]);
    let words = [&TASK[..], &["--attempts", "1", "--metrics", "127.0.0.1:0", "--"]].concat();
    let script = "test $PONOS_ID = one || exit 65";
    let running = start(&url, &[&words[..], &["sh", "-c", script]].concat());
    running.says("the metrics are at http://127.0.0.1:");
    let err = running.err();
    let address = err.split("http://").nth(1).and_then(|rest| rest.split('/').next()).unwrap();
    let counted = |reason: &str, outcome: &str| {
        format!("ponos_{reason}_total{{queue=\"{QUEUE}\",handler=\"stock.shelf.clean\",{outcome}}} 1\n")
    };
    let wanted = [counted("deliveries", "outcome=\"done\""), counted("dead_letters", "reason=\"refused\"")];
    testkit::block_until_or_tell(
        "both to be counted",
        LIMIT,
        || wanted.iter().all(|line| scraped(address).contains(line)).then_some(()),
        || scraped(address),
    );
    // a second one there, told by the environment
    let words = [&TASK[..], &["--", "true"]].concat();
    let second = start_in(&url, &words, ("PONOS_METRICS", address)).end();
    assert_eq!(second.code, Some(78), "{}", second.err);
    assert!(second.err.contains(address) && second.err.contains("choose another port"), "{}", second.err);
    running.program.signal(Signal::TERM);
    assert_eq!(running.end().code, Some(0));

    let words = [&TASK[..], &["--metrics", "localhost:9464", "--", "true"]].concat();
    let refused = ponos_ends(&url, &words, 2);
    assert!(refused.err.contains("'localhost:9464' is not an IP address with a port"), "{}", refused.err);
    let unset =
        start_in(&url, &[&TASK[..], &["--drain", "--", "true"]].concat(), ("PONOS_METRICS", "")).end();
    assert_eq!(unset.code, Some(0), "{}", unset.err);
}
