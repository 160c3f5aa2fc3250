//! RabbitMQ or its in-memory twin, behind one type.

use super::{Consume, Consumer, LinkError, Publisher, Requester, amqp, memory};
use ponos_event::topology::Topology;
use std::sync::Arc;
use tokio::sync::watch;

/// RabbitMQ or its in-memory twin; clones stand for the same connections.
#[derive(Debug, Clone)]
pub struct Transport(Adapter);

#[derive(Debug, Clone)]
enum Adapter {
    Amqp(Arc<amqp::SharedConnection>),
    Memory(memory::Broker),
}

/// The state of a queue, as the broker reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueState {
    /// Messages that wait for a consumer.
    pub ready: u64,
    /// Consumers of the queue, ours and others.
    pub consumers: u64,
}

impl Transport {
    /// RabbitMQ. Nothing is connected yet. All consumers share one connection, which is made for the first and closed
    /// with the last; each publisher has its own. What failed for one is tried last by all.
    pub fn amqp(config: amqp::AmqpConfig) -> Self {
        Self(Adapter::Amqp(Arc::new(amqp::SharedConnection::new(config))))
    }

    /// The in-memory twin.
    pub fn memory(broker: memory::Broker) -> Self {
        Self(Adapter::Memory(broker))
    }

    /// A publisher, which declares `topology` whenever it connects. Must be called within a tokio runtime.
    pub fn publisher(&self, topology: Topology) -> Publisher {
        match &self.0 {
            Adapter::Amqp(shared) => amqp::publisher(shared.config().clone(), topology),
            Adapter::Memory(broker) => broker.publisher(topology),
        }
    }

    /// A publisher that declares `topology` as it is whenever it connects to RabbitMQ; the twin takes it as it is now.
    /// Must be called within a tokio runtime.
    pub fn publisher_following(&self, topology: watch::Receiver<Topology>) -> Publisher {
        match &self.0 {
            Adapter::Amqp(shared) => amqp::publisher_following(shared.config().clone(), topology),
            Adapter::Memory(broker) => broker.publisher(topology.borrow().clone()),
        }
    }

    /// A consumer, which declares `topology` whenever it subscribes. Must be called within a tokio runtime. A connection
    /// that is lost is lost for all consumers; a channel that the broker closes (something could not be declared, a
    /// delivery was held too long) is lost for this one alone.
    pub fn consumer(&self, topology: Topology, options: Consume) -> Consumer {
        match &self.0 {
            Adapter::Amqp(shared) => amqp::consumer(Arc::clone(shared), topology, options),
            Adapter::Memory(broker) => broker.consumer(topology, options),
        }
    }

    /// A requester on a connection of its own, for messages that are answered. Must be called within a tokio runtime.
    pub fn requester(&self) -> Requester {
        match &self.0 {
            Adapter::Amqp(shared) => amqp::requester(shared.config().clone()),
            Adapter::Memory(broker) => broker.requester(),
        }
    }

    /// Looks at a queue without touching it; `None` if there is none of that name. On the connection of the consumers if
    /// they have one, else on one made for it.
    ///
    /// # Errors
    /// [`LinkError`] when the broker can't be asked.
    pub async fn inspect(&self, queue: &str) -> Result<Option<QueueState>, LinkError> {
        match &self.0 {
            Adapter::Amqp(shared) => shared.inspect(queue).await,
            Adapter::Memory(broker) => broker.inspect(queue),
        }
    }

    /// Connects once, declares `topology` once, and closes: the check of a first start, before anything runs.
    ///
    /// # Errors
    /// [`LinkError`] with what is wrong and what to do.
    pub async fn check(&self, topology: &Topology) -> Result<(), LinkError> {
        match &self.0 {
            Adapter::Amqp(shared) => amqp::check(shared.config(), topology).await,
            Adapter::Memory(broker) => broker.check(topology),
        }
    }
}
