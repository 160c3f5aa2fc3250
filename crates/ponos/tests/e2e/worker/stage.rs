//! A worker whose handler stands still in the middle of a task until it is let go, and then does what the payload says.

use super::{NAME, QUEUE};
use crate::real::{event, holds, support::LIMIT};
use ponos::{
    broker::Transport,
    event::Message,
    prelude::*,
    topology::{
        Binding, Queue, Topology,
        worker::{LADDER, PARKING},
    },
    worker::Backoff,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use testkit::{Node, wait_until};
use tokio::sync::watch;

/// What a handler publishes, and the queue where that lies.
pub(crate) const COUNTED: &str = "order.parcel.counted";

/// `does`: `publish`, `fail` (at the first attempt), `refuse`; anything else is done. It waits for that gate before.
pub(crate) fn job(id: &str, does: &str, gate: &str) -> Message {
    event(id, NAME, &json!({ "does": does, "gate": gate }))
}

#[derive(Clone)]
pub(crate) struct Stage {
    open: Arc<watch::Sender<Vec<&'static str>>>,
    ran: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self { open: Arc::new(watch::Sender::new(Vec::new())), ran: Arc::default() }
    }

    /// A retry goes by way of the first rung. A handler may stand for as long as the test's machine needs: one that times
    /// out behind its gate is tried again, and has run twice.
    pub(crate) fn worker(&self, policy: Policy) -> Worker {
        let (stage, policy) = (self.clone(), policy.timeout(LIMIT * 5));
        let handler = move |payload: Value, ctx: Context| stage.clone().act(payload, ctx);
        let backoff = Backoff { first: Duration::from_millis(1_200), jitter: 0.0, ..Backoff::default() };
        Worker::new("shop")
            .on::<Value>(NAME, handler.with(policy.backoff(backoff)))
            .publishes::<Value>(COUNTED)
    }

    async fn act(self, payload: Value, ctx: Context) -> HandlerResult {
        let text = |field: &str| payload[field].as_str().unwrap_or_default();
        *self.ran.lock().unwrap().entry(ctx.id().to_string()).or_default() += 1;
        let (gate, mut open) = (text("gate"), self.open.subscribe());
        open.wait_for(|open| gate.is_empty() || open.contains(&gate)).await?;
        match text("does") {
            "publish" => ctx.publish(COUNTED, &payload)?,
            "fail" if ctx.attempt() == 1 => return Err(Failure::new("not yet")),
            "refuse" => return Ok(Outcome::dead("not ours")),
            _ => {}
        }
        Ok(Done)
    }

    pub(crate) fn open(&self, gate: &'static str) {
        self.open.send_modify(|open| open.push(gate));
    }

    /// How often its handler was begun.
    pub(crate) fn ran(&self, id: &str) -> usize {
        self.ran.lock().unwrap().get(id).copied().unwrap_or_default()
    }

    /// Waits until the handlers of all of these were begun.
    pub(crate) async fn entered(&self, ids: &[&str]) {
        wait_until(&format!("{ids:?} to be begun"), LIMIT, async || {
            ids.iter().all(|id| self.ran(id) > 0).then_some(())
        })
        .await;
    }
}

/// Where what handlers publish lies.
pub(crate) async fn declare_counted(url: &str) {
    let topology = Topology {
        exchanges: vec![ponos::topology::Exchange::topic("events")],
        queues: vec![Queue::classic(COUNTED)],
        bindings: vec![Binding::queue("events", COUNTED, COUNTED)],
        ..Topology::default()
    };
    Transport::amqp(crate::real::support::config(url)).check(&topology).await.unwrap();
}

/// Once the worker is gone, and with it what was unacked: nothing goes around, nothing was left.
pub(crate) async fn nothing_is_left(node: &Node, vhost: &str) {
    wait_until("the consumer to be gone", LIMIT, async || {
        node.queue(vhost, QUEUE).filter(|(_, consumers)| *consumers == 0)
    })
    .await;
    for queue in LADDER.iter().map(|(rung, _)| *rung).chain([QUEUE, PARKING]) {
        holds(node, vhost, queue, 0).await;
    }
}
