//! A worker that reports and an observer that hears it, on the twin of the broker and on time that is moved by hand.

use super::*;
use hyper::{Method, StatusCode};
use ponos::{
    broker::Transport,
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
    hearing: JoinHandle<HearingEnd>,
}

impl Stage {
    async fn new(worker: Worker) -> Self {
        let kit = Kit::start(worker.reports()).await;
        let transport = Transport::memory(kit.broker().clone());
        let (heard, clock) = (Heard::new(Limits::default()), Clock::starting_at(BEGINNING));
        let listening = Listening { events: vec![EVENTS.into()], patterns: vec!["#".into()] };
        let consumer = listen(&transport, &listening).await;
        let (tell, told) = tokio::sync::mpsc::channel(10);
        let counted = ObserverMetrics::default();
        let hearing = Hearing::new(consumer, heard.clone(), counted, tell, move || clock.now());
        let answering = Answering::new(heard, None, clock);
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

/// The schema of an answer, with what it refers to.
fn form(described: &Value, path: &str, status: &str) -> Contract {
    let response = &described["paths"][path]["get"]["responses"][status];
    let (_, content) = response["content"].as_object().unwrap().iter().next().unwrap();
    let mut schema = content["schema"].clone();
    schema["components"] = described["components"].clone();
    Contract::parse(&schema.to_string()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn answers_are_as_they_are_described() {
    let mut stage = Stage::new(worker()).await;
    let id = stage.kit.publish(NAME, &json!({})).await;
    stage.kit.publish(NAME, &json!({ "does": "hang" })).await;
    tokio::time::sleep(Duration::from_secs(180)).await;
    let (_, described) = stage.ask("/v1/openapi.json").await;
    assert!(described["openapi"].as_str().unwrap().starts_with("3.1."));
    let served: Vec<&String> = described["paths"].as_object().unwrap().keys().collect();
    assert_eq!(served.len(), 4, "{served:?}");
    for (asked, path) in [
        (format!("/v1/why/{}", id.as_str()), "/v1/why/{id}"),
        ("/v1/why/nobody".into(), "/v1/why/{id}"),
        ("/v1/coverage".into(), "/v1/coverage"),
        ("/readyz".into(), "/readyz"),
    ] {
        let (status, answer) = stage.ask(&asked).await;
        let checked = form(&described, path, status.as_str()).check(&answer);
        assert!(checked.is_ok(), "{asked}: {checked:?}\n{answer:#}");
    }
    let wrong = form(&described, "/v1/coverage", "200").check(&json!({ "at": 1 }));
    assert!(wrong.is_err(), "a form that takes anything shows nothing");
}
