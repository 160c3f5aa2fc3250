//! One queue: what waits in it, what is out with consumers, who consumes.

use super::settings::{Overflow, QueueSettings};
use crate::{StreamStart, memory::BrokerLimits};
use ponos_event::topology::Queue;
use ponos_event::{HeaderValue, Message};
use std::{collections::VecDeque, sync::Arc};

/// A message in a queue.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    /// Its place in the queue: a message that is given back returns to it.
    pub(super) place: u64,
    pub(super) message: Arc<Message>,
    /// Where it was published to.
    pub(super) exchange: Arc<str>,
    /// From this millisecond on it is expired; looked at when it stands at the head.
    pub(super) expires_at: Option<u64>,
    /// Whether it was delivered before.
    pub(super) redelivered: bool,
    /// How often it came back and that counted towards the delivery limit.
    pub(super) returned: u64,
}

/// A queue and its content.
#[derive(Debug)]
pub(super) struct StoredQueue {
    pub(super) declared: Queue,
    pub(super) settings: QueueSettings,
    /// The connection that an exclusive queue belongs to.
    pub(super) owner: Option<u64>,
    ready: VecDeque<Stored>,
    ready_bytes: usize,
    pub(super) unacked: usize,
    /// Consumers; the first one is the next to be served, or the active one of a single active consumer.
    pub(super) consumers: VecDeque<u64>,
    /// Dead letters that reached no queue, of an at-least-once queue.
    pub(super) undelivered: VecDeque<(Stored, super::death::Reason)>,
    next_place: u64,
}

impl StoredQueue {
    pub(super) fn new(declared: Queue, settings: QueueSettings, owner: Option<u64>) -> Self {
        Self {
            declared,
            settings,
            owner,
            ready: VecDeque::new(),
            ready_bytes: 0,
            unacked: 0,
            consumers: VecDeque::new(),
            undelivered: VecDeque::new(),
            next_place: 0,
        }
    }

    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    pub(super) fn head(&self) -> Option<&Stored> {
        self.ready.front()
    }

    pub(super) fn waiting(&self) -> impl Iterator<Item = &Stored> {
        self.ready.iter()
    }

    pub(super) fn pop(&mut self) -> Option<Stored> {
        let head = self.ready.pop_front()?;
        self.ready_bytes -= head.message.body.len();
        Some(head)
    }

    /// A new message at the tail, with its time to live: the queue's or its own, whichever is shorter. Its place.
    pub(super) fn push(
        &mut self,
        message: Arc<Message>,
        exchange: Arc<str>,
        redelivered: bool,
        now: u64,
    ) -> u64 {
        let own = message.properties.expiration;
        let ttl = self.settings.ttl.into_iter().chain(own).min().filter(|_| !self.settings.stream);
        let place = self.next_place;
        self.next_place += 1;
        self.ready_bytes += message.body.len();
        let expires_at = ttl.map(|ttl| now.saturating_add(ttl));
        self.ready.push_back(Stored { place, message, exchange, expires_at, redelivered, returned: 0 });
        place
    }

    /// Where a reader of this stream begins; without a start behind all that it has.
    pub(super) fn start(&self, from: Option<StreamStart>) -> u64 {
        match from {
            Some(StreamStart::First) => 0,
            Some(StreamStart::Last) => self.ready.back().map_or(self.next_place, |last| last.place),
            None => self.next_place,
        }
    }

    /// The first message of this stream from that place on.
    pub(super) fn at(&self, place: u64) -> Option<&Stored> {
        self.ready.get(self.ready.partition_point(|stored| stored.place < place))
    }

    /// A message back at its place.
    pub(super) fn put_back(&mut self, stored: Stored) {
        self.ready_bytes += stored.message.body.len();
        let at = self.ready.partition_point(|other| other.place < stored.place);
        self.ready.insert(at, stored);
    }

    /// How the queue treats one more message, if it has no room for it: by its own bound, else by the broker's.
    pub(super) fn full(&self, limits: &BrokerLimits) -> Option<Overflow> {
        self.beyond(limits, self.ready.len().saturating_add(1))
    }

    /// How the queue treats what it holds too much.
    pub(super) fn overfull(&self, limits: &BrokerLimits) -> Option<Overflow> {
        self.beyond(limits, self.ready.len())
    }

    fn beyond(&self, limits: &BrokerLimits, messages: usize) -> Option<Overflow> {
        let (messages, bytes) = (messages as u64, self.ready_bytes as u64);
        let QueueSettings { max_length, max_bytes, overflow, .. } = self.settings;
        if max_length.is_some_and(|most| messages > most) || max_bytes.is_some_and(|most| bytes > most) {
            Some(overflow)
        } else if messages > limits.messages_per_queue || bytes > limits.bytes_per_queue {
            Some(limits.overflow)
        } else {
            None
        }
    }

    /// Drops the transient messages of a classic queue, as a restart of the broker does.
    pub(super) fn forget_transient(&mut self) {
        if !self.settings.quorum && !self.settings.stream {
            self.ready.retain(|stored| stored.message.properties.persistent);
            self.ready_bytes = self.ready.iter().map(|stored| stored.message.body.len()).sum();
        }
    }

    /// The message as a consumer gets it: a quorum queue says how often it was given back, a stream which place it has.
    pub(super) fn as_delivered(&self, stored: &Stored) -> Message {
        let mut message = Message::clone(&stored.message);
        if self.settings.quorum && stored.returned > 0 {
            let count = i64::try_from(stored.returned).unwrap_or(i64::MAX);
            message.headers.set("x-delivery-count", HeaderValue::Int(count));
        }
        if self.settings.stream {
            let place = i64::try_from(stored.place).unwrap_or(i64::MAX);
            message.headers.set("x-stream-offset", HeaderValue::Int(place));
        }
        message
    }
}
