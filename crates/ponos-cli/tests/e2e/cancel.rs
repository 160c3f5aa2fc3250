//! `ponos cancel`.

use super::support::{LIMIT, declare, ponos_ends, start};
use serde_json::Value;
use testkit::{Node, Postgres, Sandbox, Signal, block_until};

const NAME: &str = "stock.shelf.clean";
const QUEUE: &str = "shop.stock.shelf.clean";

fn publish(url: &str, id: &str) {
    ponos_ends(url, &["publish", NAME, r#"{"n":1}"#, "--task", "shop", "--id", id], 0);
}

#[test]
fn what_is_cancelled_is_dropped_when_it_comes_and_while_it_is_at_work() {
    let url = Node::shared().vhost("cancel-cli");
    declare(&url, QUEUE);
    let words = ["cancel", "one", "two", "--service", "shop", "--why", "sent twice", "--as", "alice"];
    let said = ponos_ends(&url, &words, 0).out;
    for (id, line) in ["one", "two"].iter().zip(said.lines()) {
        let begins = format!("{id}: will be dropped when it comes to a worker of shop until 20");
        assert!(line.starts_with(&begins) && line.ends_with("and stopped where it is at work"), "{said}");
    }
    assert_eq!(said.lines().count(), 2);
    for id in ["one", "slow"] {
        publish(&url, id);
    }
    let sandbox = Sandbox::new();
    let begun = sandbox.path("begun");
    let program = format!("echo >> '{}'; exec sleep 300", begun.display());
    let words = ["run", "--service", "shop", "--task", NAME, "--timeout", "5m", "--", "sh", "-c", &program];
    let mut worker = start(&url, &words);
    block_until("a program to run", LIMIT, || begun.exists().then_some(()));
    let said = ponos_ends(&url, &["cancel", "slow", "--queue", QUEUE, "--json"], 0).out;
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&said["id"], &said["service"], &said["queue"]),
        (&"slow".into(), &"shop".into(), &QUEUE.into())
    );
    assert_eq!((&said["removed"], &said["name"]), (&Value::Null, &Value::Null));
    // what runs for five minutes is ended long before the grace of a stop
    worker.program.signal(Signal::TERM);
    assert_eq!(worker.program.wait(LIMIT), Some(0), "{}", worker.err());
    let ended = "ended: 0 handled, 0 put off, 0 to the dead letters, 0 given back, 0 to be delivered again";
    assert!(worker.err().contains(ended), "{}", worker.err());
    let begun = std::fs::read_to_string(&begun).unwrap();
    assert_eq!(begun.lines().count(), 1, "the other alone was begun, once");
}

#[test]
fn what_waits_in_the_database_is_removed_at_once() {
    let url = Node::shared().vhost("cancel-cli-waiting");
    let inbox = Postgres::shared().database("cancel_cli");
    declare(&url, QUEUE);
    let words =
        ["run", "--service", "shop", "--task", NAME, "--inbox", &inbox, "--backoff", "first=1h,jitter=0"];
    let running = start(&url, &[&words[..], &["--", "sh", "-c", "exit 1"]].concat());
    publish(&url, "one");
    let rows = || Postgres::shared().sql("cancel_cli", "select count(*) from ponos.ponos_outbox");
    running.says("connected");
    block_until("it to wait", LIMIT, || (rows() == "1").then_some(()));
    let cancel = |id: &str, more: &[&str]| {
        let words = ["cancel", id, "--service", "shop", "--inbox", &inbox];
        ponos_ends(&url, &[&words[..], more].concat(), 0).out
    };
    let another = cancel("one", &["--name", "stock.shelf.count"]);
    assert!(another.starts_with("one: no task or retry of it waits; will be dropped"), "{another}");
    assert_eq!(rows(), "1");
    let said = cancel("one", &[]);
    assert!(said.starts_with("one: waiting, removed; another of it will be dropped"), "{said}");
    assert_eq!(rows(), "0");
    drop(running);
    // an event that is for everybody is not of this service alone
    let row = "insert into ponos.ponos_outbox (service, id, exchange, head, body, due, next_try, name)
        select 'shop', 'all', 'events', '{}', '', due, due, 'a.b.c' from (select now() + interval '1 hour' as due) as at";
    Postgres::shared().sql("cancel_cli", row);
    let said: Value = serde_json::from_str(&cancel("all", &["--json"])).unwrap();
    assert_eq!((&said["removed"], &said["for_all"]), (&0.into(), &1.into()));
    assert_eq!(rows(), "1");
}

#[test]
fn what_can_not_be_cancelled_is_refused_before_anything_is_said() {
    let url = Node::shared().vhost("cancel-cli-refused");
    declare(&url, QUEUE);
    for (words, code, says) in [
        (&["cancel", "--service", "shop"][..], 2, "<ID>"),
        (&["cancel", "one", "--service", "Shop"], 2, "not the name of a service"),
        (&["cancel", "one", "--queue", "shop.stock.shelf.cleen"], 1, "there is no queue"),
        (&["cancel", "one", "--queue", QUEUE, "--service", "mail"], 2, "not the name of a queue of mail"),
        (&["cancel", "one", "--queue", QUEUE, "--name", NAME], 2, "--name"),
        (&["cancel", "one", "--service", "shop", "--name", "clean"], 2, "name"),
    ] {
        let ended = ponos_ends(&url, words, code);
        assert!(ended.err.contains(says), "{words:?}\n{}", ended.err);
    }
    ponos_ends("amqp://127.0.0.1:1", &["cancel", "one", "--service", "shop"], 69);
}
