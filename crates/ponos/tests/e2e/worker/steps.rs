//! The broker is killed and started again in the middle of each step of a task's life.

use super::{
    CONFIRM, QUEUE, parcels,
    stage::{COUNTED, Stage, declare_counted, job, nothing_is_left},
};
use crate::real::{Running, Sender, holds, letters, support::LIMIT, verdict};
use ponos::{
    inbox::Inbox,
    prelude::*,
    topology::worker::dead_letters,
    worker::{Ended, Observed},
};
use std::{
    collections::BTreeSet,
    sync::{Arc, Condvar, Mutex},
};
use testkit::{Node, wait_until};
use tokio::time::Instant;

/// The name that a worker's publishing connection has.
const PUBLISHING: &str = "ponos (publishing)";

/// A worker that has done something already.
async fn running(
    node: &Node,
    stage: &Stage,
    watch: impl Fn(&Observed) + Send + Sync + 'static,
) -> (Running, Sender) {
    declare_counted(&node.url()).await;
    let policy = Policy::retry(2).concurrency(4).prefetch(8);
    let worker = stage.worker(policy).inbox(Inbox::memory(10_000));
    let running = Running::start_watched(&node.url(), worker, watch).await;
    let mut sender = Sender::new(&node.url()).await;
    sender.send(parcels("before", 300)).await;
    running.ends.done(300).await;
    node.write_down();
    (running, sender)
}

/// What became of each delivery of that id, in a word each.
fn ends(ends: &[(String, Ended)], id: &str) -> Vec<&'static str> {
    let word = |ended: &Ended| match ended {
        Ended::Done => "done",
        Ended::HandledAlready => "known",
        Ended::Retried { .. } => "retried",
        Ended::Released(_) => "released",
        Ended::Dead(_) => "dead",
        other => panic!("{id}: {other:?}"),
    };
    ends.iter().filter(|(ended, _)| ended == id).map(|(_, ended)| word(ended)).collect()
}

async fn ends_are(running: &Running, id: &str, wanted: &[&str]) {
    let as_wanted = |all: &[(String, Ended)]| {
        let found = ends(all, id);
        assert!(found.len() <= wanted.len(), "{id}: {found:?}");
        found == wanted
    };
    running.ends.satisfy(&format!("{id} to end as {wanted:?}"), as_wanted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_goes_in_any_step_before_its_confirm_costs_nothing() {
    // what is not confirmed is given back after 5 s: once more if the machine stood still for that long
    for _ in 0..5 {
        if goes_before_the_confirms().await {
            return;
        }
    }
    panic!("what was sent was given back before the broker was killed, each time");
}

/// Whether it went before anything was given back, which nothing is unless the machine was too slow.
async fn goes_before_the_confirms() -> bool {
    let (node, stage) = (Node::start(), Stage::new());
    let (running, mut sender) = running(&node, &stage, |_| {}).await;
    let jobs = [
        job("in the handler", "", "gone"),
        job("publishing", "publish", "held"),
        job("retrying", "fail", "held"),
        job("dying", "refuse", "held"),
    ];
    sender.send(jobs.into()).await;
    stage.entered(&["in the handler", "publishing", "retrying", "dying"]).await;
    // delivered, and all slots are taken
    sender.send(vec![job("waiting", "", "gone")]).await;
    holds(&node, "/", QUEUE, 0).await;
    let held = node.hold_channels(PUBLISHING);
    let begun = Instant::now();
    stage.open("held");
    wait_until("all three to be sent and not confirmed", LIMIT, async || (held.waiting() >= 3).then_some(()))
        .await;
    let early = running.ends.all().split_off(300);
    let took = begun.elapsed();
    if !early.is_empty() {
        assert!(took > CONFIRM, "within {took:?}: {early:?}");
        node.kill9();
        stage.open("gone");
        running.stop().await;
        return false;
    }
    assert_eq!(stage.ran("waiting"), 0);
    node.kill9();
    stage.open("gone");
    node.restart();

    ends_are(&running, "waiting", &["done"]).await;
    // it ends while the broker is gone; what comes again is known
    ends_are(&running, "in the handler", &["done", "known"]).await;
    // what it published is sent again, and the handler does not run again
    ends_are(&running, "publishing", &["done", "known"]).await;
    ends_are(&running, "retrying", &["released", "retried", "done"]).await;
    ends_are(&running, "dying", &["released", "dead"]).await;
    let ran = ["waiting", "in the handler", "publishing", "retrying", "dying"].map(|id| stage.ran(id));
    assert_eq!(ran, [1, 1, 1, 3, 2]);
    let letters = letters(&node.url(), QUEUE, 1).await;
    assert_eq!(verdict(&letters[0]), ("refused", "not ours"));
    let report = running.stop().await;
    assert_eq!(report.left.len(), 0, "{report}");
    nothing_is_left(&node, "/").await;
    holds(&node, "/", COUNTED, 1).await;
    holds(&node, "/", &dead_letters(QUEUE), 1).await;
    true
}

/// Where ends wait to be settled until the broker is gone.
#[derive(Default)]
struct Between {
    here: Mutex<BTreeSet<String>>,
    gone: Mutex<bool>,
    told: Condvar,
}

impl Between {
    /// The first end of each of these waits.
    fn wait(&self, observed: &Observed) {
        let Observed::Ended { id: Some(id), .. } = observed else { return };
        let first = id.as_str().starts_with("between") && self.here.lock().unwrap().insert(id.to_string());
        if first {
            let gone = self.gone.lock().unwrap();
            drop(self.told.wait_timeout_while(gone, LIMIT, |gone| !*gone).unwrap());
        }
    }

    fn go_on(&self) {
        *self.gone.lock().unwrap() = true;
        self.told.notify_all();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn a_broker_that_goes_between_a_confirm_and_the_ack_makes_no_second_effect() {
    let (node, stage, between) = (Node::start(), Stage::new(), Arc::new(Between::default()));
    let watching = Arc::clone(&between);
    let (running, mut sender) = running(&node, &stage, move |observed| watching.wait(observed)).await;
    let jobs = [
        job("between done", "publish", ""),
        job("between retried", "fail", ""),
        job("between dead", "refuse", ""),
    ];
    sender.send(jobs.into()).await;
    wait_until("all three to be confirmed and not acked", LIMIT, async || {
        (between.here.lock().unwrap().len() == 3).then_some(())
    })
    .await;
    node.kill9();
    between.go_on();
    node.restart();

    ends_are(&running, "between done", &["done", "known"]).await;
    assert_eq!(stage.ran("between done"), 1);
    ends_are(&running, "between dead", &["dead", "dead"]).await;
    // the retry is on the ladder already, and its first attempt comes again: whichever is done first, the other one is known
    let both = |all: &[(String, Ended)]| {
        let found = ends(all, "between retried");
        let count = |word| found.iter().filter(|found| **found == word).count();
        assert!(count("done") <= 1 && count("known") <= 1 && count("retried") <= 2, "{found:?}");
        count("done") == 1 && count("known") == 1
    };
    running.ends.satisfy("both ways of it to end", both).await;
    // the letter came twice, under one id and for one reason
    let letters = letters(&node.url(), QUEUE, 2).await;
    for letter in &letters {
        assert_eq!(letter.properties.message_id.as_deref(), Some("between dead"));
        assert_eq!(verdict(letter), ("refused", "not ours"));
    }
    let report = running.stop().await;
    assert_eq!(report.left.len(), 0, "{report}");
    nothing_is_left(&node, "/").await;
    holds(&node, "/", COUNTED, 1).await;
    holds(&node, "/", &dead_letters(QUEUE), 2).await;
}
