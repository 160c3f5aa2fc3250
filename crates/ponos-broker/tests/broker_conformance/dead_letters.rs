//! Dead letters: why, where to, and what is written into them.

use super::*;
use ponos_broker::{Settle, memory::Version};
use ponos_event::topology::{Binding, Exchange, Queue, Topology};
use ponos_event::{HeaderValue, Headers, Message};

/// The entries of `x-death`.
fn deaths(message: &Message) -> Vec<Headers> {
    let Some(HeaderValue::List(deaths)) = message.headers.get("x-death") else {
        panic!("no x-death: {message:?}")
    };
    let table = |death: &HeaderValue| match death {
        HeaderValue::Table(table) => table.clone(),
        other => panic!("{other:?}"),
    };
    deaths.iter().map(table).collect()
}

/// `queue` with its dead letters in "dead", by the fanout exchange "dlx".
fn with_dead_letters(queue: Queue) -> Topology {
    topology([Exchange::fanout("dlx")], [queue.with("x-dead-letter-exchange", "dlx"), Queue::classic("dead")])
        .bind([Binding::queue("dlx", "dead", "")])
}

pub(crate) async fn what_is_dead_is_dead_lettered_with_its_history(harness: &impl Harness) {
    for (queue, dead) in [(Queue::classic("classic"), "dead1"), (Queue::quorum("quorum"), "dead2")] {
        let name = queue.name.clone();
        let queue = queue.with("x-dead-letter-exchange", "dlx").with("x-dead-letter-routing-key", dead);
        let wanted =
            topology([Exchange::direct("dlx"), Exchange::topic("events")], [queue, Queue::classic(dead)])
                .bind([
                    Binding::queue("dlx", dead, dead),
                    Binding::queue("events", &name, format!("{name}.#")),
                ]);
        let mut publisher = harness.publisher(wanted.clone());
        send(&mut publisher, "events", [message(&format!("{name}.x.y"), "1")]).await;
        let mut consumer = harness.consumer(wanted.clone(), &name, 1);
        let delivery = next(&mut consumer).await;
        consumer.settle(delivery.tag, Settle::Dead).await.unwrap();
        let letter = next(&mut harness.consumer(wanted, dead, 1)).await;
        assert_eq!(
            (text(&letter).as_str(), letter.exchange.as_str(), letter.redelivered),
            ("1", "dlx", harness.version() == Version::V4_3)
        );
        assert_eq!(letter.message.routing_key, dead);
        assert_eq!(anonymous(letter.message.clone()).properties, message("x", "1").properties);
        let deaths = deaths(&letter.message);
        assert_eq!(deaths.len(), 1);
        let death = &deaths[0];
        assert_eq!(death.int("count"), Some(1));
        assert_eq!(death.text("reason"), Some("rejected"));
        assert_eq!(death.text("queue"), Some(name.as_str()));
        assert_eq!(death.text("exchange"), Some("events"));
        let keys = HeaderValue::List(vec![HeaderValue::Text(format!("{name}.x.y"))]);
        assert_eq!(death.get("routing-keys"), Some(&keys));
        assert!(matches!(death.get("time"), Some(HeaderValue::Time(_))), "{death:?}");
        let first = |what: &str| letter.message.headers.text(&format!("x-first-death-{what}"));
        assert_eq!(
            (first("reason"), first("queue"), first("exchange")),
            (Some("rejected"), Some(&*name), Some("events"))
        );
    }
}

pub(crate) async fn a_message_that_expires_comes_back_through_the_dead_letter_exchange(
    harness: &impl Harness,
) {
    // the ladder of retries: a queue of waiting messages that all return to where their routing key says
    let rung = |queue: Queue| {
        queue
            .with("x-message-ttl", 200)
            .with("x-dead-letter-exchange", "retry.return")
            .with("x-overflow", "reject-publish")
    };
    for waiting in [
        rung(Queue::classic("retry.classic")),
        rung(Queue::quorum("retry.quorum")).with("x-dead-letter-strategy", "at-least-once"),
    ] {
        let name = waiting.name.clone();
        let wanted = topology(
            [Exchange::fanout(&name), Exchange::direct("retry.return")],
            [waiting, Queue::quorum("work"), Queue::quorum("other")],
        )
        .bind([
            Binding::queue(&name, &name, ""),
            Binding::queue("retry.return", "work", "work"),
            Binding::queue("retry.return", "other", "other"),
        ]);
        let mut publisher = harness.publisher(wanted.clone());
        send(&mut publisher, &name, ["1", "2", "3"].map(|id| message("work", id))).await;
        let mut consumer = harness.consumer(wanted, "work", 10);
        for expected in ["1", "2", "3"] {
            let back = next(&mut consumer).await;
            assert_eq!((text(&back).as_str(), back.message.routing_key.as_str()), (expected, "work"));
            let death = &deaths(&back.message)[0];
            assert_eq!((death.text("reason"), death.text("queue")), (Some("expired"), Some(name.as_str())));
            assert_eq!(death.text("exchange"), Some(name.as_str()));
            consumer.settle(back.tag, Settle::Ack).await.unwrap();
        }
        depth_becomes(harness, "other", 0).await;
    }
}

pub(crate) async fn a_message_expires_by_its_own_expiration_only_at_the_head(harness: &impl Harness) {
    let wanted = with_dead_letters(Queue::classic("q"));
    let mut publisher = harness.publisher(wanted.clone());
    let lasting = |millis: u64, id: &str| {
        let mut message = message("q", id);
        message.properties.expiration = Some(millis);
        message
    };
    send(&mut publisher, "", [lasting(1500, "long"), lasting(1, "short")]).await;
    let mut dead = harness.consumer(wanted, "dead", 10);
    // the short one waits behind the long one
    for expected in ["long", "short"] {
        let letter = next(&mut dead).await;
        assert_eq!(text(&letter), expected);
        assert_eq!(letter.message.properties.expiration, None);
        let original = if expected == "long" { "1500" } else { "1" };
        assert_eq!(deaths(&letter.message)[0].text("original-expiration"), Some(original));
    }
}

pub(crate) async fn a_queue_drops_its_head_to_the_dead_letters_when_full(harness: &impl Harness) {
    for queue in [Queue::classic("classic"), Queue::quorum("quorum")] {
        let name = queue.name.clone();
        let wanted = with_dead_letters(queue.with("x-max-length", 2));
        let mut publisher = harness.publisher(wanted.clone());
        send(&mut publisher, "", ["1", "2", "3", "4"].map(|id| message(&name, id))).await;
        let mut dead = harness.consumer(wanted.clone(), "dead", 1);
        let first = next(&mut dead).await;
        assert_eq!(text(&first), "1");
        assert_eq!(deaths(&first.message)[0].text("reason"), Some("maxlen"));
        dead.settle(first.tag, Settle::Ack).await.unwrap();
        assert_eq!(take(&mut dead, 1).await, ["2"]);
        assert_eq!(take(&mut harness.consumer(wanted, &name, 2), 2).await, ["3", "4"]);
    }
}

pub(crate) async fn a_letter_that_dies_by_itself_in_a_circle_is_dropped(harness: &impl Harness) {
    let circle = Queue::classic("circle").with("x-message-ttl", 50).with("x-dead-letter-exchange", "back");
    let wanted = topology([Exchange::fanout("back")], [circle, Queue::classic("witness")])
        .bind([Binding::queue("back", "circle", ""), Binding::queue("back", "witness", "")]);
    let mut publisher = harness.publisher(wanted.clone());
    send(&mut publisher, "", [message("circle", "1")]).await;
    assert_eq!(take(&mut harness.consumer(wanted, "witness", 1), 1).await, ["1"]);
    depth_becomes(harness, "circle", 0).await;
    depth_becomes(harness, "witness", 0).await;
}

pub(crate) async fn a_second_death_of_the_same_kind_is_counted(harness: &impl Harness) {
    // rejected by a consumer each time, so the circle does not turn by itself
    let queue = Queue::classic("q").with("x-dead-letter-exchange", "back");
    let wanted = topology([Exchange::fanout("back")], [queue]).bind([Binding::queue("back", "q", "")]);
    let mut publisher = harness.publisher(wanted.clone());
    send(&mut publisher, "", [message("q", "1")]).await;
    let mut consumer = harness.consumer(wanted, "q", 1);
    for count in 0..3 {
        let delivery = next(&mut consumer).await;
        if count > 0 {
            let deaths = deaths(&delivery.message);
            assert_eq!((deaths.len(), deaths[0].int("count")), (1, Some(count)));
            assert_eq!(deaths[0].text("exchange"), Some(""), "that of the first time");
        }
        consumer.settle(delivery.tag, Settle::Dead).await.unwrap();
    }
}

pub(crate) async fn a_dead_letter_that_reaches_nobody_is_gone(harness: &impl Harness) {
    for missing in [true, false] {
        let name = format!("q-{missing}");
        let mut wanted = topology([], [Queue::classic(&name).with("x-dead-letter-exchange", "dlx")]);
        if !missing {
            wanted.exchanges.push(Exchange::fanout("dlx"));
        }
        let mut publisher = harness.publisher(wanted.clone());
        send(&mut publisher, "", ["1", "2"].map(|id| message(&name, id))).await;
        let mut consumer = harness.consumer(wanted, &name, 1);
        let first = next(&mut consumer).await;
        consumer.settle(first.tag, Settle::Dead).await.unwrap();
        assert_eq!(take(&mut consumer, 1).await, ["2"]);
        depth_becomes(harness, &name, 0).await;
    }
}
