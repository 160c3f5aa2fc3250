//! Answers to whoever asked: held as what else is published, and never a reason to fail.

use super::NAME;
use ponos::{
    broker::{RequestEnd, Transport},
    event::Message,
    metrics::Metrics,
    prelude::*,
    testing::Kit,
    topology::{Queue, Topology, worker::EVENTS},
};
use serde_json::{Value, json};

const ANSWERS: &str = "answers";

/// Answers, and then does what the payload says.
fn worker() -> Worker {
    let handler = async |payload: Value, ctx: Context| {
        let is_asked = ctx.reply(&json!({ "is": payload }))?;
        match payload.as_str() {
            Some("fail") => Err("no".into()),
            Some("again") if ctx.attempt() == 1 => Err("not yet".into()),
            _ if is_asked => Ok(Done),
            _ => Ok(Skip),
        }
    };
    let last = async |_: Value, ctx: Context| {
        assert!(ctx.reply(&json!({ "failed": ctx.failure() }))?);
        Ok(Done)
    };
    Worker::new("shop").on::<Value>(NAME, handler.with(Policy::retry(2)).finally(last))
}

async fn kit(worker: Worker) -> Kit {
    let kit = Kit::start(worker).await;
    let answers = Topology { queues: vec![Queue::classic(ANSWERS)], ..Topology::default() };
    kit.broker().declare(&answers).unwrap();
    kit
}

async fn ask(
    kit: &mut Kit,
    says: &str,
    reply_to: &str,
    correlation_id: Option<&str>,
) -> ponos::event::EventId {
    let event = kit.event(NAME, &json!(says));
    let id = event.id.clone();
    let mut message = event.into_message();
    message.properties.reply_to = Some(reply_to.to_owned());
    message.properties.correlation_id = correlation_id.map(str::to_owned);
    kit.publish_message(EVENTS, message).await;
    kit.settled().await;
    id
}

fn answers(kit: &Kit) -> Vec<(Value, Message)> {
    let read = |message: Message| (serde_json::from_slice(&message.body).unwrap(), message);
    std::iter::from_fn(|| kit.broker().get(ANSWERS)).map(|delivery| read(delivery.message)).collect()
}

#[tokio::test(start_paused = true)]
async fn an_answer_goes_to_who_asked_with_the_correlation_id_once_the_handler_is_done() {
    let mut kit = kit(worker()).await;
    ask(&mut kit, "seven", ANSWERS, Some("c-1")).await;
    let (body, message) = answers(&kit).remove(0);
    assert_eq!(body, json!({ "is": "seven" }));
    let properties = message.properties;
    assert_eq!(properties.correlation_id.as_deref(), Some("c-1"));
    assert_eq!(properties.content_type.as_deref(), Some("application/json"));
    assert_eq!(properties.app_id.as_deref(), Some("shop"));
    // who sets none knows it by the id of what he asked
    let id = ask(&mut kit, "eight", ANSWERS, None).await;
    assert_eq!(answers(&kit)[0].1.properties.correlation_id.as_deref(), Some(id.as_str()));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_fails_is_not_answered_but_by_its_final_handler_and_one_that_is_retried_once() {
    let mut kit = kit(worker()).await;
    let id = ask(&mut kit, "again", ANSWERS, Some("c-1")).await;
    assert!(answers(&kit).is_empty());
    kit.advance(super::secs(5)).await;
    assert_eq!(kit.ended(&id), Some(Ended::Done));
    let all = answers(&kit);
    assert_eq!((all.len(), &all[0].0), (1, &json!({ "is": "again" })));
    assert_eq!(all[0].1.properties.correlation_id.as_deref(), Some("c-1"), "the retry keeps who asked");
    ask(&mut kit, "fail", ANSWERS, Some("c-2")).await;
    kit.advance(super::secs(5)).await;
    let all = answers(&kit);
    assert_eq!((all.len(), &all[0].0), (1, &json!({ "failed": "no" })));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_ask_gets_no_answer_and_the_handler_is_told() {
    let mut kit = kit(worker()).await;
    for id in [kit.publish(NAME, &json!("x")).await, ask(&mut kit, "x", "", None).await] {
        kit.settled().await;
        assert!(matches!(kit.ended(&id), Some(Ended::Skipped(_))), "{:?}", kit.ended(&id));
    }
    assert!(answers(&kit).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_reaches_nobody_is_counted_and_no_failure() {
    let metrics = Metrics::new();
    let mut kit = kit(worker().registry(&metrics)).await;
    let gone = ask(&mut kit, "x", "gone", None).await;
    assert_eq!(kit.ended(&gone), Some(Ended::Done));
    // a stranger names no queue of ours: it is as if he had not asked
    for ours in ["parking", "retry.1h", "shop.order.parcel.shipped", "shop.order.parcel.shipped.dlq", "a\nb"]
    {
        let id = ask(&mut kit, "x", ours, None).await;
        assert!(matches!(kit.ended(&id), Some(Ended::Skipped(_))), "{ours}: {:?}", kit.ended(&id));
    }
    assert!(kit.dead().is_empty() && kit.broker().queue_depth("parking") == Some(0));
    let text = metrics.expose(None).unwrap().text;
    assert!(text.contains("\nponos_replies_lost_total 6\n"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn who_asks_and_does_not_read_his_answers_has_no_task_fail() {
    let metrics = Metrics::new();
    let mut kit = kit(worker().registry(&metrics)).await;
    let full = Queue::classic("full").with("x-max-length", 0).with("x-overflow", "reject-publish");
    kit.broker().declare(&Topology { queues: vec![full], ..Topology::default() }).unwrap();
    let id = ask(&mut kit, "x", "full", None).await;
    assert_eq!(kit.ended(&id), Some(Ended::Done));
    assert_eq!(kit.broker().queue_depth("full"), Some(0));
    let text = metrics.expose(None).unwrap().text;
    assert!(text.contains("\nponos_replies_lost_total 1\n"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_requester_has_its_answer_on_the_channel_it_asked_by() {
    let mut kit = kit(worker()).await;
    let requester = Transport::memory(kit.broker().clone()).requester();
    let question = kit.event(NAME, &json!("seven")).into_message();
    let mut link = requester.link();
    link.wait_for(|link| matches!(link, ponos::broker::Link::Up { .. })).await.unwrap();
    let RequestEnd::Answered(answer) = requester.ask(EVENTS, question).await.unwrap() else {
        panic!("no answer")
    };
    assert_eq!(serde_json::from_slice::<Value>(&answer.body).unwrap(), json!({ "is": "seven" }));
}
