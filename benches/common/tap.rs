//! Listens between the clock and its publisher: batches pass through unchanged, and are noted.

use super::measure;
use ponos::broker::{Publisher, Publishing, Settlement};
use tokio::sync::mpsc;

/// What passed.
#[derive(Debug)]
pub enum Passed {
    /// Handed over by the clock: when (nanoseconds since 1970), and tokens with due times if they were asked for.
    Taken { at: i64, count: usize, events: Vec<(u64, i64)> },
    /// Confirmed, or otherwise settled.
    Settled { at: i64, count: usize, tokens: Vec<u64> },
}

/// A publisher for the clock that passes on to `real`. `detailed`: each event is looked at.
pub fn tap(real: Publisher, detailed: bool) -> (Publisher, mpsc::UnboundedReceiver<Passed>) {
    let (ours, task) = Publisher::channel(64);
    let (notes, passed) = mpsc::unbounded_channel();
    let (submit, mut settled, mut real_link) = real.split();
    let (mut submitted, settle, link) = (task.submitted, task.settled, task.link);
    let taken = notes.clone();
    tokio::spawn(async move {
        while let Some(batch) = submitted.recv().await {
            let at = measure::wall();
            let (count, events) = (batch.len(), if detailed { dues(&batch) } else { Vec::new() });
            // No more waits behind the tap than would without it.
            let Ok(mut permits) = submit.reserve_many(submit.max_capacity() - 1).await else { break };
            if let Some(permit) = permits.next() {
                permit.send(batch);
            }
            drop(permits);
            drop(taken.send(Passed::Taken { at, count, events }));
        }
    });
    tokio::spawn(async move {
        while let Some(batch) = settled.recv().await {
            let at = measure::wall();
            let count = batch.len();
            let tokens =
                if detailed { batch.iter().map(|settlement| settlement.token).collect() } else { Vec::new() };
            if settle.send(batch).await.is_err() {
                break;
            }
            drop(notes.send(Passed::Settled { at, count, tokens }));
        }
    });
    tokio::spawn(async move {
        loop {
            link.send_replace(real_link.borrow_and_update().clone());
            if real_link.changed().await.is_err() {
                break;
            }
        }
    });
    (ours, passed)
}

/// A publisher that confirms everything at once.
pub fn confirming() -> Publisher {
    use ponos::broker::{Link, PublishOutcome, PublisherTask};
    let (ours, task) = Publisher::channel(64);
    let PublisherTask { mut submitted, settled, link } = task;
    link.send_replace(Link::Up { generation: 1, broker: "a benchmark".to_owned(), user: None });
    tokio::spawn(async move {
        // Who drops the link is gone.
        let _link = link;
        while let Some(batch) = submitted.recv().await {
            let outcome = PublishOutcome::Confirmed { returned: false };
            let settle = |one: Publishing| Settlement { token: one.token, outcome: outcome.clone() };
            if settled.send(batch.into_iter().map(settle).collect()).await.is_err() {
                break;
            }
        }
    });
    ours
}

/// Tokens and due times in nanoseconds.
fn dues(batch: &[Publishing]) -> Vec<(u64, i64)> {
    let due = |one: &Publishing| {
        let text = one.message.headers.text("cloudEvents_time").unwrap();
        let due: ponos::event::Timestamp = text.parse().unwrap();
        (one.token, due.millis() * 1_000_000)
    };
    batch.iter().map(due).collect()
}
