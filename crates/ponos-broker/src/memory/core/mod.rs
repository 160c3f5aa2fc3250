//! The broker as a state machine: no runtime, no clock. `now` is in milliseconds since the broker began. A call puts
//! deliveries into the consumers' outboxes; [`BrokerState::take_touched`] returns the consumers to wake.

mod consume;
mod death;
mod declare;
mod exchange;
mod publish;
mod queue;
mod settings;
#[cfg(test)]
mod tests;

pub(crate) use consume::{NewConsumer, Outgoing};
pub(crate) use publish::Published;
pub use settings::Overflow;

use super::{BrokerLimits, QueueStatus, Version};
use crate::{LinkError, LinkErrorClass};
use consume::ConsumerState;
use exchange::{ExchangeState, Exchanges};
use ponos_event::topology::{Destination, Exchange};
use queue::StoredQueue;
use std::collections::{BTreeMap, BTreeSet};

/// RabbitMQ tries a dead letter that reached no queue again after this time (`settle_timeout` of at-least-once).
const UNDELIVERED_RETRY_MS: u64 = 180_000;

/// Everything that the broker holds.
#[derive(Debug)]
pub(crate) struct BrokerState {
    version: Version,
    limits: BrokerLimits,
    exchanges: Exchanges,
    queues: BTreeMap<String, StoredQueue>,
    consumers: BTreeMap<u64, ConsumerState>,
    ids: u64,
    touched: BTreeSet<u64>,
    /// Not later than the first instant at which [`BrokerState::expire`] has something to do.
    wake_at: Option<u64>,
}

impl BrokerState {
    /// An empty broker with the exchanges that RabbitMQ has from the start.
    pub(crate) fn new(version: Version, limits: BrokerLimits) -> Self {
        let built_in =
            [Exchange::topic("amq.topic"), Exchange::direct("amq.direct"), Exchange::fanout("amq.fanout")];
        let exchanges = built_in.map(|exchange| (exchange.name.clone(), ExchangeState::new(exchange)));
        Self {
            version,
            limits,
            exchanges: exchanges.into_iter().collect(),
            queues: BTreeMap::new(),
            consumers: BTreeMap::new(),
            ids: 0,
            touched: BTreeSet::new(),
            wake_at: None,
        }
    }

    /// A number never given before: for connections, consumers and made-up names.
    pub(crate) fn next_id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    /// The consumers for which something happened since the last call.
    pub(crate) fn take_touched(&mut self) -> BTreeSet<u64> {
        std::mem::take(&mut self.touched)
    }

    /// When to call [`BrokerState::expire`] at the latest.
    pub(crate) fn wake_at(&self) -> Option<u64> {
        self.wake_at
    }

    /// The counts of a queue, if it exists.
    pub(crate) fn status(&self, queue: &str) -> Option<QueueStatus> {
        let queue = self.queues.get(queue)?;
        Some(QueueStatus {
            ready: queue.ready() + queue.undelivered.len(),
            unacked: queue.unacked,
            consumers: queue.consumers.len(),
        })
    }

    /// The names of all queues, in order.
    pub(crate) fn queue_names(&self) -> impl Iterator<Item = &str> {
        self.queues.keys().map(String::as_str)
    }

    /// Deletes a queue with all that is in it; its consumers are cancelled. Whether it existed.
    pub(crate) fn delete_queue(&mut self, name: &str) -> bool {
        if self.queues.remove(name).is_none() {
            return false;
        }
        let gone = Destination::Queue(name.to_owned());
        for exchange in self.exchanges.values_mut() {
            exchange.bindings.retain(|(_, destination)| *destination != gone);
        }
        let of_it: Vec<u64> =
            self.consumers.iter().filter(|(_, c)| c.consumes(name)).map(|(id, _)| *id).collect();
        for consumer in of_it {
            self.consumers.remove(&consumer);
            self.touched.insert(consumer);
        }
        true
    }

    /// With it go all bindings from it and to it. Whether it existed.
    pub(crate) fn delete_exchange(&mut self, name: &str) -> bool {
        let gone = Destination::Exchange(name.to_owned());
        for exchange in self.exchanges.values_mut() {
            exchange.bindings.retain(|(_, destination)| *destination != gone);
        }
        self.exchanges.remove(name).is_some()
    }

    /// Drops what a restart does not keep: transient exchanges, queues and messages. All connections must be gone.
    pub(crate) fn forget_transient(&mut self) {
        let transient: Vec<String> = self
            .queues
            .values()
            .filter(|queue| !queue.declared.durable)
            .map(|q| q.declared.name.clone())
            .collect();
        for queue in transient {
            self.delete_queue(&queue);
        }
        self.exchanges.retain(|_, exchange| exchange.declared.durable);
        let exchanges: BTreeSet<String> = self.exchanges.keys().cloned().collect();
        for exchange in self.exchanges.values_mut() {
            let exists =
                |to: &Destination| !matches!(to, Destination::Exchange(name) if !exchanges.contains(name));
            exchange.bindings.retain(|(_, destination)| exists(destination));
        }
        self.queues.values_mut().for_each(StoredQueue::forget_transient);
    }

    fn wake_by(&mut self, at: Option<u64>) {
        self.wake_at = self.wake_at.into_iter().chain(at).min();
    }
}

/// 406.
fn precondition(what: String, remedy: &str) -> LinkError {
    LinkError { class: LinkErrorClass::Inequivalent, what: format!("{what} (406)"), remedy: remedy.into() }
}
