//! What came out at the other end.

use crate::real::support;
use ponos::{
    broker::{Consume, Settle, Transport},
    event::Message,
    topology::Topology,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

/// All that came to a queue, by message id, and how often.
#[derive(Clone, Default)]
pub(crate) struct Came(Arc<Mutex<HashMap<String, (Message, usize)>>>);

impl Came {
    /// Takes everything that comes to the queue, whatever becomes of the broker; `ack`s it or leaves it there.
    pub(crate) fn watch(url: &str, queue: &str, ack: bool) -> Self {
        let came = Self::default();
        let noted = came.clone();
        let options = Consume::new(queue).prefetch(if ack { 500 } else { 60_000 });
        let mut consumer = Transport::amqp(support::config(url)).consumer(Topology::default(), options);
        tokio::spawn(async move {
            while let Some(delivery) = consumer.next().await {
                let id = delivery.message.properties.message_id.clone().unwrap();
                noted.0.lock().unwrap().entry(id).or_insert_with(|| (delivery.message.clone(), 0)).1 += 1;
                if ack && consumer.settle(delivery.tag, Settle::Ack).await.is_err() {
                    return;
                }
            }
        });
        came
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    pub(crate) fn all(&self) -> Vec<Message> {
        self.0.lock().unwrap().values().map(|(message, _)| message.clone()).collect()
    }

    pub(crate) fn twice(&self) -> usize {
        self.0.lock().unwrap().values().filter(|(_, count)| *count > 1).count()
    }
}
