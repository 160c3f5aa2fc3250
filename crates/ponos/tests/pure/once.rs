//! Once in a period: the ids that other languages can compute, and what becomes of what is sent again, on the twin. And what needs a
//! database, without one.

use ponos::{
    Client, Once, Sent,
    broker::Transport,
    client::{ClientError, Connect},
    clock::Clock,
    event::{Event, EventId, Timestamp},
    inbox::Inbox,
    once_id, payload_key,
    prelude::*,
    testing::{BEGINNING, Kit},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

const NAME: &str = "order.item.changed";
const TASK: &str = "orders.invoice.print";
const HOUR: Duration = Duration::from_secs(3600);

/// A line of `tests/conformance/once_ids.jsonl`: with a key, or with data that are the key.
#[derive(Debug, Deserialize)]
struct Case {
    service: String,
    name: String,
    key: Option<String>,
    data: Option<Value>,
    payload_key: Option<String>,
    period_ms: u64,
    at: Timestamp,
    id: String,
}

#[test]
fn ids_are_those_that_others_compute() {
    let cases = include_str!("../../../../tests/conformance/once_ids.jsonl");
    let cases: Vec<Case> = cases.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(cases.len() >= 16);
    for case in cases {
        let of_data = case.data.as_ref().map(payload_key);
        assert_eq!(of_data, case.payload_key, "{case:?}");
        let key = case.key.clone().or(of_data).unwrap();
        let period = Duration::from_millis(case.period_ms);
        let id = once_id(&case.service, &case.name.parse().unwrap(), &key, period, case.at);
        assert_eq!(id.as_str(), case.id, "{case:?}");
    }
}

/// However often the order changes: one invoice an hour. What fails says so in its data.
fn worker() -> Worker {
    async fn changed(order: u64, ctx: Context) -> HandlerResult {
        let sent = ctx.once(Once::per(HOUR).key(order)).task(TASK, &json!({ "order": order })).await?;
        assert!(sent.is_new(), "the inbox decides, and not who sends");
        Ok(Done)
    }
    async fn prints(data: Value, _: Context) -> HandlerResult {
        if data["fails"] == true { Err("no paper")? } else { Ok(Done) }
    }
    Worker::new("orders")
        .on(NAME, changed)
        .task(TASK, prints.with(Policy::retry(1)))
        .inbox(Inbox::memory(1_000))
}

/// A client beside the worker, whose clock is ahead of the kit's by so much.
async fn client(kit: &Kit, ahead: Duration) -> Client {
    let ahead = i64::try_from(ahead.as_millis()).unwrap();
    connect(kit).clock(Clock::starting_at(kit.now().plus(ahead))).await.unwrap()
}

fn connect(kit: &Kit) -> Connect {
    Client::connect_on(Transport::memory(kit.broker().clone()), "orders")
        .sends_task::<Value>(TASK)
        .publishes::<Value>(NAME)
}

/// How the deliveries of this id ended, in order.
fn ends(kit: &Kit, id: &EventId) -> Vec<Ended> {
    use ponos::worker::Observed;
    let ended = kit.observed().into_iter().filter_map(|observed| match observed {
        Observed::Ended { id: Some(of), ended, .. } if of == *id => Some(ended),
        _ => None,
    });
    ended.collect()
}

#[tokio::test(start_paused = true)]
async fn handlers_and_clients_that_send_in_one_period_have_it_done_once() {
    let mut kit = Kit::start(worker()).await;
    let client = client(&kit, Duration::ZERO).await;
    kit.publish(NAME, &7).await;
    kit.publish(NAME, &8).await;
    kit.settled().await;
    kit.publish(NAME, &7).await;
    let sent = client.task(TASK, &json!({ "order": 7 })).once(Once::per(HOUR).key(7)).send().await.unwrap();
    kit.settled().await;
    let expected = once_id("orders", &TASK.parse().unwrap(), "7", HOUR, BEGINNING);
    assert_eq!(sent, Sent::New(expected.clone()));
    assert_eq!(ends(&kit, &expected), [Ended::Done, Ended::HandledAlready, Ended::HandledAlready]);
    let eight = once_id("orders", &TASK.parse().unwrap(), "8", HOUR, BEGINNING);
    assert_eq!(ends(&kit, &eight), [Ended::Done], "of another key");
    // in the next period it is done again
    kit.advance(HOUR).await;
    kit.publish(NAME, &7).await;
    kit.settled().await;
    assert_eq!(kit.published_events(TASK).len(), 5);
    let next = once_id("orders", &TASK.parse().unwrap(), "7", HOUR, BEGINNING.plus(3_600_000));
    assert_eq!((next != expected, ends(&kit, &next)), (true, vec![Ended::Done]));
}

#[tokio::test(start_paused = true)]
async fn of_two_clocks_a_second_apart_those_on_both_sides_of_the_edge_do_it_twice_and_all_others_once() {
    // the kit begins with an hour
    assert_eq!(BEGINNING.millis() % 3_600_000, 0);
    let beginning = BEGINNING.plus(-500);
    let kit = Kit::start_at(beginning, worker()).await;
    let (behind, ahead) = (client(&kit, Duration::ZERO).await, client(&kit, Duration::from_secs(1)).await);
    let send = async |client: &Client| client.task(TASK, &json!({})).once(Once::per(HOUR)).await.unwrap();
    let (before, after) = (send(&behind).await, send(&ahead).await);
    assert_ne!(before, after);
    kit.advance(Duration::from_millis(500)).await;
    assert_eq!(send(&behind).await, after);
    assert_eq!(send(&ahead).await, after);
    kit.settled().await;
    assert_eq!((ends(&kit, &before).len(), ends(&kit, &after).len()), (1, 3));
    let done = |ends: Vec<Ended>| ends.iter().filter(|ended| **ended == Ended::Done).count();
    assert_eq!((done(ends(&kit, &before)), done(ends(&kit, &after))), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_died_is_not_done_and_a_later_copy_runs() {
    let kit = Kit::start(worker()).await;
    let client = client(&kit, Duration::ZERO).await;
    let print = async |data: Value| client.task(TASK, &data).once(Once::per(HOUR).key("x")).await.unwrap();
    let id = print(json!({ "fails": true })).await;
    kit.settled().await;
    assert_eq!(print(json!({})).await, id);
    assert_eq!(print(json!({})).await, id);
    kit.settled().await;
    let ends = ends(&kit, &id);
    assert!(matches!(&ends[0], Ended::Dead(_)), "{ends:?}");
    assert_eq!(ends[1..], [Ended::Done, Ended::HandledAlready]);
}

#[tokio::test(start_paused = true)]
async fn without_a_key_the_same_data_are_the_same_however_they_are_written() {
    let kit = Kit::start(worker()).await;
    let client = client(&kit, Duration::ZERO).await;
    let send = async |data: &str| {
        let data: Value = serde_json::from_str(data).unwrap();
        client.task(TASK, &data).once(Once::per(HOUR)).await.unwrap()
    };
    let one = send(r#"{ "order": 7, "pages": 1.0 }"#).await;
    assert_eq!(one, send(r#"{ "pages": 1, "order": 7 }"#).await);
    assert_ne!(one, send(r#"{ "pages": 2, "order": 7 }"#).await);
}

#[tokio::test(start_paused = true)]
async fn events_are_handled_once_too() {
    let kit = Kit::start(worker()).await;
    let client = client(&kit, Duration::ZERO).await;
    let one = client.publish(NAME, &7).once(Once::per(HOUR)).await.unwrap();
    let other = client.publish(NAME, &7).once(Once::per(HOUR)).await.unwrap();
    kit.settled().await;
    assert_eq!((ends(&kit, &one), one == other), (vec![Ended::Done, Ended::HandledAlready], true));
    let event: Vec<Event> = kit.published_events(NAME);
    assert_eq!(event[0].id, one);
}

#[tokio::test(start_paused = true)]
async fn what_can_not_hold_is_refused_and_nothing_is_sent() {
    async fn waits(which: u32, ctx: Context) -> HandlerResult {
        let once = [Once::until_done(), Once::per(2 * HOUR), Once::debounce(HOUR)][which as usize].clone();
        ctx.once(once).task(TASK, &json!({})).await?;
        Ok(Done)
    }
    let inbox = Inbox::memory(10).with_retention(HOUR);
    let worker = Worker::new("orders")
        .on(NAME, waits.with(Policy::retry(1)))
        .task(TASK, async |_: Value, _: Context| Ok(Done))
        .inbox(inbox);
    let mut kit = Kit::start(worker).await;
    for which in 0..3 {
        kit.publish(NAME, &which).await;
    }
    kit.settled().await;
    let reasons: Vec<String> = kit.dead().into_iter().map(|letter| letter.reason).collect();
    // the second because of the inbox's own retention
    for part in [
        "row in the sender's transaction, which takes an inbox on Postgres (Inbox::postgres): give one to the worker",
        "row in the sender's outbox, which takes an inbox on Postgres (Inbox::postgres): give one to the worker",
        "or Inbox::with_retention",
    ] {
        assert_eq!(reasons.iter().filter(|reason| reason.contains(part)).count(), 1, "{part}: {reasons:?}");
    }

    let client = connect(&kit).await.unwrap();
    let task = || client.task(TASK, &json!({}));
    let week = Duration::from_secs(7 * 24 * 3600);
    for (refused, part) in [
        (task().once(Once::until_done()), "takes an inbox on Postgres (Inbox::postgres): send it by task_in"),
        (
            task().once(Once::debounce(HOUR)),
            "takes an inbox on Postgres (Inbox::postgres): send it by task_in",
        ),
        (task().once(Once::debounce(Duration::ZERO)), "1 s to 366 days"),
        (task().once(Once::per(week + HOUR)), "take a shorter one"),
        (task().once(Once::per(Duration::ZERO)), "1 s is the shortest"),
        (task().once(Once::per(HOUR)).key("k"), "leave out its id and key"),
        (task().once(Once::per(HOUR)).id("i"), "leave out its id and key"),
        (client.publish(NAME, &7).once(Once::until_done()), "is for tasks"),
    ] {
        let why = refused.await.unwrap_err();
        assert!(why.to_string().contains(part), "{why}");
        assert!(matches!(why, ClientError::Unfit(_) | ClientError::Attribute { .. }), "{why}");
    }
    assert!(task().header("once-key", "mine").await.is_err(), "the header has a meaning of its own");
    kit.settled().await;
    assert_eq!(kit.published(TASK).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_group_without_postgres_is_refused_with_the_reason() {
    async fn wanted(_: Value, ctx: Context) -> HandlerResult {
        ctx.group("import")?;
        Ok(Done)
    }
    let worker = Worker::new("orders").on(NAME, wanted.with(Policy::retry(1))).inbox(Inbox::memory(10));
    let mut kit = Kit::start(worker).await;
    kit.publish(NAME, &json!({})).await;
    kit.settled().await;
    assert!(kit.dead()[0].reason.contains("an inbox on Postgres (Inbox::postgres)"), "{:?}", kit.dead());
}
