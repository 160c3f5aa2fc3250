//! The outbox's relay beside a running worker: it begins before the handlers, and ends after them.

use crate::{
    broker::Transport,
    inbox::Inbox,
    shutdown::{Trigger, shutdown},
    topology::Topology,
};
use std::time::Duration;
use tokio::{task::JoinHandle, time::timeout};

/// A relay at work.
#[derive(Debug)]
pub(crate) struct Relaying {
    trigger: Trigger,
    task: JoinHandle<()>,
}

/// Starts the inbox's relay, on a publisher of its own; `None` for an inbox without an outbox.
pub(crate) fn start(inbox: &Inbox, transport: &Transport, topology: &Topology) -> Option<Relaying> {
    if !inbox.takes_publishes() {
        return None;
    }
    let relay = inbox.relay(transport.publisher(topology.clone()))?;
    let (trigger, shutdown) = shutdown();
    let task = tokio::spawn(async move { Box::pin(relay.run(&shutdown)).await });
    Some(Relaying { trigger, task })
}

impl Relaying {
    /// Lets it publish what is there, for at most so long; what is left stays in the outbox.
    pub(crate) async fn end(mut self, limit: Duration) {
        self.trigger.advance();
        if timeout(limit, &mut self.task).await.is_err() {
            self.trigger.advance();
            tracing::warn!(
                "the outbox was not emptied in {} s; it goes on at the next start",
                limit.as_secs()
            );
            // at this stage it ends at once
            let _ = self.task.await;
        }
    }
}
