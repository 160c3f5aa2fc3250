//! The testing kit: what it refuses at once, instead of hanging or passing by chance.

use ponos::{metrics::Metrics, prelude::*, testing::Kit, traces::Collector};
use serde_json::{Value, json};
use std::time::Duration;

const NAME: &str = "order.item.shipped";

fn worker(handler: impl Handler<Value>) -> Worker {
    Worker::new("shop").on(NAME, handler)
}

async fn done(_: Value, _: Context) -> HandlerResult {
    Ok(Done)
}

#[tokio::test]
#[should_panic(expected = "Kit::start needs a paused clock: write #[tokio::test(start_paused = true)]")]
async fn a_clock_that_goes_is_refused() {
    Kit::start(worker(done)).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "Kit::start_in_real_time needs a running clock")]
async fn a_paused_clock_is_refused_for_real_time() {
    Kit::start_in_real_time(worker(done)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_real_time_it_works_as_on_a_paused_clock_with_ids_that_never_come_again() {
    let (mut one, mut other) =
        (Kit::start_in_real_time(worker(done)).await, Kit::start_in_real_time(worker(done)).await);
    let ids = [one.publish(NAME, &json!({})).await, other.publish(NAME, &json!({})).await];
    one.settled().await;
    other.settled().await;
    assert_eq!((one.ended(&ids[0]), other.ended(&ids[1])), (Some(Ended::Done), Some(Ended::Done)));
    assert_ne!(ids[0], ids[1]);
    assert_eq!(one.stop().await.handled, 1);
}

async fn blocks(_: Value, _: Context) -> HandlerResult {
    // what no handler should do
    std::thread::sleep(Duration::from_millis(300));
    Ok(Done)
}

fn impatient() -> Worker {
    worker(blocks.with(Policy::default().timeout(Duration::from_millis(50))))
}

#[tokio::test(start_paused = true)]
#[should_panic(
    expected = "the handler of 'order.item.shipped' in shop.order.item.shipped blocked its thread for"
)]
async fn a_handler_that_blocks_its_thread_beyond_its_timeout_fails_the_test() {
    let mut kit = Kit::start(impatient()).await;
    kit.publish(NAME, &json!({})).await;
    kit.settled().await;
}

#[tokio::test]
#[should_panic(expected = "blocked its thread for")]
async fn so_it_does_in_real_time_where_only_the_stop_is_waited_for() {
    let mut kit = Kit::start_in_real_time(impatient()).await;
    let id = kit.publish(NAME, &json!({})).await;
    testkit::wait_until("its end", Duration::from_secs(60), async || kit.ended(&id)).await;
    kit.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_that_blocks_within_its_timeout_or_waits_beyond_it_does_not() {
    let waits = async |payload: Value, ctx: Context| {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        done(payload, ctx).await
    };
    let mut kit = Kit::start(worker(blocks)).await;
    kit.publish(NAME, &json!({})).await;
    kit.settled().await;
    let mut kit = Kit::start(worker(waits.with(Policy::retry(1)))).await;
    kit.publish(NAME, &json!({})).await;
    kit.settled().await;
    assert_eq!(kit.dead()[0].kind, "attempts");
}

#[tokio::test(start_paused = true)]
async fn a_worker_on_the_kit_counts_and_binds_no_address() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let metrics = Metrics::new();
    let nowhere = || Collector::at("http://127.0.0.1:1/v1/traces").unwrap();
    let served = || worker(done).registry(&metrics).metrics(taken.local_addr().unwrap()).traces(nowhere());
    let (mut one, mut other) = (Kit::start(served()).await, Kit::start(served()).await);
    for kit in [&mut one, &mut other] {
        kit.publish(NAME, &json!({})).await;
        kit.settled().await;
    }
    let done = format!("{{queue=\"shop.{NAME}\",handler=\"{NAME}\",outcome=\"done\"}} 2\n");
    let text = metrics.expose(None).unwrap().text;
    assert!(text.contains(&done), "{text}");
    assert_eq!(text.matches("# TYPE ponos_spans").count(), 1, "both count together: {text}");
}
