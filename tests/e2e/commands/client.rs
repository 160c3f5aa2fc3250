//! A client as a service has one: lapin, and nothing of ours.

use crate::harness::LIMIT;
use futures_util::{FutureExt, StreamExt};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Consumer,
    message::Delivery,
    options::{
        BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tokio::time::timeout;

/// How long an answer is waited for that may never come, before the same is asked again.
const AN_ANSWER: Duration = Duration::from_secs(15);

pub(crate) struct Client {
    connection: Connection,
    channel: Channel,
    replies: Consumer,
    queues: BTreeMap<String, Consumer>,
    /// The user that its messages are said to be of.
    pub(crate) user: Option<String>,
    last: u64,
    /// In front of its message ids: no two clients have the same.
    number: u64,
    /// The message id of the next command.
    id: Option<String>,
}

/// An answer, or another message.
pub(crate) struct Reply {
    pub(crate) status: u64,
    pub(crate) body: Value,
    pub(crate) correlation: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) raw: Vec<u8>,
    headers: FieldTable,
}

impl Reply {
    fn of(delivery: Delivery) -> Self {
        let properties = delivery.properties;
        let text =
            |value: &Option<lapin::types::ShortString>| value.as_ref().map(|text| text.as_str().to_owned());
        let whole: Value = serde_json::from_slice(&delivery.data).unwrap_or_default();
        Self {
            status: whole["status"].as_u64().unwrap_or_default(),
            body: whole["body"].clone(),
            correlation: text(properties.correlation_id()),
            user: text(properties.user_id()),
            headers: properties.headers().clone().unwrap_or_default(),
            raw: delivery.data,
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        match self.headers.inner().get(name)? {
            AMQPValue::LongString(text) => Some(text.to_string()),
            _ => None,
        }
    }
}

impl Client {
    pub(crate) async fn connect(url: &str, user: &str) -> Self {
        Self::try_connect(url, user).await.expect("the broker lets it in")
    }

    /// A client, if the broker lets it in.
    pub(crate) async fn try_connect(url: &str, user: &str) -> Option<Self> {
        let connection = Connection::connect(url, ConnectionProperties::default()).await.ok()?;
        let channel = connection.create_channel().await.ok()?;
        channel.confirm_select(ConfirmSelectOptions::default()).await.ok()?;
        let no_ack = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let replies = channel
            .basic_consume("amq.rabbitmq.reply-to".into(), "replies".into(), no_ack, FieldTable::default())
            .await
            .ok()?;
        static CLIENTS: AtomicU64 = AtomicU64::new(0);
        let (queues, user) = (BTreeMap::new(), Some(user.to_owned()));
        let number = CLIENTS.fetch_add(1, Ordering::Relaxed);
        Some(Self { connection, channel, replies, queues, user, last: 0, number, id: None })
    }

    /// Publishes; the correlation id.
    pub(crate) async fn send(&mut self, kind: &str, body: Value, reply_to: Option<&str>) -> String {
        self.send_raw(kind, kind, body.to_string().as_bytes(), reply_to).await
    }

    /// The same, to be answered to this client.
    pub(crate) async fn send_for_reply(&mut self, kind: &str, body: Value) -> String {
        self.send(kind, body, Some("amq.rabbitmq.reply-to")).await
    }

    pub(crate) async fn send_raw(
        &mut self,
        kind: &str,
        key: &str,
        body: &[u8],
        reply_to: Option<&str>,
    ) -> String {
        let confirm = self.publish(kind, key, body, reply_to).await.expect("the broker takes it");
        assert!(confirm, "the broker has it");
        self.last.to_string()
    }

    /// Publishes many, and waits for the confirms behind; the message ids.
    pub(crate) async fn send_all(&mut self, kind: &str, bodies: impl Iterator<Item = Value>) -> Vec<String> {
        let (mut ids, mut confirms) = (Vec::new(), Vec::new());
        for body in bodies {
            self.last += 1;
            let id = format!("m-{}-{}", self.number, self.last);
            let properties = BasicProperties::default()
                .with_type(kind.into())
                .with_message_id(id.as_str().into())
                .with_correlation_id(self.last.to_string().into())
                .with_delivery_mode(2)
                .with_user_id(self.user.as_deref().unwrap_or_default().into())
                .with_reply_to("amq.rabbitmq.reply-to".into());
            let (options, body) = (BasicPublishOptions::default(), body.to_string());
            let published = self.channel.basic_publish(
                "khronos.commands".into(),
                kind.into(),
                options,
                body.as_bytes(),
                properties,
            );
            confirms.push(published.await.unwrap());
            ids.push(id);
        }
        for confirm in confirms {
            assert!(timeout(LIMIT, confirm).await.expect("a confirm").unwrap().is_ack());
        }
        ids
    }

    /// Whether it is confirmed; `None` if the channel was closed.
    async fn publish(&mut self, kind: &str, key: &str, body: &[u8], reply_to: Option<&str>) -> Option<bool> {
        self.last += 1;
        let id = self.id.take().unwrap_or_else(|| format!("m-{}-{}", self.number, self.last));
        let mut properties = BasicProperties::default()
            .with_type(kind.into())
            .with_message_id(id.into())
            .with_correlation_id(self.last.to_string().into());
        if let Some(user) = &self.user {
            properties = properties.with_user_id(user.as_str().into());
        }
        if let Some(reply_to) = reply_to {
            properties = properties.with_reply_to(reply_to.into());
        }
        let published = self
            .channel
            .basic_publish(
                "khronos.commands".into(),
                key.into(),
                BasicPublishOptions::default(),
                body,
                properties,
            )
            .await
            .ok()?;
        let confirmation = timeout(LIMIT, published).await.expect("an answer of the broker").ok()?;
        Some(confirmation.is_ack())
    }

    /// Whether the broker closes the channel for it.
    pub(crate) async fn is_refused(&mut self, kind: &str, body: Value) -> bool {
        self.publish(kind, kind, body.to_string().as_bytes(), None).await.is_none()
    }

    pub(crate) async fn ask(&mut self, kind: &str, body: Value) -> Reply {
        self.ask_raw(kind, kind, body.to_string().as_bytes()).await
    }

    pub(crate) async fn ask_raw(&mut self, kind: &str, key: &str, body: &[u8]) -> Reply {
        let correlation = self.send_raw(kind, key, body, Some("amq.rabbitmq.reply-to")).await;
        loop {
            let reply = self.reply().await;
            // What was answered before a crash may be answered once more.
            if reply.correlation.as_deref() == Some(&*correlation) {
                return reply;
            }
        }
    }

    /// The message id of the next command.
    pub(crate) fn name(&mut self, id: &str) {
        self.id = Some(id.to_owned());
    }

    /// Asks under this message id.
    pub(crate) async fn ask_as(&mut self, id: &str, kind: &str, body: Value) -> Reply {
        self.name(id);
        self.ask(kind, body).await
    }

    /// An answer, if one has come.
    pub(crate) fn reply_now(&mut self) -> Option<Reply> {
        self.replies.next().now_or_never().flatten().map(|delivery| Reply::of(delivery.unwrap()))
    }

    /// The answer, if the broker lets it ask.
    pub(crate) async fn try_ask(&mut self, kind: &str, body: Value) -> Option<Reply> {
        self.publish(kind, kind, body.to_string().as_bytes(), Some("amq.rabbitmq.reply-to")).await?;
        let reply = timeout(AN_ANSWER, self.replies.next()).await.ok()??;
        Some(Reply::of(reply.ok()?))
    }

    /// The next answer.
    pub(crate) async fn reply(&mut self) -> Reply {
        let delivery = timeout(LIMIT, self.replies.next()).await.expect("an answer in time");
        Reply::of(delivery.expect("the channel is open").unwrap())
    }

    /// Drops the answers that have come.
    pub(crate) fn forget(&mut self) {
        while self.reply_now().is_some() {}
    }

    /// A queue, bound if that is wanted.
    pub(crate) async fn declare(&mut self, queue: &str, bound: Option<(&str, &str)>) {
        let (options, none) = (QueueDeclareOptions::default(), FieldTable::default());
        self.channel.queue_declare(queue.into(), options, none.clone()).await.unwrap();
        if let Some((exchange, key)) = bound {
            let options = QueueBindOptions::default();
            self.channel.queue_bind(queue.into(), exchange.into(), key.into(), options, none).await.unwrap();
        }
    }

    /// The next message of a queue.
    pub(crate) async fn next_of(&mut self, queue: &str) -> Reply {
        if !self.queues.contains_key(queue) {
            let no_ack = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
            let consumer = self
                .channel
                .basic_consume(queue.into(), queue.into(), no_ack, FieldTable::default())
                .await
                .unwrap();
            self.queues.insert(queue.to_owned(), consumer);
        }
        let consumer = self.queues.get_mut(queue).unwrap();
        let delivery = timeout(LIMIT, consumer.next()).await.expect("a message in time");
        Reply::of(delivery.unwrap().unwrap())
    }

    pub(crate) async fn close(self) {
        self.connection.close(0, "".into()).await.unwrap();
    }
}
