//! What becomes of a message to which something stays unavailable: the same attempt again, and dead at last.

use super::super::{NAME, secs};
use ponos::{prelude::*, testing::Kit, worker::Breaker};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::sleep;

const HOUR: Duration = Duration::from_secs(3600);

/// When it ran, in seconds.
type Runs = Arc<Mutex<Vec<i64>>>;

/// A service that is never there.
fn never(policy: Policy) -> (Worker, Runs) {
    let ran = Runs::default();
    let noted = Arc::clone(&ran);
    let handler = move |_: Value, context: Context| {
        assert_eq!(context.attempt(), 1, "no attempt is spent");
        noted.lock().unwrap().push(context.now().millis() / 1_000);
        async { Err(Failure::unavailable("billing-api", "connection refused")) }
    };
    (Worker::new("shop").on::<Value>(NAME, handler.with(policy)), ran)
}

#[tokio::test(start_paused = true)]
async fn it_waits_for_one_five_and_thirty_seconds_and_its_queue_goes_on() {
    for policy in [Policy::retry(1), Policy::retry(1).breaker(None)] {
        let (worker, ran) = never(policy);
        let mut kit = Kit::start(worker).await;
        let id = kit.publish(NAME, &json!({})).await;
        kit.settled().await;
        let reason = "billing-api is unavailable: connection refused";
        assert_eq!(kit.ended(&id), Some(Ended::Released(reason.into())));
        let waiting = kit.broker().peek("retry.1s").remove(0).message;
        assert_eq!(waiting.headers.text("retry-reason"), Some(reason));
        assert_eq!(waiting.headers.int("retry-unavailable"), Some(1));
        kit.advance(secs(110)).await;
        let ran = ran.lock().unwrap().clone();
        let waits: Vec<i64> = ran.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(waits.len() >= 4, "{ran:?}");
        for (wait, expected) in waits.iter().zip([1, 5, 30, 30]) {
            assert!((expected..=expected + 1).contains(wait), "{ran:?}");
        }
        assert!(kit.dead().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_dead_after_the_longest_wait_also_if_its_queue_was_paused() {
    for breaker in [Breaker::default(), Breaker::default().in_a_row(1)] {
        let (worker, _) = never(Policy::default().max_wait(HOUR).breaker(breaker));
        let mut kit = Kit::start(worker).await;
        kit.publish(NAME, &json!({})).await;
        sleep(HOUR - secs(60)).await;
        assert!(kit.dead().is_empty(), "{:?}", kit.dead());
        // the next probe may come two minutes later
        sleep(secs(300)).await;
        let letter = kit.dead().remove(0);
        assert_eq!(
            (letter.kind.as_str(), letter.message.headers.int("dead-attempt")),
            ("unavailable", Some(1))
        );
        assert!(letter.reason.ends_with("last reason: billing-api is unavailable: connection refused"));
        let left = letter.message.headers.iter().filter(|(name, _)| name.starts_with("retry-")).count();
        assert_eq!(left, 0, "what is put back begins anew");
        assert_eq!(kit.stop().await.dead, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_dead_once_it_is_too_old_and_what_was_never_tried_is_skipped() {
    let (worker, ran) = never(Policy::default().max_age(secs(60)));
    let mut kit = Kit::start(worker).await;
    let tried = kit.publish(NAME, &json!({})).await;
    kit.advance(secs(120)).await;
    assert!(matches!(kit.ended(&tried), Some(Ended::Dead(_))), "{:?}", kit.ended(&tried));
    let letter = kit.dead().remove(0);
    assert_eq!((letter.kind.as_str(), letter.message.headers.int("dead-attempt")), ("unavailable", Some(1)));
    assert!(
        letter.reason.starts_with("too old") && letter.reason.ends_with("unavailable: connection refused"),
        "{}",
        letter.reason
    );
    let runs = ran.lock().unwrap().len();
    let mut event = kit.event(NAME, &json!({}));
    event.time = Some(kit.now().plus(-61_000));
    let old = kit.publish_event(event).await;
    kit.settled().await;
    assert!(matches!(kit.ended(&old), Some(Ended::Skipped(_))));
    assert_eq!(ran.lock().unwrap().len(), runs);
}

#[tokio::test(start_paused = true)]
async fn timeouts_open_it_only_if_that_was_asked_for_and_spend_their_attempts() {
    for asked in [false, true] {
        let handler = async |_: Value, _: Context| {
            sleep(HOUR).await;
            Ok(Done)
        };
        let breaker = Breaker { timeouts: asked, ..Breaker::default() };
        let policy = Policy::retry(1).timeout(secs(1)).concurrency(1).breaker(breaker);
        let mut kit = Kit::start(Worker::new("shop").on::<Value>(NAME, handler.with(policy))).await;
        for _ in 0..30 {
            kit.publish(NAME, &json!({})).await;
        }
        sleep(secs(40)).await;
        let dead = kit.dead();
        assert!(dead.iter().all(|letter| letter.kind == "attempts"), "{dead:?}");
        if asked {
            assert!((5..10).contains(&dead.len()), "{}", dead.len())
        } else {
            assert_eq!(dead.len(), 30)
        }
    }
}
