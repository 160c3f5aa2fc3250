//! Answers on RabbitMQ: by direct reply-to, to a queue of who asked, and to nobody.

use super::{NAME, parcel};
use crate::real::{
    Running, Sender, holds, read,
    support::{LIMIT, config},
};
use ponos::{
    broker::{Link, RequestEnd, Transport},
    prelude::*,
    topology::{Queue, Topology},
};
use serde_json::{Value, json};
use testkit::Node;

#[tokio::test(flavor = "multi_thread")]
async fn answers_go_to_channels_and_queues_and_one_that_reaches_nobody_is_no_failure() {
    let node = Node::shared();
    let url = node.vhost("reply");
    let metrics = ponos::metrics::Metrics::new();
    let handler = async |payload: Value, ctx: Context| {
        assert!(ctx.reply(&json!({ "number": payload["number"] }))?);
        Ok(Done)
    };
    let worker = Worker::new("shop").on::<Value>(NAME, handler.with(Policy::retry(1))).registry(&metrics);
    let running = Running::start(&url, worker).await;
    let transport = Transport::amqp(config(&url));
    let answers = Topology { queues: vec![Queue::classic("answers")], ..Topology::default() };
    transport.check(&answers).await.unwrap();

    let requester = transport.requester();
    let mut link = requester.link();
    tokio::time::timeout(LIMIT, link.wait_for(|link| matches!(link, Link::Up { .. })))
        .await
        .unwrap()
        .unwrap();
    let asked =
        tokio::time::timeout(LIMIT, requester.ask("events", parcel("direct"))).await.unwrap().unwrap();
    let RequestEnd::Answered(answer) = asked else { panic!("{asked:?}") };
    assert_eq!(serde_json::from_slice::<Value>(&answer.body).unwrap(), json!({ "number": 7 }));

    let mut sender = Sender::new(&url).await;
    for (id, reply_to) in [("named", "answers"), ("gone", "nobody.waits.here")] {
        let mut message = parcel(id);
        message.properties.reply_to = Some(reply_to.to_owned());
        message.properties.correlation_id = Some(format!("c-{id}"));
        sender.send(vec![message]).await;
    }
    running.ends.done(3).await;
    holds(node, "reply", "answers", 1).await;
    let answer = read(&url, "answers", 1).await.remove(0);
    assert_eq!(answer.properties.correlation_id.as_deref(), Some("c-named"));
    assert_eq!(answer.body, br#"{"number":7}"#);
    let text = metrics.expose(None).unwrap().text;
    assert!(text.contains("\nponos_replies_lost_total 1\n"), "a direct one is not counted as lost: {text}");
    assert_eq!(running.stop().await.dead, 0);
}
