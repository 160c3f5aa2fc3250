//! What comes of the schedules of 100 ms: how late it was sent, whether any was early, whether any is missing.

use super::{EXCHANGE, QUEUE, measure::quantile, program::TICKING, topology};
use futures_util::StreamExt;
use lapin::{
    Connection, ConnectionProperties,
    options::BasicConsumeOptions,
    types::{AMQPValue, FieldTable},
};
use ponos::{
    broker::amqp::{self, AmqpConfig},
    event::Timestamp,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::task::JoinHandle;

/// Consumes them as long as it lives.
pub struct Ticks {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    /// Due times, by schedule.
    due: BTreeMap<String, BTreeSet<i64>>,
    /// Milliseconds from due to handed over.
    late: Vec<f64>,
}

impl Ticks {
    pub async fn start(url: &str) -> Self {
        amqp::check(&AmqpConfig::parse(url).unwrap(), &topology(false)).await.unwrap();
        let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let no_ack = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let mut events =
            channel.basic_consume(QUEUE.into(), "".into(), no_ack, FieldTable::default()).await.unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let noted = seen.clone();
        let task = tokio::spawn(async move {
            let _connection = connection;
            while let Some(event) = events.next().await {
                let event = event.unwrap();
                let headers = event.properties.headers().clone().unwrap_or_default();
                let text = |name: &str| match headers.inner().get(name) {
                    Some(AMQPValue::LongString(text)) => text.to_string(),
                    other => panic!("{name} is {other:?}: {EXCHANGE}"),
                };
                let instant = |name: &str| text(name).parse::<Timestamp>().unwrap().millis();
                let (due, sent) = (instant("cloudEvents_time"), instant("cloudEvents_recordedtime"));
                let mut seen = noted.lock().unwrap();
                if seen.due.entry(text("cloudEvents_subject")).or_default().insert(due) {
                    seen.late.push((sent - due) as f64);
                }
            }
        });
        Self { seen, task }
    }

    /// Waits until each schedule was heard of; forgets these.
    pub async fn until_some(&self) {
        self.until(5).await;
        self.forget();
    }

    /// Waits until each schedule was heard of more often than this.
    pub async fn until(&self, times: usize) {
        while self.seen.lock().unwrap().due.values().filter(|due| due.len() > times).count() < TICKING {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub fn forget(&self) {
        *self.seen.lock().unwrap() = Seen::default();
    }

    /// In words.
    pub fn stop(self) -> String {
        self.task.abort();
        let seen = self.seen.lock().unwrap();
        let [p50, p99, most] = [0.5, 0.99, 1.0].map(|part| quantile(&seen.late, part));
        let early = seen.late.iter().filter(|late| **late < 0.0).count();
        let lost: i64 = seen
            .due
            .values()
            .map(|due| (due.last().unwrap() - due.first().unwrap()) / 100 + 1 - due.len() as i64)
            .sum();
        format!(
            "{} events, late p50 {p50:.0} ms, p99 {p99:.0}, at most {most:.0}; {early} early, {lost} lost",
            seen.late.len()
        )
    }
}
