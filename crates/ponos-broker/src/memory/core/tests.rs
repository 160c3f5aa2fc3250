//! What the conformance suite does not show: the broker's own bounds, and what only time brings.

use super::*;
use crate::Settle;
use ponos_event::topology::{Binding, Queue, Topology};
use ponos_event::{Message, Properties};

const ACCEPTED: Published = Published::Accepted { routed: true };

fn message(key: &str, body: &str) -> Message {
    let properties = Properties { persistent: true, ..Properties::default() };
    Message { routing_key: key.into(), body: body.into(), properties, ..Message::default() }
}

fn state(limits: BrokerLimits, queues: &[Queue]) -> BrokerState {
    let mut state = BrokerState::new(Version::V3, limits);
    state.declare(1, &Topology { queues: queues.to_vec(), ..Topology::default() }).unwrap();
    state
}

fn consumer_of(connection: u64, queue: &str) -> NewConsumer<'_> {
    NewConsumer { connection, queue, prefetch: 1, exclusive: false, tags: 0, from: None, paused: false }
}

fn bodies(state: &mut BrokerState, now: u64, queue: &str) -> Vec<String> {
    std::iter::from_fn(|| state.get(now, queue))
        .map(|outgoing| String::from_utf8(outgoing.message.body).unwrap())
        .collect()
}

#[test]
fn a_queue_that_nobody_consumes_keeps_the_newest_within_the_brokers_bound() {
    let limits = BrokerLimits { messages_per_queue: 3, ..BrokerLimits::default() };
    let mut state = state(limits, &[Queue::classic("q")]);
    for n in 0..10 {
        assert_eq!(state.publish(0, "", message("q", &n.to_string())), ACCEPTED);
    }
    assert_eq!(bodies(&mut state, 0, "q"), ["7", "8", "9"]);
}

#[test]
fn the_brokers_bound_can_refuse_instead_in_messages_and_in_bytes() {
    let overflow = Overflow::RejectPublish;
    let few = BrokerLimits { messages_per_queue: 2, overflow, ..BrokerLimits::default() };
    let small = BrokerLimits { bytes_per_queue: 3, overflow, ..BrokerLimits::default() };
    for (limits, fits) in [(few, 2), (small, 4)] {
        let mut state = state(limits, &[Queue::classic("q")]);
        let accepted = (0..10).take_while(|_| state.publish(0, "", message("q", "x")) == ACCEPTED).count();
        assert_eq!(accepted, fits);
    }
}

#[test]
fn too_large_a_body_is_refused() {
    let mut state =
        state(BrokerLimits { message_bytes: 1, ..BrokerLimits::default() }, &[Queue::classic("q")]);
    assert_eq!(state.publish(0, "", message("q", "x")), ACCEPTED);
    assert!(matches!(state.publish(0, "", message("q", "xx")), Published::Refused(_)));
}

#[test]
fn more_queues_than_the_bound_are_refused() {
    let mut state = state(BrokerLimits { queues: 1, ..BrokerLimits::default() }, &[Queue::classic("q")]);
    let more = Topology { queues: vec![Queue::classic("q"), Queue::classic("r")], ..Topology::default() };
    assert!(state.declare(1, &more).unwrap_err().what.contains("1 queues at most"));
}

#[test]
fn an_at_least_once_letter_waits_until_it_has_somewhere_to_go() {
    let waiting = Queue::quorum("q")
        .with("x-message-ttl", 10)
        .with("x-overflow", "reject-publish")
        .with("x-dead-letter-strategy", "at-least-once")
        .with("x-dead-letter-exchange", "dlx");
    let mut state = state(BrokerLimits::default(), &[waiting]);
    assert_eq!(state.publish(0, "", message("q", "x")), ACCEPTED);
    assert_eq!(state.wake_at(), Some(10));
    state.expire(9);
    assert_eq!(state.get(9, "none"), None);
    state.expire(10);
    assert_eq!(state.status("q").map(|status| status.ready), Some(1));
    assert_eq!(state.wake_at(), Some(10 + UNDELIVERED_RETRY_MS));
    let target = Topology {
        exchanges: vec![Exchange::fanout("dlx")],
        queues: vec![Queue::quorum("dead")],
        bindings: vec![Binding::queue("dlx", "dead", "")],
        ..Topology::default()
    };
    state.declare(1, &target).unwrap();
    state.expire(11);
    assert_eq!(bodies(&mut state, 11, "dead"), ["x"]);
    assert_eq!(state.status("q").map(|status| status.ready), Some(0));
}

#[test]
fn a_time_to_live_of_nothing_still_reaches_a_consumer_that_waits() {
    let mut state = state(BrokerLimits::default(), &[Queue::classic("q").with("x-message-ttl", 0)]);
    assert_eq!(state.publish(0, "", message("q", "nobody waits")), ACCEPTED);
    let consumer = state.consume(0, consumer_of(1, "q")).unwrap();
    assert_eq!(state.take_outbox(consumer).unwrap().len(), 0);
    assert_eq!(state.publish(0, "", message("q", "one waits")), ACCEPTED);
    assert_eq!(state.publish(0, "", message("q", "it is busy")), ACCEPTED);
    let out = state.take_outbox(consumer).unwrap();
    assert_eq!(out.len(), 1);
    assert_eq!(out[0].message.body, b"one waits");
    // given back, it has expired
    assert!(state.settle(0, consumer, out[0].tag, Settle::Release));
    assert_eq!(state.status("q"), Some(QueueStatus { ready: 0, unacked: 0, consumers: 1 }));
}

#[test]
fn a_restart_leaves_what_is_durable() {
    let transient = Queue { durable: false, ..Queue::classic("transient") };
    let mut state = state(BrokerLimits::default(), &[Queue::classic("durable"), transient]);
    let fleeting = Message { properties: Properties::default(), ..message("durable", "transient") };
    for message in [message("durable", "persistent"), fleeting, message("transient", "persistent")] {
        assert_eq!(state.publish(0, "", message), ACCEPTED);
    }
    state.forget_transient();
    assert_eq!(state.status("transient"), None);
    assert_eq!(bodies(&mut state, 0, "durable"), ["persistent"]);
}

#[test]
fn what_is_refused_by_reject_publish_dlx_is_dead_lettered() {
    let full = Queue::classic("q")
        .with("x-max-length", 1)
        .with("x-overflow", "reject-publish-dlx")
        .with("x-dead-letter-exchange", "")
        .with("x-dead-letter-routing-key", "dead");
    let mut state = state(BrokerLimits::default(), &[full, Queue::classic("dead")]);
    assert_eq!(state.publish(0, "", message("q", "1")), ACCEPTED);
    assert_eq!(state.publish(0, "", message("q", "2")), Published::Rejected);
    assert_eq!(
        (bodies(&mut state, 0, "q"), bodies(&mut state, 0, "dead")),
        (vec!["1".into()], vec!["2".into()])
    );
}

#[test]
fn an_exclusive_queue_is_of_one_connection_and_goes_with_it() {
    let mut state = BrokerState::new(Version::V3, BrokerLimits::default());
    let exclusive = Queue { exclusive: true, ..Queue::classic("mine") };
    let topology = Topology { queues: vec![exclusive], ..Topology::default() };
    state.declare(1, &topology).unwrap();
    assert!(state.declare(2, &topology).unwrap_err().what.contains("exclusive"));
    assert!(state.consume(0, consumer_of(2, "mine")).is_err());
    state.disconnect(0, 1);
    assert!(state.declare(2, &topology).is_ok());
}
