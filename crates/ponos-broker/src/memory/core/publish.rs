//! Routes messages into queues, and out of them to the dead letters.

use super::{
    BrokerState, UNDELIVERED_RETRY_MS,
    death::{self, Reason},
    exchange,
    queue::Stored,
    settings::Overflow,
};
use crate::{TOO_DEEP, memory::Version};
use ponos_event::Message;
use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

/// The outcome of a publishing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Published {
    /// Every queue that it was routed to has it; `routed` is false if there was none.
    Accepted { routed: bool },
    /// A full queue refused it; others may have it.
    Rejected,
    /// RabbitMQ would close the channel because of the message, with this text.
    Refused(String),
    /// The exchange does not exist: RabbitMQ would close the channel with this text.
    Missing(String),
}

/// A message that left its queue.
pub(super) struct Dead {
    pub(super) queue: String,
    pub(super) stored: Stored,
    pub(super) reason: Reason,
}

impl BrokerState {
    /// Publishes `message` to `exchange` ("" routes to the queue named by the routing key).
    pub(crate) fn publish(&mut self, now: u64, exchange: &str, message: Message) -> Published {
        if message.body.len() > self.limits.message_bytes {
            return Published::Refused(format!(
                "PRECONDITION_FAILED - message size {} is larger than configured max size {}",
                message.body.len(),
                self.limits.message_bytes
            ));
        }
        if !message.headers.are_shallow() {
            return Published::Refused(TOO_DEEP.to_owned());
        }
        if !exchange.is_empty() && !self.exchanges.contains_key(exchange) {
            return Published::Missing(format!("NOT_FOUND - no exchange '{exchange}'"));
        }
        let queues = self.route(exchange, &message.routing_key);
        let routed = !queues.is_empty();
        let mut accepted = true;
        let (message, exchange): (_, Arc<str>) = (Arc::new(message), exchange.into());
        let mut dead = VecDeque::new();
        for queue in queues {
            accepted &= self.enqueue(now, &queue, (&message, &exchange, false), &mut dead);
        }
        self.bury(now, dead);
        if accepted { Published::Accepted { routed } } else { Published::Rejected }
    }

    /// Dead-letters what has expired at the head of a queue by `now`, and tries again what reached no queue.
    pub(crate) fn expire(&mut self, now: u64) {
        if self.wake_at.is_none_or(|at| at > now) {
            return;
        }
        self.wake_at = None;
        let mut dead = VecDeque::new();
        let names: Vec<String> = self.queues.keys().cloned().collect();
        for name in names {
            if let Some(queue) = self.queues.get_mut(&name) {
                let again = std::mem::take(&mut queue.undelivered);
                dead.extend(again.into_iter().map(|(stored, reason)| Dead {
                    queue: name.clone(),
                    stored,
                    reason,
                }));
            }
            self.serve(now, &name, None, &mut dead);
        }
        self.bury(now, dead);
    }

    fn route(&self, exchange: &str, key: &str) -> BTreeSet<String> {
        if exchange.is_empty() {
            return self.queues.contains_key(key).then(|| key.to_owned()).into_iter().collect();
        }
        exchange::route(&self.exchanges, exchange, key)
    }

    /// Puts a message, with its exchange and whether it was delivered before, into one queue; false if that was full and
    /// refused it.
    fn enqueue(
        &mut self,
        now: u64,
        name: &str,
        (message, exchange, redelivered): (&Arc<Message>, &Arc<str>, bool),
        dead: &mut VecDeque<Dead>,
    ) -> bool {
        let limits = self.limits;
        let Some(queue) = self.queues.get_mut(name) else { return true };
        match queue.full(&limits) {
            Some(Overflow::RejectPublish) => return false,
            Some(Overflow::RejectPublishDlx) => {
                let (message, exchange) = (Arc::clone(message), Arc::clone(exchange));
                let stored =
                    Stored { place: 0, message, exchange, expires_at: None, redelivered, returned: 0 };
                dead.push_back(Dead { queue: name.to_owned(), stored, reason: Reason::MaxLen });
                return false;
            }
            Some(Overflow::DropHead) | None => {}
        }
        let place = queue.push(Arc::clone(message), Arc::clone(exchange), redelivered, now);
        self.serve(now, name, Some(place), dead);
        let Some(queue) = self.queues.get_mut(name) else { return true };
        while queue.overfull(&limits) == Some(Overflow::DropHead) {
            let Some(stored) = queue.pop() else { break };
            dead.push_back(Dead { queue: name.to_owned(), stored, reason: Reason::MaxLen });
        }
        true
    }

    /// Brings dead letters to the exchanges that their queues name, and what dies of it too. Ends because a letter is
    /// dropped where it closes a cycle.
    pub(super) fn bury(&mut self, now: u64, mut dead: VecDeque<Dead>) {
        while let Some(Dead { queue: name, stored, reason }) = dead.pop_front() {
            let Some(queue) = self.queues.get(&name) else { continue };
            let settings = &queue.settings;
            let Some(target) = settings.dead_letter_exchange.clone() else { continue };
            let at_least_once = settings.at_least_once;
            let key = settings.dead_letter_routing_key.as_deref();
            let delivered = stored.redelivered || matches!(reason, Reason::Rejected | Reason::DeliveryLimit);
            let redelivered = delivered && self.version == Version::V4_3;
            let letter = Arc::new(death::dead_letter(&stored, &name, reason, key, now));
            let mut queues = self.route(&target, &letter.routing_key);
            let routed = !queues.is_empty();
            if reason != Reason::Rejected {
                queues.retain(|queue| !death::closes_a_cycle(&letter, queue));
            }
            let exchange: Arc<str> = target.into();
            let mut arrived = routed;
            for queue in queues {
                arrived &= self.enqueue(now, &queue, (&letter, &exchange, redelivered), &mut dead);
            }
            if at_least_once && !arrived {
                self.keep_undelivered(now, &name, stored, reason);
            }
        }
    }

    fn keep_undelivered(&mut self, now: u64, name: &str, stored: Stored, reason: Reason) {
        let most = self.limits.messages_per_queue;
        let Some(queue) = self.queues.get_mut(name) else { return };
        queue.undelivered.push_back((stored, reason));
        // the broker's own bound holds for these too
        while queue.undelivered.len() as u64 > most {
            queue.undelivered.pop_front();
        }
        self.wake_by(Some(now.saturating_add(UNDELIVERED_RETRY_MS)));
    }
}
