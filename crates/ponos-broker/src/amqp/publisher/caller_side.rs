//! The caller's side of a publisher: what is submitted, and the settlements that are to be handed back.

use super::super::super::{PublishOutcome, Publishing, Settlement};
use std::{future::Future, pin::pin, time::Duration};
use tokio::sync::mpsc;

/// Settlements that may wait for the caller before nothing more is taken.
const UNHEARD: usize = 16_384;

/// What is submitted, and what is to be said of it.
pub(super) struct CallerSide {
    pub(super) submitted: mpsc::Receiver<Vec<Publishing>>,
    pub(super) settled: mpsc::Sender<Vec<Settlement>>,
    pub(super) unsaid: Vec<Settlement>,
}

impl CallerSide {
    /// Whether more may be taken.
    pub(super) fn has_room(&self) -> bool {
        self.unsaid.len() < UNHEARD
    }

    /// Awaits `work`; what is submitted meanwhile is lost. `None` when the handle was dropped.
    pub(super) async fn losing_while<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            let speak = !self.unsaid.is_empty();
            let room = self.has_room();
            tokio::select! {
                biased;
                permit = self.settled.reserve(), if speak => match permit {
                    Ok(permit) => permit.send(std::mem::take(&mut self.unsaid)),
                    Err(_) => return None,
                },
                done = &mut work => return Some(done),
                batch = self.submitted.recv(), if room => match batch {
                    Some(batch) => lose(&mut self.unsaid, batch),
                    None => return None,
                },
            }
        }
    }

    /// At the end: what is not said yet, as long as somebody listens, and not for ever.
    pub(super) async fn say_the_rest(&mut self, limit: Duration) {
        self.submitted.close();
        while let Ok(batch) = self.submitted.try_recv() {
            lose(&mut self.unsaid, batch);
        }
        if !self.unsaid.is_empty() {
            let rest = std::mem::take(&mut self.unsaid);
            // Too late or nobody there: both mean that nobody wants to know.
            let _ = tokio::time::timeout(limit, self.settled.send(rest)).await;
        }
    }
}

/// Settles a batch as lost.
pub(in super::super) fn lose(unsaid: &mut Vec<Settlement>, batch: Vec<Publishing>) {
    let lost = |publishing: Publishing| Settlement { token: publishing.token, outcome: PublishOutcome::Lost };
    unsaid.extend(batch.into_iter().map(lost));
}
