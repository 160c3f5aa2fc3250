//! `--drain`: asks for the end once the queues are empty and nothing is at work, or what is left can't be had.

use super::activity::Activity;
use ponos::{
    broker::Transport,
    shutdown::Trigger,
    worker::{Ended, Liveness, Observed},
};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(500);
/// A queue that has been paused for so long is not waited for.
const PAUSED: Duration = Duration::from_secs(30);
/// So many that were put off are told apart; at least that many are waiting then, and the answer is the same.
const KNOWN: usize = 100_000;

/// What was put off and has not come back, in each queue by its id. Clones are one.
#[derive(Debug, Clone, Default)]
pub(super) struct PutOff(Arc<Mutex<HashSet<QueueAndId>>>);

type QueueAndId = (Arc<str>, String);

impl PutOff {
    /// Notes how a delivery ended.
    pub(super) fn note(&self, observed: &Observed) {
        let Observed::Ended { queue, id: Some(id), ended, .. } = observed else { return };
        let one = (Arc::clone(queue), id.to_string());
        let mut waiting = self.lock();
        match ended {
            Ended::Done | Ended::HandledAlready | Ended::Skipped(_) | Ended::Dead(_) => {
                waiting.remove(&one);
            }
            _ if waiting.len() < KNOWN => {
                waiting.insert(one);
            }
            _ => {}
        }
    }

    /// How many.
    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<QueueAndId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks until all queues were seen empty, and nothing was at work or began, for `quiet`, at least twice (true); or until one
/// has been paused for too long (false).
pub(super) async fn watch(
    transport: Transport,
    queues: Vec<Arc<str>>,
    activity: Activity,
    quiet: Duration,
    liveness: Liveness,
    trigger: Trigger,
) -> bool {
    let mut since: Option<(Instant, u64)> = None;
    loop {
        tokio::time::sleep(LOOK).await;
        if let Some(paused) = liveness.paused().into_iter().max_by_key(|paused| paused.lasts) {
            if paused.lasts >= PAUSED {
                tracing::warn!(%paused, "it is not waited for: what is in the queue stays there");
                trigger.advance();
                return false;
            }
            // one may be in our hands, to be tried
            since = None;
            continue;
        }
        let before = activity.counts();
        let empty = all_empty(&transport, &queues).await;
        let after = activity.counts();
        if !empty || before != after || after.at_work > 0 {
            since = None;
            continue;
        }
        match since {
            Some((began, begun)) if begun == after.begun => {
                if began.elapsed() >= quiet {
                    tracing::info!("the queues are empty, and nothing is at work");
                    trigger.advance();
                    return true;
                }
            }
            _ => since = Some((Instant::now(), after.begun)),
        }
    }
}

/// Whether each queue is there, is consumed, and has nothing ready.
async fn all_empty(transport: &Transport, queues: &[Arc<str>]) -> bool {
    for queue in queues {
        match transport.inspect(queue).await {
            Ok(Some(state)) if state.ready == 0 && state.consumers > 0 => {}
            _ => return false,
        }
    }
    true
}
