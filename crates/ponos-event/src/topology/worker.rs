//! The topology of workers: work queues, the retry ladder that all services share, and the dead letters.
//!
//! ```text
//! events (topic) ──pattern──▶ <service>.<name> ──dead──▶ dlx (direct) ──▶ <service>.<name>.dlq
//! tasks (direct) ──queue────▶        ▲                     └─ nobody bound ─▶ parking
//! retry.5s (fanout) ▶ retry.5s (TTL) ▶ retry.return (direct) ─ nobody bound ─▶ parking
//! ```

use super::{Binding, Exchange, Queue, Topology};
use crate::control;
use std::time::Duration;

/// The exchange of global events.
pub const EVENTS: &str = "events";
/// The exchange of tasks; the routing key is the queue.
pub const TASKS: &str = "tasks";
/// The exchange to which the ladder's queues return messages; the routing key is the work queue.
pub const RETURN: &str = "retry.return";
/// The exchange of dead letters; the routing key is the work queue.
pub const DEAD: &str = "dlx";
/// The queue of messages whose work queue no longer exists. A depth above 0 is an alarm.
pub const PARKING: &str = "parking";
/// The most parked messages; beyond that, the oldest are dropped.
pub const PARKED_MOST: i64 = 100_000;
/// The delivery limit of work queues, as the last guard against poison.
pub const DELIVERY_LIMIT: i64 = 50;
/// The delivery limit of queues whose messages people read and put back: as good as none. It must be set, because RabbitMQ 4
/// has a default of 20 and would drop them; it must be positive, because 3.x refuses -1 (none).
pub const LOOKED_AT_LIMIT: i64 = 1_000_000_000;

/// The rungs of the retry ladder, shortest first: the name of exchange and queue, and how long a message stays.
pub const LADDER: [(&str, Duration); 7] = [
    ("retry.1s", Duration::from_secs(1)),
    ("retry.5s", Duration::from_secs(5)),
    ("retry.30s", Duration::from_secs(30)),
    ("retry.2m", Duration::from_secs(120)),
    ("retry.10m", Duration::from_secs(600)),
    ("retry.1h", Duration::from_secs(3_600)),
    ("retry.6h", Duration::from_secs(21_600)),
];

/// Which messages a work queue takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueIntake<'a> {
    /// Events that match one of these patterns.
    Events(&'a [&'a str]),
    /// The tasks addressed to it.
    Tasks,
}

/// The topology that all services of a vhost share.
pub fn shared() -> Topology {
    let mut all = Topology {
        exchanges: vec![
            Exchange::topic(EVENTS),
            Exchange::direct(TASKS),
            Exchange::fanout(PARKING),
            Exchange::direct(RETURN).with("alternate-exchange", PARKING),
            Exchange::direct(DEAD).with("alternate-exchange", PARKING),
        ],
        queues: vec![
            Queue::quorum(PARKING)
                .with("x-max-length", PARKED_MOST)
                .with("x-delivery-limit", LOOKED_AT_LIMIT),
        ],
        bindings: vec![Binding::queue(PARKING, PARKING, "")],
        ..Topology::default()
    };
    for (rung, stay) in LADDER {
        all.exchanges.push(Exchange::fanout(rung));
        let queue = Queue::quorum(rung)
            .with("x-message-ttl", i64::try_from(stay.as_millis()).unwrap_or(i64::MAX))
            .with("x-dead-letter-exchange", RETURN)
            .with("x-dead-letter-strategy", "at-least-once")
            .with("x-overflow", "reject-publish");
        all.queues.push(queue);
        all.bindings.push(Binding::queue(rung, rung, ""));
    }
    all
}

/// What of a worker's topology is its own: all but what the services of a vhost share, the stream by which they are steered
/// included.
pub fn own(topology: &Topology) -> Topology {
    let mut shared = shared();
    shared.join(control::topology());
    let mut own = topology.clone();
    own.exchanges.retain(|exchange| !shared.exchanges.contains(exchange));
    own.queues.retain(|queue| !shared.queues.contains(queue));
    own.bindings.retain(|binding| !shared.bindings.contains(binding));
    own
}

/// The topology of one work queue with its dead letters; `exclusive`: one consumer is served, the others stand by.
pub fn work_queue(queue: &str, intake: QueueIntake<'_>, exclusive: bool) -> Topology {
    let dead = Queue::quorum(dead_letters(queue)).with("x-delivery-limit", LOOKED_AT_LIMIT);
    let mut work = Queue::quorum(queue)
        .with("x-dead-letter-exchange", DEAD)
        .with("x-dead-letter-routing-key", queue)
        .with("x-dead-letter-strategy", "at-least-once")
        // at-least-once needs it; without a maximum length nothing is ever rejected by it
        .with("x-overflow", "reject-publish")
        .with("x-delivery-limit", DELIVERY_LIMIT);
    if exclusive {
        work = work.with("x-single-active-consumer", true);
    }
    let mut bindings =
        vec![Binding::queue(RETURN, queue, queue), Binding::queue(DEAD, dead.name.clone(), queue)];
    match intake {
        QueueIntake::Events(patterns) => {
            bindings.extend(patterns.iter().map(|pattern| Binding::queue(EVENTS, queue, *pattern)));
        }
        QueueIntake::Tasks => bindings.push(Binding::queue(TASKS, queue, queue)),
    }
    Topology { exchanges: Vec::new(), queues: vec![work, dead], bindings, ..Topology::default() }
}

/// The queue of a work queue's dead letters.
pub fn dead_letters(queue: &str) -> String {
    format!("{queue}.dlq")
}

/// The longest rung that a message with `remaining` still to wait may be put on; `None` below the shortest.
pub fn rung(remaining: Duration) -> Option<&'static str> {
    LADDER.iter().rev().find(|(_, stay)| *stay <= remaining).map(|(rung, _)| *rung)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_rung_that_fits_is_taken() {
        let taken = |millis| rung(Duration::from_millis(millis));
        assert_eq!(taken(999), None);
        assert_eq!(taken(1_000), Some("retry.1s"));
        assert_eq!(taken(29_999), Some("retry.5s"));
        assert_eq!(taken(30_000), Some("retry.30s"));
        assert_eq!(taken(7 * 86_400_000), Some("retry.6h"));
    }

    #[test]
    fn what_is_shared_and_what_is_its_own_make_the_whole() {
        let mut all = shared();
        all.join(work_queue("s.a", QueueIntake::Events(&["a.#"]), false));
        let own = own(&all);
        let names: Vec<&str> = own.queues.iter().map(|queue| queue.name.as_str()).collect();
        assert_eq!(names, ["s.a", "s.a.dlq"]);
        let mut again = shared();
        again.join(own);
        assert_eq!(again, all);
    }

    #[test]
    fn what_people_look_at_is_never_dropped_for_having_been_looked_at() {
        let mut all = shared();
        all.join(work_queue("s.a", QueueIntake::Tasks, false));
        for name in [PARKING, "s.a.dlq"] {
            let queue = all.queues.iter().find(|queue| queue.name == name).unwrap();
            assert_eq!(queue.arguments.int("x-delivery-limit"), Some(LOOKED_AT_LIMIT), "{name}");
        }
    }

    #[test]
    fn every_way_out_of_a_queue_ends_in_a_queue() {
        let mut all = shared();
        all.join(work_queue("s.a.b.c", QueueIntake::Events(&["a.b.c"]), false));
        let queues: Vec<&str> = all.queues.iter().map(|queue| queue.name.as_str()).collect();
        for queue in &all.queues {
            let Some(exchange) = queue.arguments.text("x-dead-letter-exchange") else { continue };
            let exchange = all.exchanges.iter().find(|declared| declared.name == exchange).unwrap();
            assert_eq!(exchange.arguments.text("alternate-exchange"), Some(PARKING), "{}", queue.name);
        }
        for binding in &all.bindings {
            assert!(all.exchanges.iter().any(|exchange| exchange.name == binding.source), "{binding:?}");
            let super::super::Destination::Queue(queue) = &binding.destination else { panic!("{binding:?}") };
            assert!(queues.contains(&queue.as_str()), "{binding:?}");
        }
    }
}
