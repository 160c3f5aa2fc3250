//! What a worker does before it begins.
#![cfg(feature = "worker")]

use ponos::{
    broker::{Transport, amqp::AmqpConfig},
    shutdown::shutdown,
    worker::{Context, Outcome, Report, Worker, WorkerError},
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

#[tokio::test]
async fn an_address_of_metrics_that_is_in_use_ends_the_start_with_what_to_do() {
    let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = other.local_addr().unwrap();
    let worker = || {
        let handler = async |_: Value, _: Context| Ok(Outcome::Done);
        Worker::new("shop").on("order.parcel.shipped", handler).metrics(address)
    };
    let (_trigger, shutdown) = shutdown();
    // before anything of the broker is touched
    let error = worker().run("amqp://127.0.0.1:1", shutdown).await.unwrap_err();
    assert!(matches!(error, WorkerError::Metrics(_)), "{error:?}");
    let said = error.to_string();
    assert!(said.contains(&format!("{address}: it is in use")) && said.contains("another port"), "{said}");
    drop(other);
    assert_eq!(worker().ready().unwrap().metrics_address(), Some(address));
}
