//! What a publisher learns, and what arrives.

use super::*;
use ponos_broker::{Link, LinkErrorClass, PublishOutcome};
use ponos_event::topology::{Binding, Exchange, Queue, Topology};
use ponos_event::{HeaderValue, Headers, Message, Properties, Timestamp};
use std::collections::BTreeMap;

/// "events" with one queue "a" for the keys `a.#`.
fn events() -> Topology {
    topology([Exchange::topic("events")], [Queue::classic("a")]).bind([Binding::queue("events", "a", "a.#")])
}

pub(crate) async fn ten_thousand_publishings_get_exactly_one_settlement_each(harness: &impl Harness) {
    let mut wanted = events();
    let full = Queue::classic("full").with("x-max-length", 1).with("x-overflow", "reject-publish");
    wanted.queues.push(full);
    let mut publisher = harness.publisher(wanted.bind([Binding::queue("events", "full", "full")]));
    send(&mut publisher, "events", [message("full", "fills it")]).await;
    let total: u64 = 10_000;
    let mut outcomes = BTreeMap::new();
    let key = |token: u64| ["a.b", "nobody", "full", "a"][token as usize % 4];
    let batches: Vec<Vec<_>> = (0..total)
        .collect::<Vec<_>>()
        .chunks(250)
        .map(|tokens| {
            let one = |&token: &u64| {
                let lane = (token % 7) as u32;
                ponos_broker::Publishing {
                    lane,
                    ..publishing(token, "events", message(key(token), &token.to_string()))
                }
            };
            tokens.iter().map(one).collect()
        })
        .collect();
    let (submit, mut settled, _link) = publisher.split();
    let submitting = async {
        for batch in batches {
            submit.send(batch).await.unwrap();
        }
    };
    let listening = async {
        while (outcomes.len() as u64) < total {
            for settlement in settled.recv().await.unwrap() {
                assert_eq!(outcomes.insert(settlement.token, settlement.outcome), None);
            }
        }
    };
    within("ten thousand settlements", async { tokio::join!(submitting, listening) }).await;
    for (token, outcome) in outcomes {
        let expected = match key(token) {
            "nobody" => RETURNED,
            "full" => PublishOutcome::Nacked,
            _ => REACHED,
        };
        assert_eq!(outcome, expected, "token {token}");
    }
    depth_becomes(harness, "a", total / 2).await;
    assert!(settled.try_recv().is_err(), "nothing is settled twice");
}

pub(crate) async fn returns_are_matched_to_their_messages(harness: &impl Harness) {
    let mut publisher = harness.publisher(events());
    let keys: Vec<&str> = (0..500).map(|n| if n % 3 == 0 { "nobody" } else { "a.b" }).collect();
    // those of several sources may share an id, and go elsewhere
    for of_one_id in [1, 2] {
        let messages = keys.iter().enumerate().map(|(n, key)| message(key, &format!("id-{}", n / of_one_id)));
        let outcomes = publish(&mut publisher, "events", messages).await;
        for (key, outcome) in keys.iter().zip(outcomes) {
            assert_eq!(outcome, if *key == "nobody" { RETURNED } else { REACHED });
        }
    }
}

pub(crate) async fn one_lane_keeps_its_order(harness: &impl Harness) {
    let mut publisher = harness.publisher(events());
    up(publisher.link()).await;
    let lanes = 5;
    let one = |token: u64| ponos_broker::Publishing {
        lane: (token % lanes) as u32,
        ..publishing(token, "events", message("a", &token.to_string()))
    };
    for batch in 0..10 {
        publisher.submit((batch * 100..(batch + 1) * 100).map(one).collect()).await.unwrap();
    }
    settlements(&mut publisher, 1000).await;
    let arrived = take(&mut harness.consumer(events(), "a", 100), 1000).await;
    let arrived: Vec<u64> = arrived.iter().map(|body| body.parse().unwrap()).collect();
    for lane in 0..lanes {
        let of_lane: Vec<u64> = arrived.iter().copied().filter(|token| token % lanes == lane).collect();
        assert!(of_lane.is_sorted(), "lane {lane}");
        assert_eq!(of_lane.len(), 200);
    }
}

pub(crate) async fn a_full_queue_that_rejects_publishings_nacks(harness: &impl Harness) {
    let full = Queue::classic("full").with("x-max-length", 2).with("x-overflow", "reject-publish");
    let wanted = topology([], [full]);
    let mut publisher = harness.publisher(wanted.clone());
    for expected in [REACHED, REACHED, PublishOutcome::Nacked, PublishOutcome::Nacked] {
        assert_eq!(publish(&mut publisher, "", [message("full", "x")]).await, [expected]);
    }
    assert_eq!(take(&mut harness.consumer(wanted, "full", 1), 2).await, ["x", "x"]);
    depth_becomes(harness, "full", 0).await;
    assert_eq!(publish(&mut publisher, "", [message("full", "y")]).await, [REACHED]);
}

pub(crate) async fn a_healthy_queue_has_what_a_full_one_beside_it_refused(harness: &impl Harness) {
    let full = Queue::classic("full").with("x-max-length", 1).with("x-overflow", "reject-publish");
    let wanted = topology([Exchange::fanout("all")], [Queue::classic("healthy"), full])
        .bind([Binding::queue("all", "healthy", ""), Binding::queue("all", "full", "")]);
    let mut publisher = harness.publisher(wanted);
    send(&mut publisher, "all", [message("", "1")]).await;
    assert_eq!(publish(&mut publisher, "all", [message("", "2")]).await, [PublishOutcome::Nacked]);
    depth_becomes(harness, "healthy", 2).await;
    depth_becomes(harness, "full", 1).await;
}

pub(crate) async fn publishing_to_a_foreign_exchange_that_is_missing_costs_nothing_else(
    harness: &impl Harness,
) {
    let mut publisher = harness.publisher(events());
    let outcomes = publish(&mut publisher, "missing", [message("a", "1"), message("b", "1")]).await;
    for outcome in &outcomes {
        assert!(matches!(outcome, PublishOutcome::Missing(why) if why.contains("missing")), "{outcome:?}");
    }
    let again = || message("a", "2");
    // what follows at once may be lost with the channel; what follows then arrives
    while publish(&mut publisher, "events", [again()]).await != [REACHED] {}
    assert_eq!(take(&mut harness.consumer(events(), "a", 1), 1).await, ["2"]);
    assert!(matches!(*publisher.link().borrow(), Link::Up { generation: 1, .. }));
    // somebody declares it, and the same message goes out
    let declared = topology([Exchange::fanout("missing")], [Queue::classic("found")])
        .bind([Binding::queue("missing", "found", "")]);
    harness.transport().check(&declared).await.unwrap();
    while publish(&mut publisher, "missing", [message("a", "1")]).await != [REACHED] {}
}

pub(crate) async fn an_exchange_of_its_own_that_is_deleted_is_declared_again_and_no_message_is_to_blame(
    harness: &impl Harness,
) {
    let mut publisher = harness.publisher(events());
    let mut links = publisher.link();
    send(&mut publisher, "events", [message("a", "1")]).await;
    harness.delete_exchange("events");
    let lost = [PublishOutcome::Lost, PublishOutcome::Lost, PublishOutcome::Lost];
    links.mark_unchanged();
    assert_eq!(publish(&mut publisher, "events", ["2", "2", "2"].map(|body| message("a", body))).await, lost);
    // said, whichever state is seen of those that follow each other so fast
    let again = |link: &Link| match link {
        Link::Down { error: Some(error), .. } => {
            assert!(error.class == LinkErrorClass::Missing && error.what.contains("'events'"), "{error}");
            false
        }
        link => matches!(link, Link::Up { generation: 2.., .. }),
    };
    within("the exchange to be declared again", links.wait_for(again)).await.unwrap();
    // the bindings are declared too: what is sent again arrives
    assert_eq!(publish(&mut publisher, "events", [message("a", "2")]).await, [REACHED]);
    assert_eq!(take(&mut harness.consumer(events(), "a", 2), 2).await, ["1", "2"]);
}

pub(crate) async fn headers_of_all_types_and_all_properties_arrive_unchanged(harness: &impl Harness) {
    let instant = Timestamp::from_millis(1_796_115_600_000);
    let inner: Headers =
        [("deep".to_owned(), HeaderValue::List(vec![1.into(), "ü".into(), HeaderValue::Null]))]
            .into_iter()
            .collect();
    let headers: Headers = [
        ("text", HeaderValue::from("grüße")),
        ("empty", HeaderValue::from("")),
        ("int", HeaderValue::Int(i64::MIN)),
        ("small", HeaderValue::Int(-1)),
        ("float", HeaderValue::Float(1.5)),
        ("yes", HeaderValue::Bool(true)),
        ("time", HeaderValue::Time(instant)),
        ("bytes", HeaderValue::Bytes(vec![0, 255, 254])),
        ("list", HeaderValue::List(vec![HeaderValue::Bool(false), HeaderValue::Table(inner.clone())])),
        ("table", HeaderValue::Table(inner)),
        ("null", HeaderValue::Null),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    let some = |text: &str| Some(text.to_owned());
    let sent = Message {
        routing_key: "a.b".into(),
        properties: Properties {
            content_type: some("application/json"),
            content_encoding: some("utf-8"),
            persistent: true,
            priority: Some(3),
            correlation_id: some("c"),
            reply_to: some("r"),
            expiration: Some(3_600_000),
            message_id: some("m"),
            timestamp: Some(instant),
            kind: some("time.one-day.passed"),
            user_id: None,
            app_id: some("khronos"),
        },
        headers,
        body: b"{}".to_vec(),
    };
    let mut publisher = harness.publisher(events());
    send(&mut publisher, "events", [sent.clone(), message("a", "plain")]).await;
    let mut consumer = harness.consumer(events(), "a", 2);
    let sorted = |message: &Message| {
        message
            .headers
            .iter()
            .map(|(name, value)| (name.to_owned(), value.clone()))
            .collect::<BTreeMap<_, _>>()
    };
    let arrived = next(&mut consumer).await.message;
    assert_eq!(sorted(&arrived), sorted(&sent));
    assert_eq!(Message { headers: sent.headers.clone(), ..anonymous(arrived) }, sent);
    let plain = next(&mut consumer).await.message;
    assert_eq!(anonymous(plain), message("a", "plain"));
}

pub(crate) async fn headers_nested_too_deep_are_refused_and_the_next_goes_on(harness: &impl Harness) {
    let nested = |levels: usize| {
        let inner = |value, level| match level % 2 {
            0 => HeaderValue::List(vec![value]),
            _ => HeaderValue::Table([("a", value)].into_iter().collect()),
        };
        // the headers themselves are the first level
        let value = (1..levels).fold(HeaderValue::Int(1), inner);
        Message { headers: [("deep", value)].into_iter().collect(), ..message("a", "deep") }
    };
    let mut publisher = harness.publisher(events());
    let outcomes = publish(&mut publisher, "events", [nested(Headers::DEEPEST + 1)]).await;
    assert!(
        matches!(&outcomes[..], [PublishOutcome::Refused(why)] if why.contains("too deep")),
        "{outcomes:?}"
    );
    let deepest = nested(Headers::DEEPEST);
    assert_eq!(publish(&mut publisher, "events", [deepest.clone()]).await, [REACHED]);
    let arrived = next(&mut harness.consumer(events(), "a", 1)).await.message;
    assert_eq!(arrived.headers, deepest.headers);
}

pub(crate) async fn bodies_of_one_mebibyte_and_of_nothing_arrive(harness: &impl Harness) {
    let large: Vec<u8> = (0..1_u32 << 20).map(|n| (n % 251) as u8).collect();
    let mut publisher = harness.publisher(events());
    let with = |body: Vec<u8>| Message { body, ..message("a", "x") };
    send(&mut publisher, "events", [with(large.clone()), with(Vec::new())]).await;
    let mut consumer = harness.consumer(events(), "a", 2);
    assert!(next(&mut consumer).await.message.body == large);
    assert!(next(&mut consumer).await.message.body.is_empty());
}
