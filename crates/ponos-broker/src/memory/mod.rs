//! The in-memory twin of RabbitMQ, on tokio time: for tests of workers, and the clock's embedded default.
//!
//! It does what RabbitMQ 3.10 does (or, if told so, 4.3: [`Version`]) for topic, direct, fanout and default exchanges, exchange-to-exchange bindings,
//! alternate exchanges, confirms, returns, prefetch, settling, redelivery and delivery counts, time to live,
//! dead-lettering with `x-death`, delivery limits, maximum lengths, single active consumers, exclusive, auto-delete and
//! temporary queues, streams, and inequivalent declarations; `crates/ponos-broker/tests/broker_conformance` holds both to it.
//!
//! Its state is a machine of its own (`core`, without runtime and clock); a small task per handle moves messages.
//! Nothing is kept when it is dropped. Absent: priorities, `x-expires`, policies, users and permissions,
//! headers exchanges, transactions. `time` in `x-death` counts from 1970 as of the broker's beginning, for it knows no
//! other time than tokio's.

mod consumer;
mod core;
mod limits;
mod link;
mod publisher;
mod requester;
mod timer;

pub use self::{
    core::Overflow,
    limits::{BrokerLimits, QueueStatus, Version},
};

use self::core::BrokerState;
use super::{Consume, Consumer, Delivery, LinkError, Publisher, QueueState, Requester};
use ponos_event::topology::{Binding, Topology};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

/// How many batches wait in either direction of a publisher.
const BATCHES: usize = 64;

/// An in-memory broker; clones are handles onto the same one.
#[derive(Clone)]
pub struct Broker(Arc<SharedBroker>);

struct SharedBroker {
    inner: Mutex<BrokerInner>,
    began: Instant,
    door: watch::Sender<Door>,
    /// The timer sleeps on it; it outlives this, so that the timer learns of the end.
    timer: Arc<Notify>,
}

struct BrokerInner {
    state: BrokerState,
    connections: BTreeSet<u64>,
    /// By consumer: wakes the task that brings its deliveries.
    wakers: BTreeMap<u64, Arc<Notify>>,
    timer_runs: bool,
}

/// Faults that tests inject into all connections at once.
#[derive(Debug, Clone, Default)]
struct Door {
    /// Counts how often all connections were cut.
    cuts: u64,
    /// Nobody can connect.
    stopped: bool,
    /// Why publishing is blocked.
    blocked: Option<String>,
    /// Publishings arrive, but their confirms are kept back.
    holding: bool,
}

impl Broker {
    /// An empty broker with the default limits.
    pub fn new() -> Self {
        Self::with_limits(BrokerLimits::default())
    }

    /// An empty broker with these limits.
    pub fn with_limits(limits: BrokerLimits) -> Self {
        Self::build(Version::default(), limits)
    }

    /// An empty broker with the default limits that behaves like this version of RabbitMQ.
    pub fn like(version: Version) -> Self {
        Self::build(version, BrokerLimits::default())
    }

    fn build(version: Version, limits: BrokerLimits) -> Self {
        let inner = BrokerInner {
            state: BrokerState::new(version, limits),
            connections: BTreeSet::new(),
            wakers: BTreeMap::new(),
            timer_runs: false,
        };
        Self(Arc::new(SharedBroker {
            inner: Mutex::new(inner),
            began: Instant::now(),
            door: watch::Sender::new(Door::default()),
            timer: Arc::new(Notify::new()),
        }))
    }

    /// A publisher with a connection of its own, which declares `topology` whenever it connects. Every publishing is
    /// mandatory. Must be called within a tokio runtime.
    pub fn publisher(&self, topology: Topology) -> Publisher {
        self.start_timer();
        let (publisher, task) = Publisher::channel(BATCHES);
        tokio::spawn(publisher::run(self.clone(), topology, task));
        publisher
    }

    /// A consumer with a connection of its own, which declares `topology` whenever it subscribes. An empty queue name means
    /// the queue of `topology` without a name ([`Queue::temporary`](ponos_event::topology::Queue::temporary)): the broker makes
    /// a name up each time, and bindings to the queue "" bind it. Must be called within a tokio runtime.
    pub fn consumer(&self, topology: Topology, options: Consume) -> Consumer {
        self.start_timer();
        let (consumer, task) = Consumer::channel(&options);
        tokio::spawn(consumer::run(self.clone(), topology, options, task));
        consumer
    }

    /// A requester; what it asks with is answered through the default exchange, under the `reply_to` of its message. Must be
    /// called within a tokio runtime.
    pub fn requester(&self) -> Requester {
        let (requester, task) = Requester::channel(BATCHES);
        tokio::spawn(requester::run(self.clone(), task));
        requester
    }

    /// Declares `topology` without a connection (exclusive queues in it belong to nobody).
    ///
    /// # Errors
    /// As a publisher's link would show it.
    pub fn declare(&self, topology: &Topology) -> Result<(), LinkError> {
        self.with(|inner, _| inner.state.declare(0, topology).map(drop))
    }

    /// Connects, declares `topology` and goes again.
    pub(super) fn check(&self, topology: &Topology) -> Result<(), LinkError> {
        self.reachable()?;
        self.with(|inner, now| {
            let connection = inner.state.next_id();
            let declared = inner.state.declare(connection, topology);
            inner.state.disconnect(now, connection);
            declared.map(drop)
        })
    }

    pub(super) fn inspect(&self, queue: &str) -> Result<Option<QueueState>, LinkError> {
        self.reachable()?;
        let state = |status: QueueStatus| QueueState {
            ready: status.ready as u64,
            consumers: status.consumers as u64,
        };
        Ok(self.queue_status(queue).map(state))
    }

    fn reachable(&self) -> Result<(), LinkError> {
        if self.0.door.borrow().stopped { Err(link::unreachable()) } else { Ok(()) }
    }

    /// Cuts all connections: publishings that wait for a confirm are lost, what is unsettled goes back to its queue,
    /// exclusive queues go. The handles connect again at once.
    pub fn disconnect_all(&self) {
        self.cut(|_| {});
    }

    /// Stops the broker: all connections are cut, transient things are gone, and nobody can connect until
    /// [`Broker::start`].
    pub fn stop(&self) {
        self.cut(|door| door.stopped = true);
        self.with(|inner, _| inner.state.forget_transient());
    }

    /// Starts it again after [`Broker::stop`].
    pub fn start(&self) {
        self.0.door.send_modify(|door| door.stopped = false);
    }

    /// Accepts no publishing any more, as at a memory alarm.
    pub fn block(&self, reason: impl Into<String>) {
        let reason = reason.into();
        self.0.door.send_modify(|door| door.blocked = Some(reason));
    }

    /// Ends [`Broker::block`].
    pub fn unblock(&self) {
        self.0.door.send_modify(|door| door.blocked = None);
    }

    /// Keeps confirms back while `hold`: what is published arrives, and its publisher doesn't know.
    pub fn hold_confirms(&self, hold: bool) {
        self.0.door.send_modify(|door| door.holding = hold);
    }

    /// How many messages of a queue are ready; `None` if it does not exist.
    pub fn queue_depth(&self, queue: &str) -> Option<usize> {
        self.queue_status(queue).map(|status| status.ready)
    }

    /// The counts of a queue; `None` if it does not exist.
    pub fn queue_status(&self, queue: &str) -> Option<QueueStatus> {
        self.with(|inner, _| inner.state.status(queue))
    }

    /// All queues by name, with what is in them.
    pub fn queues(&self) -> BTreeMap<String, QueueStatus> {
        self.with(|inner, _| {
            let state = &inner.state;
            state.queue_names().filter_map(|name| Some((name.to_owned(), state.status(name)?))).collect()
        })
    }

    /// The messages that wait in a queue from its head on, left where they are (their tags can't be settled).
    pub fn peek(&self, queue: &str) -> Vec<Delivery> {
        let waiting = self.with(|inner, _| inner.state.peek(queue));
        waiting.into_iter().map(|outgoing| outgoing.delivery(0)).collect()
    }

    /// Deletes a queue with what is in it; its consumers are cancelled, declare it again and go on. Whether it existed.
    pub fn delete_queue(&self, queue: &str) -> bool {
        self.with(|inner, _| inner.state.delete_queue(queue))
    }

    /// Deletes an exchange with all bindings from it and to it; a publisher that declares it does so again when it publishes
    /// there. Whether it existed.
    pub fn delete_exchange(&self, exchange: &str) -> bool {
        self.with(|inner, _| inner.state.delete_exchange(exchange))
    }

    /// Takes a binding away. Whether it existed.
    pub fn unbind(&self, binding: &Binding) -> bool {
        self.with(|inner, _| inner.state.unbind(binding))
    }

    /// Takes the message at the head of a queue out of it for good (its tag can't be settled).
    pub fn get(&self, queue: &str) -> Option<Delivery> {
        let outgoing = self.with(|inner, now| inner.state.get(now, queue))?;
        Some(outgoing.delivery(0))
    }

    /// Does `work` on the state, then wakes the tasks concerned.
    fn with<T>(&self, work: impl FnOnce(&mut BrokerInner, u64) -> T) -> T {
        let mut inner = self.lock();
        let now = u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let before = inner.state.wake_at();
        let result = work(&mut inner, now);
        for consumer in inner.state.take_touched() {
            if let Some(waker) = inner.wakers.get(&consumer) {
                waker.notify_one();
            }
        }
        if inner.state.wake_at() != before {
            self.0.timer.notify_one();
        }
        result
    }

    fn cut(&self, and: impl FnOnce(&mut Door)) {
        self.with(|inner, now| {
            for connection in std::mem::take(&mut inner.connections) {
                inner.state.disconnect(now, connection);
            }
            // within the lock, so that nobody connects between the two
            self.0.door.send_modify(|door| {
                door.cuts += 1;
                and(door);
            });
        });
    }

    fn lock(&self) -> MutexGuard<'_, BrokerInner> {
        // a panic elsewhere leaves no half-done change that could do harm here
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start_timer(&self) {
        if !std::mem::replace(&mut self.lock().timer_runs, true) {
            tokio::spawn(timer::run(Arc::downgrade(&self.0), Arc::clone(&self.0.timer)));
        }
    }
}

impl Default for Broker {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").field("door", &*self.0.door.borrow()).finish_non_exhaustive()
    }
}

impl Drop for SharedBroker {
    fn drop(&mut self) {
        self.timer.notify_one();
    }
}
