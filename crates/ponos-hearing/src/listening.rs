//! The queue by which is heard, and what it is bound to.

use ponos_broker::{Consume, Consumer, Transport};
use ponos_event::{
    reports::REPORTS,
    topology::{Binding, Exchange, Queue, Topology},
};

/// The prefetch; what is fetched may be as large as the broker allows, and is held at once.
const PREFETCH: u16 = 100;
/// How many messages the queue keeps while nobody takes them, and how many bytes. Then the oldest go: lost reports are seen by their
/// numbers, lost events are not, but an observer that was behind for long takes that for a gap.
const QUEUED_MOST: [(&str, i64); 2] = [("x-max-length", 100_000), ("x-max-length-bytes", 64 << 20)];

/// What is listened to, besides all reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listening {
    /// The topic exchanges of events.
    pub events: Vec<String>,
    /// Names or patterns of the events that are looked at.
    pub patterns: Vec<String>,
}

/// A queue of its own, which goes with its connection.
pub fn topology(listening: &Listening) -> Topology {
    let of = |exchange: &str| {
        let bindings = listening.patterns.iter().map(|pattern| Binding::queue(exchange, "", pattern));
        bindings.collect::<Vec<_>>()
    };
    let events = listening.events.iter().flat_map(|exchange| of(exchange));
    Topology {
        queues: vec![
            QUEUED_MOST.into_iter().fold(Queue::temporary(), |queue, (key, most)| queue.with(key, most)),
        ],
        bindings: events.chain([Binding::queue(REPORTS, "", "#")]).collect(),
        ..Topology::default()
    }
}

/// Listens, and declares what is not there: what is there is not touched, for the user may have no right to. Must be called within a
/// tokio runtime.
pub async fn listen(transport: &Transport, listening: &Listening) -> Consumer {
    let mut topology = topology(listening);
    for exchange in listening.events.iter().map(String::as_str).chain([REPORTS]).map(Exchange::topic) {
        let alone = Topology { exchanges: vec![exchange.clone()], ..Topology::default() };
        if transport.check(&alone.passive()).await.is_err() {
            topology.exchanges.push(exchange);
        }
    }
    transport.consumer(topology, Consume::default().prefetch(PREFETCH))
}
