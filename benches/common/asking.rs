//! Clients of a clock as services are: HTTP on a connection that stays, messages with direct answers; and an answerer that does
//! nothing else.

use futures_util::StreamExt;
use http_body_util::{BodyExt, Full};
use hyper::{Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Consumer, ExchangeKind,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions,
        ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::{net::TcpStream, task::JoinHandle};

/// One connection, one request at a time.
pub struct Http {
    sender: http1::SendRequest<Full<Bytes>>,
}

impl Http {
    pub async fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { sender }
    }

    pub async fn ask(&mut self, method: &str, path: &str, body: String) -> (u16, String) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "127.0.0.1")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        self.sender.ready().await.unwrap();
        let answer = self.sender.send_request(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }
}

/// One connection, whose answers come directly to it.
pub struct Messages {
    _connection: Connection,
    channel: Channel,
    answers: Consumer,
}

/// No two commands have one id.
static LAST: AtomicUsize = AtomicUsize::new(0);

impl Messages {
    pub async fn connect(url: &str) -> Self {
        let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        let no_ack = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let consumed =
            channel.basic_consume("amq.rabbitmq.reply-to".into(), "".into(), no_ack, FieldTable::default());
        let answers = consumed.await.unwrap();
        Self { _connection: connection, channel, answers }
    }

    /// Publishes all, and gives as many answers.
    pub async fn ask_all(&mut self, exchange: &str, kind: &str, bodies: Vec<String>) -> Vec<Vec<u8>> {
        let mut confirms = Vec::new();
        for body in &bodies {
            let properties = BasicProperties::default()
                .with_type(kind.into())
                .with_message_id(format!("bench-{}", LAST.fetch_add(1, Ordering::Relaxed)).into())
                .with_delivery_mode(2)
                .with_user_id("guest".into())
                .with_reply_to("amq.rabbitmq.reply-to".into());
            let options = BasicPublishOptions { mandatory: true, immediate: false };
            let published = self.channel.basic_publish(
                exchange.into(),
                kind.into(),
                options,
                body.as_bytes(),
                properties,
            );
            confirms.push(published.await.unwrap());
        }
        for confirm in confirms {
            assert!(confirm.await.unwrap().is_ack());
        }
        let mut answers = Vec::new();
        while answers.len() < bodies.len() {
            answers.push(self.answers.next().await.unwrap().unwrap().data);
        }
        answers
    }
}

/// Declares an exchange and a quorum queue, and answers what comes there with what it was.
pub async fn echo(url: &str, name: &'static str) -> JoinHandle<()> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let none = FieldTable::default;
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(name.into(), ExchangeKind::Topic, options, none()).await.unwrap();
    let mut quorum = none();
    quorum.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.into(), options, quorum).await.unwrap();
    channel
        .queue_bind(name.into(), name.into(), "#".into(), QueueBindOptions::default(), none())
        .await
        .unwrap();
    let mut asked =
        channel.basic_consume(name.into(), "".into(), BasicConsumeOptions::default(), none()).await.unwrap();
    tokio::spawn(async move {
        let _connection = connection;
        while let Some(one) = asked.next().await {
            let one = one.unwrap();
            let to = one.properties.reply_to().clone().unwrap();
            let options = BasicPublishOptions::default();
            let published =
                channel.basic_publish("".into(), to, options, &one.data, BasicProperties::default());
            drop(published.await.unwrap());
            one.acker.ack(BasicAckOptions::default()).await.unwrap();
        }
    })
}
