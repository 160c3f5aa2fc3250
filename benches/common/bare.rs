//! lapin alone, the fastest way that was found to use it: chunks of 256 joined, confirms in a deque, a window of 2,000.

use super::{EXCHANGE, QUEUE, measure};
use futures_util::future::join_all;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, PublisherConfirm,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use ponos::event::{HeaderValue, Message};
use std::collections::VecDeque;

const CHUNK: usize = 256;
const WINDOW: usize = 2_000;

/// A connection with one confirm channel.
pub struct Bare {
    connection: Connection,
    pub channel: Channel,
}

impl Bare {
    pub async fn connect(url: &str) -> Self {
        let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        Self { connection, channel }
    }

    /// Publishes `message` that often, each under an id of its own; returns when the last one is confirmed.
    pub async fn burst(&self, message: &Message, count: usize) {
        let (template, body) = (properties(message), &message.body);
        let mut confirms: VecDeque<PublisherConfirm> = VecDeque::with_capacity(WINDOW);
        let mut sent = 0;
        while sent < count {
            let chunk = CHUNK.min(count - sent);
            while confirms.len() + chunk > WINDOW {
                let confirm = confirms.pop_front().unwrap().await.unwrap();
                assert!(confirm.is_ack());
            }
            let publish = (sent..sent + chunk).map(|number| self.publish(message, &template, body, number));
            for confirm in join_all(publish).await {
                confirms.push_back(confirm);
            }
            sent += chunk;
        }
        for confirm in confirms {
            assert!(confirm.await.unwrap().is_ack());
        }
    }

    /// One; nanoseconds from the call to the confirm.
    pub async fn one(&self, message: &Message, template: &BasicProperties, number: usize) -> i64 {
        let start = measure::wall();
        assert!(self.publish(message, template, &message.body, number).await.await.unwrap().is_ack());
        measure::wall() - start
    }

    async fn publish(
        &self,
        message: &Message,
        template: &BasicProperties,
        body: &[u8],
        number: usize,
    ) -> PublisherConfirm {
        let id = format!("00000000-0000-5000-8000-{number:012}");
        let properties = template.clone().with_message_id(id.into());
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let key = message.routing_key.as_str().into();
        let published = self.channel.basic_publish(EXCHANGE.into(), key, options, body, properties).await;
        published.unwrap_or_else(|error| panic!("{error}: {:?}", self.channel.status()))
    }

    /// How many messages the queue of the benchmark has.
    pub async fn waiting(&self) -> usize {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let queue = self.channel.queue_declare(QUEUE.into(), passive, FieldTable::default()).await.unwrap();
        queue.message_count() as usize
    }

    pub async fn close(self) {
        // All is confirmed: how the goodbye ends makes no difference.
        drop(self.connection.close(200, "done".into()).await);
    }
}

/// The same properties and headers that the clock's messages have.
pub fn properties(message: &Message) -> BasicProperties {
    let mut headers = FieldTable::default();
    for (name, value) in message.headers.iter() {
        let value = match value {
            HeaderValue::Int(number) => AMQPValue::LongLongInt(*number),
            HeaderValue::Text(text) => AMQPValue::LongString(text.as_str().into()),
            other => panic!("{other:?}"),
        };
        headers.insert(name.into(), value);
    }
    let own = &message.properties;
    let text = |value: &Option<String>| value.clone().unwrap_or_default().into();
    BasicProperties::default()
        .with_content_type(text(&own.content_type))
        .with_delivery_mode(2)
        .with_timestamp(u64::try_from(own.timestamp.unwrap().millis() / 1000).unwrap())
        .with_type(text(&own.kind))
        .with_app_id(text(&own.app_id))
        .with_user_id("guest".into())
        .with_headers(headers)
}
