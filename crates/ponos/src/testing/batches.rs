//! Several messages at once, for handlers of batches.

use super::{Kit, PATIENCE};
use crate::{
    event::{EventId, EventName, Message},
    inbox::Held,
    topology::worker::{EVENTS, TASKS},
};
use serde::Serialize;
use std::sync::Arc;

impl Kit {
    /// Publishes an event with each of these data, all at once; returns their ids. A handler of batches gets them together, as far as
    /// its policy goes: [`Kit::settled`] waits until their batches have ended, those whose window has to pass included.
    ///
    /// # Panics
    /// If the name is not valid, or the data can't be written as JSON.
    pub async fn publish_all(&mut self, name: &str, data: &[impl Serialize]) -> Vec<EventId> {
        let events = data.iter().map(|data| self.event(name, data)).collect::<Vec<_>>();
        let ids = events.iter().map(|event| event.id.clone()).collect();
        let messages = events.into_iter().map(|event| event.into_message());
        self.publish_messages(EVENTS, messages.collect()).await;
        ids
    }

    /// Sends a task with each of these data to the worker's service, all at once; returns their ids.
    ///
    /// # Panics
    /// If the name is not valid, the data can't be written as JSON, or the service has no such task.
    pub async fn task_all(&mut self, name: &str, data: &[impl Serialize]) -> Vec<EventId> {
        if let Err(why) = EventName::of_task(name) {
            panic!("'{name}': {why}");
        }
        let events = data.iter().map(|data| self.event(name, data)).collect::<Vec<_>>();
        let ids = events.iter().map(|event| event.id.clone()).collect();
        let key = format!("{}.{name}", self.source.trim_start_matches('/'));
        let messages =
            events.into_iter().map(|event| Message { routing_key: key.clone(), ..event.into_message() });
        self.publish_messages(TASKS, messages.collect()).await;
        ids
    }

    /// Publishes messages unchanged, all at once. Each must have an id.
    ///
    /// # Panics
    /// If one has no valid id, or they are not confirmed.
    pub async fn publish_messages(&mut self, exchange: &str, messages: Vec<Message>) {
        let held = |message: Message| {
            let id = message.properties.message_id.as_deref().unwrap_or_default();
            let id = id.parse().unwrap_or_else(|why| panic!("'{id}': {why}"));
            Held { id, exchange: Arc::from(exchange), message, due: None }
        };
        let held = messages.into_iter().map(held).collect();
        if let Err(why) = self.publisher.publish(held, PATIENCE).await {
            panic!("nothing was published: {why}");
        }
    }
}
