//! The task behind a consumer of the in-memory broker.

use super::{
    Broker,
    core::Outgoing,
    link::{Connection, Line},
};
use crate::{
    broker::{ConsumerTask, Delivery, DeliveryTag, Settle},
    topology::Topology,
};
use std::{collections::VecDeque, sync::Arc};
use tokio::{
    sync::{Notify, mpsc},
    time::sleep_until,
};

/// Why a subscription ended.
enum End {
    /// The connection was cut, or the broker cancelled it.
    Lost,
    /// The handle was dropped.
    Dropped,
}

pub(super) async fn run(
    broker: Broker,
    topology: Topology,
    queue: String,
    prefetch: u16,
    task: ConsumerTask,
) {
    let ConsumerTask { deliveries, mut settle, link } = task;
    let mut line = Line::new(broker, topology, link);
    loop {
        let waker = Arc::new(Notify::new());
        let opened = line.open(|inner, now, connection| {
            let queue =
                if queue.is_empty() { connection.made_up.as_deref().unwrap_or_default() } else { &queue };
            let consumer = inner.state.consume(now, connection.id, queue, prefetch)?;
            inner.wakers.insert(consumer, Arc::clone(&waker));
            Ok(consumer)
        });
        let end = match opened {
            Some((connection, consumer)) => {
                // the first messages may have come before the waker was known
                waker.notify_one();
                let subscription = Subscription { consumer, generation: line.generation, waker };
                let end = subscription.serve(&mut line, &connection, &deliveries, &mut settle).await;
                line.close(&connection);
                line.broker().with(|inner, _| inner.wakers.remove(&consumer));
                if matches!(end, End::Lost) {
                    line.show_down();
                }
                end
            }
            None => pause(&mut line, &mut settle).await,
        };
        if matches!(end, End::Dropped) {
            return;
        }
    }
}

struct Subscription {
    consumer: u64,
    generation: u64,
    waker: Arc<Notify>,
}

impl Subscription {
    async fn serve(
        &self,
        line: &mut Line,
        connection: &Connection,
        deliveries: &mpsc::Sender<Delivery>,
        settle: &mut mpsc::Receiver<(DeliveryTag, Settle)>,
    ) -> End {
        let broker = line.broker().clone();
        // bounded by the prefetch, for the broker hands out no more
        let mut pending: VecDeque<Outgoing> = VecDeque::new();
        loop {
            if line.is_cut(connection) {
                return End::Lost;
            }
            tokio::select! {
                biased;
                settled = settle.recv() => match settled {
                    Some((tag, how)) => self.settle(&broker, tag, how),
                    None => return End::Dropped,
                },
                _ = line.door.changed() => {}
                () = self.waker.notified() => {
                    match broker.with(|inner, _| inner.state.take_outbox(self.consumer)) {
                        Some(outbox) => pending.extend(outbox),
                        None => return End::Lost,
                    }
                }
                Ok(place) = deliveries.reserve(), if !pending.is_empty() => {
                    if let Some(outgoing) = pending.pop_front() {
                        place.send(self.delivery(outgoing));
                    }
                }
            }
        }
    }

    fn settle(&self, broker: &Broker, tag: DeliveryTag, how: Settle) {
        if tag.generation == self.generation {
            broker.with(|inner, now| inner.state.settle(now, self.consumer, tag.tag, how));
        }
    }

    fn delivery(&self, outgoing: Outgoing) -> Delivery {
        let Outgoing { tag, exchange, message, redelivered } = outgoing;
        Delivery { message, exchange, redelivered, tag: DeliveryTag { generation: self.generation, tag } }
    }
}

/// Waits until it is time to connect again; what is settled meanwhile is void.
async fn pause(line: &mut Line, settle: &mut mpsc::Receiver<(DeliveryTag, Settle)>) -> End {
    let Some(retry_at) = line.retry_at else { return End::Lost };
    loop {
        tokio::select! {
            biased;
            settled = settle.recv() => if settled.is_none() { return End::Dropped },
            _ = line.door.changed() => return End::Lost,
            () = sleep_until(retry_at) => return End::Lost,
        }
    }
}
