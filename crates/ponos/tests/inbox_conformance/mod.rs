//! The one suite that every inbox is held to. A test binary gives a harness to `conformance!`, which makes a test of each
//! case. No case sleeps: that something waits is shown by what ends the waiting.

use ponos::{
    event::Event,
    inbox::{Begun, BegunAll, Entry, Inbox, InboxErrorClass, InboxKey},
};
use std::{future::Future, pin::pin, time::Duration};

/// Longer than anything takes that works, on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Where inboxes are opened; each test has an empty place of its own.
pub(crate) trait Place {
    /// The inbox, as a process would open it that has just started; one opened before is gone then.
    fn open(&mut self) -> impl Future<Output = Inbox>;
    /// Whether what was recorded is still there after that.
    const DURABLE: bool;
}

macro_rules! conformance {
    ($test:meta, $place:expr) => {
        conformance! { $test, $place,
            what_is_done_is_handled_when_it_comes_again
            queue_handler_source_and_id_tell_keys_apart
            what_is_abandoned_runs_again
            what_is_dropped_runs_again
            what_is_forgotten_runs_again
            a_second_delivery_waits_and_is_handled_once_the_first_is_done
            a_second_delivery_waits_and_runs_once_the_first_is_abandoned
            a_second_delivery_that_waits_too_long_is_a_conflict
            of_many_deliveries_at_once_one_runs_at_a_time_until_one_is_done
            what_is_older_than_the_retention_is_pruned
            what_was_recorded_survives_a_restart_where_it_should
            long_and_strange_keys_are_kept_apart
            several_keys_begin_and_are_recorded_together
            what_is_left_out_of_several_runs_again
            several_wait_for_a_key_that_runs_and_do_not_have_it_if_it_was_done
            many_that_have_the_same_keys_in_any_order_do_not_wait_for_each_other
        }
    };
    ($test:meta, $place:expr, $($case:ident)*) => {
        $(#[$test]
        async fn $case() {
            let place = $place;
            let case = inbox_conformance::$case(place(stringify!($case)));
            tokio::time::timeout(4 * inbox_conformance::LIMIT, case).await.expect("the case ends in time");
        })*
    };
}

pub(crate) fn key(id: &str) -> InboxKey {
    key_of("docker.time", "time.one-day.passed", id)
}

pub(crate) fn key_of(queue: &str, handler: &str, id: &str) -> InboxKey {
    InboxKey {
        queue: queue.into(),
        handler: handler.into(),
        source: "/khronos".into(),
        id: id.parse().unwrap(),
    }
}

fn from(source: String) -> InboxKey {
    let event = Event::new("1".parse().unwrap(), source, "time.one-day.passed".parse().unwrap(), "{}");
    InboxKey::of("q", "h", &event)
}

pub(crate) async fn run(inbox: &Inbox, key: &InboxKey) -> Entry {
    match inbox.begin(key).await {
        Ok(Begun::Run(entry)) => entry,
        other => panic!("{key}: {other:?}"),
    }
}

pub(crate) async fn is_handled(inbox: &Inbox, key: &InboxKey) -> bool {
    match inbox.begin(key).await.unwrap() {
        Begun::Handled => true,
        Begun::Run(entry) => {
            entry.abandon().await;
            false
        }
    }
}

pub(crate) async fn handle(inbox: &Inbox, key: &InboxKey) {
    run(inbox, key).await.done(vec![]).await.unwrap();
}

pub(crate) async fn what_is_done_is_handled_when_it_comes_again(mut place: impl Place) {
    let inbox = place.open().await;
    assert!(!is_handled(&inbox, &key("1")).await);
    handle(&inbox, &key("1")).await;
    assert!(is_handled(&inbox, &key("1")).await);
    assert!(is_handled(&inbox.clone(), &key("1")).await);
    assert!(!is_handled(&inbox, &key("2")).await);
}

pub(crate) async fn queue_handler_source_and_id_tell_keys_apart(mut place: impl Place) {
    let inbox = place.open().await;
    handle(&inbox, &key_of("a", "b", "c")).await;
    let elsewhere = InboxKey { source: "/shop".into(), ..key_of("a", "b", "c") };
    for other in [
        key_of("x", "b", "c"),
        key_of("a", "x", "c"),
        key_of("a", "b", "x"),
        key_of("ab", "", "c"),
        elsewhere.clone(),
    ] {
        assert!(!is_handled(&inbox, &other).await, "{other}");
    }
    handle(&inbox, &elsewhere).await;
    assert!(inbox.forget(&elsewhere).await.unwrap());
    assert!(is_handled(&inbox, &key_of("a", "b", "c")).await, "of another source");
}

pub(crate) async fn what_is_abandoned_runs_again(mut place: impl Place) {
    let inbox = place.open().await;
    run(&inbox, &key("1")).await.abandon().await;
    handle(&inbox, &key("1")).await;
    assert!(is_handled(&inbox, &key("1")).await);
}

pub(crate) async fn what_is_dropped_runs_again(mut place: impl Place) {
    let inbox = place.open().await;
    drop(run(&inbox, &key("1")).await);
    handle(&inbox, &key("1")).await;
    assert!(is_handled(&inbox, &key("1")).await);
}

pub(crate) async fn what_is_forgotten_runs_again(mut place: impl Place) {
    let inbox = place.open().await;
    handle(&inbox, &key("1")).await;
    handle(&inbox, &key("2")).await;
    assert!(inbox.forget(&key("1")).await.unwrap());
    assert!(!inbox.forget(&key("1")).await.unwrap());
    assert!(!is_handled(&inbox, &key("1")).await);
    assert!(is_handled(&inbox, &key("2")).await);
}

pub(crate) async fn a_second_delivery_waits_and_is_handled_once_the_first_is_done(mut place: impl Place) {
    let inbox = place.open().await.with_patience(LIMIT);
    let first = run(&inbox, &key("1")).await;
    let key = key("1");
    let mut second = pin!(inbox.begin(&key));
    still_waits(second.as_mut()).await;
    first.done(vec![]).await.unwrap();
    assert!(matches!(second.await.unwrap(), Begun::Handled));
}

pub(crate) async fn a_second_delivery_waits_and_runs_once_the_first_is_abandoned(mut place: impl Place) {
    let inbox = place.open().await.with_patience(LIMIT);
    let first = run(&inbox, &key("1")).await;
    let key = key("1");
    let mut second = pin!(inbox.begin(&key));
    still_waits(second.as_mut()).await;
    first.abandon().await;
    let Begun::Run(second) = second.await.unwrap() else { panic!("nothing was recorded") };
    second.done(vec![]).await.unwrap();
    assert!(is_handled(&inbox, &key).await);
}

/// It is begun, and does not end while the first is held.
async fn still_waits(begin: impl Future) {
    let waited = tokio::time::timeout(Duration::from_millis(100), begin).await;
    assert!(waited.is_err(), "it did not wait for the first");
}

pub(crate) async fn a_second_delivery_that_waits_too_long_is_a_conflict(mut place: impl Place) {
    let inbox = place.open().await.with_patience(Duration::from_millis(100));
    let first = run(&inbox, &key("1")).await;
    let refused = inbox.begin(&key("1")).await.unwrap_err();
    assert_eq!(refused.class, InboxErrorClass::Conflict, "{refused}");
    assert!(refused.to_string().contains("time.one-day.passed"), "{refused}");
    // It harmed nobody.
    first.done(vec![]).await.unwrap();
    assert!(is_handled(&inbox, &key("1")).await);
}

pub(crate) async fn of_many_deliveries_at_once_one_runs_at_a_time_until_one_is_done(mut place: impl Place) {
    let inbox = place.open().await.with_patience(LIMIT);
    let running = std::sync::atomic::AtomicU32::new(0);
    let order = std::sync::atomic::Ordering::SeqCst;
    let runs = std::sync::atomic::AtomicU32::new(0);
    let deliver = async || match inbox.begin(&key("1")).await.unwrap() {
        Begun::Handled => 0,
        Begun::Run(entry) => {
            assert_eq!(running.fetch_add(1, order), 0, "two run at once");
            tokio::task::yield_now().await;
            let failing = runs.fetch_add(1, order) < 2;
            running.fetch_sub(1, order);
            if failing {
                entry.abandon().await;
                return 0;
            }
            entry.done(vec![]).await.unwrap();
            1
        }
    };
    let done: Vec<i32> = futures_util::future::join_all((0..8).map(|_| deliver())).await;
    assert_eq!(done.iter().sum::<i32>(), 1);
    assert_eq!(runs.load(order), 3);
}

pub(crate) async fn what_is_older_than_the_retention_is_pruned(mut place: impl Place) {
    let inbox = place.open().await;
    for id in 0..2500 {
        // Not one by one: a sync to disk each would take long.
        if id % 500 == 0 {
            let batch: Vec<InboxKey> = (id..id + 500).map(|id| key(&id.to_string())).collect();
            let mut pending = batch.iter();
            while pending.len() > 0 {
                futures_util::future::join_all(pending.by_ref().take(20).map(|key| handle(&inbox, key)))
                    .await;
            }
        }
    }
    assert_eq!(inbox.prune(Duration::from_secs(3600)).await.unwrap(), 0);
    assert!(is_handled(&inbox, &key("0")).await);
    tokio::time::sleep(Duration::from_millis(20)).await; // for the age alone; all clocks see it
    assert_eq!(inbox.prune(Duration::from_millis(10)).await.unwrap(), 2500);
    assert!(!is_handled(&inbox, &key("0")).await);
    assert_eq!(inbox.prune(Duration::ZERO).await.unwrap(), 0);
}

pub(crate) async fn what_was_recorded_survives_a_restart_where_it_should<P: Place>(mut place: P) {
    let inbox = place.open().await;
    handle(&inbox, &key("done")).await;
    run(&inbox, &key("abandoned")).await.abandon().await;
    let running = run(&inbox, &key("running")).await;
    drop((running, inbox));
    let inbox = place.open().await;
    assert_eq!(is_handled(&inbox, &key("done")).await, P::DURABLE);
    assert!(!is_handled(&inbox, &key("abandoned")).await);
    assert!(!is_handled(&inbox, &key("running")).await);
}

pub(crate) async fn long_and_strange_keys_are_kept_apart(mut place: impl Place) {
    let inbox = place.open().await;
    let (long, other) = ("x".repeat(255), "x".repeat(254) + "y");
    let keys = [
        key_of(&long, &long, &long),
        key_of(&long, &long, &other),
        key_of("q", "h", "line\nfeed"),
        key_of("q", "h", "quote ' and \\ and \u{1F552}"),
        key_of("q", "h", "line"),
        key_of("q", "h", "nothing\0"),
        key_of("q", "h", "nothing"),
        from("/".repeat(100_000)),
        from("/".repeat(100_001)),
    ];
    for (at, key) in keys.iter().enumerate() {
        assert!(!is_handled(&inbox, key).await, "{at}");
        handle(&inbox, key).await;
    }
    for key in &keys {
        assert!(is_handled(&inbox, key).await, "{key}");
    }
}

fn keys(ids: &[&str]) -> Vec<InboxKey> {
    ids.iter().map(|id| key(id)).collect()
}

/// Runs all of them.
async fn run_all(inbox: &Inbox, keys: &[InboxKey]) -> Entry {
    let BegunAll { handled, entry } = inbox.begin_all(keys).await.unwrap();
    assert!(!handled.contains(&true), "{handled:?}");
    entry.unwrap()
}

pub(crate) async fn several_keys_begin_and_are_recorded_together(mut place: impl Place) {
    let inbox = place.open().await;
    let all = keys(&["1", "2", "\u{e9}\0", "3"]);
    run_all(&inbox, &all).await.abandon().await;
    drop(run_all(&inbox, &all).await);
    handle(&inbox, &key("2")).await;
    let BegunAll { handled, entry } = inbox.begin_all(&all).await.unwrap();
    assert_eq!(handled, [false, true, false, false]);
    entry.unwrap().done(vec![]).await.unwrap();
    for key in &all {
        assert!(is_handled(&inbox, key).await, "{key}");
    }
    let BegunAll { handled, entry } = inbox.begin_all(&all).await.unwrap();
    assert!(handled == [true; 4] && entry.is_none(), "{entry:?}");
    let BegunAll { handled, .. } = inbox.begin_all(&[]).await.unwrap();
    assert!(handled.is_empty());
}

pub(crate) async fn what_is_left_out_of_several_runs_again(mut place: impl Place) {
    let inbox = place.open().await;
    let all = keys(&["1", "2", "3", "4"]);
    let mut entry = run_all(&inbox, &all).await;
    entry.leave_out(&keys(&["1", "3"]).into_iter().collect());
    entry.done(vec![]).await.unwrap();
    let mut known = Vec::new();
    for key in &all {
        known.push(is_handled(&inbox, key).await);
    }
    assert_eq!(known, [false, true, false, true]);
}

pub(crate) async fn several_wait_for_a_key_that_runs_and_do_not_have_it_if_it_was_done(
    mut place: impl Place,
) {
    let inbox = place.open().await.with_patience(LIMIT);
    let first = run(&inbox, &key("2")).await;
    let all = keys(&["3", "2", "1"]);
    let mut several = pin!(inbox.begin_all(&all));
    still_waits(several.as_mut()).await;
    first.done(vec![]).await.unwrap();
    let BegunAll { handled, entry } = several.await.unwrap();
    assert_eq!(handled, [false, true, false]);
    entry.unwrap().done(vec![]).await.unwrap();
    // and who waits too long has begun none of them
    let (running, short) =
        (run(&inbox, &key("5")).await, inbox.clone().with_patience(Duration::from_millis(100)));
    let error = short.begin_all(&keys(&["4", "5"])).await.unwrap_err();
    assert_eq!(error.class, InboxErrorClass::Conflict, "{error}");
    assert!(!is_handled(&inbox, &key("4")).await);
    running.abandon().await;
}

pub(crate) async fn many_that_have_the_same_keys_in_any_order_do_not_wait_for_each_other(
    mut place: impl Place,
) {
    let inbox = place.open().await.with_patience(LIMIT);
    let names: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    let tasks = (0..6).map(|turn| {
        let (inbox, names) = (inbox.clone(), names.clone());
        tokio::spawn(async move {
            let mut order: Vec<InboxKey> = names.iter().map(|name| key(name)).collect();
            match turn % 3 {
                0 => order.reverse(),
                1 => order.rotate_left(17),
                _ => {}
            }
            let BegunAll { handled, entry } = inbox.begin_all(&order).await.unwrap();
            if let Some(entry) = entry {
                assert!(!handled.contains(&true), "one of them runs");
                entry.done(vec![]).await.unwrap();
                1
            } else {
                0
            }
        })
    });
    let mut ran = 0;
    for task in tasks.collect::<Vec<_>>() {
        ran += task.await.unwrap();
    }
    assert_eq!(ran, 1);
}
