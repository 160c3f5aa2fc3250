//! Delivers messages from a queue to consumers, and returns them.

use super::{
    BrokerState,
    death::Reason,
    declare::{not_found, owned},
    publish::Dead,
    queue::Stored,
};
use crate::{LinkError, LinkErrorClass, Settle, StreamStart, memory::Version};
use ponos_event::Message;
use std::collections::{BTreeMap, VecDeque};

/// A consumer and what is out with it.
#[derive(Debug)]
pub(super) struct ConsumerState {
    connection: u64,
    queue: String,
    prefetch: usize,
    exclusive: bool,
    tags: u64,
    /// The last tag of before the prefetch was changed, and how many of those are still out.
    turned_at: u64,
    before: usize,
    unacked: BTreeMap<u64, Stored>,
    outbox: VecDeque<Outgoing>,
    /// The place of a stream that it reads next.
    next: u64,
}

/// A consumer to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewConsumer<'a> {
    pub(crate) connection: u64,
    pub(crate) queue: &'a str,
    /// How many messages may be out at a time, at least one.
    pub(crate) prefetch: u16,
    pub(crate) exclusive: bool,
    /// After which tag its own begin.
    pub(crate) tags: u64,
    /// Where in a stream it begins.
    pub(crate) from: Option<StreamStart>,
    /// Gets nothing until [`BrokerState::resume`].
    pub(crate) paused: bool,
}

impl ConsumerState {
    fn has_room(&self) -> bool {
        self.unacked.len() - self.before < self.prefetch
    }

    pub(super) fn consumes(&self, queue: &str) -> bool {
        self.queue == queue
    }
}

/// A message on its way to a consumer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outgoing {
    pub(crate) tag: u64,
    pub(crate) exchange: String,
    pub(crate) message: Message,
    pub(crate) redelivered: bool,
}

/// 403.
fn in_use(queue: &str) -> LinkError {
    LinkError {
        class: LinkErrorClass::Forbidden,
        what: format!("queue '{queue}' is in exclusive use (403)"),
        remedy: "another consumer uses it exclusively: end that one, or consume without being exclusive"
            .into(),
    }
}

impl BrokerState {
    /// Begins to consume a queue.
    ///
    /// # Errors
    /// The queue does not exist, is exclusive to another connection, or somebody consumes it exclusively.
    pub(crate) fn consume(&mut self, now: u64, wanted: NewConsumer<'_>) -> Result<u64, LinkError> {
        let NewConsumer { connection, queue, prefetch, exclusive, tags, from, paused } = wanted;
        let id = self.next_id();
        let state = self.queues.get_mut(queue).ok_or_else(|| not_found("queue", queue))?;
        owned(queue, state.owner, connection)?;
        let alone = |id: &u64| self.consumers.get(id).is_some_and(|consumer| consumer.exclusive);
        if (exclusive && !state.consumers.is_empty()) || state.consumers.iter().any(alone) {
            return Err(in_use(queue));
        }
        if !paused {
            state.consumers.push_back(id);
        }
        let consumer = ConsumerState {
            connection,
            queue: queue.to_owned(),
            prefetch: usize::from(prefetch.max(1)),
            exclusive,
            tags,
            turned_at: tags,
            before: 0,
            unacked: BTreeMap::new(),
            outbox: VecDeque::new(),
            next: state.start(from),
        };
        self.consumers.insert(id, consumer);
        self.serve_and_bury(now, queue);
        Ok(id)
    }

    /// How many messages may be out with a consumer from now on; what is out stays out, and does not count.
    pub(crate) fn set_prefetch(&mut self, now: u64, consumer: u64, prefetch: u16) {
        let Some(state) = self.consumers.get_mut(&consumer) else { return };
        state.prefetch = usize::from(prefetch.max(1));
        state.turned_at = state.tags;
        state.before = state.unacked.len();
        let queue = state.queue.clone();
        self.serve_and_bury(now, &queue);
    }

    /// Goes on bringing a consumer messages, after [`BrokerState::cancel`].
    pub(crate) fn resume(&mut self, now: u64, consumer: u64, prefetch: u16) {
        let Some(state) = self.consumers.get(&consumer) else { return };
        if let Some(queue) = self.queues.get_mut(&state.queue) {
            queue.consumers.push_back(consumer);
        }
        self.set_prefetch(now, consumer, prefetch);
    }

    /// How many are out with it.
    pub(crate) fn out(&self, consumer: u64) -> usize {
        self.consumers.get(&consumer).map_or(0, |state| state.unacked.len())
    }

    /// Brings a consumer nothing more; what is out with it stays out.
    pub(crate) fn cancel(&mut self, now: u64, consumer: u64) {
        let Some(state) = self.consumers.get(&consumer) else { return };
        let name = state.queue.clone();
        let Some(queue) = self.queues.get_mut(&name) else { return };
        queue.consumers.retain(|other| *other != consumer);
        if queue.declared.auto_delete && queue.consumers.is_empty() {
            self.delete_queue(&name);
        } else {
            self.serve_and_bury(now, &name);
        }
    }

    /// The deliveries for the consumer; `None` if it was cancelled.
    pub(crate) fn take_outbox(&mut self, consumer: u64) -> Option<VecDeque<Outgoing>> {
        self.consumers.get_mut(&consumer).map(|consumer| std::mem::take(&mut consumer.outbox))
    }

    /// Settles a delivery; false if it is not out with that consumer.
    pub(crate) fn settle(&mut self, now: u64, consumer: u64, tag: u64, how: Settle) -> bool {
        let Some(state) = self.consumers.get_mut(&consumer) else { return false };
        let Some(stored) = state.unacked.remove(&tag) else { return false };
        if tag <= state.turned_at {
            state.before -= 1;
        }
        let name = state.queue.clone();
        let mut dead = VecDeque::new();
        if let Some(queue) = self.queues.get_mut(&name) {
            queue.unacked -= 1;
        }
        match how {
            Settle::Ack => {}
            Settle::Release => self.give_back(&name, stored, self.version == Version::V3, &mut dead),
            Settle::Reject => self.give_back(&name, stored, true, &mut dead),
            Settle::Dead => dead.push_back(Dead { queue: name.clone(), stored, reason: Reason::Rejected }),
        }
        self.serve(now, &name, None, &mut dead);
        self.bury(now, dead);
        true
    }

    /// Ends a connection: what is out with its consumers goes back, its exclusive queues go.
    pub(crate) fn disconnect(&mut self, now: u64, connection: u64) {
        let of_it = |consumer: &ConsumerState| consumer.connection == connection;
        let ids: Vec<u64> = self.consumers.iter().filter(|(_, c)| of_it(c)).map(|(id, _)| *id).collect();
        let mut dead = VecDeque::new();
        let mut served = Vec::new();
        for id in ids {
            let Some(consumer) = self.consumers.remove(&id) else { continue };
            self.touched.insert(id);
            if let Some(queue) = self.queues.get_mut(&consumer.queue) {
                queue.consumers.retain(|other| *other != id);
                queue.unacked -= consumer.unacked.len();
                if queue.declared.auto_delete && queue.consumers.is_empty() {
                    self.delete_queue(&consumer.queue);
                    continue;
                }
            }
            for stored in consumer.unacked.into_values() {
                self.give_back(&consumer.queue, stored, true, &mut dead);
            }
            served.push(consumer.queue);
        }
        let exclusive: Vec<String> = self
            .queues
            .iter()
            .filter(|(_, q)| q.owner == Some(connection))
            .map(|(name, _)| name.clone())
            .collect();
        for queue in exclusive {
            self.delete_queue(&queue);
        }
        for queue in served {
            self.serve(now, &queue, None, &mut dead);
        }
        self.bury(now, dead);
    }

    /// Takes the message at the head of a queue out of it for good.
    pub(crate) fn get(&mut self, now: u64, queue: &str) -> Option<Outgoing> {
        self.serve_and_bury(now, queue);
        // as RabbitMQ does, which closes the channel
        let queue = self.queues.get_mut(queue).filter(|queue| !queue.settings.stream)?;
        let stored = queue.pop()?;
        Some(Outgoing {
            tag: 0,
            exchange: stored.exchange.to_string(),
            message: queue.as_delivered(&stored),
            redelivered: stored.redelivered,
        })
    }

    /// The messages that wait in a queue, as they would be delivered, from the head on.
    pub(crate) fn peek(&self, queue: &str) -> Vec<Outgoing> {
        let Some(queue) = self.queues.get(queue) else { return Vec::new() };
        let outgoing = |stored: &Stored| Outgoing {
            tag: 0,
            exchange: stored.exchange.to_string(),
            message: queue.as_delivered(stored),
            redelivered: stored.redelivered,
        };
        queue.waiting().map(outgoing).collect()
    }

    fn serve_and_bury(&mut self, now: u64, queue: &str) {
        let mut dead = VecDeque::new();
        self.serve(now, queue, None, &mut dead);
        self.bury(now, dead);
    }

    /// Brings what is ready to consumers that have room, in turn; what has expired at the head leaves, except `fresh`:
    /// with a time to live of 0 a message still reaches a consumer that waits.
    pub(super) fn serve(&mut self, now: u64, name: &str, fresh: Option<u64>, dead: &mut VecDeque<Dead>) {
        let Some(queue) = self.queues.get_mut(name) else { return };
        if queue.settings.stream {
            return self.serve_stream(name);
        }
        while let Some(head) = queue.head() {
            let expired = head.expires_at.is_some_and(|at| at <= now);
            let may_go = !expired || fresh == Some(head.place);
            let free = queue
                .consumers
                .iter()
                .take(if queue.settings.single_active { 1 } else { usize::MAX })
                .position(|id| self.consumers.get(id).is_some_and(ConsumerState::has_room));
            let free = free.filter(|_| may_go);
            if free.is_none() && !expired {
                break;
            }
            let Some(stored) = queue.pop() else { break };
            let Some(at) = free else {
                dead.push_back(Dead { queue: name.to_owned(), stored, reason: Reason::Expired });
                continue;
            };
            let Some(consumer) = queue.consumers.get(at).and_then(|id| self.consumers.get_mut(id)) else {
                break;
            };
            self.touched.extend(queue.consumers.get(at));
            consumer.tags += 1;
            consumer.outbox.push_back(Outgoing {
                tag: consumer.tags,
                exchange: stored.exchange.to_string(),
                message: queue.as_delivered(&stored),
                redelivered: stored.redelivered,
            });
            consumer.unacked.insert(consumer.tags, stored);
            queue.unacked += 1;
            if !queue.settings.single_active {
                queue.consumers.rotate_left(at + 1);
            }
        }
        let next = queue.head().and_then(|head| head.expires_at);
        self.wake_by(next);
    }

    /// Brings each reader what it has not had, as far as it has room.
    fn serve_stream(&mut self, name: &str) {
        let Some(queue) = self.queues.get_mut(name) else { return };
        for id in &queue.consumers {
            let Some(consumer) = self.consumers.get_mut(id) else { continue };
            while consumer.has_room()
                && let Some(stored) = queue.at(consumer.next)
            {
                consumer.next = stored.place + 1;
                consumer.tags += 1;
                consumer.outbox.push_back(Outgoing {
                    tag: consumer.tags,
                    exchange: stored.exchange.to_string(),
                    message: queue.as_delivered(stored),
                    redelivered: false,
                });
                consumer.unacked.insert(consumer.tags, stored.clone());
                queue.unacked += 1;
                self.touched.insert(*id);
            }
        }
    }

    /// Back to its place, or to the dead letters once it was given back more often than the limit allows.
    fn give_back(&mut self, name: &str, mut stored: Stored, counts: bool, dead: &mut VecDeque<Dead>) {
        // a stream has it still
        let queue = self.queues.get_mut(name).filter(|queue| !queue.settings.stream);
        let Some(queue) = queue else { return };
        stored.redelivered = true;
        stored.returned += u64::from(counts);
        match queue.settings.delivery_limit {
            Some(limit) if stored.returned > limit => {
                dead.push_back(Dead { queue: name.to_owned(), stored, reason: Reason::DeliveryLimit });
            }
            _ => queue.put_back(stored),
        }
    }
}
