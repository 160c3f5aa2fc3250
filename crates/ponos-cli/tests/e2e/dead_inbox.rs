//! `ponos dead requeue` of what an inbox knows already.

use super::support::{Ended, declare, holds, ponos_ends, start};
use testkit::Node;

const QUEUE: &str = "shop.stock.shelf.clean";
const LETTERS: &str = "shop.stock.shelf.clean.dlq";

/// A script as the worker, with that inbox, until the queue is empty.
fn drained(url: &str, inbox: &str, script: &str) -> Ended {
    let words = ["run", "--service", "shop", "--task", "stock.shelf.clean", "--drain", "--inbox", inbox];
    let ended = start(url, &[&words[..], &["--", "sh", "-c", script]].concat()).end();
    let code = i32::from(script.contains("exit 65"));
    assert_eq!(ended.code, Some(code), "{}\n{}", ended.out, ended.err);
    ended
}

fn publish(url: &str, id: &str) {
    ponos_ends(url, &["publish", "stock.shelf.clean", "1", "--task", "shop", "--id", id], 0);
}

/// One that was refused lies in the dead letters; the same message came a second time and is done.
fn refused_and_done(url: &str, inbox: &str) {
    declare(url, QUEUE);
    publish(url, "one");
    drained(url, inbox, "exit 65");
    holds(url, LETTERS, 1);
    publish(url, "one");
    assert_eq!(drained(url, inbox, "echo ran").out, "ran\n", "what was refused is not known to the inbox");
    holds(url, LETTERS, 1);
}

/// Requeues all letters and works them off; what the worker did.
fn requeued(url: &str, inbox: &str, more: &[&str]) -> String {
    let words = ["dead", "requeue", "--queue", QUEUE, "--all"];
    let ended = ponos_ends(url, &[&words[..], more].concat(), 0);
    assert!(ended.err.contains("1 requeued, 0 stayed"), "{}", ended.err);
    holds(url, LETTERS, 0);
    holds(url, QUEUE, 1);
    let ended = drained(url, inbox, "echo ran");
    holds(url, QUEUE, 0);
    holds(url, LETTERS, 0);
    ended.out
}

#[test]
fn what_is_done_is_not_done_again_unless_the_inbox_is_named() {
    let url = Node::shared().vhost("dead-inbox-sled");
    let folder = tempfile::tempdir().unwrap();
    let inbox = format!("sled:{}", folder.path().join("inbox").display());
    refused_and_done(&url, &inbox);
    assert_eq!(requeued(&url, &inbox, &[]), "", "an effect is not repeated by mistake");
}

#[test]
fn with_its_inbox_what_is_done_runs_again_and_is_known_again() {
    let url = Node::shared().vhost("dead-inbox-postgres");
    let inbox = testkit::Postgres::shared().database("dead_inbox");
    refused_and_done(&url, &inbox);
    assert_eq!(requeued(&url, &inbox, &["--inbox", &inbox]), "ran\n");
    publish(&url, "one");
    assert_eq!(drained(&url, &inbox, "echo ran").out, "", "it was recorded anew");
}

#[test]
fn what_died_twice_is_requeued_twice_and_runs_each_time() {
    let url = Node::shared().vhost("dead-inbox-twice");
    let folder = tempfile::tempdir().unwrap();
    let inbox = format!("sled:{}", folder.path().join("inbox").display());
    declare(&url, QUEUE);
    publish(&url, "one");
    for _ in 0..2 {
        drained(&url, &inbox, "exit 65");
        holds(&url, LETTERS, 1);
        ponos_ends(&url, &["dead", "requeue", "--queue", QUEUE, "--all"], 0);
        holds(&url, LETTERS, 0);
    }
    assert_eq!(drained(&url, &inbox, "echo ran").out, "ran\n");
    holds(&url, QUEUE, 0);
    holds(&url, LETTERS, 0);
}
