//! Answers by the outbox: they commit with the handler's writes, and one that reaches nobody leaves it all the same.
#![cfg(feature = "postgres")]

use ponos::{
    inbox::{Inbox, postgres::PostgresOptions},
    metrics::Metrics,
    prelude::*,
    testing::Kit,
    topology::{Queue, Topology, worker::EVENTS},
};
use serde_json::{Value, json};
use testkit::Postgres;

const NAME: &str = "order.item.shipped";

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_commits_with_its_handler_and_leaves_the_outbox_though_it_reaches_nobody() {
    let url = Postgres::shared().database("replies");
    let inbox = Inbox::postgres(&url, PostgresOptions::new("shop")).await.unwrap();
    let metrics = Metrics::new();
    let handler = async |payload: Value, ctx: Context| {
        ctx.reply(&payload)?;
        if payload == json!("fail") { Err("no".into()) } else { Ok(Done) }
    };
    let worker = Worker::new("shop").on::<Value>(NAME, handler.with(Policy::retry(1)));
    let mut kit = Kit::start_in_real_time(worker.inbox(inbox.clone()).registry(&metrics)).await;
    let answers = Topology { queues: vec![Queue::classic("answers")], ..Topology::default() };
    kit.broker().declare(&answers).unwrap();
    for (payload, reply_to) in [("seven", "answers"), ("gone", "nobody.waits.here"), ("fail", "answers")] {
        let mut message = kit.event(NAME, &json!(payload)).into_message();
        message.properties.reply_to = Some(reply_to.to_owned());
        kit.publish_message(EVENTS, message).await;
    }
    // the outbox is empty then
    kit.settled().await;
    let answer = kit.broker().get("answers").expect("an answer").message;
    assert_eq!(answer.body, b"\"seven\"");
    assert!(kit.broker().get("answers").is_none(), "one that failed was answered");
    let text = metrics.expose(None).unwrap().text;
    assert!(text.contains("\nponos_replies_lost_total 1\n"), "{text}");
}
