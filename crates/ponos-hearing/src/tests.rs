//! On the twin of the broker.

use crate::{
    Heard, Hearing, HearingEnd, Listening, Missing, ObserverMetrics, hearing::take, listen, missing, topology,
};
use ponos_broker::{
    Consume, Consumer, Delivery, DeliveryTag, Link, LinkError, LinkErrorClass, PublishOutcome, Publishing,
    Settle, Transport, memory,
};
use ponos_event::{
    Event, Message, Timestamp,
    topology::{Binding, Exchange, Queue, Topology},
};
use ponos_observer::{Limits, Miss, MissState, Observer};
use ponos_schema::Contract;
use prometheus_client::{encoding::text::encode, registry::Registry};
use std::{sync::Arc, time::Duration};

const NAME: &str = "order.parcel.shipped";
const LIMIT: Duration = Duration::from_secs(60);

fn delivered(exchange: &str, message: Message) -> Delivery {
    let tag = DeliveryTag { generation: 1, tag: 1 };
    Delivery { message, exchange: exchange.into(), redelivered: false, tag }
}

fn event(name: &str, data: &str) -> Message {
    Event::new("1".parse().unwrap(), "/shop", name.parse().unwrap(), data).into_message()
}

#[test]
fn what_can_not_be_read_is_passed_over() {
    let mut observer = Observer::new(Limits::default());
    let mut reads = |exchange: &str, message| {
        take(&mut observer, Timestamp::EPOCH, &delivered(exchange, message)).is_some()
    };
    assert!(reads("events", event("a.b.c", "not JSON")));
    assert!(!reads("events", Message::default()));
    // its attributes are plain
    let mut compressed = event("a.b.c", "not inflated");
    compressed.properties.content_encoding = Some("gzip".into());
    assert!(reads("events", compressed));
    assert!(!reads("ponos.reports", event("ponos.deliveries.reported", "{}")));
    assert!(!reads("ponos.reports", event("ponos.handlers.declared", "[]")));
    assert!(!reads("ponos.reports", event("ponos.handlers.declared", &" ".repeat(5 << 20))));
    // of a later version
    assert!(reads("ponos.reports", event("ponos.workers.counted", "{}")));
    assert_eq!((observer.counts().events, observer.counts().deliveries), (2, 0));
}

fn miss(id: &str) -> Miss {
    Miss {
        event_id: id.into(),
        event: NAME.into(),
        source: String::new(),
        subject: None,
        service: "mail".into(),
        queue: format!("mail.{NAME}"),
        handler: NAME.into(),
        seen_at: Timestamp::EPOCH,
        within_ms: 60_000,
        due_at: Timestamp::EPOCH.plus(60_000),
        state: MissState::Waiting,
        attempts: 2,
        reason: Some("no stamps".into()),
    }
}

#[test]
fn a_miss_is_an_event_that_follows_from_what_was_missed() {
    let miss = miss("1");
    let event = Event::from_message(&missing::message(&miss).unwrap()).unwrap();
    assert_eq!((event.name.as_str(), event.source.as_str()), ("ponos.handling.missed", "/ponos/observer"));
    assert_eq!((event.causation_id.as_deref(), event.subject.as_deref()), (Some("1"), Some("mail")));
    assert_eq!((event.id.clone(), event.time), (miss.id(), Some(miss.due_at)));
    let schema = Contract::parse(include_str!("../../../schemas/reports/handling-missed.json")).unwrap();
    schema.check(&serde_json::from_slice(&event.data).unwrap()).unwrap();
}

#[test]
fn services_have_series_of_their_own_up_to_a_number() {
    let (mut registry, ours, mut text) = (Registry::default(), ObserverMetrics::default(), String::new());
    ours.register(&mut registry);
    for service in 0..1_010 {
        ours.missed(&format!("s{service}"));
    }
    encode(&mut text, &registry).unwrap();
    assert!(text.contains("ponos_handling_missed_total{service=\"other\"} 10\n"));
    assert_eq!(text.lines().filter(|line| line.starts_with("ponos_handling_missed_total{")).count(), 1_001);
    // before it ever happened
    assert!(text.contains("ponos_handling_uncertain_total{doubt=\"report-lost\"} 0\n"));
}

/// A broker with a queue of all events.
fn broker() -> (Transport, Consumer) {
    let transport = Transport::memory(memory::Broker::new());
    let consumer = all_of(&transport);
    (transport, consumer)
}

/// A consumer of all events.
fn all_of(transport: &Transport) -> Consumer {
    let all = Topology {
        exchanges: vec![Exchange::topic("events")],
        queues: vec![Queue::classic("all")],
        bindings: vec![Binding::queue("events", "all", "#")],
        ..Topology::default()
    };
    transport.consumer(all, Consume::new("all"))
}

async fn next_id(consumer: &mut Consumer) -> String {
    let delivery = tokio::time::timeout(LIMIT, consumer.next()).await.unwrap().unwrap();
    consumer.settle(delivery.tag, Settle::Ack).await.unwrap();
    Event::from_message(&delivery.message).unwrap().causation_id.unwrap()
}

#[tokio::test(start_paused = true)]
async fn misses_are_published_by_whoever_is_to() {
    let (transport, mut all) = broker();
    let (leads, is_leading) = tokio::sync::watch::channel(true);
    let (publishing, told) = Missing::new(&transport, move || *is_leading.borrow());
    let publishing = tokio::spawn(publishing.run());
    told.send(miss("1")).await.unwrap();
    assert_eq!(next_id(&mut all).await, "1");
    leads.send_replace(false);
    told.send(miss("2")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    leads.send_replace(true);
    told.send(miss("3")).await.unwrap();
    assert_eq!(next_id(&mut all).await, "3", "another clock publishes what this one does not");
    drop(told);
    tokio::time::timeout(LIMIT, publishing).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_miss_is_sent_again_until_the_broker_confirms_it() {
    let transport = Transport::memory(memory::Broker::new());
    let (publishing, told) = Missing::new(&transport, || true);
    let publishing = tokio::spawn(publishing.run());
    // there is no exchange yet
    told.send(miss("1")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mut all = all_of(&transport);
    assert_eq!(next_id(&mut all).await, "1");
    drop(told);
    tokio::time::timeout(LIMIT, publishing).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn events_of_each_exchange_are_heard_and_the_end_is_a_gap() {
    let transport = Transport::memory(memory::Broker::new());
    let listening = Listening { events: vec!["events".into(), "times".into()], patterns: vec!["#".into()] };
    assert_eq!(topology(&listening).bindings.len(), 3);
    let (heard, metrics) = (Heard::new(Limits::default()), ObserverMetrics::default());
    let (told, _missed) = tokio::sync::mpsc::channel(1);
    let hearing = listen(&transport, &listening).await;
    let hearing = Hearing::new(hearing, heard.clone(), metrics, told, || Timestamp::EPOCH);
    let hearing = tokio::spawn(hearing.run());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(heard.is_listening());
    let mut publisher = transport.publisher(Topology::default());
    let link = publisher.link();
    drop(link.clone().wait_for(|link| matches!(link, Link::Up { .. })).await.unwrap());
    for (token, exchange) in [(1, "events"), (2, "times")] {
        let event = Event::new(exchange.parse().unwrap(), "/shop", NAME.parse().unwrap(), "{}");
        let (message, exchange): (_, Arc<str>) = (event.into_message(), exchange.into());
        publisher.submit(vec![Publishing { token, lane: 0, exchange, message }]).await.unwrap();
        let settled = publisher.settlements().await.unwrap();
        assert_eq!(settled[0].outcome, PublishOutcome::Confirmed { returned: false });
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let coverage = heard.coverage(Timestamp::EPOCH);
    assert_eq!((coverage.events.len(), coverage.events[0].seen), (1, 2), "{coverage:?}");
    assert!(heard.why(Timestamp::EPOCH, "nobody").unwrap_err().contains("observed since 1970"));
    hearing.abort();
}

#[tokio::test(start_paused = true)]
async fn what_only_a_person_can_mend_ends_it() {
    let (consumer, task) = Consumer::channel(&Consume::new("q"));
    let heard = Heard::new(Limits::default());
    let (told, _missed) = tokio::sync::mpsc::channel(1);
    let hearing =
        Hearing::new(consumer, heard.clone(), ObserverMetrics::default(), told, || Timestamp::EPOCH);
    let hearing = tokio::spawn(hearing.run());
    let refused = LinkError {
        class: LinkErrorClass::Forbidden,
        what: "the user may not read".into(),
        remedy: "let him".into(),
    };
    task.link.send_replace(Link::Down { attempts: 1, error: Some(refused.clone()) });
    let ended = tokio::time::timeout(LIMIT, hearing).await.unwrap().unwrap();
    assert_eq!(ended, HearingEnd::Refused(refused));
    assert!(!heard.is_listening());
}
