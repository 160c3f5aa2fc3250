//! Which queues a message reaches.

use super::*;
use ponos_event::topology::{Binding, Exchange, Queue};

pub(crate) async fn a_topic_exchange_routes_by_pattern(harness: &impl Harness) {
    let patterns = [
        "time.one-day.passed",
        "time.*.passed",
        "time.#",
        "#",
        "*.one-day",
        "",
        "*",
        "#.#",
        "*.*",
        ".",
        "a.#.b",
    ];
    let keys = ["time.one-day.passed", "time", "x.one-day", "", "a..b", "a.b", "time.one-day", "."];
    let mut wanted = topology([Exchange::topic("events")], []);
    for (number, pattern) in (0..).zip(patterns) {
        wanted.queues.push(Queue::classic(format!("q{number}")));
        wanted = wanted.bind([Binding::queue("events", format!("q{number}"), pattern)]);
    }
    let mut publisher = harness.publisher(wanted.clone());
    send(&mut publisher, "events", keys.map(|key| message(key, &format!("<{key}>")))).await;
    for (number, pattern) in (0..).zip(patterns) {
        let expected: Vec<String> = keys
            .iter()
            .filter(|key| ponos_event::topology::topic_matches(pattern, key))
            .map(|key| format!("<{key}>"))
            .collect();
        let queue = format!("q{number}");
        depth_becomes(harness, &queue, expected.len() as u64).await;
        let mut consumer = harness.consumer(wanted.clone(), &queue, 20);
        assert_eq!(take(&mut consumer, expected.len()).await, expected, "{pattern:?}");
    }
}

pub(crate) async fn a_direct_exchange_routes_by_the_equal_key(harness: &impl Harness) {
    let wanted = topology([Exchange::direct("tasks")], [Queue::classic("a"), Queue::classic("b")])
        .bind([Binding::queue("tasks", "a", "a"), Binding::queue("tasks", "b", "b")]);
    let mut publisher = harness.publisher(wanted.clone());
    send(&mut publisher, "tasks", [message("b", "1"), message("a", "2")]).await;
    assert_eq!(
        publish(&mut publisher, "tasks", [message("a.b", "3"), message("#", "4")]).await,
        [RETURNED; 2]
    );
    assert_eq!(take(&mut harness.consumer(wanted.clone(), "a", 1), 1).await, ["2"]);
    assert_eq!(take(&mut harness.consumer(wanted, "b", 1), 1).await, ["1"]);
}

pub(crate) async fn a_fanout_exchange_routes_to_all(harness: &impl Harness) {
    let wanted = topology([Exchange::fanout("all")], [Queue::classic("a"), Queue::quorum("b")])
        .bind([Binding::queue("all", "a", ""), Binding::queue("all", "b", "any")]);
    let mut publisher = harness.publisher(wanted.clone());
    send(&mut publisher, "all", [message("some.key", "1")]).await;
    for queue in ["a", "b"] {
        let delivery = next(&mut harness.consumer(wanted.clone(), queue, 1)).await;
        assert_eq!((text(&delivery), delivery.exchange), ("1".to_owned(), "all".to_owned()));
        assert_eq!(delivery.message.routing_key, "some.key");
    }
}

pub(crate) async fn the_default_exchange_routes_to_the_queue_of_that_name(harness: &impl Harness) {
    let wanted = topology([], [Queue::classic("a")]);
    let mut publisher = harness.publisher(wanted.clone());
    assert_eq!(
        publish(&mut publisher, "", [message("a", "1"), message("none", "2")]).await,
        [REACHED, RETURNED]
    );
    assert_eq!(next(&mut harness.consumer(wanted, "a", 1)).await.exchange, "");
}

pub(crate) async fn exchanges_bound_to_exchanges_route_on(harness: &impl Harness) {
    let name = "time.one-day.passed";
    let wanted = topology([Exchange::topic("events"), Exchange::fanout(name)], [Queue::classic("ponos")])
        .bind([
            Binding::exchange("events", name, name),
            Binding::queue(name, "ponos", ""),
            // a circle ends by itself
            Binding::exchange(name, "events", ""),
        ]);
    let mut publisher = harness.publisher(wanted.clone());
    let outcomes =
        publish(&mut publisher, "events", [message(name, "1"), message("time.one-hour.passed", "2")]).await;
    assert_eq!(outcomes, [REACHED, RETURNED]);
    let delivery = next(&mut harness.consumer(wanted, "ponos", 1)).await;
    assert_eq!((text(&delivery).as_str(), delivery.exchange.as_str()), ("1", "events"));
}

pub(crate) async fn a_queue_bound_twice_gets_a_message_once(harness: &impl Harness) {
    let wanted =
        topology([Exchange::topic("events"), Exchange::fanout("all")], [Queue::classic("a")]).bind([
            Binding::queue("events", "a", "#"),
            Binding::queue("events", "a", "x.*"),
            Binding::exchange("events", "all", "#"),
            Binding::queue("all", "a", ""),
        ]);
    let mut publisher = harness.publisher(wanted.clone());
    send(&mut publisher, "events", [message("x.y", "1"), message("z", "2")]).await;
    assert_eq!(take(&mut harness.consumer(wanted, "a", 1), 2).await, ["1", "2"]);
    depth_becomes(harness, "a", 0).await;
}

pub(crate) async fn an_alternate_exchange_takes_what_matches_nothing(harness: &impl Harness) {
    let tasks = Exchange::direct("tasks").with("alternate-exchange", "parking");
    let wanted =
        topology([Exchange::fanout("parking"), tasks], [Queue::classic("known"), Queue::classic("parked")])
            .bind([Binding::queue("tasks", "known", "known"), Binding::queue("parking", "parked", "")]);
    let mut publisher = harness.publisher(wanted.clone());
    send(&mut publisher, "tasks", [message("known", "1"), message("unknown", "2")]).await;
    assert_eq!(take(&mut harness.consumer(wanted.clone(), "parked", 1), 1).await, ["2"]);
    assert_eq!(take(&mut harness.consumer(wanted, "known", 1), 1).await, ["1"]);
}

pub(crate) async fn an_exchange_that_leads_nowhere_is_a_match_for_the_alternate_exchange(
    harness: &impl Harness,
) {
    let events = Exchange::topic("events").with("alternate-exchange", "parking");
    let wanted = topology(
        [Exchange::fanout("parking"), events, Exchange::fanout("empty")],
        [Queue::classic("parked")],
    )
    .bind([Binding::exchange("events", "empty", "x.y.z"), Binding::queue("parking", "parked", "")]);
    let mut publisher = harness.publisher(wanted);
    let outcomes = publish(&mut publisher, "events", [message("x.y.z", "1"), message("other", "2")]).await;
    assert_eq!(outcomes, [RETURNED, REACHED]);
}

pub(crate) async fn a_mandatory_message_that_reaches_nobody_is_returned(harness: &impl Harness) {
    let mut publisher = harness.publisher(topology([Exchange::topic("events")], []));
    assert_eq!(publish(&mut publisher, "events", [message("time.one-day.passed", "1")]).await, [RETURNED]);
}
