//! What can't be is refused before anything is touched, all of it at once, in words.
#![allow(clippy::unwrap_used)] // its helpers are tests too

use super::{NAME, secs};
use ponos::{
    prelude::*,
    worker::{FanIn, Limits, WorkerError},
};
use serde_json::Value;
use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

async fn done(_: Value, _: Context) -> HandlerResult {
    Ok(Done)
}

struct Shelf;

async fn stateful(_: Value, _: Context, _: State<Shelf>) -> HandlerResult {
    Ok(Done)
}

fn shop() -> Worker {
    Worker::new("shop")
}

fn with(policy: Policy) -> Worker {
    shop().on::<Value>(NAME, done.with(policy))
}

fn limited(limits: Limits) -> Worker {
    shop().on::<Value>(NAME, done).limits(limits)
}

pub(super) fn faults(worker: Worker) -> Vec<String> {
    match worker.ready() {
        Ok(_) => Vec::new(),
        Err(WorkerError::Invalid(faults)) => faults,
        Err(other) => vec![format!("of another kind: {other}")],
    }
}

#[test]
fn each_fault_is_said_in_words() {
    let all = Limits::default;
    for (worker, words) in [
        (Worker::new("Shop").on::<Value>(NAME, done), "Shop"),
        (shop(), "the worker has no handler"),
        (shop().on::<Value>(NAME, done).on::<Value>(NAME, done), "handle each name once"),
        (shop().on::<Value>("parcel shipped", done), "is not a valid name"),
        (shop().task::<Value>("order.*.shipped", done), "'*' is not allowed in a name"),
        (
            shop().task::<Value>("images.cleanup", done),
            "'images.cleanup' is not a valid task name: a task's name has three",
        ),
        (
            shop().fan_in("all", Policy::default(), |all| {
                all.on::<Value>("order.#", done).on::<Value>(NAME, done)
            }),
            "the handler of 'order.parcel.shipped' is never reached: 'order.#' before it takes all of its events",
        ),
        (shop().fan_in("all", Policy::retry(0), |all| all.on::<Value>(NAME, done)), "attempts is 0"),
        (
            shop().on::<Value>(NAME, done.finally(done.with(Policy::retry(2)))),
            "the final handler of 'order.parcel.shipped' has a policy",
        ),
        (
            shop().on::<Value>(NAME, stateful.with_state()),
            concat!("the handler of 'order.parcel.shipped' takes the state ", module_path!(), "::Shelf"),
        ),
        (
            shop().state(7_u8).on::<Value>(NAME, done.finally(stateful.with_state())),
            concat!("the handler of 'order.parcel.shipped' takes the state ", module_path!(), "::Shelf"),
        ),
        (shop().fan_in("all", Policy::default(), |all| all), "the fan-in has no handler"),
        (
            shop()
                .fan_in("all", Policy::default(), |all| all.on::<Value>(NAME, done).on::<Value>(NAME, done)),
            "is handled twice",
        ),
        (
            shop().fan_in("All of it", Policy::default(), |all| all.on::<Value>(NAME, done)),
            "the label of a fan-in must be words",
        ),
        (
            shop().fan_in("all", Policy::default(), |all| {
                all.on::<Value>(NAME, done.with(Policy::default().concurrency(3)))
            }),
            "belong to the fan-in, not to one of its handlers",
        ),
        (
            shop().fan_in("all", Policy::default(), |all| all.on::<Value>(NAME, done.with(Policy::retry(0)))),
            "attempts is 0",
        ),
        (with(Policy::retry(0)), "attempts is 0"),
        (
            with(Policy::default()).metrics("localhost:9464"),
            "'localhost:9464' is not an IP address with a port",
        ),
        (with(Policy::default()).metrics(9464), "write 127.0.0.1:9464"),
        (with(Policy::default()).metrics("amqp://me:hunter2@host"), "amqp://me:***@host"),
        (with(Policy::default().prefetch(5)), "prefetch is 5, less than the 10 tasks"),
        (with(Policy::default().rate(0, secs(1))), "rate allows nothing"),
        (
            with(Policy::default().timeout(secs(450))),
            "ceil(prefetch 40 / concurrency 10) × timeout 450s = 1800s, and the broker closes the channel after 1800s",
        ),
        (with(Policy::default().rate(1, secs(60)).prefetch(40)), "40 stretches of the rate × 60s"),
        (limited(Limits { grace: Duration::ZERO, ..all() }), "Limits: grace is 0"),
        (limited(Limits { consumer_timeout: Duration::ZERO, ..all() }), "Limits: consumer_timeout is 0"),
        (limited(Limits { body: 0, ..all() }), "Limits: body is 0"),
        (limited(Limits { held: 0, ..all() }), "Limits: held is 0"),
        (limited(Limits { held_bytes: 0, ..all() }), "Limits: held_bytes is 0"),
        (limited(Limits { flush: Duration::ZERO, ..all() }), "Limits: flush is 0"),
    ] {
        let faults = faults(worker);
        assert!(faults.iter().any(|fault| fault.contains(words)), "{words}: {faults:?}");
    }
}

#[test]
fn a_wrong_name_of_a_task_is_said_once_and_as_that_of_a_task() {
    for (worker, words) in [
        (shop().task::<Value>("images.cleanup", done), "'images.cleanup' is not a valid task name: "),
        (shop().on::<Value>(NAME, done).sends_task::<Value>("images.cleanup"), "task 'images.cleanup': "),
    ] {
        let faults = faults(worker);
        assert!(faults.len() == 1 && faults[0].contains(words), "{faults:?}");
        assert!(faults[0].contains("a task's name has three") && !faults[0].contains("past"), "{faults:?}");
    }
}

#[test]
fn all_faults_are_said_at_once_and_none_of_what_can_be() {
    let worker = with(Policy::retry(0)).on::<Value>("parcel shipped", done);
    assert!(faults(worker.limits(Limits { body: 0, ..Limits::default() })).len() >= 3);
    for worker in [
        with(Policy::default()),
        with(Policy::default().timeout(secs(449))),
        with(Policy::default().rate(1, secs(60))),
        // a grace shorter than a timeout is a warning
        limited(Limits { grace: secs(1), ..Limits::default() }),
        shop()
            .fan_in("all", Policy::default(), |all| all.on::<Value>(NAME, done).on::<Value>("order.#", done)),
        // in queues of their own each has its events
        shop().on::<Value>("order.#", done).on::<Value>(NAME, done),
        shop().fan_in("all", Policy::default().concurrency(2), |all| {
            all.on::<Value>(NAME, done.with(Policy::retry(2).concurrency(2)))
        }),
        shop().state(Shelf).on::<Value>(NAME, done.finally(stateful.with_state())),
    ] {
        assert_eq!(faults(worker), Vec::<String>::new());
    }
}

/// What a worker's check logs.
fn logged(worker: Worker) -> String {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let writer = Arc::clone(&lines);
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || Lines(Arc::clone(&writer))).finish();
    let none = tracing::subscriber::with_default(subscriber, || faults(worker));
    assert_eq!(none, Vec::<String>::new());
    String::from_utf8(lines.lock().unwrap().clone()).unwrap()
}

struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn patterns_that_can_not_be_compared_are_logged_once() {
    const WORDS: &str = "too many wildcards to be compared";
    let (one, two) = (["#.a"; 40].join("."), ["#.b"; 40].join("."));
    let fan_in = |patterns: &[&str]| {
        let all = |all| patterns.iter().fold(all, |all: FanIn, one| all.on::<Value>(one, done));
        shop().fan_in("all", Policy::default(), all)
    };
    let said = logged(fan_in(&["*.*.c", &one, &two]));
    assert_eq!(said.matches(WORDS).count(), 1, "{said}");
    assert!(said.contains("shop.all") && said.contains(&one) && said.contains(&two), "{said}");
    for harmless in [&[one.as_str()][..], &["order.*.shipped", "order.#"]] {
        assert!(!logged(fan_in(harmless)).contains(WORDS), "{harmless:?}");
    }
}
