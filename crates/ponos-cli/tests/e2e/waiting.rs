//! `ponos waiting`.

use super::support::{LIMIT, Running, declare, holds, ponos, ponos_ends, start};
use serde_json::Value;
use testkit::{Node, Postgres, block_until};

const NAME: &str = "stock.shelf.clean";
const QUEUE: &str = "shop.stock.shelf.clean";

fn worker(url: &str, inbox: &str, more: &[&str]) -> Running {
    let words =
        ["run", "--service", "shop", "--task", NAME, "--inbox", inbox, "--backoff", "first=1h,jitter=0"];
    start(url, &[&words[..], more, &["--", "sh", "-c", "echo no room >&2; exit 1"]].concat())
}

fn publish(url: &str, id: &str) {
    ponos_ends(url, &["publish", NAME, r#"{"n":1}"#, "--task", "shop", "--id", id], 0);
}

/// The lines of `ponos waiting list --json`.
fn listed(url: &str, inbox: &str, more: &[&str]) -> Vec<Value> {
    let words = ["waiting", "list", "--service", "shop", "--inbox", inbox, "--json"];
    let out = ponos_ends(url, &[&words[..], more].concat(), 0).out;
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ids(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["id"].as_str().unwrap()).collect()
}

#[test]
fn what_waits_is_listed_shown_moved_hurried_and_dropped_while_its_worker_runs() {
    let url = Node::shared().vhost("waiting");
    let inbox = Postgres::shared().database("waiting");
    declare(&url, QUEUE);
    let running = worker(&url, &inbox, &[]);
    for id in ["one", "two", "three"] {
        publish(&url, id);
    }
    let rows = || Postgres::shared().sql("waiting", "select count(*) from ponos.ponos_outbox");
    running.says("connected");
    block_until("three to wait", LIMIT, || (rows() == "3").then_some(()));
    let run = |verb: &str, more: &[&str], code: i32| {
        let words = ["waiting", verb, "--service", "shop", "--inbox", &inbox];
        ponos_ends(&url, &[&words[..], more].concat(), code)
    };

    let ended = run("list", &[], 0);
    assert!(ended.out.contains(&format!("{QUEUE}  {NAME}  one  retry (attempt 2)")), "{}", ended.out);
    assert!(ended.out.contains("no room") && ended.err.contains("3 messages waiting"), "{ended:?}");
    let mut found = listed(&url, &inbox, &["--reason", "NO ROOM", "--name", "stock.#", "--kind", "retry"]);
    found.sort_by_key(|line| line["id"].to_string());
    assert_eq!(ids(&found), ["one", "three", "two"]);
    assert_eq!((&found[0]["attempt"], &found[0]["queue"]), (&2.into(), &QUEUE.into()));
    assert_eq!(listed(&url, &inbox, &["--due-before", "30m"]).len(), 0);
    assert_eq!(listed(&url, &inbox, &["--due-before", "2h", "--limit", "2"]).len(), 2);

    let shown: Value = serde_json::from_str(&run("show", &["one", "--json"], 0).out).unwrap();
    assert_eq!(
        (&shown["message"]["body"]["n"], &shown["message"]["headers"]["retry-attempt"]),
        (&1.into(), &2.into())
    );
    assert!(run("show", &["one"], 0).out.contains("reason     "), "{shown}");
    run("show", &["nobody"], 1);

    let moved = run("move", &["two", "--to", "2098-05-01T00:00:00Z"], 0);
    assert!(moved.err.contains("1 moved to 2098-05-01T00:00:00.000Z"), "{}", moved.err);
    assert_eq!(listed(&url, &inbox, &[])[2]["due"], "2098-05-01T00:00:00.000Z");
    run("move", &["two", "--to", "2100-01-01T00:00:00Z"], 2);

    run("drop", &["--yes"], 2);
    run("drop", &["two"], 2);
    let dry = run("drop", &["--due-before", "30d", "--dry-run"], 0);
    assert!(dry.err.contains("2 would be dropped; due "), "{}", dry.err);
    let dry: Value = serde_json::from_str(&run("drop", &["two", "--dry-run", "--json"], 0).out).unwrap();
    assert_eq!((&dry["would_change"], &dry["last_due"]), (&1.into(), &"2098-05-01T00:00:00.000Z".into()));
    assert!(run("drop", &["two", "--yes"], 0).err.contains("1 dropped"));
    assert!(run("drop", &["two", "--yes"], 1).err.contains("has such an id"));
    assert_eq!(rows(), "2");

    let hurried: Value = serde_json::from_str(&run("run", &["one", "--json"], 0).out).unwrap();
    assert_eq!((&hurried["changed"], &hurried["under_way"]), (&1.into(), &0.into()));
    block_until("its second attempt to have failed", LIMIT, || {
        let found = listed(&url, &inbox, &[]);
        found.iter().any(|line| line["id"] == "one" && line["attempt"] == 3).then_some(())
    });
    drop(running);
}

#[test]
fn what_a_relay_has_in_hand_is_not_dropped_and_the_answer_says_so() {
    let inbox = Postgres::shared().database("waiting_hand");
    // the tables are made by whoever opens them first
    assert!(listed("", &inbox, &[]).is_empty());
    let row = "insert into ponos.ponos_outbox (service, id, exchange, head, body, due, next_try, name)
        select 'shop', 'one', 'events', '{}', '', due, due, 'a.b.c' from (select now() + interval '1 hour' as due) as at";
    Postgres::shared().sql("waiting_hand", row);
    // as a relay locks it, for longer than the program takes
    let hand = std::thread::spawn(|| {
        let lock = "begin; select from ponos.ponos_outbox for update; select pg_sleep(600)";
        let _ = std::panic::catch_unwind(|| Postgres::shared().sql("waiting_hand", lock));
    });
    block_until("the row to be locked", LIMIT, || {
        let free = "select count(*) from (select from ponos.ponos_outbox for update skip locked) as free";
        (Postgres::shared().sql("waiting_hand", free) == "0").then_some(())
    });
    let words = ["waiting", "drop", "one", "--service", "shop", "--inbox", &inbox, "--yes"];
    let ended = ponos_ends("", &words, 1);
    assert!(ended.err.contains("0 dropped") && ended.err.contains("1 stayed as they were"), "{}", ended.err);
    let end = "select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep(600)' and pid <> pg_backend_pid()";
    Postgres::shared().sql("waiting_hand", end);
    hand.join().unwrap();
    let dropped = ponos_ends("", &words, 0);
    assert!(dropped.err.contains("1 dropped"), "{}", dropped.err);
}

#[test]
fn without_such_an_inbox_the_depths_of_the_ladder_are_told_and_why_no_more_is_known() {
    let url = Node::shared().vhost("waiting-ladder");
    let inbox = Postgres::shared().database("waiting_ladder");
    declare(&url, QUEUE);
    publish(&url, "one");
    // nobody is there an hour later
    let drained = worker(&url, &inbox, &["--drain"]).end();
    assert_eq!(drained.code, Some(1), "{}", drained.err);
    holds(&url, "retry.1h", 1);
    assert!(listed(&url, &inbox, &[]).is_empty());
    for words in [vec![], vec!["--inbox", "memory"]] {
        let ended = ponos(&url, &[&["waiting", "list", "--service", "shop"], &words[..]].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        assert!(
            ended.out.contains("retry.1h    1\n") && ended.out.contains("retry.5s    0\n"),
            "{}",
            ended.out
        );
        assert!(ended.err.contains("1 message waiting; without an inbox on Postgres"), "{}", ended.err);
    }
    let ended = ponos_ends(&url, &["waiting", "list", "--service", "shop", "--json"], 0);
    assert!(
        ended.out.contains(r#"{"rung":"retry.1h","ready":1}"#)
            || ended.out.contains(r#"{"ready":1,"rung":"retry.1h"}"#)
    );
    for words in [["list", "--kind", "retry"], ["run", "--all", "--dry-run"], ["show", "one", "--json"]] {
        let ended = ponos_ends(&url, &[&["waiting"], &words[..], &["--service", "shop"]].concat(), 2);
        assert!(ended.err.contains("nobody can look without taking them"), "{}", ended.err);
    }
}

#[test]
fn retries_that_are_to_wait_on_the_broker_do() {
    let url = Node::shared().vhost("waiting-on-broker");
    let inbox = Postgres::shared().database("waiting_on_broker");
    declare(&url, QUEUE);
    publish(&url, "one");
    let running = worker(&url, &inbox, &["--retries-on-broker"]);
    holds(&url, "retry.1h", 1);
    assert_eq!(Postgres::shared().sql("waiting_on_broker", "select count(*) from ponos.ponos_outbox"), "0");
    drop(running);
}
