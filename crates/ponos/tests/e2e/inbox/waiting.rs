//! What waits in the outbox: listed, hurried, moved and dropped, also while a relay is at work.
#![cfg(feature = "postgres")]

use super::{opened, sql};
use ponos::{
    Client,
    broker::{Transport, memory},
    event::{EventId, Message, Properties, Timestamp},
    inbox::{
        Begun, Due, Held, Inbox, InboxKey,
        postgres::{Waiting, WaitingFilter, WaitingKind},
    },
    shutdown::shutdown,
    topology::{Binding, Exchange, Queue, Topology, topic_matches},
};
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use std::time::Duration;
use testkit::wait_until;

const LIMIT: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// An event of that name, due in so many hours.
fn held(id: &str, name: &str, hours: u32) -> Held {
    let (message_id, kind) = (Some(id.to_owned()), Some(name.to_owned()));
    let properties = Properties { message_id, kind, persistent: true, ..Properties::default() };
    let message =
        Message { routing_key: name.into(), properties, body: b"\"body\"".to_vec(), ..Message::default() };
    let due = (hours > 0).then_some(Due::In(HOUR * hours));
    Held { id: id.parse().unwrap(), exchange: "events".into(), message, due }
}

async fn put(inbox: &Inbox, run: &str, publishes: Vec<Held>) {
    let id: EventId = run.parse().unwrap();
    let key = InboxKey { queue: "shop.q".into(), handler: "a.#".into(), source: "/shop".into(), id };
    let Begun::Run(entry) = inbox.begin(&key).await.unwrap() else { panic!("{key} was handled") };
    entry.done(publishes).await.unwrap();
}

/// A retry of `shop.q`, as a worker keeps it, due in so many hours.
fn put_retry(database: &str, id: &str, reason: &str, hours: i32) {
    let head = r#"{"routing_key":"shop.q","persistent":true,"headers":[["retry-attempt",{"int":3}],["retry-due",{"text":"2098-01-01T00:00:00.000Z"}]]}"#;
    sql(
        database,
        &format!(
            "insert into ponos.ponos_outbox (service, kind, key, id, exchange, head, body, due, next_try, name, queue, reason)
             select 'shop', 'retry', 'retry:{id}', '{id}', 'retry.return', '{head}', '', due, due, 'a.b.c', 'shop.q', '{reason}'
             from (select now() + interval '{hours} hours' as due) as at"
        ),
    );
}

fn filter() -> WaitingFilter {
    WaitingFilter::default()
}

fn ids_are(ids: &[&str]) -> WaitingFilter {
    WaitingFilter { ids: ids.iter().map(|id| (*id).to_owned()).collect(), ..filter() }
}

async fn ids(waiting: &Waiting) -> Vec<String> {
    let page = waiting.list(None, 1_000).await.unwrap();
    page.messages.into_iter().map(|one| one.id).collect()
}

fn topology() -> Topology {
    Topology {
        exchanges: vec![Exchange::topic("events"), Exchange::direct("retry.return")],
        queues: vec![Queue::classic("q")],
        bindings: vec![Binding::queue("events", "q", "#"), Binding::queue("retry.return", "q", "shop.q")],
        ..Topology::default()
    }
}

#[tokio::test]
async fn what_waits_is_listed_by_its_time_page_by_page_and_by_each_condition() {
    let (_, inbox) = opened("waiting_list").await;
    let events = vec![held("c", "order.item.shipped", 3), held("a", "order.item.returned", 1)];
    put(&inbox, "1", events).await;
    put_retry("waiting_list", "b", "Connection refused", 2);
    sql(
        "waiting_list",
        "insert into ponos.ponos_outbox (service, id, exchange, head, body) values ('other', 'z', 'events', '{}', '')",
    );
    let of = |filter| inbox.waiting(filter).unwrap();
    assert_eq!(ids(&of(filter())).await, ["a", "b", "c"]);
    let (mut place, mut paged) = (None, Vec::new());
    loop {
        let page = of(filter()).list(place.as_ref(), 1).await.unwrap();
        paged.extend(page.messages.into_iter().map(|one| one.id));
        place = page.next;
        if place.is_none() {
            break;
        }
    }
    assert_eq!(paged, ["a", "b", "c"]);
    let text = |text: &str| Some(text.to_owned());
    for (filter, wanted) in [
        (ids_are(&["c", "a", "nobody"]), vec!["a", "c"]),
        (WaitingFilter { name: text("order.*.shipped"), ..filter() }, vec!["c"]),
        (WaitingFilter { queue: text("shop.q"), ..filter() }, vec!["b"]),
        (WaitingFilter { kind: Some(WaitingKind::Send), ..filter() }, vec!["a", "c"]),
        (WaitingFilter { reason: text("REFUSED"), ..filter() }, vec!["b"]),
        (WaitingFilter { due_within: Some(HOUR * 2 + HOUR / 2), ..filter() }, vec!["a", "b"]),
        (WaitingFilter { due_within: Some(HOUR * 9), kind: Some(WaitingKind::Timeout), ..filter() }, vec![]),
    ] {
        assert_eq!(ids(&of(filter.clone())).await, wanted, "{filter:?}");
    }
    let retry = of(ids_are(&["b"])).show(None).await.unwrap().messages.remove(0);
    assert_eq!(
        (retry.kind, retry.attempt, retry.queue.as_deref()),
        (WaitingKind::Retry, Some(3), Some("shop.q"))
    );
    assert_eq!(retry.reason.as_deref(), Some("Connection refused"));
    let event = of(ids_are(&["a"])).show(None).await.unwrap().messages.remove(0);
    assert_eq!((event.bytes, event.message.unwrap().body), (6, b"\"body\"".to_vec()));
    let listed = of(ids_are(&["a"])).list(None, 1).await.unwrap().messages.remove(0);
    assert!(listed.message.unwrap().body.is_empty());
    let wrong = inbox.waiting(WaitingFilter { name: text("Order.#"), ..filter() }).unwrap_err();
    assert!(wrong.to_string().contains("Order"), "{wrong}");
}

#[tokio::test]
async fn names_fit_patterns_as_those_of_a_topic_exchange_do() {
    let (_, inbox) = opened("waiting_names").await;
    let names = ["order.item.shipped", "order.item.shipped.late", "order.shipped.item", "a.b-c.d1"];
    put(&inbox, "1", names.iter().map(|name| held(name, name, 1)).collect()).await;
    for pattern in
        ["#", "order.#", "#.shipped", "order.*.shipped", "*.*.*", "order.#.shipped.#", "#.item.#", "a.b-c.*"]
    {
        let waiting = inbox.waiting(WaitingFilter { name: Some(pattern.into()), ..filter() }).unwrap();
        let mut found = ids(&waiting).await;
        found.sort();
        let mut wanted: Vec<&str> = names.into_iter().filter(|name| topic_matches(pattern, name)).collect();
        wanted.sort_unstable();
        assert_eq!(found, wanted, "{pattern}");
    }
}

// several threads: psql may have to wait for the relay
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_is_hurried_moved_and_dropped() {
    let (_, inbox) = opened("waiting_change").await;
    put(&inbox, "1", ["a", "b", "c"].map(|id| held(id, "order.item.shipped", 1)).into()).await;
    put_retry("waiting_change", "r", "no", 5);
    let of = |ids: &[&str]| inbox.waiting(ids_are(ids)).unwrap();
    let change = of(&["a", "r"]).run_now().await.unwrap();
    assert_eq!((change.changed, change.under_way, change.more), (2, 0, false));
    assert_eq!(of(&["a", "r"]).run_now().await.unwrap().changed, 0, "they are due already");
    let at: Timestamp = "2098-05-01T00:00:00Z".parse().unwrap();
    assert_eq!(of(&["b"]).move_to(at).await.unwrap().changed, 1);
    let counted = of(&["b"]).count().await.unwrap();
    assert_eq!((counted.count, counted.first, counted.last), (1, Some(at), Some(at)));
    assert!(of(&["b"]).move_to(Timestamp::HORIZON).await.is_err());
    assert_eq!(of(&["c"]).drop().await.unwrap().changed, 1);
    assert_eq!(of(&["c"]).count().await.unwrap().count, 0);
    let broker = memory::Broker::new();
    let (end, ending) = shutdown();
    let relay = inbox.relay(broker.publisher(topology())).unwrap();
    let relay = tokio::spawn(async move { relay.run(&ending).await });
    wait_until("both that are due", LIMIT, async || (broker.queue_depth("q") == Some(2)).then_some(())).await;
    let retry = std::iter::from_fn(|| broker.get("q"))
        .map(|delivery| delivery.message)
        .find(|message| message.headers.get("retry-attempt").is_some())
        .unwrap();
    // or its worker would put it off until then
    let due: Timestamp = retry.headers.text("retry-due").unwrap().parse().unwrap();
    assert!(due < "2098-01-01T00:00:00Z".parse().unwrap(), "{due}");
    // one that nobody took for an hour is tried again
    sql(
        "waiting_change",
        "update ponos.ponos_outbox set parked = now(), next_try = now(), attempts = 20 where id = 'b'",
    );
    let parked = of(&["b"]).list(None, 1).await.unwrap().messages.remove(0);
    assert!(parked.is_parked && parked.failures == 20);
    assert_eq!(of(&["b"]).run_now().await.unwrap().changed, 1);
    wait_until("the last", LIMIT, async || (broker.queue_depth("q") == Some(1)).then_some(())).await;
    end.advance();
    relay.await.unwrap();
    assert_eq!(sql("waiting_change", "select count(*) from ponos.ponos_outbox"), "0");
}

#[tokio::test]
async fn what_is_under_way_stays_as_it_is_and_is_told_apart() {
    let (url, inbox) = opened("waiting_locked").await;
    put(&inbox, "1", ["a", "b"].map(|id| held(id, "order.item.shipped", 1)).into()).await;
    // as a relay has it in hand
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let mut hand = connection.begin().await.unwrap();
    sqlx::query("select from ponos.ponos_outbox where id = 'a' for update")
        .execute(&mut *hand)
        .await
        .unwrap();
    let all = inbox.waiting(filter()).unwrap();
    let at = "2098-05-01T00:00:00Z".parse().unwrap();
    for change in [all.move_to(at).await, all.run_now().await, all.drop().await] {
        let change = change.unwrap();
        assert_eq!((change.changed, change.under_way), (1, 1));
    }
    hand.rollback().await.unwrap();
    assert_eq!(ids(&all).await, ["a"]);
    assert_eq!(all.drop().await.unwrap().changed, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_relay_is_at_work_each_message_is_either_sent_or_dropped() {
    const COUNT: usize = 600;
    let (_, inbox) = opened("waiting_busy").await;
    let name =
        |number: usize| if number.is_multiple_of(2) { "order.item.shipped" } else { "order.item.returned" };
    for run in 0..6 {
        let numbers = run * 100..(run + 1) * 100;
        let events = numbers.map(|number| held(&number.to_string(), name(number), 1)).collect();
        put(&inbox, &run.to_string(), events).await;
    }
    let broker = memory::Broker::new();
    let (end, ending) = shutdown();
    let relay = inbox.relay(broker.publisher(topology())).unwrap();
    let relay = tokio::spawn(async move { relay.run(&ending).await });
    let (all, half) = (
        inbox.waiting(filter()).unwrap(),
        inbox.waiting(WaitingFilter { name: Some("*.*.returned".into()), ..filter() }).unwrap(),
    );
    // at the same time
    let (hurried, dropped) = tokio::join!(all.run_now(), async {
        let mut dropped = 0;
        while all.count().await.unwrap().count > 0 {
            dropped += half.drop().await.unwrap().changed;
            all.run_now().await.unwrap();
        }
        dropped
    });
    hurried.unwrap();
    end.advance();
    relay.await.unwrap();
    let sent = broker.queue_depth("q").unwrap();
    assert_eq!(sent as u64 + dropped, COUNT as u64, "{dropped} dropped");
    assert!(sent >= COUNT / 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_sees_what_waits_and_leaves_retries_to_the_workers() {
    let (_, inbox) = opened("waiting_client").await;
    let broker = memory::Broker::new();
    broker.declare(&topology()).unwrap();
    let connect =
        || Client::connect_on(Transport::memory(broker.clone()), "shop").publishes::<Value>("a.b.c");
    let bare = connect().await.unwrap();
    let refused = bare.waiting(filter()).unwrap_err().to_string();
    assert!(refused.contains("has no outbox"), "{refused}");
    let refused = Inbox::memory(1).waiting(filter()).unwrap_err().to_string();
    assert!(refused.contains("only an inbox on Postgres"), "{refused}");
    let client = connect().outbox(&inbox).await.unwrap();
    put(&inbox, "1", vec![held("event", "order.item.shipped", 0)]).await;
    put_retry("waiting_client", "retry", "no", 0);
    let (end, ending) = shutdown();
    let relaying = client.clone();
    let relay = tokio::spawn(async move { relaying.relay(&ending).await });
    let waiting = client.waiting(filter()).unwrap();
    wait_until("the event to be sent", LIMIT, async || (ids(&waiting).await == ["retry"]).then_some(()))
        .await;
    // drained, it has looked at all there is
    end.advance();
    relay.await.unwrap().unwrap();
    assert_eq!(ids(&waiting).await, ["retry"]);
    let (end, ending) = shutdown();
    let relay = inbox.relay(broker.publisher(topology())).unwrap();
    let relay = tokio::spawn(async move { relay.run(&ending).await });
    wait_until("the retry to be sent", LIMIT, async || ids(&waiting).await.is_empty().then_some(())).await;
    end.advance();
    relay.await.unwrap();
    assert_eq!(broker.queue_depth("q"), Some(2));
}
