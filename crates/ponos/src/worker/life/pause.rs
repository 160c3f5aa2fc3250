//! Waiting with the slot held, until it is worth another try: nothing spins, and nothing is given back that would come
//! again at once.

use crate::{broker::DeliveryTag, worker::queue_context::QueueContext};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
/// So long a delivery is held at most (and never longer than a third of what the broker allows).
const HELD: Duration = Duration::from_secs(600);

/// Why a pause ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woke {
    /// It is time for another try.
    Time,
    /// It has been held for long enough.
    Enough,
    /// The worker stops now.
    Stopped,
    /// The delivery's channel is gone: it can't be settled any more, and comes again.
    Void,
}

/// How long a delivery may be held for something to come back.
pub(super) fn longest_held(queue: &QueueContext) -> Duration {
    HELD.min(queue.service.limits.consumer_timeout / 3)
}

/// 1 s, 2 s, 4 s … 30 s.
#[derive(Debug)]
pub(super) struct Pauses {
    next: Duration,
    until: Instant,
}

impl Pauses {
    pub(super) fn new(queue: &QueueContext) -> Self {
        Self { next: SHORTEST, until: Instant::now() + longest_held(queue) }
    }

    pub(super) fn is_first(&self) -> bool {
        self.next == SHORTEST
    }

    pub(super) async fn next(&mut self, queue: &QueueContext, tag: DeliveryTag) -> Woke {
        tokio::select! {
            woke = self.next_even_void(queue) => woke,
            () = queue.voided(tag) => Woke::Void,
        }
    }

    /// [`Pauses::next`], whatever becomes of the delivery's channel.
    pub(super) async fn next_even_void(&mut self, queue: &QueueContext) -> Woke {
        let end = Instant::now() + self.next;
        if end > self.until {
            return Woke::Enough;
        }
        self.next = (self.next * 2).min(LONGEST);
        tokio::select! {
            () = sleep_until(end) => Woke::Time,
            () = queue.stop.raised() => Woke::Stopped,
        }
    }
}
