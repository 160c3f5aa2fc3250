//! What a worker says of its trace to those who follow, and that its collector is nobody's obstacle.

use super::NAME;
use ponos::{
    event::{Event, SpanContext},
    metrics::Metrics,
    prelude::*,
    testing::Kit,
    traces::Collector,
};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

const SENT: &str = "shop.bill.sent";
const SENDER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// An address where nobody listens.
fn nowhere() -> Collector {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    Collector::at(&format!("http://{address}/v1/traces")).unwrap()
}

type Saw = Arc<Mutex<Vec<Option<String>>>>;

/// Publishes once, and fails the first attempt; notes what it would tell others.
fn worker(saw: &Saw) -> Worker {
    let saw = Arc::clone(saw);
    let handler = move |_: Value, context: Context| {
        saw.lock().unwrap().push(context.traceparent());
        second_time_done(context)
    };
    Worker::new("shop").publishes::<Value>(SENT).on::<Value>(NAME, handler.with(Policy::retry(2)))
}

async fn second_time_done(context: Context) -> HandlerResult {
    context.publish(SENT, &json!({}))?;
    Ok(if context.attempt() == 1 { Outcome::retry_after(std::time::Duration::from_secs(1)) } else { Done })
}

/// What is published, and what was said to others in each attempt.
async fn published(
    worker: Worker,
    saw: &Saw,
    change: impl FnOnce(&mut Event),
) -> (Event, Vec<Option<String>>) {
    let mut kit = Kit::start(worker).await;
    let mut event = kit.event(NAME, &json!({}));
    change(&mut event);
    kit.publish_event(event).await;
    kit.advance(std::time::Duration::from_secs(60)).await;
    let published = kit.published_events(SENT);
    kit.stop().await;
    assert_eq!(published.len(), 1);
    (published[0].clone(), std::mem::take(&mut saw.lock().unwrap()))
}

fn context(text: Option<&String>) -> SpanContext {
    SpanContext::parse(text.expect("it is in a trace")).expect("it is a trace context")
}

#[tokio::test(start_paused = true)]
async fn what_follows_is_in_the_senders_trace_and_says_so_again_and_again() {
    let saw = Saw::default();
    for flags in ["01", "00", "03", "02"] {
        let traced = worker(&saw).traces(nowhere());
        let sent = |event: &mut Event| event.traceparent = Some(SENDER.replace("-01", &format!("-{flags}")));
        let (event, said) = published(traced, &saw, sent).await;
        let (own, sender) = (context(event.traceparent.as_ref()), SpanContext::parse(SENDER).unwrap());
        assert_eq!((own.trace_id, own.is_sampled()), (sender.trace_id, flags.ends_with(['1', '3'])));
        // the span of the sending is that of the message's id: the same whenever it is made again
        assert_eq!(format!("{:016x}", own.span_id), event.id.as_str().replace('-', "")[..16]);
        let said: Vec<SpanContext> = said.iter().map(|one| context(one.as_ref())).collect();
        assert_eq!(said.len(), 2);
        assert!(said.iter().all(|one| one.trace_id == sender.trace_id && one.span_id != sender.span_id));
        assert_ne!(said[0].span_id, said[1].span_id, "each attempt is a span of its own");
        // the same headers as without a collector
        let (untraced, said) = published(worker(&saw), &saw, sent).await;
        assert_eq!(untraced.traceparent, event.traceparent);
        assert!(event.traceparent.is_some_and(|text| text.ends_with(&format!("-{flags}"))), "{flags}");
        assert_eq!(said[0], untraced_sender(flags));
    }
}

fn untraced_sender(flags: &str) -> Option<String> {
    Some(SENDER.replace("-01", &format!("-{flags}")))
}

#[tokio::test(start_paused = true)]
async fn what_has_no_trace_begins_one_and_all_attempts_are_in_it() {
    let saw = Saw::default();
    for (ratio, is_sampled) in [(1.0, true), (0.0, false)] {
        let traced = worker(&saw).traces(nowhere().ratio(ratio).unwrap());
        let (event, said) = published(traced, &saw, |_| {}).await;
        let own = context(event.traceparent.as_ref());
        assert_eq!(own.is_sampled(), is_sampled);
        assert!(said.iter().all(|one| context(one.as_ref()).trace_id == own.trace_id));
    }
    let (event, said) = published(worker(&saw), &saw, |_| {}).await;
    assert_eq!(
        (event.traceparent, &said[..]),
        (None, &[None, None][..]),
        "without a collector nothing is made up"
    );
}

#[tokio::test(start_paused = true)]
async fn linked_deliveries_go_on_in_a_trace_of_their_own() {
    let saw = Saw::default();
    let (event, said) = published(worker(&saw).traces(nowhere().linked()), &saw, |event| {
        event.traceparent = Some(SENDER.into());
        event.tracestate = Some("vendor=1".into());
    })
    .await;
    let own = context(event.traceparent.as_ref());
    assert!(own.is_sampled() && own.trace_id != SpanContext::parse(SENDER).unwrap().trace_id);
    assert!(said.iter().all(|one| context(one.as_ref()).trace_id == own.trace_id));
    assert_eq!(event.tracestate, None, "it says something of the other trace");
}

#[tokio::test(start_paused = true)]
async fn baggage_is_passed_on_up_to_its_bound() {
    let saw = Saw::default();
    for (baggage, is_passed_on) in [
        ("tenant=7".to_owned(), true),
        ("b".repeat(8192), true),
        ("b".repeat(8193), false),
        ("\"".into(), false),
    ] {
        let said = Arc::new(Mutex::new(None));
        let noting = Arc::clone(&said);
        let handler = move |_: Value, context: Context| {
            *noting.lock().unwrap() = context.baggage().map(str::to_owned);
            second_time_done(context)
        };
        let worker =
            Worker::new("shop").publishes::<Value>(SENT).on::<Value>(NAME, handler.with(Policy::retry(2)));
        let with = |event: &mut Event| event.extensions.set("baggage", baggage.as_str());
        let (event, _) = published(worker, &saw, with).await;
        assert_eq!(
            *said.lock().unwrap(),
            is_passed_on.then(|| baggage.clone()),
            "to programs and services, too"
        );
        let passed_on = event.extensions.text("baggage");
        assert_eq!(passed_on, is_passed_on.then_some(baggage.as_str()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_hangs_holds_up_no_delivery() {
    const DELIVERIES: usize = 4_000;
    // connections are made by the system, and nobody reads
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    let metrics = Metrics::new();
    let worker = Worker::new("shop")
        .on::<Value>(NAME, async |_: Value, _: Context| Ok(Done))
        .traces(Collector::at(&address).unwrap())
        .registry(&metrics);
    let mut kit = Kit::start(worker).await;
    let mut ids = Vec::new();
    for _ in 0..DELIVERIES {
        ids.push(kit.publish(NAME, &json!({})).await);
    }
    kit.settled().await;
    assert!(ids.iter().all(|id| kit.ended(id) == Some(Ended::Done)));
    let shown = || metrics.expose(None).unwrap().text;
    let full = "ponos_spans_total{outcome=\"dropped\",reason=\"full\"} ";
    let count = |text: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(full)).expect("it is counted");
        line.parse::<usize>().unwrap()
    };
    // received, processed and settled, of which some 9,000 wait or are sent
    assert!(count(&shown()) > 0, "{}", shown());
    kit.stop().await;
    let counted = shown();
    let all = counted.lines().filter(|line| line.starts_with("ponos_spans_total{"));
    let all: usize = all.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum();
    assert_eq!(all, DELIVERIES * 3, "{counted}");
}
