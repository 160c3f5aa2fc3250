//! Headers nested so deep that reading them takes more stack than threads usually have; and what a start for that changes.

use super::support::{declare, holds, ponos_ends, start, start_in};
use ponos::topology::worker::{DEAD, EVENTS, TASKS};
use std::{collections::BTreeMap, fs, process::Command};
use testkit::{Node, nested_lists, nested_tables, publish_nested};

const QUEUE: &str = "shop.stock.shelf.clean";
const NAME: &str = "stock.shelf.clean";
const RUN: [&str; 6] = ["run", "--service", "shop", "--task", NAME, "--drain"];

/// As many as a frame of 128 KiB holds.
fn deepest() -> [Vec<u8>; 2] {
    [nested_lists(25_000), nested_tables(21_000)]
}

#[test]
fn a_worker_handles_headers_nested_as_deep_as_a_frame_holds_and_goes_on() {
    let url = Node::shared().vhost("nested-run");
    declare(&url, QUEUE);
    let [lists, tables] = deepest();
    publish_nested(&url, (TASKS, QUEUE), (NAME, "lists"), &lists);
    publish_nested(&url, (TASKS, QUEUE), (NAME, "tables"), &tables);
    ponos_ends(&url, &["publish", NAME, "{}", "--task", "shop", "--id", "plain"], 0);
    // what is nested takes broker and client long, and the queue is not empty until it has come
    let ended = start(&url, &[&RUN[..], &["--", "sh", "-c", "echo $PONOS_ID"]].concat()).end();
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.out, ended.err);
    assert_eq!(ended.out, "lists\ntables\nplain\n", "{}", ended.err);
    holds(&url, &format!("{QUEUE}.dlq"), 0);
}

#[test]
fn dead_letters_nested_so_deep_are_listed_and_shown_without_what_is_too_deep() {
    let url = Node::shared().vhost("nested-dead");
    declare(&url, QUEUE);
    for (id, value) in ["lists", "tables"].iter().zip(deepest()) {
        publish_nested(&url, (DEAD, QUEUE), (NAME, id), &value);
    }
    holds(&url, &format!("{QUEUE}.dlq"), 2);
    // what was looked at is back a moment later
    let all_back = || holds(&url, &format!("{QUEUE}.dlq"), 2);
    let listed = ponos_ends(&url, &["dead", "list", "--queue", QUEUE], 0);
    assert!(listed.out.contains("lists") && listed.out.contains("tables"), "{}", listed.out);
    all_back();
    let shown = ponos_ends(&url, &["dead", "show", "tables", "--queue", QUEUE], 0);
    assert!(shown.out.contains("left out: nested more than 32 deep"), "{}", shown.out);
    all_back();
    let requeued = ponos_ends(&url, &["dead", "requeue", "--queue", QUEUE, "--all"], 0);
    assert!(requeued.err.contains("2 requeued, 0 stayed"), "{}", requeued.err);
}

#[test]
fn a_tail_prints_events_nested_so_deep_and_what_comes_after_them() {
    let url = Node::shared().vhost("nested-tail");
    let tail = start(&url, &["tail", "--count", "3"]);
    tail.says("listening");
    for (id, value) in ["lists", "tables"].iter().zip(deepest()) {
        publish_nested(&url, (EVENTS, "a.b.c"), ("a.b.c", id), &value);
    }
    ponos_ends(&url, &["publish", "a.b.c", "{}", "--id", "plain"], 0);
    let ended = tail.end();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let ids: Vec<_> = ended.out.lines().filter_map(|line| line.split("  ").nth(2)).collect();
    assert_eq!(ids, ["lists", "tables", "plain"], "{}", ended.out);
}

#[test]
fn it_starts_again_once_as_the_same_process_with_more_stack() {
    let url = Node::shared().vhost("nested-again");
    let tail = start(&url, &["tail", "a.b.c"]);
    tail.says("listening");
    let process = format!("/proc/{}", tail.program.id());
    let environment = fs::read_to_string(format!("{process}/environ")).unwrap();
    let environment: BTreeMap<_, _> =
        environment.split('\0').filter_map(|entry| entry.split_once('=')).collect();
    assert_eq!(environment.get("RUST_MIN_STACK"), Some(&ponos::stack::NEEDED.to_string().as_str()));
    assert_eq!(fs::read_to_string(format!("{process}/comm")).unwrap(), "ponos\n");
    let words = fs::read_to_string(format!("{process}/cmdline")).unwrap();
    assert_eq!(words, format!("{}\0tail\0a.b.c\0", env!("CARGO_BIN_EXE_ponos")));
}

#[test]
fn the_programs_it_runs_do_not_inherit_its_stack() {
    let url = Node::shared().vhost("nested-children");
    declare(&url, QUEUE);
    ponos_ends(&url, &["publish", NAME, "{}", "--task", "shop"], 0);
    let script = "env | grep -i -e ^RUST_MIN_STACK -e ^PONOS_STACK; echo end";
    let ended = start(&url, &[&RUN[..], &["--", "sh", "-c", script]].concat()).end();
    assert_eq!(ended.out, "end\n", "{}", ended.err);
}

#[test]
fn what_the_user_set_himself_stays_and_is_inherited_and_too_little_is_said_once() {
    let url = Node::shared().vhost("nested-own");
    declare(&url, QUEUE);
    ponos_ends(&url, &["publish", NAME, "{}", "--task", "shop"], 0);
    let script = "env | grep -e ^RUST_MIN_STACK -e ^PONOS_STACK";
    let words = [&RUN[..], &["--", "sh", "-c", script]].concat();
    let ended = start_in(&url, &words, ("RUST_MIN_STACK", "4194304")).end();
    assert_eq!(ended.out, "RUST_MIN_STACK=4194304\n", "{}", ended.err);
    assert_eq!(ended.err.matches("deeply nested headers can end this process").count(), 1, "{}", ended.err);
}

#[test]
fn where_address_space_is_short_it_says_so_and_goes_on() {
    let limited = "ulimit -v 900000; exec \"$0\" --version";
    let output = Command::new("sh")
        .args(["-c", limited, env!("CARGO_BIN_EXE_ponos")])
        .env_remove("RUST_MIN_STACK")
        .output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.matches("warning: ").count(), 1, "{said}");
    assert!(said.contains("could not be restarted with RUST_MIN_STACK="), "{said}");
    assert!(output.status.success() && output.stdout.starts_with(b"ponos "), "{output:?}");
}
