//! Runs the outbox's relay beside a worker: it begins before the handlers and ends after them.

use super::service::Service;
use crate::{
    broker::Transport,
    shutdown::{Shutdown, Stage, Trigger, shutdown},
    topology::Topology,
};
use std::time::Duration;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

/// How long it may go on after the second request to stop: what was committed a moment ago is sent in that time.
const LAST: Duration = Duration::from_secs(2);

/// A relay at work.
#[derive(Debug)]
pub(crate) struct Relaying {
    trigger: Trigger,
    task: JoinHandle<()>,
}

/// Starts the inbox's relay, on a publisher of its own; `None` for an inbox without an outbox.
pub(crate) fn start(service: &Service, transport: &Transport, topology: &Topology) -> Option<Relaying> {
    let inbox = &service.inbox;
    if !inbox.takes_publishes() {
        return None;
    }
    let relay = inbox.relay(transport.publisher(topology.clone()))?.counting(service.replies_lost.clone());
    let (trigger, shutdown) = shutdown();
    let task = tokio::spawn(async move { Box::pin(relay.run(&shutdown)).await });
    Some(Relaying { trigger, task })
}

impl Relaying {
    /// Lets the relay publish what the outbox holds, for at most `limit`, and not for more than a moment after the second request
    /// to stop; the rest stays in the outbox.
    pub(crate) async fn end(mut self, limit: Duration, shutdown: &Shutdown) {
        self.trigger.advance();
        let ended = tokio::select! {
            biased;
            ended = timeout(limit, &mut self.task) => ended.is_ok(),
            () = async {
                shutdown.reached(Stage::Stopping).await;
                sleep(LAST).await;
            } => false,
        };
        if !ended {
            self.trigger.advance();
            tracing::warn!("the outbox was not empty at the end; relaying goes on at the next start");
            // at this stage it ends at once
            let _ = self.task.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn the_second_request_leaves_it_a_moment_and_no_more() {
        let (trigger, told) = shutdown();
        let task = tokio::spawn(async move { told.reached(Stage::Stopping).await });
        let relaying = Relaying { trigger, task };
        let (signal, asked) = shutdown();
        signal.advance();
        let began = Instant::now();
        let end = relaying.end(Duration::from_secs(30), &asked);
        tokio::join!(end, async {
            sleep(Duration::from_secs(1)).await;
            signal.advance();
        });
        assert_eq!(began.elapsed().as_secs(), 1 + LAST.as_secs());
    }
}
