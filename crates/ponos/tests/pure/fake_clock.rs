//! A clock as its clients meet it: it takes commands from the twin, and answers them as it was told to.

use ponos::{
    broker::{Consume, Consumer, Delivery, Link, Publisher, Publishing, Settle, Transport, memory::Broker},
    event::{Message, Properties},
    topology::{Binding, Exchange, Queue, Topology},
};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;

/// A command that came: its type, its id, and its body.
pub(crate) type Came = (String, String, Value);

/// What it answers to the command of this number, counted from 1: a status with its body, or nothing at all.
pub(crate) type Answers = Box<dyn FnMut(usize, &Came) -> Option<(u16, Value)> + Send>;

pub(crate) struct FakeClock {
    came: Arc<Mutex<Vec<Came>>>,
    task: JoinHandle<()>,
}

impl FakeClock {
    /// Takes commands once this returns.
    pub(crate) async fn start(broker: &Broker, answers: Answers) -> Self {
        let topology = Topology {
            exchanges: vec![Exchange::topic("khronos.commands")],
            queues: vec![Queue::quorum("khronos.commands")],
            bindings: vec![Binding::queue("khronos.commands", "khronos.commands", "#")],
            ..Topology::default()
        };
        broker.declare(&topology).unwrap();
        let transport = Transport::memory(broker.clone());
        let consumer = transport.consumer(topology, Consume::new("khronos.commands"));
        let publisher = transport.publisher(Topology::default());
        for mut link in [consumer.link(), publisher.link()] {
            link.wait_for(|link| matches!(link, Link::Up { .. })).await.unwrap();
        }
        let came = Arc::default();
        let task = tokio::spawn(serve(consumer, publisher, answers, Arc::clone(&came)));
        Self { came, task }
    }

    /// One that does whatever is asked for.
    pub(crate) async fn willing(broker: &Broker) -> Self {
        Self::start(broker, Box::new(|_, _| Some((201, json!({ "name": "made-up", "outcome": "created" })))))
            .await
    }

    pub(crate) fn came(&self) -> Vec<Came> {
        self.came.lock().unwrap().clone()
    }
}

impl Drop for FakeClock {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut consumer: Consumer,
    publisher: Publisher,
    mut answers: Answers,
    came: Arc<Mutex<Vec<Came>>>,
) {
    while let Some(Delivery { message, tag, .. }) = consumer.next().await {
        let Properties { kind, message_id, reply_to, correlation_id, .. } = message.properties;
        let kind = kind.unwrap();
        assert_eq!(message.routing_key, kind);
        let one = (kind, message_id.unwrap(), serde_json::from_slice(&message.body).unwrap());
        let number = {
            let mut came = came.lock().unwrap();
            came.push(one.clone());
            came.len()
        };
        consumer.settle(tag, Settle::Ack).await.unwrap();
        let Some((status, body)) = answers(number, &one) else { continue };
        let answer = match body {
            Value::Null => json!({ "status": status }),
            body if status == 429 => json!({ "status": status, "body": body, "retry_after": 3 }),
            body => json!({ "status": status, "body": body }),
        };
        let message_id = Some(format!("answer-{number}"));
        let properties = Properties { correlation_id, message_id, ..Properties::default() };
        let routing_key = reply_to.unwrap();
        let body = serde_json::to_vec(&answer).unwrap();
        let message = Message { routing_key, properties, body, ..Message::default() };
        let batch = vec![Publishing { token: 0, lane: 0, exchange: "".into(), message }];
        publisher.submit(batch).await.unwrap();
    }
}
