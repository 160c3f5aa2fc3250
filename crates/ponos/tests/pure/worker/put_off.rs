//! Released and snoozed: the same attempt again later, bounded by age and not by the broker's counts; and why one is retried.

use super::{NAME, secs};
use ponos::{prelude::*, testing::Kit};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

const HOUR: Duration = Duration::from_secs(3600);

/// When it ran, in milliseconds, and at which attempt.
type Runs = Arc<Mutex<Vec<(i64, u32)>>>;

/// Answers what it is given for the run of that number, from 0; notes when it ran and at which attempt.
fn answering(
    policy: Policy,
    answer: impl Fn(u32) -> HandlerResult + Send + Sync + 'static,
) -> (Worker, Runs) {
    let ran = Arc::new(Mutex::new(Vec::new()));
    let (noted, answer) = (Arc::clone(&ran), Arc::new(answer));
    let count = AtomicU32::new(0);
    let handler = move |_: Value, context: Context| {
        noted.lock().unwrap().push((context.now().millis(), context.attempt()));
        let answer = answer(count.fetch_add(1, SeqCst));
        async { answer }
    };
    (Worker::new("shop").on::<Value>(NAME, handler.with(policy)), ran)
}

#[tokio::test(start_paused = true)]
async fn what_is_released_waits_spends_nothing_and_is_never_poison() {
    let (worker, ran) = answering(Policy::retry(2), |run| if run < 30 { Ok(Release) } else { Ok(Done) });
    let mut kit = Kit::start(worker).await;
    let id = kit.publish(NAME, &json!({})).await;
    kit.settled().await;
    assert_eq!(kit.ended(&id), Some(Ended::Released("its handler gave it back".into())));
    assert_eq!(kit.broker().queue_depth("retry.1s"), Some(1), "it waits there, and not in its queue");
    let waiting = kit.broker().peek("retry.1s").remove(0).message;
    assert_eq!(waiting.headers.int("retry-waits"), Some(1));
    kit.advance(secs(180)).await;
    assert_eq!(kit.ended(&id), Some(Ended::Done));
    let ran = ran.lock().unwrap().clone();
    assert_eq!(ran.len(), 31);
    assert!(ran.iter().all(|(_, attempt)| *attempt == 1), "{ran:?}");
    for pair in ran.windows(2) {
        assert!(pair[1].0 - pair[0].0 >= 1_000, "it does not spin: {ran:?}");
    }
    let report = kit.stop().await;
    assert_eq!((report.released, report.dead, report.handled), (30, 0, 1), "{report}");
}

#[tokio::test(start_paused = true)]
async fn what_is_released_for_too_long_dies_for_that_reason_at_the_attempt_it_had() {
    let (worker, ran) = answering(Policy::retry(2).max_wait(HOUR), |_| Ok(Release));
    let mut kit = Kit::start(worker).await;
    kit.publish(NAME, &json!({})).await;
    kit.advance(HOUR - secs(60)).await;
    assert!(kit.dead().is_empty());
    kit.advance(secs(120)).await;
    let letter = kit.dead().remove(0);
    assert_eq!(letter.kind, "released-too-long");
    assert!(
        letter.reason.contains("attempt 1 was put off") && letter.reason.contains("3600 s"),
        "{}",
        letter.reason
    );
    assert_eq!(letter.message.headers.int("dead-attempt"), Some(1));
    let left: Vec<&str> =
        letter.message.headers.iter().map(|(name, _)| name).filter(|n| n.starts_with("retry-")).collect();
    assert_eq!(left, Vec::<&str>::new(), "what is put back begins anew");
    let runs = ran.lock().unwrap().len();
    assert!((100..300).contains(&runs), "{runs} runs in an hour");
}

#[tokio::test(start_paused = true)]
async fn a_snooze_spends_no_attempt_and_says_why() {
    let (worker, ran) = answering(Policy::retry(1), |run| match run {
        0..=6 => Ok(Outcome::snooze(secs(600)).because("the shop is closed")),
        _ => Ok(Done),
    });
    let mut kit = Kit::start(worker).await;
    let id = kit.publish(NAME, &json!({})).await;
    kit.settled().await;
    let Some(Ended::Snoozed { due, reason }) = kit.ended(&id) else { panic!("{:?}", kit.ended(&id)) };
    assert_eq!((due.since(kit.now()) / 1_000, reason.as_str()), (600, "the shop is closed"));
    let waiting = kit.broker().peek("retry.10m").remove(0).message;
    assert_eq!(waiting.headers.text("retry-reason"), Some("the shop is closed"));
    kit.advance(secs(7 * 620)).await;
    assert_eq!(kit.ended(&id), Some(Ended::Done));
    assert!(ran.lock().unwrap().iter().all(|(_, attempt)| *attempt == 1));
    assert_eq!(kit.stop().await.retried, 7);
}

#[tokio::test(start_paused = true)]
async fn a_snooze_is_bounded_by_age_and_a_spent_attempt_begins_that_anew() {
    // fails once after 50 minutes
    let (worker, _) = answering(Policy::retry(2).max_wait(HOUR), |run| match run {
        5 => Err(Failure::new("no route")),
        _ => Ok(Outcome::snooze(secs(600)).because("closed")),
    });
    let mut kit = Kit::start(worker).await;
    kit.publish(NAME, &json!({})).await;
    kit.advance(HOUR + secs(1_800)).await;
    assert!(kit.dead().is_empty(), "{:?}", kit.dead());
    kit.advance(HOUR).await;
    let letter = kit.dead().remove(0);
    assert_eq!(
        (letter.kind.as_str(), letter.message.headers.int("dead-attempt")),
        ("snoozed-too-long", Some(2))
    );
    assert!(letter.reason.ends_with("last reason: closed"), "{}", letter.reason);
}

#[tokio::test(start_paused = true)]
async fn no_snooze_lasts_beyond_what_all_of_them_may() {
    let week = 7 * 24 * HOUR;
    let (worker, ran) = answering(Policy::retry(1).max_wait(HOUR), move |_| Ok(Outcome::snooze(week)));
    let mut kit = Kit::start(worker).await;
    let id = kit.publish(NAME, &json!({})).await;
    kit.settled().await;
    let Some(Ended::Snoozed { due, .. }) = kit.ended(&id) else { panic!("{:?}", kit.ended(&id)) };
    assert!(due.since(kit.now()) <= 3_600_000, "{due}");
    kit.advance(HOUR + secs(10)).await;
    assert_eq!(kit.dead()[0].kind, "snoozed-too-long");
    let ran = ran.lock().unwrap().clone();
    assert!(ran.len() >= 2 && ran[1].0 - ran[0].0 >= 3_598_000, "it is asked once more at the end: {ran:?}");
}

#[tokio::test(start_paused = true)]
async fn a_snooze_of_no_time_does_not_spin() {
    let (worker, ran) =
        answering(Policy::retry(1).max_wait(secs(20)), |_| Ok(Outcome::snooze(Duration::ZERO)));
    let mut kit = Kit::start(worker).await;
    kit.publish(NAME, &json!({})).await;
    kit.advance(secs(60)).await;
    assert_eq!(kit.dead()[0].kind, "snoozed-too-long");
    let runs = ran.lock().unwrap().len();
    assert!((10..=21).contains(&runs), "{runs}");
}

#[tokio::test(start_paused = true)]
async fn a_retry_keeps_its_reason_up_to_the_dead_letter() {
    let (worker, _) =
        answering(Policy::retry(2), |_| Ok(Outcome::retry_after(secs(6)).because("429: slow down")));
    let mut kit = Kit::start(worker).await;
    let id = kit.publish(NAME, &json!({})).await;
    kit.settled().await;
    assert!(
        matches!(kit.ended(&id), Some(Ended::Retried { attempt: 2, reason, .. }) if reason == "429: slow down")
    );
    let waiting = kit.broker().peek("retry.5s").remove(0).message;
    assert_eq!(waiting.headers.text("retry-reason"), Some("429: slow down"));
    kit.advance(secs(10)).await;
    assert_eq!((kit.dead()[0].kind.as_str(), kit.dead()[0].reason.as_str()), ("attempts", "429: slow down"));
}
