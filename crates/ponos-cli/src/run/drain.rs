//! `--drain`: asks for the end once the queues are empty and nothing is at work, or what is left can't be had.

use super::activity::{Activity, RunCounts};
use ponos::{
    broker::Transport,
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
/// A queue paused for this long is not waited for, nor are deliveries that have not changed for this long.
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

/// Looks until all queues were seen empty and nothing was in hand (true); or until one has been paused, or what is in
/// hand has stood still for too long, or somebody else asked for the end (false).
pub(super) async fn watch(
    transport: Transport,
    queues: Vec<Arc<str>>,
    activity: Activity,
    waits: DrainWaits,
    liveness: Liveness,
    trigger: Trigger,
    asked: Shutdown,
) -> bool {
    let look = || (activity.counts(), liveness.deliveries());
    let mut since: Option<Still> = None;
    loop {
        tokio::time::sleep(LOOK).await;
        // a second step would end the work at once
        if asked.stage() != Stage::Running {
            return false;
        }
        if let Some(paused) = liveness.paused().into_iter().max_by_key(|paused| paused.lasts) {
            if paused.lasts >= STUCK {
                tracing::warn!(%paused, "the drain does not wait for this queue: its messages stay there");
                trigger.advance();
                return false;
            }
            // one may be in our hands, to be tried
            since = None;
            continue;
        }
        let before = look();
        // a queue that has given out its last message is empty, and the message may not have come yet
        let empty = all_empty(&transport, &queues).await && liveness.have_all_arrived().await;
        let after = look();
        if asked.stage() != Stage::Running {
            return false;
        }
        if before != after || after.0.at_work > 0 {
            since = None;
            continue;
        }
        let unsettled = after.1.unsettled;
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
            tracing::info!("the queues are empty, and no work is in progress");
            trigger.advance();
            return true;
        }
        // whatever more the queues hold: it can't come while these fill the prefetch
        if unsettled > 0 && still.began.elapsed() >= waits.start + STUCK {
            tracing::warn!(
                unsettled,
                "the deliveries taken in can't be settled and are not waited for: they go back to their queue"
            );
            trigger.advance();
            return false;
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

#[cfg(test)]
mod tests {
    use super::*;
    use ponos::{
        broker::{Publishing, memory::Broker},
        event::Event,
        prelude::*,
        shutdown::shutdown,
        worker::Ready,
    };
    use serde_json::Value;
    use tokio::sync::Semaphore;

    const NAME: &str = "stock.shelf.cleaned";
    /// A rate of one start in this time.
    const RATE: Duration = Duration::from_secs(60);

    /// In seconds.
    const HEARTBEAT: u16 = 60;

    async fn publish(transport: &Transport, worker: &Ready, messages: u64) {
        let mut publisher = transport.publisher(worker.topology().clone());
        for token in 1..=messages {
            let id = token.to_string().parse().unwrap();
            let event = Event::new(id, "/test", NAME.parse().unwrap(), b"{}".to_vec());
            let publishing =
                Publishing { token, lane: 0, exchange: "events".into(), message: event.into_message() };
            publisher.submit(vec![publishing]).await.unwrap();
            assert_eq!(publisher.settlements().await.map(|all| all.len()), Some(1));
        }
    }

    /// A worker on the twin whose one delivery is in hand, and not at work, until something is given to `gate`; its drain.
    async fn draining(gate: Arc<Semaphore>) -> (tokio::task::JoinHandle<bool>, Liveness, Trigger, Shutdown) {
        draining_of(&Broker::new(), 1, gate).await
    }

    /// The same with so many messages, of which the first is in hand and the others are in the queue.
    async fn draining_of(
        broker: &Broker,
        messages: u64,
        gate: Arc<Semaphore>,
    ) -> (tokio::task::JoinHandle<bool>, Liveness, Trigger, Shutdown) {
        let activity = Activity::default();
        let counting = activity.clone();
        let handler = move |_: Value, _: Context| {
            let (gate, activity) = (Arc::clone(&gate), counting.clone());
            async move {
                // as what waits for its inbox, or to be read
                gate.acquire().await?.forget();
                drop(activity.begin());
                Ok(Done)
            }
        };
        let policy = Policy::default().timeout(Duration::from_secs(300)).concurrency(1).prefetch(1);
        let ready = Worker::new("shop").on::<Value>(NAME, handler.with(policy)).ready().unwrap();
        let transport = Transport::memory(broker.clone());
        transport.check(ready.topology()).await.unwrap();
        publish(&transport, &ready, messages).await;
        let (liveness, (trigger, asked)) = (ready.liveness(), shutdown());
        tokio::spawn(ready.run_on(transport.clone(), asked.clone()));
        let queues = vec![Arc::from("shop.stock.shelf.cleaned")];
        let (alive, waits) = (liveness.clone(), DrainWaits::new(RATE, HEARTBEAT));
        let watching = watch(transport, queues, activity, waits, alive, trigger.clone(), asked.clone());
        (tokio::spawn(watching), liveness, trigger, asked)
    }

    #[test]
    fn the_wait_after_a_loss_outlasts_three_heartbeats() {
        for (heartbeat, longest) in [(0, 180), (1, 3), (15, 45), (60, 180), (u16::MAX, 3 * 65_535)] {
            let waits = DrainWaits::new(RATE, heartbeat);
            assert!(waits.after_loss > Duration::from_secs(longest), "{heartbeat}: {waits:?}");
        }
    }

    fn is_asked(shutdown: &Shutdown) -> bool {
        shutdown.stage() != Stage::Running
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_in_hand_and_not_at_work_yet_is_waited_for() {
        let gate = Arc::new(Semaphore::new(0));
        let (drained, liveness, _, asked) = draining(Arc::clone(&gate)).await;
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!(liveness.deliveries(), Deliveries { taken: 1, unsettled: 1, losses: 0 });
        assert!(!drained.is_finished() && !is_asked(&asked), "the queue was taken for empty");
        gate.add_permits(1);
        let began = Instant::now();
        assert!(drained.await.unwrap());
        assert!(began.elapsed() < Duration::from_secs(5), "no start was waited for: {:?}", began.elapsed());
        assert_eq!(liveness.deliveries(), Deliveries { taken: 1, unsettled: 0, losses: 0 });
    }

    #[tokio::test(start_paused = true)]
    async fn once_a_connection_was_lost_the_broker_has_longer_to_put_back_what_was_out() {
        let (broker, gate) = (Broker::new(), Arc::new(Semaphore::new(0)));
        let (drained, liveness, ..) = draining_of(&broker, 1, Arc::clone(&gate)).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        broker.stop();
        broker.start();
        gate.add_permits(2);
        let began = Instant::now();
        assert!(drained.await.unwrap());
        assert!(began.elapsed() >= Duration::from_secs(3 * 60), "{:?}", began.elapsed());
        assert_eq!(liveness.deliveries(), Deliveries { taken: 2, unsettled: 0, losses: 1 });
    }

    #[tokio::test(start_paused = true)]
    async fn what_stands_still_in_hand_is_not_waited_for_for_ever() {
        let began = Instant::now();
        let (drained, _, _, asked) = draining(Arc::new(Semaphore::new(0))).await;
        assert!(!drained.await.unwrap() && is_asked(&asked));
        assert!((90..100).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn nor_for_what_stands_still_in_front_of_more_than_the_prefetch_lets_come() {
        let (broker, began) = (Broker::new(), Instant::now());
        let (drained, liveness, _, asked) = draining_of(&broker, 3, Arc::new(Semaphore::new(0))).await;
        let ended = tokio::time::timeout(Duration::from_secs(600), drained).await;
        assert!(!ended.expect("the drain never ends").unwrap() && is_asked(&asked));
        assert!((90..100).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
        assert!(liveness.deliveries().taken < 3, "nothing was left in the queue");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_that_somebody_asked_for_is_not_hastened() {
        let gate = Arc::new(Semaphore::new(0));
        let (drained, _, trigger, asked) = draining(gate).await;
        trigger.advance();
        assert!(!drained.await.unwrap());
        assert_eq!(asked.stage(), Stage::Draining);
    }
}
