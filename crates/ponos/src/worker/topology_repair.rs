//! Declares again what somebody deleted while the worker runs: a rung of the ladder, a dead-letter queue, an exchange.

use crate::{broker::Transport, topology::Topology};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Mutex, time::Instant};

/// The wait between two checks, and between two declarations: many tasks miss the same thing at once.
const BETWEEN: Duration = Duration::from_secs(1);

/// Repairs the topology for the tasks of one queue.
#[derive(Debug)]
pub(crate) struct TopologyRepair {
    transport: Transport,
    topology: Arc<Topology>,
    looked: Mutex<Option<Instant>>,
    declared: Mutex<Option<Instant>>,
}

impl TopologyRepair {
    pub(crate) fn new(transport: Transport, topology: Arc<Topology>) -> Self {
        Self { transport, topology, looked: Mutex::default(), declared: Mutex::default() }
    }

    /// Declares everything that the worker needs, unless that was done a moment ago. A passive worker only finds out what is
    /// missing.
    pub(crate) async fn redeclare(&self) {
        let mut declared = self.declared.lock().await;
        if is_fresh(*declared) {
            return;
        }
        match self.transport.check(&self.topology).await {
            Ok(()) => tracing::warn!(
                "something the worker needs was missing on the broker; everything it needs was declared again"
            ),
            Err(error) => {
                tracing::error!(%error, "something the worker needs is missing on the broker, and can't be declared again")
            }
        }
        *declared = Some(Instant::now());
    }

    /// Makes sure that a queue still exists whose messages would go elsewhere without it; checks once a second at most.
    pub(crate) async fn ensure_queue(&self, queue: &str) {
        let mut looked = self.looked.lock().await;
        if is_fresh(*looked) {
            return;
        }
        // who can't be asked can't be published to either: that is found out there
        if let Ok(None) = self.transport.inspect(queue).await {
            self.redeclare().await;
        }
        // afterwards: an answer may take long, and those who waited for it need no other
        *looked = Some(Instant::now());
    }
}

fn is_fresh(last: Option<Instant>) -> bool {
    last.is_some_and(|last| last.elapsed() < BETWEEN)
}
