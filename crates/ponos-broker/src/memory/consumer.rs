//! The task behind a consumer of the in-memory broker.

use super::{
    Broker,
    core::{NewConsumer, Outgoing},
    link::{self, Connection, Connector},
};
use crate::{Consume, ConsumerTask, Delivery, DeliveryTag, Flow, LinkError, Settle};
use ponos_event::topology::Topology;
use std::{collections::VecDeque, future::pending, sync::Arc};
use tokio::{
    sync::{Notify, oneshot},
    time::sleep_until,
};

/// Why a subscription ended.
enum TwinSubscriptionEnd {
    /// The connection was cut, or the queue could not be consumed again, because of that.
    Lost(LinkError),
    /// The handle was dropped.
    Dropped,
}

pub(super) async fn run(broker: Broker, topology: Topology, mut options: Consume, mut task: ConsumerTask) {
    let mut connector = Connector::new(broker, topology, task.link.clone());
    loop {
        task.renew(&mut options);
        let flow = task.begin(&options);
        if flow == Flow::Stopped {
            // nothing is to come any more, and what was out can't be settled any more
            while !is_dropped_until(&mut connector, &mut task, pending()).await {}
            return;
        }
        let waker = Arc::new(Notify::new());
        let width = options.width(flow);
        let opened = connector.open(|inner, now, connection| {
            let consumer = inner.state.consume(now, connection.wanted(&options, flow, 0))?;
            inner.wakers.insert(consumer, Arc::clone(&waker));
            Ok(consumer)
        });
        let dropped = match opened {
            Some((connection, consumer)) => {
                // the first messages may have come before the waker was known
                waker.notify_one();
                let generation = connector.generation;
                let mut subscription = Subscription {
                    options: options.clone(),
                    width,
                    connection,
                    consumer,
                    generation,
                    last: 0,
                    flow,
                    waker,
                };
                let end = subscription.serve(&mut connector, &mut task).await;
                connector.close(&subscription.connection);
                connector.broker().with(|inner, _| inner.wakers.remove(&subscription.consumer));
                if let TwinSubscriptionEnd::Lost(error) = &end {
                    task.lost(error.clone());
                    connector.show_down(error.clone());
                }
                matches!(end, TwinSubscriptionEnd::Dropped)
            }
            None => match connector.retry_at {
                Some(at) => is_dropped_until(&mut connector, &mut task, sleep_until(at)).await,
                None => false,
            },
        };
        if dropped {
            return;
        }
    }
}

struct Subscription {
    options: Consume,
    /// Its prefetch.
    width: u16,
    connection: Connection,
    consumer: u64,
    generation: u64,
    /// The last tag that was given out.
    last: u64,
    flow: Flow,
    waker: Arc<Notify>,
}

impl Subscription {
    async fn serve(&mut self, connector: &mut Connector, task: &mut ConsumerTask) -> TwinSubscriptionEnd {
        let broker = connector.broker().clone();
        let mut flow = task.flow.subscribe();
        // bounded by the prefetch, for the broker hands out no more
        let mut pending: VecDeque<Outgoing> = VecDeque::new();
        let mut dropped = false;
        let mut asked = None;
        loop {
            if connector.is_cut(&self.connection) {
                return TwinSubscriptionEnd::Lost(link::cut());
            }
            self.turn(&broker, task, *flow.borrow_and_update());
            tokio::select! {
                biased;
                settled = task.settle.recv() => match settled {
                    Some((tag, how)) => {
                        // what was asked for before the settlement is done before it
                        self.turn(&broker, task, *flow.borrow_and_update());
                        self.settle(&broker, tag, how);
                    }
                    None => return TwinSubscriptionEnd::Dropped,
                },
                _ = connector.door.changed() => {}
                () = self.waker.notified() => {
                    match broker.with(|inner, _| inner.state.take_outbox(self.consumer)) {
                        Some(outbox) => {
                            self.last = outbox.back().map_or(self.last, |outgoing| outgoing.tag);
                            pending.extend(outbox);
                        }
                        None if self.flow == Flow::Stopped => {}
                        None => if let Err(error) = self.resubscribe(connector, task) {
                            return TwinSubscriptionEnd::Lost(error);
                        },
                    }
                }
                Ok(place) = task.deliveries.reserve(), if !pending.is_empty() => {
                    if let Some(outgoing) = pending.pop_front() {
                        place.send(outgoing.delivery(self.generation));
                    }
                }
                _ = flow.changed() => {}
                // earlier settlements are still taken, even if a settler is kept
                () = task.deliveries.closed(), if !dropped => {
                    dropped = true;
                    task.settle.close();
                }
                ask = task.arrivals.recv(), if asked.is_none() && !dropped => {
                    asked = ask;
                    // what the broker has given out is looked at once more
                    self.waker.notify_one();
                }
                () = std::future::ready(()), if asked.is_some() && pending.is_empty() => {
                    // an error: nobody waits for it any more
                    let _ = asked.take().map(|asked: oneshot::Sender<u64>| asked.send(self.generation));
                }
            }
        }
    }

    /// Goes over to another flow or prefetch.
    fn turn(&mut self, broker: &Broker, task: &ConsumerTask, wanted: Flow) {
        task.renew(&mut self.options);
        if self.flow == Flow::Stopped || self.flow == wanted && self.width == self.options.width(wanted) {
            return;
        }
        let out = broker.with(|inner, _| inner.state.out(self.consumer));
        let wanted = self.options.reachable(wanted, out);
        let width = self.options.width(wanted);
        let was_paused = self.flow == Flow::Paused;
        let waits =
            wanted == Flow::Narrow && self.flow == Flow::Wide && self.width < self.options.width(Flow::Wide);
        if self.flow == wanted && self.width == width || waits {
            return;
        }
        (self.flow, self.width) = (wanted, width);
        broker.with(|inner, now| match wanted {
            Flow::Paused | Flow::Stopped => inner.state.cancel(now, self.consumer),
            Flow::Narrow | Flow::Wide if was_paused => inner.state.resume(now, self.consumer, width),
            Flow::Narrow | Flow::Wide => inner.state.set_prefetch(now, self.consumer, width),
        });
    }

    /// The broker cancelled it: declares and consumes again on the same connection. What came before can't be settled any
    /// more, for its queue is gone.
    fn resubscribe(&mut self, connector: &Connector, task: &ConsumerTask) -> Result<(), LinkError> {
        self.flow = task.begin(&self.options);
        if self.flow == Flow::Stopped {
            return Ok(());
        }
        self.width = self.options.width(self.flow);
        self.consumer = connector.broker().with(|inner, now| {
            inner.wakers.remove(&self.consumer);
            self.connection.made_up = inner.state.declare(self.connection.id, connector.topology())?;
            let wanted = self.connection.wanted(&self.options, self.flow, self.last);
            let consumer = inner.state.consume(now, wanted)?;
            inner.wakers.insert(consumer, Arc::clone(&self.waker));
            Ok::<_, LinkError>(consumer)
        })?;
        self.waker.notify_one();
        task.cancelled(self.connection.queue(&self.options));
        Ok(())
    }

    fn settle(&self, broker: &Broker, tag: DeliveryTag, how: Settle) {
        if tag.generation == self.generation {
            broker.with(|inner, now| inner.state.settle(now, self.consumer, tag.tag, how));
        }
    }
}

impl Connection {
    fn queue<'a>(&'a self, options: &'a Consume) -> &'a str {
        if options.queue.is_empty() { self.made_up.as_deref().unwrap_or_default() } else { &options.queue }
    }

    fn wanted<'a>(&'a self, options: &'a Consume, flow: Flow, tags: u64) -> NewConsumer<'a> {
        NewConsumer {
            connection: self.id,
            queue: self.queue(options),
            prefetch: options.width(flow),
            exclusive: options.exclusive,
            tags,
            from: options.from,
            paused: !flow.takes(),
        }
    }
}

impl Outgoing {
    pub(super) fn delivery(self, generation: u64) -> Delivery {
        let Self { tag, exchange, message, redelivered } = self;
        Delivery { message, exchange, redelivered, tag: DeliveryTag { generation, tag } }
    }
}

/// Waits for `work` or for news at the door; what is settled meanwhile is void. Whether the handle was dropped.
async fn is_dropped_until(
    connector: &mut Connector,
    task: &mut ConsumerTask,
    work: impl Future<Output = ()>,
) -> bool {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            settled = task.settle.recv() => if settled.is_none() { return true },
            () = task.deliveries.closed() => return true,
            _ = connector.door.changed() => return false,
            () = &mut work => return false,
        }
    }
}
