//! How one delivery ends: each rule of a task's life, on the twin and on paused time.

use super::{NAME, QUEUE, secs};
use ponos::{
    event::{HeaderValue, Message},
    inbox::Inbox,
    prelude::*,
    testing::Kit,
    worker::{DeadKind, Death, Limits, Observed},
};
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Parcel {
    weight: u32,
}

/// A worker that counts its runs and says always the same.
fn counting(policy: Policy, outcome: Outcome) -> (Worker, Arc<AtomicUsize>) {
    let runs = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&runs);
    let handler = move |_: Value, _: Context| {
        count.fetch_add(1, SeqCst);
        let outcome = outcome.clone();
        async move { Ok(outcome) }
    };
    (Worker::new("shop").on::<Value>(NAME, handler.with(policy)), runs)
}

fn dead_of(kit: &Kit) -> (String, String) {
    let mut dead = kit.dead();
    assert_eq!(dead.len(), 1, "{dead:?}");
    let letter = dead.remove(0);
    assert_eq!(letter.queue, QUEUE);
    (letter.kind, letter.reason)
}

#[tokio::test(start_paused = true)]
async fn what_is_done_is_gone() {
    let (worker, runs) = counting(Policy::default(), Done);
    let mut kit = Kit::start(worker).await;
    let id = kit.publish(NAME, &json!({})).await;
    kit.settled().await;
    assert_eq!((kit.ended(&id), runs.load(SeqCst)), (Some(Ended::Done), 1));
    assert!(kit.dead().is_empty());
    assert_eq!(kit.stop().await.handled, 1);
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_refuse_for_good_or_find_nothing_to_do() {
    let (worker, _) = counting(Policy::default(), Outcome::dead("no such order"));
    let mut kit = Kit::start(worker).await;
    kit.publish(NAME, &json!({})).await;
    kit.settled().await;
    assert_eq!(dead_of(&kit), ("refused".into(), "no such order".into()));
    assert_eq!(kit.stop().await.dead, 1);

    let (worker, _) = counting(Policy::default(), Skip);
    let mut kit = Kit::start(worker.inbox(Inbox::memory(10))).await;
    let event = kit.event(NAME, &json!({}));
    for expected in [Ended::Skipped("its handler found nothing to do".into()), Ended::HandledAlready] {
        let id = kit.publish_event(event.clone()).await;
        kit.settled().await;
        assert_eq!(kit.ended(&id), Some(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_event_goes_to_the_dead_letters_with_the_reason() {
    for (kind, words, spoil) in [
        (
            "malformed",
            "attribute type is missing",
            (|message| {
                message.headers.remove("cloudEvents_type");
            }) as fn(&mut Message),
        ),
        ("malformed", "attribute time is an integer", |message| message.headers.set("cloudEvents_time", 5)),
        ("malformed", "the payload is not valid JSON", |message| message.body = b"{\"a\":".to_vec()),
        ("malformed", "header retry-attempt is the text 'two'", |message| {
            message.headers.set("retry-attempt", "two")
        }),
        ("malformed", "header retry-due is of another type", |message| {
            message.headers.set("retry-due", HeaderValue::Bool(true));
        }),
        ("unhandled", "no handler takes 'order.parcel.lost'", |message| {
            message.headers.set("cloudEvents_type", "order.parcel.lost");
        }),
        ("schema", "/weight", |message| message.body = b"{\"weight\":\"heavy\"}".to_vec()),
        ("schema", "object", |message| message.body = b"[1,2]".to_vec()),
        ("too-large", "the body has 2000 bytes; at most 1000", |message| message.body = vec![b' '; 2_000]),
    ] {
        let worker = Worker::new("shop")
            .on::<Parcel>(NAME, async |parcel: Parcel, _: Context| {
                assert!(parcel.weight < 1_000);
                Ok(Done)
            })
            .limits(Limits { body: 1_000, ..Limits::default() });
        let mut kit = Kit::start(worker).await;
        let mut message = kit.event(NAME, &json!({ "weight": 5 })).into_message();
        let id = message.properties.message_id.clone();
        spoil(&mut message);
        let body = message.body.clone();
        kit.publish_message("events", message).await;
        kit.settled().await;
        let (found, reason) = dead_of(&kit);
        assert!(found == kind && reason.contains(words), "{kind} {words}: {found}: {reason}");
        let letter = kit.dead().remove(0).message;
        assert_eq!((letter.properties.message_id, letter.body), (id, body), "it stays what it was");
        assert_eq!(letter.headers.text("dead-queue"), Some(QUEUE));
        kit.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_expired_or_too_old_is_skipped() {
    let (worker, runs) = counting(Policy::default().max_age(secs(60)), Done);
    let mut kit = Kit::start(worker).await;
    let mut expired = kit.event(NAME, &json!({}));
    expired.expiry_time = Some(kit.now());
    let mut old = kit.event(NAME, &json!({}));
    old.time = Some(kit.now().plus(-60_100));
    let mut young = kit.event(NAME, &json!({}));
    young.time = Some(kit.now().plus(-50_000));
    let ids =
        [kit.publish_event(expired).await, kit.publish_event(old).await, kit.publish_event(young).await];
    kit.settled().await;
    let words = |at: usize| format!("{:?}", kit.ended(&ids[at]));
    assert!(words(0).contains("expired"), "{}", words(0));
    assert!(words(1).contains("too old"), "{}", words(1));
    assert_eq!(kit.ended(&ids[2]), Some(Ended::Done));
    assert_eq!(runs.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_later_event_has_overtaken_is_skipped() {
    let (worker, runs) = counting(Policy::default().latest_only(), Done);
    let mut kit = Kit::start(worker).await;
    let later = kit.event(NAME, &json!({}));
    let mut earlier = kit.event(NAME, &json!({}));
    earlier.time = Some(kit.now().plus(-1));
    let mut other = earlier.clone();
    other.source = "/elsewhere".into();
    other.id = "other".parse().unwrap();
    kit.publish_event(later).await;
    kit.settled().await;
    let ids = [kit.publish_event(earlier).await, kit.publish_event(other).await];
    kit.settled().await;
    assert!(format!("{:?}", kit.ended(&ids[0])).contains("overtaken"));
    assert_eq!(kit.ended(&ids[1]), Some(Ended::Done));
    assert_eq!(runs.load(SeqCst), 2);
}

fn missed(kit: &Kit) -> usize {
    kit.observed().iter().filter(|observed| matches!(observed, Observed::Missed { .. })).count()
}

#[tokio::test(start_paused = true)]
async fn an_event_that_was_promised_and_does_not_come_is_alarmed_about_once() {
    let (worker, _) = counting(Policy::default().expect_by_next(secs(60)), Done);
    let mut kit = Kit::start(worker).await;
    let due = |kit: &Kit, secs: i64| json!({ "next_due_at": kit.now().plus(secs * 1_000) });
    let data = due(&kit, 600);
    kit.publish(NAME, &data).await;
    kit.advance(secs(650)).await;
    assert_eq!(missed(&kit), 0, "within the tolerance");
    kit.advance(secs(20)).await;
    assert_eq!(missed(&kit), 1);
    kit.advance(secs(3_000)).await;
    assert_eq!(missed(&kit), 1, "once");
    // it comes, and promises the next one
    let data = due(&kit, 600);
    kit.publish(NAME, &data).await;
    kit.advance(secs(600)).await;
    let data = due(&kit, 600);
    kit.publish(NAME, &data).await;
    kit.advance(secs(500)).await;
    assert_eq!(missed(&kit), 1, "each came in time");
    kit.advance(secs(200)).await;
    assert_eq!(missed(&kit), 2);
}

#[tokio::test(start_paused = true)]
async fn a_backlog_raises_no_alarm_about_what_lies_behind_it() {
    let (worker, _) = counting(Policy::default().expect_by_next(secs(60)), Done);
    let mut kit = Kit::start(worker).await;
    let mut late = kit.event(NAME, &json!({ "next_due_at": kit.now().plus(-3_600_000) }));
    late.time = Some(kit.now().plus(-7_200_000));
    kit.publish_event(late).await;
    kit.advance(secs(50)).await;
    assert_eq!(missed(&kit), 0, "the next one lies behind it");
    kit.advance(secs(20)).await;
    assert_eq!(missed(&kit), 1, "it does not");
}

#[tokio::test(start_paused = true)]
async fn what_comes_twice_runs_once_with_an_inbox() {
    let (worker, runs) = counting(Policy::default(), Done);
    let mut kit = Kit::start(worker.inbox(Inbox::memory(10))).await;
    let event = kit.event(NAME, &json!({}));
    let id = kit.publish_event(event.clone()).await;
    kit.publish_event(event.clone()).await;
    kit.settled().await;
    kit.publish_event(event).await;
    kit.settled().await;
    assert_eq!((runs.load(SeqCst), kit.ended(&id)), (1, Some(Ended::HandledAlready)));
    assert_eq!(kit.stop().await.handled, 3);
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_publishes_is_sent_when_it_is_done_and_not_before() {
    let worker = Worker::new("shop").publishes::<Value>("shop.bill.sent").on::<Value>(
        NAME,
        (async |_: Value, context: Context| {
            context.publish("shop.bill.sent", &json!({ "attempt": context.attempt() }))?;
            if context.attempt() < 2 { Err(Failure::new("not yet")) } else { Ok(Done) }
        })
        .with(Policy::retry(3)),
    );
    let mut kit = Kit::start(worker).await;
    let id = kit.publish(NAME, &json!({})).await;
    kit.settled().await;
    assert!(kit.published("shop.bill.sent").is_empty(), "the attempt failed");
    kit.advance(secs(5)).await;
    assert_eq!(kit.published("shop.bill.sent"), [json!({ "attempt": 2 })]);
    let sent = kit.published_events("shop.bill.sent").remove(0);
    assert_eq!(sent.causation_id.as_deref(), Some(id.as_str()));
    assert_eq!(sent.correlation_id.as_deref(), Some(id.as_str()));
}

#[tokio::test(start_paused = true)]
async fn a_death_is_a_value() {
    let (worker, _) = counting(Policy::default(), Outcome::dead("no"));
    let mut kit = Kit::start(worker).await;
    let id = kit.publish(NAME, &json!({})).await;
    kit.settled().await;
    let Some(Ended::Dead(Death { kind: DeadKind::Refused, reason, .. })) = kit.ended(&id) else {
        panic!("{:?}", kit.ended(&id))
    };
    assert_eq!(reason, "no");
}

#[tokio::test(start_paused = true)]
async fn an_event_that_never_runs_overtakes_nothing() {
    let handler = async |_: Parcel, _: Context| Ok(Done);
    let worker = Worker::new("shop").on::<Parcel>(NAME, handler.with(Policy::default().latest_only()));
    let mut kit = Kit::start(worker).await;
    let mut invalid = kit.event(NAME, &json!({ "weight": "heavy" }));
    invalid.time = Some(kit.now().plus(1_800_000));
    let mut far = kit.event(NAME, &json!({ "weight": 1 }));
    far.time = Some(kit.now().plus(4 * 3_600_000));
    let good = kit.event(NAME, &json!({ "weight": 1 }));
    for event in [invalid, far, good.clone()] {
        kit.publish_event(event).await;
        kit.settled().await;
    }
    assert_eq!(dead_of(&kit).0, "schema");
    assert_eq!(kit.ended(&good.id), Some(Ended::Done));
}

#[tokio::test(start_paused = true)]
async fn an_empty_message_id_is_none_and_a_dead_letter_gets_one() {
    let (worker, _) = counting(Policy::retry(1), Outcome::dead("no"));
    let mut kit = Kit::start(worker).await;
    let mut readable = kit.event(NAME, &json!({})).into_message();
    let id = readable.properties.message_id.replace(String::new());
    kit.publish_message("events", readable).await;
    let mut nameless = kit.event(NAME, &json!({})).into_message();
    nameless.properties.message_id = Some(String::new());
    nameless.headers.set("cloudEvents_id", "");
    kit.publish_message("events", nameless).await;
    kit.settled().await;
    let dead = kit.dead();
    let find = |kind: &str| dead.iter().find(|letter| letter.kind == kind).unwrap();
    assert_eq!(find("refused").message.properties.message_id, id, "the event has one");
    let made_up = find("malformed").message.properties.message_id.clone();
    assert!(made_up.is_some_and(|id| !id.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn the_second_delivery_of_what_is_at_work_waits_and_finds_it_handled() {
    let handler = async |_: Value, _: Context| {
        tokio::time::sleep(secs(30)).await;
        Ok(Done)
    };
    let worker = Worker::new("shop")
        .on::<Value>(NAME, handler.with(Policy::default().timeout(secs(60))))
        // shorter than the first one takes: the second meets a conflict, and asks again
        .inbox(Inbox::memory(10).with_patience(secs(5)));
    let mut kit = Kit::start(worker).await;
    let event = kit.event(NAME, &json!({}));
    kit.publish_event(event.clone()).await;
    let id = kit.publish_event(event).await;
    kit.settled().await;
    let ends = kit.observed().into_iter().filter_map(|observed| match observed {
        Observed::Ended { ended, .. } => Some(ended),
        _ => None,
    });
    assert_eq!(ends.collect::<Vec<_>>(), [Ended::Done, Ended::HandledAlready]);
    assert_eq!(kit.ended(&id), Some(Ended::HandledAlready));
    assert_eq!(kit.stop().await.released, 0);
}
