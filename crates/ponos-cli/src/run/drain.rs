//! `--drain`: asks for the end once the queues are empty and nothing is at work, or what is left can't be had.

use super::activity::{Activity, RunCounts};
use ponos::{
    broker::{QueueState, Transport},
    control::PausedByHand,
    shutdown::{Shutdown, Stage, Trigger},
    worker::{Deliveries, Ended, Liveness, Observed},
};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How often the queues are inspected.
const LOOK: Duration = Duration::from_millis(500);
/// How many inspections in a row must find all queues empty, and all that was given out arrived.
const LOOKS: u32 = 3;
/// How long nothing may have come once nothing is in progress, …
const QUIET: Duration = Duration::from_secs(1);
/// … and once a connection was lost for this, and three heartbeats, longer: see [`DrainWaits::after_loss`].
const MARGIN: Duration = Duration::from_secs(5);
/// The heartbeat of RabbitMQ, which counts if we want none.
const BROKERS_HEARTBEAT: u16 = 60;
/// A queue paused for this long is not waited for, nor are deliveries that have not changed for this long, nor, at least, what
/// does not come.
const STUCK: Duration = Duration::from_secs(30);
/// How many put-off deliveries are told apart; beyond that, at least this many wait, and the answer is the same.
const KNOWN: usize = 100_000;

/// How long a drain waits, by what it was started with.
#[derive(Debug, Clone, Copy)]
pub(super) struct DrainWaits {
    /// How long what was taken in may stand still before it is stuck.
    pub(super) start: Duration,
    /// How long the queues must stay empty once a connection was lost. RabbitMQ gives up one that it did not see end two to three
    /// heartbeats after the last data, and puts back what was out only then.
    after_loss: Duration,
}

impl DrainWaits {
    /// `heartbeat` in seconds, as configured; the broker may only have shortened it.
    pub(super) fn new(start: Duration, heartbeat: u16) -> Self {
        let heartbeat = if heartbeat == 0 { BROKERS_HEARTBEAT } else { heartbeat };
        Self { start, after_loss: Duration::from_secs(u64::from(heartbeat)) * 3 + MARGIN }
    }

    /// How long nothing may come though the queues are not seen empty. Who has the turn may be a consumer that died, which
    /// the broker notices as late as it puts back what was out.
    fn nothing(&self) -> Duration {
        self.start + self.after_loss.max(STUCK)
    }
}

/// How a drain ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Drained {
    /// All queues were seen empty, and nothing was in hand.
    Emptied,
    /// Somebody else asked for the end.
    Stopped,
    /// Something can't be had: what, where nobody else says it.
    Left(Vec<String>),
}

/// Deliveries put off that have not come back, by queue and id. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct PutOffDeliveries(Arc<Mutex<HashSet<QueueAndId>>>);

type QueueAndId = (Arc<str>, String);

impl PutOffDeliveries {
    /// Notes how a delivery ended.
    pub(super) fn note(&self, observed: &Observed) {
        let Observed::Ended { queue, id: Some(id), ended, .. } = observed else { return };
        let one = (Arc::clone(queue), id.to_string());
        let mut waiting = self.lock();
        match ended {
            Ended::Done
            | Ended::HandledAlready
            | Ended::Skipped(_)
            | Ended::Dead(_)
            | Ended::Cancelled(_) => {
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

/// Looks until all queues that nobody paused by hand were seen empty and nothing was in hand; or until one has been paused, or
/// what is in hand has stood still, or nothing has come, for too long; or until somebody else asked for the end.
pub(super) async fn watch(
    transport: Transport,
    queues: Vec<Arc<str>>,
    activity: Activity,
    waits: DrainWaits,
    liveness: Liveness,
    trigger: Trigger,
    asked: Shutdown,
) -> Drained {
    let look = || (activity.counts(), liveness.deliveries());
    let mut since: Option<Still> = None;
    // when something came or was done last, and what had been by then
    let mut progress = (Instant::now(), (RunCounts::default(), 0, 0));
    loop {
        tokio::time::sleep(LOOK).await;
        // a second step would end the work at once
        if asked.stage() != Stage::Running {
            return Drained::Stopped;
        }
        let by_hand = liveness.paused_by_hand();
        let is_by_hand = |queue: &Arc<str>| by_hand.iter().any(|paused| paused.queue == *queue);
        let waited: Vec<Arc<str>> = queues.iter().filter(|queue| !is_by_hand(queue)).cloned().collect();
        let unavailable = liveness.paused().into_iter().filter(|paused| !is_by_hand(&paused.queue));
        if let Some(paused) = unavailable.max_by_key(|paused| paused.lasts) {
            if paused.lasts >= STUCK {
                tracing::warn!(%paused, "the drain does not wait for this queue: its messages stay there");
                trigger.advance();
                return Drained::Left(Vec::new());
            }
            // one may be in our hands, to be tried
            since = None;
            progress.0 = Instant::now();
            continue;
        }
        let before = look();
        // a queue that has given out its last message is empty, and the message may not have come yet
        let empty = all_empty(&transport, &waited).await && liveness.have_all_arrived().await;
        let after = look();
        if asked.stage() != Stage::Running {
            return Drained::Stopped;
        }
        let unsettled = after.1.unsettled;
        let done = (after.0, after.1.taken, unsettled);
        if progress.1 != done || after.0.at_work > 0 {
            progress = (Instant::now(), done);
        }
        // a connection that is lost again and again is not waited for either
        let nothing = waits.nothing() + if empty { waits.after_loss } else { Duration::ZERO };
        if unsettled == 0 && progress.0.elapsed() >= nothing {
            let mut left = left(&transport, &waited, progress.0.elapsed()).await;
            left.extend(stay(&by_hand));
            trigger.advance();
            return Drained::Left(left);
        }
        if before != after || after.0.at_work > 0 {
            since = None;
            continue;
        }
        let still = since.take().filter(|still| still.seen == after);
        let mut still = still.unwrap_or(Still { began: Instant::now(), seen: after, empty: None });
        still.empty = empty.then(|| {
            let (began, looks) = still.empty.unwrap_or((Instant::now(), 0));
            (began, looks + 1)
        });
        let enough = if after.1.losses > 0 { waits.after_loss } else { QUIET };
        if unsettled == 0
            && still.empty.is_some_and(|(began, looks)| began.elapsed() >= enough && looks >= LOOKS)
        {
            trigger.advance();
            if !by_hand.is_empty() {
                return Drained::Left(stay(&by_hand));
            }
            tracing::info!("the queues are empty, and no work is in progress");
            return Drained::Emptied;
        }
        // whatever more the queues hold: it can't come while these fill the prefetch
        if unsettled > 0 && still.began.elapsed() >= waits.start + STUCK {
            tracing::warn!(
                unsettled,
                "the deliveries taken in can't be settled and are not waited for: they go back to their queue"
            );
            trigger.advance();
            return Drained::Left(Vec::new());
        }
        since = Some(still);
    }
}

/// Since when nothing has changed.
struct Still {
    began: Instant,
    seen: (RunCounts, Deliveries),
    /// Since when all queues were found empty too, and how many times.
    empty: Option<(Instant, u32)>,
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

/// What is left in each queue, after nothing came of it for this long.
async fn left(transport: &Transport, queues: &[Arc<str>], nothing: Duration) -> Vec<String> {
    let seconds = nothing.as_secs();
    let mut left = Vec::new();
    for queue in queues {
        let line = match transport.inspect(queue).await {
            Ok(Some(QueueState { ready: 0, .. })) => continue,
            Ok(Some(state)) => held_back(queue, state, seconds),
            Ok(None) => format!("{queue}: there is no such queue"),
            // it would say the same of the others
            Err(error) => {
                left.push(format!(
                    "{queue}: what it holds is not known: nothing came for {seconds} s, and {error}"
                ));
                break;
            }
        };
        left.push(line);
    }
    if left.is_empty() {
        left.push(format!("the connection was lost too often within {seconds} s to see the queues empty"));
    }
    left
}

/// The queues that somebody paused: their messages stay there.
fn stay(by_hand: &[PausedByHand]) -> Vec<String> {
    for paused in by_hand {
        tracing::warn!(%paused, "the drain did not wait for this queue: its messages stay there");
    }
    by_hand.iter().map(ToString::to_string).collect()
}

/// What a queue holds and did not give.
fn held_back(queue: &str, QueueState { ready, consumers }: QueueState, seconds: u64) -> String {
    let who = match consumers {
        0 => "no consumer".to_owned(),
        1 => "1 consumer".to_owned(),
        several => format!("{several} consumers, and another one may have the turn"),
    };
    format!("{queue}: {ready} ready, of which none came for {seconds} s; it has {who}")
}

#[cfg(test)]
mod tests;
