//! The topology of the retries: a rung holds a message for a while, and it comes back to the queue it came from.

use super::*;
use ponos_event::topology::{Binding, Exchange, Queue, Topology};

fn rung() -> Topology {
    let waiting = Queue::quorum("retry.300ms")
        .with("x-message-ttl", 300)
        .with("x-dead-letter-exchange", "retry.return")
        .with("x-dead-letter-strategy", "at-least-once")
        .with("x-overflow", "reject-publish");
    topology(
        [
            Exchange::fanout("parking"),
            Exchange::fanout("retry.300ms"),
            Exchange::direct("retry.return").with("alternate-exchange", "parking"),
        ],
        [
            waiting,
            Queue::quorum("parking").with("x-max-length", 1_000),
            Queue::quorum("docker.images").with("x-delivery-limit", 50),
        ],
    )
    .bind([
        Binding::queue("retry.300ms", "retry.300ms", ""),
        Binding::queue("retry.return", "docker.images", "docker.images"),
        Binding::queue("parking", "parking", ""),
    ])
}

pub(crate) async fn a_rung_of_the_ladder_brings_a_message_back_to_its_queue(harness: &impl Harness) {
    let mut publisher = harness.publisher(rung());
    // one whose queue has vanished does not hold up the next
    let sent = [message("vanished", "1"), message("docker.images", "2")];
    send(&mut publisher, "retry.300ms", sent).await;
    let mut work = harness.consumer(rung(), "docker.images", 1);
    let back = next(&mut work).await;
    assert_eq!((text(&back).as_str(), back.message.routing_key.as_str()), ("2", "docker.images"));
    assert_eq!(back.exchange, "retry.return");
    assert_eq!(back.message.headers.text("x-first-death-queue"), Some("retry.300ms"));
    let parked = next(&mut harness.consumer(rung(), "parking", 1)).await;
    assert_eq!((text(&parked).as_str(), parked.message.routing_key.as_str()), ("1", "vanished"));
}
