//! `ponos run -- PROGRAM`.

use super::support::{Ended, Running, declare, holds, look, ponos_ends, ready, start, start_in};
use std::path::Path;
use testkit::{Node, Signal};

const QUEUE: &str = "shop.stock.shelf.clean";

/// A shell script as the worker of the task `stock.shelf.clean`, until the queue is empty and all is done.
fn drained(url: &str, script: &str, more: &[&str]) -> Ended {
    drained_with(0, url, script, more)
}

/// The same where something dies, or is put off.
fn drained_not_done(url: &str, script: &str, more: &[&str]) -> Ended {
    drained_with(1, url, script, more)
}

fn drained_with(code: i32, url: &str, script: &str, more: &[&str]) -> Ended {
    let words = ["run", "--service", "shop", "--task", "stock.shelf.clean", "--drain"];
    let ended = start(url, &[&words[..], more, &["--", "sh", "-c", script]].concat()).end();
    assert_eq!(ended.code, Some(code), "{}\n{}", ended.out, ended.err);
    ended
}

fn with_task(vhost: &str) -> String {
    let url = Node::shared().vhost(vhost);
    declare(&url, QUEUE);
    ponos_ends(
        &url,
        &["publish", "stock.shelf.clean", r#"{"n":1}"#, "--task", "shop", "--id", "one", "--subject", "s"],
        0,
    );
    url
}

fn dead(url: &str) -> ponos::event::Message {
    holds(url, "shop.stock.shelf.clean.dlq", 1);
    look(url, "shop.stock.shelf.clean.dlq", 1).remove(0)
}

#[test]
fn a_program_gets_the_payload_and_who_it_is_from() {
    let url = with_task("run-gets");
    let script = r#"cat; echo " $PONOS_ID $PONOS_NAME $PONOS_QUEUE $PONOS_SUBJECT $PONOS_ATTEMPT/$PONOS_ATTEMPTS url:$PONOS_URL""#;
    let ended = drained(&url, script, &[]);
    assert_eq!(
        ended.out, "{\"n\":1} one stock.shelf.clean shop.stock.shelf.clean s 1/5 url:\n",
        "{}",
        ended.err
    );
    assert!(ended.err.contains("ended: 1 handled"), "{}", ended.err);
    holds(&url, QUEUE, 0);
}

#[test]
fn exit_code_65_is_for_the_dead_letters_with_the_last_words() {
    let url = with_task("run-dead");
    drained_not_done(&url, "echo first >&2; echo 'no such image' >&2; exit 65", &[]);
    let message = dead(&url);
    assert_eq!(message.headers.text("dead-kind"), Some("refused"));
    let reason = message.headers.text("dead-reason").unwrap();
    assert!(reason.contains("65") && reason.contains("first | no such image"), "{reason}");
}

#[test]
fn exit_code_99_is_nothing_to_do() {
    let url = with_task("run-skip");
    drained(&url, "exit 99", &[]);
    holds(&url, QUEUE, 0);
    holds(&url, "shop.stock.shelf.clean.dlq", 0);
}

#[test]
fn other_codes_fail_and_the_last_attempt_ends_in_the_dead_letters() {
    let url = with_task("run-fails");
    drained_not_done(&url, "exit 3", &["--attempts", "1"]);
    let message = dead(&url);
    assert_eq!(message.headers.text("dead-kind"), Some("attempts"));
    assert!(message.headers.text("dead-reason").unwrap().contains("exit code 3"), "{message:?}");
}

#[test]
fn a_program_that_failed_is_run_again_later() {
    let url = with_task("run-again");
    let worker = start(
        &url,
        &[
            "run",
            "--service",
            "shop",
            "--task",
            "stock.shelf.clean",
            "--",
            "sh",
            "-c",
            "echo attempt $PONOS_ATTEMPT >&2; [ $PONOS_ATTEMPT = 2 ] || exit 75",
        ],
    );
    worker.says("attempt 2");
    worker.program.signal(Signal::TERM);
    let ended = worker.end();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.err.contains("1 handled, 1 put off"), "{}", ended.err);
}

#[test]
fn a_program_that_is_gone_pauses_the_queue_until_it_is_there_again() {
    use std::{fs, os::unix::fs::PermissionsExt};
    let url = Node::shared().vhost("run-gone");
    declare(&url, QUEUE);
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("clean");
    let install = || {
        // renamed into its place, so that nothing holds it open for writing when it is started
        let script = folder.path().join("script");
        fs::write(&script, "#!/bin/sh\necho attempt $PONOS_ATTEMPT >&2\n").unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
        fs::rename(&script, &program).unwrap();
    };
    install();
    let words = ["run", "--service", "shop", "--task", "stock.shelf.clean", "--attempts", "1", "--"];
    let worker = start(&url, &[&words[..], &[program.to_str().unwrap()]].concat());
    worker.says("consuming shop.stock.shelf.clean: connected");
    fs::remove_file(&program).unwrap();
    for _ in 0..5 {
        ponos_ends(&url, &["publish", "stock.shelf.clean", "{}", "--task", "shop"], 0);
    }
    worker.says("the queue is paused");
    assert!(worker.err().contains("can't be started"), "{}", worker.err());
    install();
    worker.says("is available again");
    testkit::block_until("all five to be handled", super::support::LIMIT, || {
        (worker.err().matches("attempt 1").count() >= 5).then_some(())
    });
    worker.program.signal(Signal::TERM);
    let ended = worker.end();
    assert!(ended.err.contains("5 handled, 0 put off, 0 to the dead letters"), "{}", ended.err);
    holds(&url, QUEUE, 0);
}

/// A script that never ends, nor does its child, and both ignore SIGTERM where `trap` says so.
fn sleeper(trap: &str) -> String {
    format!(
        "{trap} echo started $$ >&2; sh -c '{trap} echo child $$ >&2; while :; do sleep 1; done' & while :; do sleep 1; done"
    )
}

fn pid(worker: &str, word: &str) -> String {
    let at = worker.split(word).nth(1).unwrap();
    at.split_whitespace().next().unwrap().to_owned()
}

/// Runs, and is not only waited for by nobody.
fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

fn both_gone(err: &str) {
    for word in ["started ", "child "] {
        let pid = pid(err, word);
        testkit::block_until(&format!("{word}{pid} to be gone"), super::support::LIMIT, || {
            (!runs(&pid)).then_some(())
        });
    }
}

#[test]
fn a_program_that_never_ends_is_ended_with_its_children_after_the_timeout() {
    let url = with_task("run-timeout");
    let ended = drained_not_done(&url, &sleeper("trap : TERM;"), &["--timeout", "10s", "--attempts", "1"]);
    both_gone(&ended.err);
    assert!(dead(&url).headers.text("dead-reason").unwrap().contains("longer than 10s"));
}

#[test]
fn what_a_program_started_is_ended_even_if_the_program_ends_when_asked_to() {
    let url = with_task("run-orphan");
    let script =
        "echo started $$ >&2; (trap '' TERM; sh -c 'echo child $$ >&2; while :; do sleep 1; done') & wait";
    let ended = drained_not_done(&url, script, &["--timeout", "10s", "--attempts", "1"]);
    both_gone(&ended.err);
}

#[test]
fn the_reason_is_there_even_if_something_holds_standard_error_open() {
    let url = with_task("run-held");
    drained_not_done(&url, "echo 'no such image' >&2; sleep 20 & exit 65", &[]);
    let message = dead(&url);
    assert!(message.headers.text("dead-reason").unwrap().contains("no such image"), "{message:?}");
}

#[test]
fn what_a_program_leaves_behind_when_it_ends_is_ended_too() {
    // done, failed, and ended by a signal; with one that ignores the request to end
    for (number, (end, trap)) in
        [("exit 0", ""), ("exit 65", ""), ("kill -9 $$", ""), ("exit 0", "trap '' TERM;")].iter().enumerate()
    {
        let url = with_task(&format!("run-left-behind-{number}"));
        let script = format!(
            "echo started $$ >&2; sh -c '{trap} echo child $$ >&2; touch child; while :; do sleep 1; done' >/dev/null & sh -c 'sleep 1000 & echo grandchild $! >&2'; until [ -e child ]; do sleep 0.05; done; {end}"
        );
        let words = ["run", "--service", "shop", "--task", "stock.shelf.clean", "--attempts", "1"];
        let worker = start(&url, &[&words[..], &["--", "sh", "-c", &script]].concat());
        worker.says("grandchild ");
        let gone = |word: &str| {
            let pid = pid(&worker.err(), word);
            testkit::block_until(&format!("{word}{pid} to be gone"), super::support::LIMIT, || {
                (!runs(&pid)).then_some(())
            });
        };
        // while the worker goes on
        for word in ["started ", "child ", "grandchild "] {
            gone(word);
        }
        worker.says("processes that it had started still ran");
        worker.program.signal(Signal::TERM);
        assert_eq!(worker.end().code, Some(0));
    }
}

#[test]
fn a_drain_in_which_something_is_put_off_ends_with_1_unless_it_comes_back() {
    let url = with_task("run-put-off");
    let ended = drained_not_done(&url, "exit 75", &["--backoff", "first=1h"]);
    assert!(ended.err.contains("1 that were put off or given back have not come back"), "{}", ended.err);

    let url = with_task("run-came-back");
    // the second one is at work until the first has come back
    ponos_ends(&url, &["publish", "stock.shelf.clean", "2", "--task", "shop", "--id", "two"], 0);
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "cd '{}'; case $PONOS_ID-$PONOS_ATTEMPT in one-1) exit 75;; one-2) touch came;; *) while [ ! -e came ]; do sleep 0.1; done;; esac",
        folder.path().display()
    );
    let ended = drained(&url, &script, &["--concurrency", "2", "--backoff", "first=1s,jitter=0"]);
    assert!(ended.err.contains("2 handled, 1 put off, 0 to the dead letters"), "{}", ended.err);
}

#[test]
fn what_a_program_works_at_is_not_given_back_before_it_is_gone() {
    let url = with_task("run-releases");
    let words = ["run", "--service", "shop", "--task", "stock.shelf.clean", "--", "sh", "-c"];
    let script = "echo started $$ >&2; trap 'echo leaving >&2; sleep 3; echo gone >&2; exit 1' TERM; while :; do sleep 0.1; done";
    let worker = start(&url, &[&words[..], &[script]].concat());
    worker.says("started");
    worker.program.signal(Signal::INT);
    worker.says("stopping");
    worker.program.signal(Signal::INT);
    worker.says("leaving");
    let pid = pid(&worker.err(), "started ");
    // seen in this order: that it is back, and that the program had not gone before that
    let gone = || {
        let back = ready(&url, QUEUE);
        assert!(back == 0 || !runs(&pid), "it was given back: {}", worker.err());
        (!runs(&pid)).then_some(())
    };
    testkit::block_until_or_tell("the program to be gone", super::support::LIMIT, gone, || worker.err());
    let ended = worker.end();
    assert_eq!(ended.code, Some(130), "{}", ended.err);
    holds(&url, QUEUE, 1);
}

#[test]
fn the_defaults_warn_of_nothing() {
    let url = with_task("run-quiet");
    let ended = drained(&url, "true", &[]);
    assert!(!ended.err.contains("WARN"), "{}", ended.err);
}

fn sleeping(url: &str, more: &[&str]) -> Running {
    let words = ["run", "--service", "shop", "--task", "stock.shelf.clean"];
    let worker = start(url, &[&words[..], more, &["--", "sh", "-c", &sleeper("")]].concat());
    worker.says("child ");
    worker
}

#[test]
fn a_second_signal_ends_what_runs_and_gives_it_back() {
    let url = with_task("run-stop");
    let worker = sleeping(&url, &[]);
    worker.program.signal(Signal::INT);
    worker.says("stopping");
    worker.program.signal(Signal::INT);
    let ended = worker.end();
    assert_eq!(ended.code, Some(130), "{}", ended.err);
    both_gone(&ended.err);
    holds(&url, QUEUE, 1);
}

#[test]
fn one_signal_waits_for_the_grace_only() {
    let url = with_task("run-grace");
    let worker = sleeping(&url, &["--grace", "1s"]);
    worker.program.signal(Signal::TERM);
    let ended = worker.end();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    both_gone(&ended.err);
    holds(&url, QUEUE, 1);
}

#[test]
fn what_can_not_run_is_refused_at_once() {
    let url = Node::shared().vhost("run-refused");
    let base = ["run", "--service", "shop", "--task", "stock.shelf.clean"];
    let with = |more: &[&str], code| ponos_ends(&url, &[&base[..], more].concat(), code).err;
    assert!(with(&["--", "no-such-program-at-all"], 78).contains("no-such-program-at-all"));
    let nothing = with(&[], 2);
    assert!(nothing.contains("PROGRAM") && nothing.contains("--to <URL>"), "{nothing}");
    with(&["--to", "http://localhost:1", "--", "true"], 2);
    assert!(with(&["--to", "ftp://x"], 2).contains("http://"));
    let secret = with(&["--to", "http://u:s3cret@x/"], 2);
    assert!(!secret.contains("s3cret"), "{secret}");
    let attempts = with(&["--attempts", "0", "--", "true"], 2);
    assert!(attempts.contains("attempts is 0") && !attempts.contains("::"), "{attempts}");
    // a program's own limit is longer than that of the worker's
    assert!(with(&["--timeout", "0s", "--", "true"], 2).contains("--timeout"));
    assert!(with(&["--max-age", "0s", "--", "true"], 2).contains("max_age is 0"));
    with(&["--timeout", "soon", "--", "true"], 2);
    let secret = with(&["--inbox", "postgress://u:s3cret@x/", "--", "true"], 2);
    assert!(secret.contains("--inbox") && !secret.contains("s3cret"), "{secret}");
    let secret = with(&["--inbox", "postgres://u:s3cret@127.0.0.1:1/x", "--", "true"], 69);
    assert!(!secret.contains("s3cret"), "{secret}");
}

#[test]
fn an_inbox_remembers_across_runs() {
    let url = with_task("run-inbox");
    let folder = tempfile::tempdir().unwrap();
    let inbox = format!("sled:{}", folder.path().join("inbox").display());
    let first = drained(&url, "echo ran", &["--inbox", &inbox]);
    ponos_ends(&url, &["publish", "stock.shelf.clean", "1", "--task", "shop", "--id", "one"], 0);
    let words = ["run", "--service", "shop", "--task", "stock.shelf.clean", "--drain", "--"];
    let script = ["sh", "-c", "echo ran $PONOS_INBOX"];
    let second = start_in(&url, &[&words[..], &script].concat(), ("PONOS_INBOX", &inbox)).end();
    assert_eq!((first.out.as_str(), second.out.as_str()), ("ran\n", ""), "{}", second.err);
    holds(&url, QUEUE, 0);
    ponos_ends(&url, &["publish", "stock.shelf.clean", "1", "--task", "shop", "--id", "two"], 0);
    let third = start_in(&url, &[&words[..], &script].concat(), ("PONOS_INBOX", &inbox)).end();
    assert_eq!(third.out, "ran\n", "a program sees the inbox's password");
}

#[test]
fn a_drain_that_leaves_something_ends_with_1_and_says_what() {
    let url = with_task("run-left");
    let postgres = testkit::Postgres::shared();
    postgres.database("run_left");
    // it may look at the inbox, and not record anything there
    postgres.sql("run_left", &ponos::inbox::postgres::ddl("ponos").unwrap());
    let role = "create role looker login password 'of-looker'; grant usage on schema ponos to looker;
        grant select on all tables in schema ponos to looker";
    postgres.sql("run_left", role);
    let inbox = postgres.url("looker", "of-looker", "run_left");
    let words = ["run", "--service", "shop", "--task", "stock.shelf.clean", "--drain", "--grace", "1s"];
    let ended = ponos_ends(&url, &[&words[..], &["--inbox", &inbox, "--", "true"]].concat(), 1);
    assert!(ended.err.contains("0 handled") && ended.err.contains("1 given back"), "{}", ended.err);
    assert!(ended.err.contains("left: shop.stock.shelf.clean"), "{}", ended.err);
    holds(&url, QUEUE, 1);
}
