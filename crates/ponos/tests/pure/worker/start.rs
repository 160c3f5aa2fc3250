//! What a worker does before it begins.
#![cfg(feature = "worker")]

use ponos::{
    broker::{Transport, amqp::AmqpConfig},
    shutdown::shutdown,
    worker::{Context, Outcome, Report, Worker},
};
use serde_json::Value;
use std::time::Duration;

#[tokio::test]
async fn a_worker_that_waits_for_a_broker_to_answer_can_be_stopped() {
    // accepts, and says nothing
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("amqp://guest:guest@{}", silent.local_addr().unwrap());
    let worker =
        Worker::new("shop").on("order.parcel.shipped", async |_: Value, _: Context| Ok(Outcome::Done));
    let (trigger, shutdown) = shutdown();
    let transport = Transport::amqp(AmqpConfig::parse(&url).unwrap());
    let running = tokio::spawn(Box::pin(worker.run_on(transport, shutdown)));
    let accepted = tokio::time::timeout(Duration::from_secs(60), silent.accept()).await;
    let _connection = accepted.expect("the worker connects").unwrap();
    trigger.advance();
    let ended = tokio::time::timeout(Duration::from_secs(3), running).await.expect("it stops at once");
    assert_eq!(ended.unwrap().unwrap(), Report::default());
}
