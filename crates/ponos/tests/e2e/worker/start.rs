//! What a start meets: queues of others' making, and users that may not declare.

use super::{QUEUE, parcel, shop};
use crate::real::{Running, Sender, support::config};
use ponos::{
    broker::{LinkErrorClass, Transport},
    prelude::*,
    topology::{Queue, Topology},
    worker::WorkerError,
};
use testkit::Node;

async fn refused(worker: Worker, url: &str) -> ponos::broker::LinkError {
    let (_trigger, shutdown) = shutdown();
    match worker.run(url, shutdown).await {
        Err(WorkerError::Broker(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_with_other_arguments_is_refused_with_the_difference_and_the_remedy() {
    let url = Node::shared().vhost("other-arguments");
    let theirs = Topology { queues: vec![Queue::classic(QUEUE)], ..Topology::default() };
    Transport::amqp(config(&url)).check(&theirs).await.unwrap();
    let error = refused(shop(), &url).await;
    assert_eq!(error.class, LinkErrorClass::Inequivalent, "{error}");
    assert!(
        error.what.contains(&format!("the queue '{QUEUE}' in vhost 'other-arguments' exists with another '")),
        "{error}"
    );
    assert!(error.what.contains("we want ") && error.what.contains("it has "), "{error}");
    assert!(error.remedy.contains("delete it"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exclusive_worker_on_a_queue_that_is_not_is_told_so() {
    let url = Node::shared().vhost("not-exclusive");
    Running::start(&url, shop()).await.stop().await;
    let handler = async |_: serde_json::Value, _: Context| Ok(Done);
    let exclusive =
        Worker::new("shop").on::<serde_json::Value>(super::NAME, handler.with(Policy::default().exclusive()));
    let error = refused(exclusive, &url).await;
    assert!(error.what.contains("x-single-active-consumer"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passive_worker_says_what_is_missing_and_works_for_a_user_that_may_not_declare() {
    let node = Node::shared();
    let admin = node.vhost("passive");
    node.add_user("servant", "secret");
    node.permit("servant", "passive", "^$", ".*", ".*");
    let url = node.url_for("servant", "secret", "passive");

    let error = refused(shop().passive(), &url).await;
    assert_eq!(error.class, LinkErrorClass::Missing, "{error}");
    assert!(
        error.what.starts_with("there is no ") && error.what.contains("declares nothing itself"),
        "{error}"
    );
    let error = refused(shop(), &url).await;
    assert_eq!(error.class, LinkErrorClass::Forbidden, "{error}");

    let needed = shop().topology().unwrap();
    Transport::amqp(config(&admin)).check(&needed).await.unwrap();
    let running = Running::start(&url, shop().passive()).await;
    let mut broken = parcel("broken");
    broken.body = b"{".to_vec();
    Sender::new(&url).await.send(vec![broken, parcel("whole")]).await;
    running.ends.done(1).await;
    running.ends.until(1, "the broken one to be dead", |ended| matches!(ended, Ended::Dead(_))).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_or_vhost_ends_the_start_and_a_broker_that_is_not_there_does_not() {
    let node = Node::shared();
    node.vhost("credentials");
    let error = refused(shop(), &node.url_for("guest", "wrong", "credentials")).await;
    assert_eq!(error.class, LinkErrorClass::AccessRefused, "{error}");
    assert!(!error.to_string().contains("wrong"), "{error}");
    let error = refused(shop(), &node.url_for("guest", "guest", "no-such")).await;
    assert_eq!(error.class, LinkErrorClass::Vhost, "{error}");

    let (trigger, shutdown) = shutdown();
    let waiting = tokio::spawn(async move { shop().run("amqp://127.0.0.1:1", shutdown).await });
    trigger.advance();
    let ended = tokio::time::timeout(crate::real::support::LIMIT, waiting).await.unwrap().unwrap();
    assert_eq!(ended.unwrap().handled, 0);
}
