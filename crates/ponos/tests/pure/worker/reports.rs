//! Reports and declarations: what a worker says of itself, and that it is never in the way.

use super::{NAME, QUEUE, secs};
use ponos::{
    broker::{Transport, memory::Broker},
    event::{
        Event, Timestamp,
        reports::{Declaration, DeclaredState, REPORTS, Report, ReportedOutcome},
    },
    metrics::Metrics,
    prelude::*,
    schema::Contract,
    testing::{BEGINNING, Kit},
    topology::{Binding, Exchange, Queue, Topology},
};
use serde_json::{Value, json};
use std::time::Duration;

const SEEN: &str = "seen";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Does what the payload says.
fn worker() -> Worker {
    let handler = |payload: Value, ctx: Context| async move {
        match payload["does"].as_str().unwrap_or_default() {
            "publish" => {
                ctx.task("shop.label.print", &json!({}))?;
                for _ in 0..payload["events"].as_u64().unwrap_or(0) {
                    ctx.publish("order.label.printed", &json!({}))?;
                }
                Ok(Done)
            }
            "skip" => Ok(Skip),
            "snooze" => Ok(Outcome::snooze(secs(60)).because("busy")),
            "refuse" => Ok(Outcome::dead("x".repeat(2_000))),
            "fail" => Err(Failure::new("password=hunter2")),
            _ => Ok(Done),
        }
    };
    Worker::new("shop")
        .on::<Value>(NAME, handler.with(Policy::default().within(secs(3_600))))
        .task::<Value>("shop.label.print", async |_: Value, _: Context| Ok(Done))
        .publishes::<Value>("order.label.printed")
}

/// A kit whose reports lie in a queue, from the first on.
async fn kit(worker: Worker) -> Kit {
    let kit = Kit::start(worker).await;
    listen(kit.broker());
    kit
}

fn listen(broker: &Broker) {
    let listening = Topology {
        exchanges: vec![Exchange::topic(REPORTS)],
        queues: vec![Queue::classic(SEEN)],
        bindings: vec![Binding::queue(REPORTS, SEEN, "#")],
        ..Topology::default()
    };
    broker.declare(&listening).unwrap();
}

/// What was said so far, in order, each valid by its schema: the routing key and the data.
fn said(broker: &Broker) -> Vec<(String, Value)> {
    let schemas = [
        (
            "ponos.deliveries.reported",
            include_str!("../../../../../schemas/reports/deliveries-reported.json"),
        ),
        ("ponos.handlers.declared", include_str!("../../../../../schemas/reports/handlers-declared.json")),
    ];
    let schemas = schemas.map(|(name, schema)| (name, Contract::parse(schema).unwrap()));
    let mut all = Vec::new();
    for delivery in broker.peek(SEEN) {
        assert!(!delivery.message.properties.persistent, "the broker is not to keep it");
        let event = Event::from_message(&delivery.message).unwrap();
        assert_eq!(event.source, "/shop");
        let data: Value = serde_json::from_slice(&event.data).unwrap();
        let (_, schema) = schemas.iter().find(|(name, _)| *name == event.name.as_str()).unwrap();
        schema.check(&data).unwrap_or_else(|why| panic!("{why}: {data}"));
        all.push((delivery.message.routing_key, data));
    }
    all
}

fn reports(broker: &Broker) -> Vec<Report> {
    let of_queues = said(broker).into_iter().filter(|(_, data)| data.get("queue").is_some());
    of_queues.map(|(_, data)| serde_json::from_value(data).unwrap()).collect()
}

fn declarations(broker: &Broker) -> Vec<Declaration> {
    let declared = said(broker).into_iter().filter(|(key, _)| key == "shop.declared");
    declared.map(|(_, data)| serde_json::from_value(data).unwrap()).collect()
}

/// Longer than anything is gathered.
const GATHERED: Duration = Duration::from_millis(250);

#[tokio::test(start_paused = true)]
async fn a_worker_that_was_not_asked_to_says_nothing() {
    let mut kit = kit(worker()).await;
    kit.publish(NAME, &json!({})).await;
    kit.advance(GATHERED).await;
    assert_eq!(said(kit.broker()), []);
}

#[tokio::test(start_paused = true)]
async fn what_ends_within_a_moment_is_one_message_of_each_outcome() {
    let mut kit = kit(worker().reports()).await;
    for _ in 0..5 {
        kit.publish(NAME, &json!({})).await;
        kit.publish(NAME, &json!({ "does": "skip" })).await;
    }
    kit.advance(GATHERED).await;
    let keys: Vec<String> = said(kit.broker()).into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["shop.declared".to_owned(), format!("{QUEUE}.done"), format!("{QUEUE}.skipped")]);
    let reports = reports(kit.broker());
    assert!(reports.iter().all(|report| report.queue == QUEUE && report.deliveries.len() == 5));
    assert_eq!(reports[1].deliveries[0].reason.as_deref(), Some("its handler found nothing to do"));
}

#[tokio::test(start_paused = true)]
async fn a_message_has_100_deliveries_at_most_and_none_is_left_out() {
    let mut kit = kit(worker().reports()).await;
    let mut ids = Vec::new();
    for _ in 0..250 {
        ids.push(kit.publish(NAME, &json!({})).await.to_string());
    }
    kit.advance(GATHERED).await;
    let reports = reports(kit.broker());
    assert!(reports.iter().all(|report| report.deliveries.len() <= 100), "a schema has told already");
    let mut told: Vec<String> =
        reports.iter().flat_map(|report| &report.deliveries).map(|delivery| delivery.id.clone()).collect();
    told.sort();
    ids.sort();
    assert_eq!(told, ids);
    let sequences: Vec<u64> =
        said(kit.broker()).iter().map(|(_, data)| data["sequence"].as_u64().unwrap()).collect();
    assert_eq!(sequences, (1..=sequences.len() as u64).collect::<Vec<_>>());
    assert!(reports.iter().all(|report| report.by.dropped == 0));
}

#[tokio::test(start_paused = true)]
async fn a_delivery_is_told_of_with_where_it_comes_from_and_what_follows_from_it() {
    let mut kit = kit(worker().reports()).await;
    let mut event = kit.event(NAME, &json!({ "does": "publish", "events": 24 }));
    event.traceparent = Some(format!("00-{TRACE}-00f067aa0ba902b7-01"));
    (event.correlation_id, event.causation_id) = (Some("c".into()), Some("b".into()));
    let id = kit.publish_event(event).await;
    kit.advance(GATHERED).await;
    let reports = reports(kit.broker());
    let [first, task] = &reports[..] else { panic!("{reports:?}") };
    let delivery = &first.deliveries[0];
    assert_eq!((delivery.id.as_str(), delivery.name.as_str(), delivery.attempt), (id.as_str(), NAME, 1));
    assert_eq!(delivery.handler.as_deref(), Some(NAME));
    assert_eq!(delivery.correlation_id.as_deref(), Some("c"));
    assert_eq!(delivery.causation_id.as_deref(), Some("b"));
    assert_eq!(delivery.trace_id.as_deref(), Some(TRACE));
    assert!(delivery.began_at >= BEGINNING && delivery.ended_at >= delivery.began_at);
    assert_eq!((delivery.published.len(), delivery.unlisted), (20, 5));
    let published = &delivery.published[0];
    assert_eq!(published.name, "shop.label.print");
    assert_eq!(published.queue.as_deref(), Some("shop.shop.label.print"));
    assert_eq!(delivery.published[1].queue, None);
    // what was published is told of with the same id when it is handled, and with its cause
    assert_eq!(task.queue, "shop.shop.label.print");
    assert_eq!(task.deliveries[0].id, published.id);
    assert_eq!(task.deliveries[0].causation_id.as_deref(), Some(id.as_str()));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_succeed_is_told_of_with_the_reason_without_secrets() {
    let mut kit = kit(worker().reports()).await;
    for does in ["fail", "snooze", "refuse"] {
        kit.publish(NAME, &json!({ "does": does })).await;
        kit.advance(GATHERED).await;
    }
    let reports = reports(kit.broker());
    let [failed, snoozed, dead] = &reports[..3] else { panic!("{reports:?}") };
    let outcomes = [failed, snoozed, dead].map(|report| report.outcome);
    assert_eq!(outcomes, [ReportedOutcome::Retried, ReportedOutcome::Snoozed, ReportedOutcome::Dead]);
    let of = |report: &Report| report.deliveries[0].clone();
    let reason = of(failed).reason.unwrap();
    assert!(!reason.contains("hunter2"), "{reason}");
    assert!(of(failed).due_at.unwrap() > of(failed).ended_at);
    assert_eq!(of(snoozed).reason.as_deref(), Some("busy"));
    let reason = of(dead).reason.unwrap();
    assert!(reason.starts_with("refused: xxx") && reason.chars().count() == 501, "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_can_not_be_read_is_told_of_by_what_it_claims() {
    let mut kit = kit(worker().reports()).await;
    let mut message = kit.event(NAME, &json!({})).into_message();
    message.headers.set("cloudEvents_source", "");
    message.properties.content_type = Some("text/plain".into());
    kit.publish_message("events", message).await;
    kit.advance(GATHERED).await;
    let reports = reports(kit.broker());
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert_eq!(reports[0].outcome, ReportedOutcome::Dead);
    assert!(reports[0].deliveries[0].reason.as_deref().unwrap().starts_with("malformed: "));
    assert_eq!(reports[0].deliveries[0].handler, None);
}

#[tokio::test(start_paused = true)]
async fn a_worker_declares_what_it_handles_at_its_start_again_and_at_its_end() {
    let kit = kit(worker().reports()).await;
    kit.advance(secs(601)).await;
    let broker = kit.broker().clone();
    let handlers = &declarations(&broker)[0].handlers;
    let [of_event, of_task] = &handlers[..] else { panic!("{handlers:?}") };
    assert_eq!((of_event.queue.as_str(), of_event.handler.as_str(), of_event.tasks), (QUEUE, NAME, false));
    assert_eq!((of_event.within_ms, of_task.within_ms, of_task.tasks), (Some(3_600_000), None, true));
    kit.stop().await;
    let declared = declarations(&broker);
    let states: Vec<DeclaredState> = declared.iter().map(|declared| declared.state).collect();
    assert_eq!(states, [DeclaredState::Running, DeclaredState::Running, DeclaredState::Stopped]);
    assert!(declared.iter().all(|one| one.by.instance == declared[0].by.instance));
    assert_eq!(declared[0].publishes, ["order.label.printed"]);
    assert_eq!(declared[0].repeats_ms, 600_000);
}

#[tokio::test(start_paused = true)]
async fn what_ended_last_is_told_of_before_the_end() {
    let mut kit = kit(worker().reports()).await;
    kit.publish(NAME, &json!({})).await;
    kit.settled().await;
    let broker = kit.broker().clone();
    kit.stop().await;
    let keys: Vec<String> = said(&broker).into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["shop.declared".to_owned(), format!("{QUEUE}.done"), "shop.declared".into()]);
}

#[tokio::test(start_paused = true)]
async fn without_the_exchange_events_are_handled_as_ever_and_what_is_lost_is_counted() {
    let metrics = Metrics::new();
    let mut kit = kit(worker().reports().registry(&metrics)).await;
    kit.settled().await;
    // somebody deletes it: the first report afterwards is lost
    kit.broker().delete_exchange(REPORTS);
    let id = kit.publish(NAME, &json!({})).await;
    kit.settled().await;
    assert_eq!(kit.ended(&id), Some(Ended::Done));
    kit.advance(secs(120)).await;
    let text = metrics.expose(None).unwrap().text;
    assert!(text.contains("ponos_reports_dropped_total 1\n"), "{text}");
    listen(kit.broker());
    kit.publish(NAME, &json!({})).await;
    kit.advance(GATHERED).await;
    let reports = reports(kit.broker());
    assert_eq!(reports.last().map(|report| (report.deliveries.len(), report.by.dropped)), Some((1, 1)));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_run_is_declared_by_whoever_declares_its_queues() {
    let broker = Broker::new();
    listen(&broker);
    let ready = worker().reports().ready().unwrap();
    ready.declare_on(&Transport::memory(broker.clone())).await.unwrap();
    let declared = declarations(&broker);
    assert_eq!(declared.len(), 1);
    assert_eq!((declared[0].state, declared[0].by.sequence), (DeclaredState::Declared, 1));
    assert!(declared[0].since > Timestamp::EPOCH);
}
