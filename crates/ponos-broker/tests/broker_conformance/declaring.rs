//! Topologies that fit what exists, and such that don't.

use super::*;
use ponos_broker::LinkErrorClass;
use ponos_event::topology::{Binding, Exchange, Queue, Topology};

pub(crate) async fn declaring_twice_changes_nothing(harness: &impl Harness) {
    let wanted = topology([Exchange::topic("events")], [Queue::quorum("q").with("x-delivery-limit", 50)])
        .bind([Binding::queue("events", "q", "#")]);
    let mut publisher = harness.publisher(wanted.clone());
    send(&mut publisher, "events", [message("a", "1")]).await;
    let mut again = harness.publisher(wanted.clone());
    send(&mut again, "events", [message("a", "2")]).await;
    assert_eq!(take(&mut harness.consumer(wanted, "q", 1), 2).await, ["1", "2"]);
    depth_becomes(harness, "q", 0).await;
}

pub(crate) async fn an_inequivalent_queue_is_reported_with_the_difference(harness: &impl Harness) {
    let first = Queue::classic("q").with("x-message-ttl", 60_000);
    let publisher = harness.publisher(topology([], [first.clone()]));
    up(publisher.link()).await;
    for (other, argument) in [
        (Queue::classic("q").with("x-message-ttl", 1000), "x-message-ttl"),
        (Queue::classic("q"), "x-message-ttl"),
        (first.clone().with("x-max-length", 5), "x-max-length"),
        (first.clone().with("x-dead-letter-exchange", "dlx"), "x-dead-letter-exchange"),
        (first.clone().with("x-overflow", "reject-publish"), "x-overflow"),
        (first.clone().with("x-single-active-consumer", true), "x-single-active-consumer"),
        (Queue::quorum("q").with("x-message-ttl", 60_000), "x-queue-type"),
        (Queue { auto_delete: true, ..first.clone() }, "auto_delete"),
    ] {
        let error = down(harness.publisher(topology([], [other])).link()).await;
        assert_eq!(error.class, LinkErrorClass::Inequivalent, "{error}");
        assert!(error.what.contains(argument) && error.what.contains("'q'"), "{argument}: {error}");
    }
}

pub(crate) async fn an_inequivalent_exchange_is_reported_with_the_difference(harness: &impl Harness) {
    let publisher = harness.publisher(topology([Exchange::topic("events")], []));
    up(publisher.link()).await;
    for (other, argument) in [
        (Exchange::fanout("events"), "type"),
        (Exchange { durable: false, ..Exchange::topic("events") }, "durable"),
        (Exchange::topic("events").with("alternate-exchange", "parking"), "alternate-exchange"),
    ] {
        let error = down(harness.publisher(topology([other], [])).link()).await;
        assert_eq!(error.class, LinkErrorClass::Inequivalent, "{error}");
        assert!(error.what.contains(argument) && error.what.contains("'events'"), "{argument}: {error}");
    }
}

pub(crate) async fn a_binding_to_a_missing_exchange_is_reported(harness: &impl Harness) {
    let wanted = topology([], [Queue::classic("q")]).bind([Binding::queue("nowhere", "q", "#")]);
    let error = down(harness.publisher(wanted).link()).await;
    assert_eq!(error.class, LinkErrorClass::Missing, "{error}");
    assert!(error.what.contains("'nowhere'"), "{error}");
}

pub(crate) async fn consuming_a_missing_queue_is_reported_until_it_exists(harness: &impl Harness) {
    let mut consumer = harness.consumer(Topology::default(), "late", 1);
    let error = down(consumer.link()).await;
    assert_eq!(error.class, LinkErrorClass::Missing, "{error}");
    assert!(error.what.contains("'late'"), "{error}");
    let mut publisher = harness.publisher(topology([], [Queue::classic("late")]));
    send(&mut publisher, "", [message("late", "1")]).await;
    assert_eq!(take(&mut consumer, 1).await, ["1"]);
}

pub(crate) async fn an_argument_of_the_wrong_kind_is_refused(harness: &impl Harness) {
    for (queue, argument) in [
        (Queue::classic("q").with("x-message-ttl", -1), "x-message-ttl"),
        (Queue::classic("q").with("x-message-ttl", "soon"), "x-message-ttl"),
        (Queue::classic("q").with("x-overflow", "explode"), "x-overflow"),
        (Queue::classic("q").with("x-dead-letter-routing-key", "k"), "x-dead-letter-routing-key"),
        (Queue::classic("q").with("x-delivery-limit", 5), "x-delivery-limit"),
        (Queue::classic("q").with("x-queue-type", "magic"), "x-queue-type"),
        (Queue { durable: false, ..Queue::quorum("q") }, "durable"),
        (Queue { exclusive: true, ..Queue::quorum("q") }, "exclusive"),
    ] {
        let publisher = harness.publisher(topology([], [queue]));
        let error = within(argument, down(publisher.link())).await;
        assert!(error.class.needs_a_person(), "{error}");
        assert!(error.what.contains(argument), "{argument}: {error}");
    }
}
