//! What is scraped from a worker is what happened, until it has ended.

use super::{NAME, QUEUE, parcels};
use crate::real::{Running, Sender, event, support::LIMIT};
use ponos::{
    event::{Event, Message},
    inbox::Inbox,
    metrics::Metrics,
    prelude::*,
    prometheus_client::metrics::counter::Counter,
    worker::Backoff,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};
use testkit::{Node, wait_until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Does what the payload says.
fn worker(gate: &Arc<Semaphore>) -> Worker {
    let gate = Arc::clone(gate);
    let handler = move |payload: Value, ctx: Context| {
        let gate = Arc::clone(&gate);
        async move {
            match payload["does"].as_str().unwrap_or_default() {
                "fail" if ctx.attempt() == 1 => Err(Failure::new("password=hunter2")),
                "refuse" => Ok(Outcome::dead("not ours")),
                "skip" => Ok(Skip),
                "snooze" if ctx.event().extensions.get("retry-waits").is_none() => {
                    Ok(Outcome::snooze(Duration::from_secs(1)))
                }
                "wait" => {
                    gate.acquire().await?.forget();
                    Ok(Done)
                }
                "break" => Err(Failure::unavailable("shelf", "no shelf")),
                _ => Ok(Done),
            }
        }
    };
    let backoff = Backoff { first: Duration::from_millis(1_200), jitter: 0.0, ..Backoff::default() };
    let policy = Policy::default().concurrency(4).timeout(LIMIT * 3).backoff(backoff);
    Worker::new("shop").on::<Value>(NAME, handler.with(policy)).metrics("127.0.0.1:0")
}

fn job(id: &str, does: &str) -> Message {
    event(id, NAME, &json!({ "does": does }))
}

/// The answer to `GET /metrics`; `None` if nothing listens.
async fn scraped(address: SocketAddr, accept: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: here\r\nAccept: {accept}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    Some(answer)
}

/// The series of the queue that are not 0, without the queue's label and without those of histograms' buckets and sums.
async fn values(address: SocketAddr) -> BTreeMap<String, f64> {
    let text = scraped(address, "text/plain").await.expect("it listens");
    let of_queue = format!("queue=\"{QUEUE}\"");
    let lines = text.lines().filter(|line| line.contains(&of_queue));
    let plain = lines.filter(|line| !line.contains("_bucket{") && !line.contains("_sum{"));
    let read = plain.map(|line| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let series = series.replace(&format!("{of_queue},"), "").replace(&of_queue, "");
        (series.replace(&format!("handler=\"{NAME}\""), "ours"), value.parse().unwrap())
    });
    read.filter(|(_, value)| *value != 0.0).collect()
}

async fn until(address: SocketAddr, what: &str, wanted: impl Fn(&BTreeMap<String, f64>) -> bool) {
    wait_until(what, LIMIT, async || Some(values(address).await).filter(|values| wanted(values)).map(drop))
        .await;
}

/// Waits until the series are these, for what has ended is counted a moment later.
async fn come_to(address: SocketAddr, wanted: &BTreeMap<String, f64>) {
    let look = async || (values(address).await == *wanted).then_some(());
    let _ = tokio::time::timeout(LIMIT, wait_until("the series", LIMIT * 2, look)).await;
    assert_eq!(values(address).await, *wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_scraped_is_what_happened_and_it_can_be_scraped_until_the_end() {
    let url = Node::shared().vhost("metrics");
    let (gate, metrics, own) = (Arc::new(Semaphore::new(0)), Metrics::new(), Counter::<u64>::default());
    metrics.register(|registry| registry.register("shop_parcels", "Parcels", own.clone()));
    let worker = worker(&gate).inbox(Inbox::memory(1_000)).registry(&metrics);
    let running = Running::start(&url, worker).await;
    let address = running.metrics.unwrap();
    let recorded = ponos::clock::Clock::system().now().plus(-2_000);
    let done = |id: &str, more: &dyn Fn(&mut Event)| {
        let mut event = Event::new(id.parse().unwrap(), "/test", NAME.parse().unwrap(), b"{}".to_vec());
        event.recorded_time = Some(recorded);
        more(&mut event);
        event.into_message()
    };
    let traced = |event: &mut Event| event.traceparent = Some(format!("00-{TRACE}-00f067aa0ba902b7-01"));
    let expired = |event: &mut Event| {
        event.recorded_time = None;
        event.expiry_time = Some(recorded);
    };
    let mut broken = job("broken", "");
    broken.body = b"{".to_vec();
    let mut no_event = job("no-event", "");
    no_event.headers.remove("cloudEvents_source");
    let mut sender = Sender::new(&url).await;
    sender.send((0..4).map(|number| done(&format!("done-{number}"), &|_| {})).collect()).await;
    sender.send(vec![done("traced", &traced), done("expired", &expired), job("fail", "fail")]).await;
    sender.send(vec![job("refuse", "refuse"), job("skip-0", "skip"), job("skip-1", "skip")]).await;
    sender.send(vec![broken, no_event, job("snooze", "snooze")]).await;
    let mut unhandled = event("unhandled", "order.parcel.lost", &json!({}));
    unhandled.routing_key = QUEUE.into();
    sender.send_to("", vec![unhandled]).await;
    running.ends.satisfy("all to have ended once", |ends| ends.len() == 16).await;
    sender.send(vec![done("traced", &traced)]).await;
    running.ends.satisfy("what came twice to have ended", |ends| ends.len() == 17).await;
    sender.send(vec![job("wait-0", "wait"), job("wait-1", "wait")]).await;
    let in_progress = |values: &BTreeMap<String, f64>| values.get("ponos_in_progress{}") == Some(&2.0);
    until(address, "two to be in progress", in_progress).await;
    own.inc_by(7);

    let mut wanted: BTreeMap<String, f64> = [
        ("ponos_deliveries_total{ours,outcome=\"done\"}", 7.0),
        ("ponos_deliveries_total{ours,outcome=\"already-handled\"}", 1.0),
        ("ponos_deliveries_total{ours,outcome=\"skipped\"}", 3.0),
        ("ponos_deliveries_total{ours,outcome=\"retried\"}", 1.0),
        ("ponos_deliveries_total{ours,outcome=\"snoozed\"}", 1.0),
        ("ponos_deliveries_total{ours,outcome=\"dead\"}", 2.0),
        ("ponos_deliveries_total{handler=\"none\",outcome=\"dead\"}", 2.0),
        ("ponos_retries_total{ours}", 1.0),
        ("ponos_skipped_total{ours}", 3.0),
        ("ponos_dead_letters_total{ours,reason=\"refused\"}", 1.0),
        ("ponos_dead_letters_total{ours,reason=\"malformed\"}", 1.0),
        ("ponos_dead_letters_total{handler=\"none\",reason=\"malformed\"}", 1.0),
        ("ponos_dead_letters_total{handler=\"none\",reason=\"unhandled\"}", 1.0),
        ("ponos_handler_duration_seconds_count{ours}", 12.0),
        // the second of those that came twice is a first receipt to the broker
        ("ponos_event_age_seconds_count{}", 6.0),
        ("ponos_receive_wait_seconds_count{}", 19.0),
        ("ponos_in_progress{}", 2.0),
        ("ponos_connected{}", 1.0),
    ]
    .map(|(series, value)| (series.to_owned(), value))
    .into();
    come_to(address, &wanted).await;

    let open = scraped(address, "application/openmetrics-text;version=1.0.0,text/plain;q=0.5").await.unwrap();
    let exemplar = format!(" # {{trace_id=\"{TRACE}\"}} ");
    assert!(open.contains("application/openmetrics-text") && open.ends_with("# EOF\n"), "{open}");
    assert!(open.lines().any(|line| {
        line.starts_with("ponos_handler_duration_seconds_bucket{") && line.contains(&exemplar)
    }));
    assert!(open.contains("shop_parcels_total 7\n") && !open.contains("hunter2"), "{open}");
    let sum = open
        .lines()
        .find_map(|line| line.strip_prefix(&format!("ponos_event_age_seconds_sum{{queue=\"{QUEUE}\"}} ")));
    let sum: f64 = sum.unwrap().parse().unwrap();
    assert!((12.0..12.0 + 6.0 * LIMIT.as_secs_f64()).contains(&sum), "{sum}");

    running.ask_to_stop();
    // while it drains
    come_to(address, &wanted).await;
    gate.add_permits(1);
    until(address, "one to have ended", |values| values.get("ponos_in_progress{}") == Some(&1.0)).await;
    wanted.insert("ponos_deliveries_total{ours,outcome=\"done\"}".into(), 8.0);
    wanted.insert("ponos_handler_duration_seconds_count{ours}".into(), 13.0);
    wanted.insert("ponos_in_progress{}".into(), 1.0);
    come_to(address, &wanted).await;
    gate.add_permits(1);
    let report = running.ended().await;
    assert_eq!((report.handled, report.retried, report.dead, report.released), (13, 2, 4, 0), "{report}");
    assert_eq!(scraped(address, "*/*").await, None, "it listens after the end");
    let last = metrics.expose(None).unwrap().text;
    assert!(last.contains(&format!("ponos_in_progress{{queue=\"{QUEUE}\"}} 0\n")), "{last}");
    assert!(last.contains(&format!("ponos_connected{{queue=\"{QUEUE}\"}} 0\n")), "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_and_retries_of_receiving_are_counted_and_a_paused_queue_is_seen() {
    let node = Node::start();
    let gate = Arc::new(Semaphore::new(0));
    let running = Running::start(&node.url(), worker(&gate)).await;
    let address = running.metrics.unwrap();
    let value = |values: &BTreeMap<String, f64>, name: &str| {
        values.get(&format!("{name}{{}}")).copied().unwrap_or(0.0)
    };
    let receiving = |values: &BTreeMap<String, f64>| {
        let value = |name| value(values, name);
        (value("ponos_connected"), value("ponos_receive_errors_total"), value("ponos_receive_retries_total"))
    };
    until(address, "it to be connected", |values| receiving(values) == (1.0, 0.0, 0.0)).await;
    Sender::new(&node.url()).await.send(parcels("before", 5)).await;
    running.ends.done(5).await;

    node.write_down();
    node.kill9();
    until(address, "the loss and attempts to be counted", |values| {
        let (connected, errors, retries) = receiving(values);
        (connected, errors) == (0.0, 1.0) && retries >= 2.0
    })
    .await;
    node.restart();
    until(address, "it to be connected again", |values| {
        let (connected, errors, retries) = receiving(values);
        connected == 1.0 && errors >= 1.0 && retries >= 3.0
    })
    .await;

    Sender::new(&node.url())
        .await
        .send((0..5).map(|number| job(&format!("break-{number}"), "break")).collect())
        .await;
    until(address, "the queue to be paused", |values| value(values, "ponos_paused") == 1.0).await;
    running.stop().await;
}
