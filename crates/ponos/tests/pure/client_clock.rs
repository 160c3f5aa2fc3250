//! A client that asks the clock: what it sends, how it reads the answer, and what it does without one.

use crate::fake_clock::FakeClock;
use ponos::{
    Client,
    broker::{Transport, memory::Broker},
    client::{ClientError, ClockError, DelayedEvent},
    event::Timestamp,
};
use serde_json::{Value, json};
use std::time::Duration;

const DUE: &str = "order.reminder.due";
const TASK: &str = "orders.reminder.send";

async fn client(broker: &Broker) -> Client {
    Client::connect_on(Transport::memory(broker.clone()), "orders")
        .publishes::<Value>(DUE)
        .sends_task::<u64>(TASK)
        .await
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_delayed_event_is_put_and_the_answer_is_typed() {
    let broker = Broker::new();
    let clock = FakeClock::start(
        &broker,
        Box::new(|_, _| {
            let outcome = json!({
                "name": "reminder-7", "outcome": "created", "creation": 17, "revision": 1,
                "due_at": "2026-12-24T17:00:00.000Z", "send_at": "2026-12-24T17:00:00.000Z", "event_id": "e-1", "later": true
            });
            Some((201, outcome))
        }),
    )
    .await;
    let client = client(&broker).await;
    let at: Timestamp = "2026-12-24T17:00:00Z".parse().unwrap();
    let event = DelayedEvent::event(DUE, &json!({ "order": 7 }))
        .named("reminder-7")
        .at(at)
        .correlation("request-1")
        .header("tenant", "north")
        .expires(Duration::from_secs(60))
        .refuse_past();
    let put = client.clock().put_event(event).id("id-1").if_absent().await.unwrap();
    assert_eq!((put.outcome.as_str(), put.due_at, put.tag().as_deref()), ("created", Some(at), Some("17.1")));
    let item = json!({
        "name": "reminder-7", "event": DUE, "at": "2026-12-24T17:00:00.000Z", "data": { "order": 7 },
        "correlation_id": "request-1", "headers": { "tenant": "north" }, "expires": "60000 ms", "past": "refuse"
    });
    let body = json!({ "item": item, "if_absent": true });
    assert_eq!(clock.came(), [("event.put".to_owned(), "id-1".to_owned(), body)]);
}

#[tokio::test(start_paused = true)]
async fn a_delayed_task_goes_to_the_services_queue_and_keeps_its_contract() {
    let broker = Broker::new();
    let clock = FakeClock::willing(&broker).await;
    let client = client(&broker).await;
    let soon = Duration::from_millis(1500);
    client.clock().put_event(DelayedEvent::task(TASK, &7).after(soon)).await.unwrap();
    let (kind, id, body) = clock.came().remove(0);
    let item =
        json!({ "event": TASK, "in": "1500 ms", "data": 7, "to": { "task": "orders.orders.reminder.send" } });
    assert_eq!((kind.as_str(), id.is_empty(), body), ("event.put", false, json!({ "item": item })));
    for wrong in [DelayedEvent::task(TASK, &"seven"), DelayedEvent::event("order.reminder.sent", &7)] {
        let refused = client.clock().put_event(wrong.after(soon)).await.unwrap_err();
        assert!(matches!(refused, ClockError::Client(ClientError::Unfit(_))), "{refused}");
    }
    assert_eq!(clock.came().len(), 1, "what breaks its contract was sent");
}

#[tokio::test(start_paused = true)]
async fn each_verb_is_the_command_of_its_name() {
    let broker = Broker::new();
    let view = json!({
        "name": "a", "event": DUE, "state": "pending", "due_at": "2026-12-24T17:00:00.000Z", "creation": 1, "revision": 2,
        "event_id": "e", "owner": "orders"
    });
    let schedule = json!({ "name": "b", "event": DUE, "state": "active", "next_due_at": null, "revision": 3, "origin": "client" });
    let clock = FakeClock::start(
        &broker,
        Box::new(move |_, (kind, _, _)| {
            Some(match kind.as_str() {
                "event.get" => (200, view.clone()),
                "event.list" => (200, json!({ "clock": "khronos", "next": "p", "events": [view] })),
                "events.put" => (200, json!({ "done": 1, "refused": 1, "results": [
                    { "index": 0, "name": "a", "outcome": "created" },
                    { "index": 1, "name": "c", "outcome": "refused", "problem": { "status": 422, "code": "invalid", "detail": "no" } }
                ] })),
                "event.send-now" => (202, json!({ "name": "a", "outcome": "changed", "event_id": "e" })),
                "schedule.put" => (201, json!({ "name": "b", "outcome": "created", "creation": 4, "revision": 1, "occurrences_left": null, "next_due_at": [] })),
                "schedule.get" => (200, schedule.clone()),
                "schedule.list" => (200, json!({ "next": null, "schedules": [schedule] })),
                "schedule.trigger" => (202, json!({ "event_id": "t", "due_at": "2026-12-24T17:00:00.000Z" })),
                _ => (204, Value::Null),
            })
        }),
    )
    .await;
    let asking = client(&broker).await.clock();
    let state = asking.event("a").await.unwrap();
    assert_eq!((state.state.as_str(), &state.more["owner"]), ("pending", &json!("orders")));
    let page = asking.events("a").limit(10).page("o").await.unwrap();
    assert_eq!((page.next.as_deref(), page.events.len()), (Some("p"), 1));
    let batch = asking
        .put_events(["a", "c"].map(|name| DelayedEvent::event(DUE, &1).named(name)), false)
        .await
        .unwrap();
    assert_eq!(batch.results[1].problem.as_ref().map(|problem| problem.code.as_str()), Some("invalid"));
    assert_eq!(asking.send_event_now("a").await.unwrap().event_id.as_deref(), Some("e"));
    asking.cancel_event("a").if_revision("1.2").await.unwrap();
    let put = asking.put_schedule(&json!({ "name": "b", "event": DUE, "every": "1 day" })).await.unwrap();
    assert_eq!(put.tag().as_deref(), Some("4.1"));
    assert_eq!(asking.schedule("b").await.unwrap().next_due_at, None);
    assert_eq!(asking.schedules("").set("state", "active".into()).await.unwrap().schedules.len(), 1);
    assert_eq!(asking.trigger("b").await.unwrap().event_id, "t");
    asking.delete_schedule("b").await.unwrap();
    let kinds: Vec<String> = clock.came().into_iter().map(|(kind, ..)| kind).collect();
    let expected = [
        "event.get",
        "event.list",
        "events.put",
        "event.send-now",
        "event.delete",
        "schedule.put",
        "schedule.get",
        "schedule.list",
        "schedule.trigger",
        "schedule.delete",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(clock.came()[1].2, json!({ "prefix": "a", "limit": 10, "page": "o" }));
    assert_eq!(clock.came()[4].2, json!({ "name": "a", "if_revision": "1.2" }));
    assert_eq!(clock.came()[7].2, json!({ "state": "active" }));
}

#[tokio::test(start_paused = true)]
async fn what_gets_no_answer_is_asked_again_under_its_id() {
    let broker = Broker::new();
    let clock =
        FakeClock::start(&broker, Box::new(|number, _| (number == 3).then_some((204, Value::Null)))).await;
    let client = client(&broker).await;
    client.clock().cancel_event("a").await.unwrap();
    let ids: Vec<String> = clock.came().into_iter().map(|(_, id, _)| id).collect();
    assert!(ids.len() == 3 && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    // and no longer than it may
    let began = tokio::time::Instant::now();
    let away = client.clock().cancel_event("b").id("mine").within(Duration::from_secs(25)).await.unwrap_err();
    assert!(matches!(&away, ClockError::NoAnswer { id, .. } if id == "mine"), "{away}");
    assert!(began.elapsed() <= Duration::from_secs(26), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_is_put_again_under_its_key_is_the_same_command_and_nothing_else_is() {
    let broker = Broker::new();
    let clock = FakeClock::willing(&broker).await;
    let asking = client(&broker).await.clock();
    let soon = Duration::from_secs(600);
    let event = || DelayedEvent::event(DUE, &json!({ "order": 7 })).after(soon);
    asking.put_event(event()).key("order-7").await.unwrap();
    asking.put_event(event()).key("order-7").await.unwrap();
    asking.put_event(event()).key("order-8").await.unwrap();
    asking.put_event(DelayedEvent::task(TASK, &7).after(soon)).key("order-7").await.unwrap();
    asking.send_event_now("order-7").key("order-7").await.unwrap();
    let other = Client::connect_on(Transport::memory(broker.clone()), "billing").publishes::<Value>(DUE);
    other.await.unwrap().clock().put_event(event()).key("order-7").await.unwrap();
    let came = clock.came();
    assert_eq!(came[0], came[1]);
    let ids: std::collections::BTreeSet<_> = came.iter().map(|(_, id, _)| id).collect();
    assert_eq!((came.len(), ids.len()), (6, 5), "{came:?}");
    assert_eq!(came[0].1, "079ed0c7-8020-54c4-b63b-c7272763c82b");
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_waited_for() {
    let broker = Broker::new();
    let cut = broker.clone();
    let clock = FakeClock::start(
        &broker,
        Box::new(move |number, _| {
            if number == 1 {
                cut.disconnect_all();
                return None;
            }
            Some((204, Value::Null))
        }),
    )
    .await;
    client(&broker).await.clock().cancel_event("a").await.unwrap();
    assert!(clock.came().len() > 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_and_not_answered_may_be_done_though_it_is_refused_when_it_is_sent_again() {
    let broker = Broker::new();
    let gone = broker.clone();
    let _clock = FakeClock::start(
        &broker,
        Box::new(move |_, _| {
            gone.delete_exchange("khronos.commands");
            None
        }),
    )
    .await;
    let unknown = client(&broker).await.clock().cancel_event("a").id("mine").await.unwrap_err();
    assert!(matches!(&unknown, ClockError::NoAnswer { id, .. } if id == "mine"), "{unknown}");
}

#[tokio::test(start_paused = true)]
async fn a_problem_says_what_is_wrong_and_whether_it_is_for_now() {
    let broker = Broker::new();
    let _clock = FakeClock::start(
        &broker,
        Box::new(|number, _| {
            let errors = json!([{ "pointer": "/item/in", "code": "invalid-value", "detail": "in: '5x' is not a valid duration" }]);
            Some(match number {
                1 => (422, json!({ "title": "", "status": 422, "code": "invalid", "detail": "it can't be read", "errors": errors })),
                2 => (429, json!({ "status": 429, "code": "too-many-requests", "detail": "slower" })),
                _ => (200, json!("what is this?")),
            })
        }),
    )
    .await;
    let asking = client(&broker).await.clock();
    let wrong = asking.event("a").await.unwrap_err();
    assert!(wrong.to_string().contains("422 invalid: it can't be read; /item/in: in: '5x'"), "{wrong}");
    assert!(!wrong.problem().unwrap().is_for_now());
    let busy = asking.event("a").await.unwrap_err();
    let busy = busy.problem().unwrap();
    assert_eq!((busy.is_for_now(), busy.retry_after), (true, Some(Duration::from_secs(3))));
    assert!(matches!(asking.event("a").await, Err(ClockError::Unreadable { .. })));
}

#[tokio::test(start_paused = true)]
async fn without_a_clock_it_says_so_at_once() {
    let broker = Broker::new();
    let asking = client(&broker).await.clock();
    let began = tokio::time::Instant::now();
    let nobody = asking.event("a").await.unwrap_err();
    assert!(matches!(nobody, ClockError::NoClock { .. }), "{nobody}");
    assert!(nobody.to_string().contains("[commands] enabled"), "{nobody}");
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_closed_client_asks_nothing() {
    let broker = Broker::new();
    let _clock = FakeClock::willing(&broker).await;
    let client = client(&broker).await;
    let asking = client.clock();
    asking.send_event_now("a").await.unwrap();
    client.close().await.unwrap();
    let closed = asking.event("a").await.unwrap_err();
    assert!(matches!(closed, ClockError::Client(ClientError::Closed)), "{closed}");
}
