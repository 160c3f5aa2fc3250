//! A worker that reports and an observer that hears it, on the twin of the broker and on time that is moved by hand.

use super::{hearing::take, *};
use hyper::{Method, StatusCode};
use ponos::{
    broker::{Delivery, DeliveryTag},
    event::{Event, Message, Timestamp},
    prelude::*,
    schema::Contract,
    testing::{BEGINNING, Kit},
};
use ponos_observer::{AwaitedState, HandlingState, Miss, MissState, Why};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

const NAME: &str = "order.parcel.shipped";

/// A worker at work, and who observes it.
struct Stage {
    kit: Kit,
    answering: Answering,
    told: tokio::sync::mpsc::Receiver<Miss>,
    hearing: JoinHandle<Result<(), Trouble>>,
}

impl Stage {
    async fn new(worker: Worker) -> Self {
        let kit = Kit::start(worker.reports()).await;
        let transport = Transport::memory(kit.broker().clone());
        let mut topology = topology(&["#".into()]);
        topology.exchanges = [EVENTS, reports::REPORTS].map(Exchange::topic).into();
        let (shared, clock) = (Shared::new(Limits::default()), Clock::starting_at(BEGINNING));
        let consumer = transport.consumer(topology, Consume::default().prefetch(PREFETCH));
        let (tell, told) = tokio::sync::mpsc::channel(10);
        let hearing = Hearing::new(consumer, shared.clone(), ObserverMetrics::default(), tell, clock);
        let answering = Answering::new(shared, None, clock);
        let stage = Self { kit, answering, told, hearing: tokio::spawn(hearing.run()) };
        stage.kit.advance(Duration::from_millis(500)).await;
        stage
    }

    /// An answer: its status and its body.
    async fn ask(&self, path: &str) -> (StatusCode, Value) {
        use http_body_util::BodyExt;
        let answer = self.answering.asked(&Method::GET, path);
        let answer = answer.unwrap_or_else(http::problem::Problem::into_response);
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status, serde_json::from_slice(&body).unwrap())
    }

    async fn why(&self, id: &str) -> Why {
        serde_json::from_value(self.ask(&format!("/v1/why/{id}")).await.1).unwrap()
    }
}

fn worker() -> Worker {
    let handler = async |payload: Value, ctx: Context| {
        if payload["does"] == "hang" {
            std::future::pending::<()>().await;
        }
        ctx.task("mail.digest.send", &json!({}))?;
        Ok(Done)
    };
    let policy = Policy::default().within(Duration::from_secs(60)).timeout(Duration::from_secs(400));
    Worker::new("mail")
        .on::<Value>(NAME, handler.with(policy))
        .task::<Value>("mail.digest.send", async |_: Value, _: Context| Ok(Done))
}

#[tokio::test(start_paused = true)]
async fn what_a_worker_does_is_known_soon_after() {
    let mut stage = Stage::new(worker()).await;
    let id = stage.kit.publish(NAME, &json!({})).await;
    stage.kit.advance(Duration::from_secs(1)).await;
    let why = stage.why(id.as_str()).await;
    let root = &why.roots[0];
    assert_eq!(
        (root.event.name.as_str(), root.event.source.as_str(), root.event.sent),
        (NAME, "/testing", 1)
    );
    assert_eq!(
        (root.handlings[0].service.as_str(), root.handlings[0].state),
        ("mail", HandlingState::Handled)
    );
    let task = &root.followed[0];
    assert_eq!(task.event.queue.as_deref(), Some("mail.mail.digest.send"));
    assert_eq!(task.handlings[0].state, HandlingState::Handled);
    let (status, coverage) = stage.ask("/v1/coverage").await;
    assert_eq!(status, StatusCode::OK);
    let of_event =
        coverage["events"].as_array().unwrap().iter().find(|event| event["event"] == NAME).unwrap();
    assert_eq!(
        (&of_event["handlers"][0]["share"], &of_event["reaches_nobody"]),
        (&json!(1.0), &json!(false))
    );
    assert_eq!(coverage["services"][0]["state"], "running");
    assert_eq!(stage.ask("/readyz").await, (StatusCode::OK, json!({ "ready": true, "warnings": [] })));
}

#[tokio::test(start_paused = true)]
async fn what_hangs_beyond_its_time_is_missed_and_said_once() {
    let mut stage = Stage::new(worker()).await;
    let id = stage.kit.publish(NAME, &json!({ "does": "hang" })).await;
    tokio::time::sleep(Duration::from_secs(180)).await;
    let miss = stage.told.try_recv().unwrap();
    assert_eq!(
        (miss.event_id.as_str(), miss.service.as_str(), miss.state),
        (id.as_str(), "mail", MissState::NotReceived)
    );
    assert!(stage.told.try_recv().is_err());
    assert_eq!(stage.why(id.as_str()).await.roots[0].awaited[0].state, AwaitedState::Missed);
    let (status, ready) = stage.ask("/readyz").await;
    let warning = ready["warnings"][0].as_str().unwrap();
    assert!(status == StatusCode::OK && warning.contains("1 event not handled in time"), "{warning}");
    assert!(warning.contains("by mail"), "{warning}");
}

#[tokio::test(start_paused = true)]
async fn without_a_connection_it_is_not_ready_and_what_was_sent_is_in_doubt() {
    let mut stage = Stage::new(worker()).await;
    let id = stage.kit.publish(NAME, &json!({ "does": "hang" })).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    stage.kit.broker().stop();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(stage.ask("/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    stage.kit.broker().start();
    tokio::time::sleep(Duration::from_secs(180)).await;
    assert_eq!(stage.ask("/readyz").await.0, StatusCode::OK);
    assert!(stage.told.try_recv().is_err());
    assert!(stage.why(id.as_str()).await.interrupted_at.is_some());
    assert!(!stage.hearing.is_finished());
}

#[tokio::test(start_paused = true)]
async fn of_what_was_never_heard_it_says_since_when_it_listens() {
    let stage = Stage::new(worker()).await;
    let (status, problem) = stage.ask("/v1/why/no%20such").await;
    assert_eq!((status, &problem["code"]), (StatusCode::NOT_FOUND, &json!("unknown")));
    assert!(problem["detail"].as_str().unwrap().contains("observed since 2026-12-01T"), "{problem}");
    assert_eq!(stage.ask("/v1/nothing").await.0, StatusCode::NOT_FOUND);
    let refused = stage.answering.asked(&Method::POST, "/v1/coverage").unwrap_err();
    assert_eq!(refused.status(), 405);
}

fn delivered(exchange: &str, message: Message) -> Delivery {
    let tag = DeliveryTag { generation: 1, tag: 1 };
    Delivery { message, exchange: exchange.into(), redelivered: false, tag }
}

#[test]
fn what_can_not_be_read_is_passed_over() {
    let mut observer = Observer::new(Limits::default());
    let event = |name: &str, data: &str| {
        Event::new("1".parse().unwrap(), "/shop", name.parse().unwrap(), data).into_message()
    };
    let mut reads = |exchange: &str, message| {
        take(&mut observer, Timestamp::EPOCH, &delivered(exchange, message)).is_some()
    };
    assert!(reads("events", event("a.b.c", "not JSON")));
    assert!(!reads("events", Message::default()));
    assert!(!reads("ponos.reports", event("ponos.deliveries.reported", "{}")));
    assert!(!reads("ponos.reports", event("ponos.handlers.declared", "[]")));
    assert!(!reads("ponos.reports", event("ponos.handlers.declared", &" ".repeat(5 << 20))));
    // of a later version
    assert!(reads("ponos.reports", event("ponos.workers.counted", "{}")));
    assert_eq!((observer.counts().events, observer.counts().deliveries), (1, 0));
}

#[test]
fn a_miss_is_an_event_that_follows_from_what_was_missed() {
    let miss = Miss {
        event_id: "1".into(),
        event: NAME.into(),
        source: String::new(),
        subject: None,
        service: "mail".into(),
        queue: format!("mail.{NAME}"),
        handler: NAME.into(),
        seen_at: BEGINNING,
        within_ms: 60_000,
        due_at: BEGINNING.plus(60_000),
        state: MissState::Waiting,
        attempts: 2,
        reason: Some("no stamps".into()),
    };
    let event = Event::from_message(&missing::message(&miss).unwrap()).unwrap();
    assert_eq!((event.name.as_str(), event.source.as_str()), ("ponos.handling.missed", "/ponos/observer"));
    assert_eq!((event.causation_id.as_deref(), event.subject.as_deref()), (Some("1"), Some("mail")));
    assert_eq!((event.id.clone(), event.time), (miss.id(), Some(miss.due_at)));
    let schema = Contract::parse(include_str!("../../../../schemas/reports/handling-missed.json")).unwrap();
    schema.check(&serde_json::from_slice(&event.data).unwrap()).unwrap();
}

#[test]
fn services_have_series_of_their_own_up_to_a_number() {
    let metrics = Metrics::new();
    let ours = ObserverMetrics::register(&metrics);
    for service in 0..1_010 {
        ours.missed(&format!("s{service}"));
    }
    let text = metrics.expose(None).unwrap().text;
    assert!(text.contains("ponos_handling_missed_total{service=\"other\"} 10\n"));
    assert_eq!(text.lines().filter(|line| line.starts_with("ponos_handling_missed_total{")).count(), 1_001);
}
