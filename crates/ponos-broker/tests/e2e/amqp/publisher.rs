//! The publisher of the RabbitMQ adapter: exactly one settlement for each publishing, the right one.

use crate::support::{self, config, outcomes, publisher, publishing, topology};
use ponos_broker::{Fence, Link, PublishOutcome, Publishing, amqp::AmqpConfig};
use ponos_event::topology::{Binding, Exchange, Queue, Topology};
use ponos_event::{HeaderValue, Headers};
use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use testkit::{Node, wait_until};

const CONFIRMED: PublishOutcome = PublishOutcome::Confirmed { returned: false };
const RETURNED: PublishOutcome = PublishOutcome::Confirmed { returned: true };

#[tokio::test(flavor = "multi_thread")]
async fn everything_submitted_is_confirmed_and_arrives() {
    let url = Node::shared().vhost("confirmed");
    let mut publisher = publisher(config(&url), topology("all", "#")).await;
    for batch in 0..10 {
        let batch = (batch * 500..(batch + 1) * 500).map(|token| publishing(token, "a.b.c")).collect();
        publisher.submit(batch).await.unwrap();
    }
    let outcomes = outcomes(&mut publisher, 5_000).await;
    assert!(outcomes.values().all(|outcome| *outcome == CONFIRMED));
    assert_eq!(Node::shared().queue("confirmed", "all"), Some((5_000, 0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_belongs_to_the_message_that_was_returned() {
    let url = Node::shared().vhost("returns");
    let mut config = config(&url);
    config.channels = 3;
    // A quorum queue confirms later than a return comes: so confirms and returns cross.
    let topology = Topology { queues: vec![Queue::quorum("some")], ..topology("some", "bound.#") };
    let mut publisher = publisher(config, topology).await;
    let is_bound = |token: u64| (token * 7).is_multiple_of(3);
    for batch in 0..20_u64 {
        let one = |token: u64| Publishing {
            lane: u32::try_from(token % 5).unwrap(),
            ..publishing(token, if is_bound(token) { "bound.x" } else { "nobody.x" })
        };
        publisher.submit((batch * 200..(batch + 1) * 200).map(one).collect()).await.unwrap();
    }
    for (token, outcome) in outcomes(&mut publisher, 4_000).await {
        assert_eq!(outcome, if is_bound(token) { CONFIRMED } else { RETURNED }, "{token}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_fence_does_not_let_pass_is_lost_and_never_sent_and_nothing_passes_it() {
    let url = Node::shared().vhost("fenced");
    let mut config = config(&url);
    // As of a clock that stood still: it was trusted when this was submitted, and is not when its turn comes.
    // It is trusted again at once.
    let was_held = AtomicBool::new(false);
    config.fence =
        Fence::new(move |publishing| publishing.token != 100 || was_held.swap(true, Ordering::SeqCst));
    let mut publisher = publisher(config, topology("some", "#")).await;
    publisher.submit((0..300).map(|token| publishing(token, "a.b.c")).collect()).await.unwrap();
    for (token, outcome) in outcomes(&mut publisher, 300).await {
        let expected = if token < 100 { CONFIRMED } else { PublishOutcome::Lost };
        assert_eq!(outcome, expected, "{token}");
    }
    assert_eq!(Node::shared().queue("fenced", "some"), Some((100, 0)));
    publisher.submit((100..300).map(|token| publishing(token, "a.b.c")).collect()).await.unwrap();
    assert!(outcomes(&mut publisher, 200).await.values().all(|outcome| *outcome == CONFIRMED));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_lane_keeps_its_order() {
    let url = Node::shared().vhost("order");
    let mut config = config(&url);
    config.window = 7;
    let mut publisher = publisher(config.clone(), topology("all", "#")).await;
    publisher.submit((0..300).map(|token| publishing(token, "a.b.c")).collect()).await.unwrap();
    outcomes(&mut publisher, 300).await;
    let mut consumer = support::consumer(config, Topology::default(), "all", 300);
    for expected in 0..300 {
        assert_eq!(support::body(&support::next(&mut consumer).await), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_that_rejects_is_a_nack() {
    let url = Node::shared().vhost("full");
    let full = Queue::classic("full").with("x-max-length", 2).with("x-overflow", "reject-publish");
    let topology = Topology { queues: vec![full], ..topology("full", "#") };
    let mut publisher = publisher(config(&url), topology).await;
    publisher.submit((0..2).map(|token| publishing(token, "a.b.c")).collect()).await.unwrap();
    assert_eq!(outcomes(&mut publisher, 2).await, HashMap::from([(0, CONFIRMED), (1, CONFIRMED)]));
    // The queue notices that it is full a moment later.
    wait_until("a nack", support::LIMIT, async || {
        publisher.submit(vec![publishing(9, "a.b.c")]).await.unwrap();
        (outcomes(&mut publisher, 1).await.remove(&9) == Some(PublishOutcome::Nacked)).then_some(())
    })
    .await;
}

/// A vhost, and a user of the same name who may publish to the keys of `events` that fit.
async fn permitted(node: &Node, name: &str, keys: &str) -> AmqpConfig {
    // RabbitMQ 4.3 permits topics of exchanges that exist only.
    drop(publisher(config(&node.vhost(name)), topology("all", "#")).await);
    node.add_user(name, "secret");
    node.permit(name, name, ".*", ".*", ".*");
    node.permit_topic(name, name, "events", keys, ".*");
    config(&node.url_for(name, "secret", name))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forbidden_message_is_refused_with_the_reason_and_its_neighbours_are_confirmed() {
    let config = permitted(Node::shared(), "limited", "^allowed").await;
    let mut publisher = publisher(config, topology("all", "#")).await;

    let key = |token: u64| if token == 37 { "forbidden.a.b" } else { "allowed.a.b" };
    let mut open: Vec<u64> = (0..200).collect();
    let mut settled = HashMap::new();
    let mut rounds = 0;
    while !open.is_empty() {
        rounds += 1;
        assert!(rounds <= 3, "each neighbour is sent again at most once or twice; open: {open:?}");
        publisher.submit(open.iter().map(|token| publishing(*token, key(*token))).collect()).await.unwrap();
        for (token, outcome) in outcomes(&mut publisher, open.len()).await {
            if outcome != PublishOutcome::Lost {
                settled.insert(token, outcome);
            }
        }
        open.retain(|token| !settled.contains_key(token));
    }
    let refused = settled.remove(&37).unwrap();
    assert!(
        matches!(&refused, PublishOutcome::Refused(why) if why.contains("ACCESS_REFUSED")),
        "{refused:?}"
    );
    assert!(settled.values().all(|outcome| *outcome == CONFIRMED));
    // After the quarantine the window is wide again, and all is as before.
    publisher.submit((1000..1500).map(|token| publishing(token, "allowed.a.b")).collect()).await.unwrap();
    assert!(outcomes(&mut publisher, 500).await.values().all(|outcome| *outcome == CONFIRMED));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_is_refused_again_and_again_costs_its_neighbours_nothing_until_it_is_permitted() {
    let node = Node::shared();
    let mut config = permitted(node, "apart", "^allowed").await;
    config.channels = 3;
    let mut publisher = publisher(config, topology("all", "#")).await;
    // The broker closes a channel for it alone: from here on it is known.
    publisher.submit(vec![publishing(0, "forbidden.a.b")]).await.unwrap();
    let first = outcomes(&mut publisher, 1).await.remove(&0);
    assert!(matches!(first, Some(PublishOutcome::Refused(_))), "{first:?}");

    let is_bad = |token: u64| token % 10 == 3;
    let one = |token: u64| Publishing {
        lane: u32::try_from(token % 4).unwrap(),
        ..publishing(token, if is_bad(token) { "forbidden.a.b" } else { "allowed.a.b" })
    };
    for batch in 1..=40_u64 {
        // The next goes out while refused ones of the one before still wait.
        publisher.submit((batch * 25..(batch + 1) * 25).map(one).collect()).await.unwrap();
    }
    for (token, outcome) in outcomes(&mut publisher, 1_000).await {
        let right = match is_bad(token) {
            true => matches!(&outcome, PublishOutcome::Refused(why) if why.contains("ACCESS_REFUSED")),
            false => outcome == CONFIRMED,
        };
        assert!(right, "{token}: {outcome:?}");
    }
    // Each arrived once, so no channel of a lane was closed.
    assert_eq!(node.queue("apart", "all"), Some((900, 0)));

    // Once it is permitted it goes out in its order, though only those before the first that is accepted are apart.
    node.permit_topic("apart", "apart", "events", ".*", ".*");
    let forbidden = |token: u64| publishing(token, "forbidden.a.b");
    publisher.submit((2_000..2_400).map(forbidden).collect()).await.unwrap();
    let mut settled = outcomes(&mut publisher, 1).await;
    publisher.submit((2_400..2_500).map(forbidden).collect()).await.unwrap();
    settled.extend(outcomes(&mut publisher, 500 - settled.len()).await);
    assert!(settled.values().all(|outcome| *outcome == CONFIRMED));
    let url = node.url_for("guest", "guest", "apart");
    let mut consumer = support::consumer(support::config(&url), Topology::default(), "all", 2_000);
    let mut arrived = Vec::new();
    while arrived.len() < 1_400 {
        arrived.push(support::body(&support::next(&mut consumer).await));
    }
    assert!(arrived[900..].iter().copied().eq(2_000..2_500), "{:?}", &arrived[900..]);
    assert!(matches!(*publisher.link().borrow(), Link::Up { generation: 1, .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn those_that_wait_in_a_lane_when_the_first_is_refused_are_set_apart_too() {
    let config = permitted(Node::shared(), "set-apart", "^allowed").await;
    let mut publisher = publisher(config, topology("all", "#")).await;
    let both = |n: u64| [publishing(2 * n, "forbidden.a.b"), publishing(2 * n + 1, "allowed.a.b")];
    // Three are suspected, so three are sent one at a time while all others wait.
    publisher.submit((0..2).flat_map(both).take(3).collect()).await.unwrap();
    outcomes(&mut publisher, 3).await;
    publisher.submit((10..110).flat_map(both).collect()).await.unwrap();
    for (token, outcome) in outcomes(&mut publisher, 200).await {
        let right = match token % 2 {
            0 => matches!(outcome, PublishOutcome::Refused(_)),
            _ => outcome == CONFIRMED,
        };
        assert!(right, "{token}: {outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_again_and_again_costs_smaller_ones_of_its_key_nothing() {
    let node = Node::builder().configure("max_message_size = 1000").start();
    let mut config = config(&node.vhost("too-large"));
    config.window = 20;
    let mut publisher = publisher(config, topology("all", "#")).await;
    let large = |token: u64| {
        let mut large = publishing(token, "a.b.c");
        large.message.body = vec![b'x'; 1_001];
        large
    };
    publisher.submit(vec![large(0)]).await.unwrap();
    let first = outcomes(&mut publisher, 1).await.remove(&0);
    assert!(matches!(first, Some(PublishOutcome::Refused(_))), "{first:?}");
    for round in 1..=5 {
        let mut batch: Vec<_> = (0..50).map(|n| publishing(round * 100 + n, "a.b.c")).collect();
        batch.insert(25, large(round * 100 + 99));
        publisher.submit(batch).await.unwrap();
    }
    for (token, outcome) in outcomes(&mut publisher, 255).await {
        let right = match token % 100 {
            99 => matches!(&outcome, PublishOutcome::Refused(why) if why.contains("message size")),
            _ => outcome == CONFIRMED,
        };
        assert!(right, "{token}: {outcome:?}");
    }
    assert_eq!(node.queue("too-large", "all"), Some((250, 0)));

    // As many wait as the window holds; the others of them are lost, and still none beside them.
    let both = |n: u64| [large(1_000 + n), publishing(2_000 + n, "a.b.c")];
    publisher.submit((0..40).flat_map(both).collect()).await.unwrap();
    for (token, outcome) in outcomes(&mut publisher, 80).await {
        let right = match token {
            2_000.. => outcome == CONFIRMED,
            1_020.. => outcome == PublishOutcome::Lost,
            _ => matches!(outcome, PublishOutcome::Refused(_)),
        };
        assert!(right, "{token}: {outcome:?}");
    }
    assert_eq!(node.queue("too-large", "all"), Some((290, 0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_another_user_is_refused_and_one_to_a_missing_exchange_is_not() {
    let url = Node::shared().vhost("refused");
    let mut publisher = publisher(config(&url), topology("all", "#")).await;
    let lost = Publishing { exchange: "missing".into(), ..publishing(1, "a.b.c") };
    publisher.submit(vec![lost]).await.unwrap();
    let outcome = outcomes(&mut publisher, 1).await.remove(&1).unwrap();
    assert!(
        matches!(&outcome, PublishOutcome::Missing(why) if why.contains("no exchange 'missing'")),
        "{outcome:?}"
    );

    let mut foreign = publishing(2, "a.b.c");
    foreign.message.properties.user_id = Some("somebody-else".into());
    publisher.submit(vec![foreign]).await.unwrap();
    let outcome = outcomes(&mut publisher, 1).await.remove(&2).unwrap();
    assert!(matches!(&outcome, PublishOutcome::Refused(why) if why.contains("user_id")), "{outcome:?}");

    publisher.submit(vec![publishing(3, "a.b.c")]).await.unwrap();
    assert_eq!(outcomes(&mut publisher, 1).await.remove(&3), Some(CONFIRMED));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_amqp_can_not_carry_is_refused_before_it_harms_the_connection() {
    let url = Node::shared().vhost("malformed");
    let mut publisher = publisher(config(&url), topology("all", "#")).await;
    let mut long_id = publishing(2, "a.b.c");
    long_id.message.properties.message_id = Some("x".repeat(256));
    let mut long_header = publishing(3, "a.b.c");
    long_header.message.headers.set("x".repeat(256), "value");
    let mut big_headers = publishing(4, "a.b.c");
    big_headers.message.headers.set("big", "x".repeat(200_000));
    let batch =
        vec![publishing(1, &"x".repeat(256)), long_id, long_header, big_headers, publishing(5, "a.b.c")];
    publisher.submit(batch).await.unwrap();
    let mut outcomes = outcomes(&mut publisher, 5).await;
    assert_eq!(outcomes.remove(&5), Some(CONFIRMED));
    for (token, outcome) in outcomes {
        assert!(matches!(&outcome, PublishOutcome::Refused(why) if !why.is_empty()), "{token}: {outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_arrives_as_it_was_sent_with_the_user_filled_in() {
    let url = Node::shared().vhost("roundtrip");
    let topology = Topology {
        exchanges: vec![Exchange::topic("events"), Exchange::fanout("copy")],
        queues: vec![Queue::classic("all")],
        bindings: vec![Binding::exchange("events", "copy", "#"), Binding::queue("copy", "all", "")],
        ..Topology::default()
    };
    let mut publisher = publisher(config(&url), topology).await;
    let mut sent = publishing(1, "time.one-day.passed");
    let properties = &mut sent.message.properties;
    properties.content_type = Some("application/json".into());
    properties.timestamp = Some("2026-12-01T09:00:00.000Z".parse().unwrap());
    properties.kind = Some("time.one-day.passed".into());
    properties.app_id = Some("khronos".into());
    properties.expiration = Some(60_000);
    properties.correlation_id = Some("c".into());
    properties.priority = Some(3);
    let mut table = Headers::default();
    table.set("nested", "ä");
    let headers = &mut sent.message.headers;
    headers.set("bool", true);
    headers.set("bytes", HeaderValue::Bytes(vec![0xff, 0]));
    headers.set("float", HeaderValue::Float(1.5));
    headers.set("int", -5);
    headers.set("list", HeaderValue::List(vec![HeaderValue::Int(1), HeaderValue::Null]));
    headers.set("table", HeaderValue::Table(table));
    headers.set("text", "2026-12-01T09:00:00.000Z");
    headers.set("time", HeaderValue::Time("2026-12-01T09:00:00.000Z".parse().unwrap()));
    publisher.submit(vec![sent.clone()]).await.unwrap();
    assert_eq!(outcomes(&mut publisher, 1).await.remove(&1), Some(CONFIRMED));
    let mut consumer = support::consumer(config(&url), Topology::default(), "all", 1);
    let delivery = support::next(&mut consumer).await;
    sent.message.properties.user_id = Some("guest".into());
    assert_eq!(delivery.message, sent.message);
    assert_eq!(delivery.exchange, "events");
    assert!(!delivery.redelivered);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_arrives_in_several_frames() {
    let url = Node::shared().vhost("large");
    let mut publisher = publisher(config(&url), topology("all", "#")).await;
    let mut large = publishing(1, "a.b.c");
    large.message.body = (0..3_000_000_u32).map(|i| i.to_le_bytes()[0]).collect();
    publisher.submit(vec![large.clone()]).await.unwrap();
    assert_eq!(outcomes(&mut publisher, 1).await.remove(&1), Some(CONFIRMED));
    let mut consumer = support::consumer(config(&url), Topology::default(), "all", 1);
    assert!(support::next(&mut consumer).await.message.body == large.message.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_submitted_before_the_handle_is_dropped_is_still_published() {
    let url = Node::shared().vhost("dropped");
    let publisher = publisher(config(&url), topology("all", "#")).await;
    publisher.submit((0..1000).map(|token| publishing(token, "a.b.c")).collect()).await.unwrap();
    let (submit, mut settled, mut links) = publisher.split();
    drop(submit);
    let mut count = 0;
    while let Some(batch) = tokio::time::timeout(Duration::from_secs(60), settled.recv()).await.unwrap() {
        assert!(batch.iter().all(|settlement| settlement.outcome == CONFIRMED));
        count += batch.len();
    }
    assert_eq!(count, 1000);
    let closed = |link: &Link| matches!(link, Link::Closed);
    links.wait_for(closed).await.unwrap();
    assert_eq!(Node::shared().queue("dropped", "all"), Some((1000, 0)));
}
