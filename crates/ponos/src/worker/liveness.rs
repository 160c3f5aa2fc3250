//! Whether a worker receives what it should, by what the broker says about its consumers.

use super::{
    circuit::{Circuit, Paused},
    queue_context::QueueContext,
};
use crate::{
    broker::{Arrivals, Consumer, Link, LinkErrorClass, Losses, QueueState, Transport},
    control::{PausedByHand, Steered},
};
use futures_util::future::join_all;
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

/// After this long without a delivery, the broker is asked.
const QUIET: Duration = Duration::from_secs(30);
/// The wait between two questions.
const BETWEEN: Duration = Duration::from_secs(10);
/// A link that is down for longer is a fault.
const DOWN: Duration = Duration::from_secs(60);
/// The time limit of one question.
const ANSWER: Duration = Duration::from_secs(5);

/// How long a note says that something was missing on the broker.
const NOTED: Duration = Duration::from_secs(600);

/// Reports whether a worker is alive. Clones share the state.
#[derive(Debug, Clone, Default)]
pub struct Liveness {
    pulses: Arc<Mutex<Vec<Arc<Pulse>>>>,
    gone: Arc<Mutex<Option<Gone>>>,
}

/// Counts of a worker's deliveries, from [`Liveness::deliveries`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Deliveries {
    /// Taken in since the start.
    pub taken: u64,
    /// Those of them that wait for a slot or are running.
    pub unsettled: u64,
    /// Connections and channels that were lost, counted for each queue: what was out then comes again, once the broker has noticed.
    pub losses: u64,
}

/// Something that the worker needs was not on the broker.
#[derive(Debug)]
struct Gone {
    what: String,
    seen: Instant,
    /// Everything exists again.
    is_back: bool,
}

/// The state of one queue.
#[derive(Debug)]
pub(crate) struct Pulse {
    queue: Arc<str>,
    circuit: Arc<Circuit>,
    began: Instant,
    /// Milliseconds after `began` at which something came last.
    came: AtomicU64,
    /// Deliveries that came.
    taken: AtomicU64,
    /// Those of them that were settled, or can't be any more.
    settled: AtomicU64,
    /// Deliveries wait here for a slot or for the rate.
    pub(crate) waiting: AtomicBool,
    /// The consumer takes in more than one at a time.
    pub(crate) wide: AtomicBool,
    /// How many replicas share its limits, if they do and it is known.
    pub(crate) replicas: watch::Sender<Option<u32>>,
    /// The slots that are left to others.
    pub(crate) held_back: AtomicUsize,
    trouble: Mutex<Option<String>>,
    losses: watch::Receiver<Losses>,
    arrivals: Arrivals,
    steered: watch::Receiver<Steered>,
}

impl Liveness {
    /// Whether all queues receive what they should; true before the worker runs.
    ///
    /// # Errors
    /// What is wrong, a sentence for each queue.
    pub fn check(&self) -> Result<(), String> {
        let pulses = self.pulses();
        let gone = self.gone().as_ref().filter(|gone| !gone.is_back).map(|gone| gone.what.clone());
        let troubles: Vec<String> = pulses.iter().filter_map(|pulse| pulse.trouble()).chain(gone).collect();
        if troubles.is_empty() { Ok(()) } else { Err(troubles.join("; ")) }
    }

    /// How many deliveries were taken in from all queues so far.
    pub fn deliveries(&self) -> Deliveries {
        let mut all = Deliveries::default();
        for pulse in self.pulses().iter() {
            // in this order: what was settled had been taken
            let settled = pulse.settled.load(Ordering::Acquire);
            let taken = pulse.taken.load(Ordering::Acquire);
            all.taken += taken;
            all.unsettled += taken.saturating_sub(settled);
            all.losses += pulse.losses.borrow().count;
        }
        all
    }

    /// Whether all that the broker has given to the channels that the worker has now has come: what is on its way, which may be
    /// long for what is large or nested, is waited for, for 5 seconds. What was given to a channel that was lost is not known: it
    /// comes again, see [`Deliveries::losses`]. False also without a connection.
    pub async fn have_all_arrived(&self) -> bool {
        let arrivals: Vec<Arrivals> = self.pulses().iter().map(|pulse| pulse.arrivals.clone()).collect();
        let all = join_all(arrivals.iter().map(Arrivals::are_complete));
        timeout(ANSWER, all).await.is_ok_and(|complete| !complete.contains(&false))
    }

    /// The queues that are paused because something that their tasks need is unavailable. The worker is alive and goes on by
    /// itself; restarting it would not help.
    pub fn paused(&self) -> Vec<Paused> {
        self.pulses().iter().filter_map(|pulse| pulse.circuit.status(&pulse.queue)).collect()
    }

    /// The queues that somebody paused (`ponos pause`). The worker is alive, and goes on when the pause ends.
    pub fn paused_by_hand(&self) -> Vec<PausedByHand> {
        self.pulses().iter().filter_map(|pulse| pulse.steered.borrow().paused.clone()).collect()
    }

    /// By how many replicas the limits of each queue are shared that has [`Policy::fleet`](super::Policy::fleet), as far as the broker said.
    pub fn replicas(&self) -> Vec<(Arc<str>, u32)> {
        let known = |pulse: &Arc<Pulse>| Some((Arc::clone(&pulse.queue), (*pulse.replicas.borrow())?));
        self.pulses().iter().filter_map(known).collect()
    }

    /// Notes for people about a worker that is alive, a sentence each: which queues are paused or limited, and what was missing on
    /// the broker in the last ten minutes and exists again.
    pub fn notes(&self) -> Vec<String> {
        let by_hand = self.paused_by_hand().into_iter().map(|paused| paused.to_string());
        let limited: Vec<String> = self.pulses().iter().filter_map(|pulse| pulse.limited()).collect();
        let paused = self.paused().into_iter().map(|paused| paused.to_string()).chain(by_hand).chain(limited);
        let gone = self.gone();
        let gone = gone.as_ref().filter(|gone| gone.is_back && gone.seen.elapsed() < NOTED);
        let gone = gone.map(|gone| {
            format!("{} s ago, and now all is there again: {}", gone.seen.elapsed().as_secs(), gone.what)
        });
        paused.chain(gone).collect()
    }

    pub(crate) fn add(&self, pulse: Arc<Pulse>) {
        self.pulses().push(pulse);
    }

    /// Follows the link of the publisher, which compares the worker's topology with the broker. Never returns.
    pub(crate) async fn follow(&self, mut link: watch::Receiver<Link>) {
        loop {
            match &*link.borrow_and_update() {
                Link::Down { error: Some(error), .. } if is_of_topology(error.class) => {
                    *self.gone() =
                        Some(Gone { what: error.to_string(), seen: Instant::now(), is_back: false });
                }
                Link::Up { .. } => {
                    if let Some(gone) = self.gone().as_mut().filter(|gone| !gone.is_back) {
                        gone.is_back = true;
                        tracing::info!("everything the worker needs exists on the broker again");
                    }
                }
                Link::Down { .. } | Link::Blocked { .. } | Link::Closed => {}
            }
            if link.changed().await.is_err() {
                return;
            }
        }
    }

    fn pulses(&self) -> MutexGuard<'_, Vec<Arc<Pulse>>> {
        self.pulses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gone(&self) -> MutexGuard<'_, Option<Gone>> {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an error means that the topology is at fault, not the connection.
fn is_of_topology(class: LinkErrorClass) -> bool {
    matches!(class, LinkErrorClass::Missing | LinkErrorClass::Inequivalent | LinkErrorClass::Forbidden)
}

impl Pulse {
    pub(crate) fn new(
        queue: Arc<str>,
        circuit: Arc<Circuit>,
        consumer: &Consumer,
        steered: watch::Receiver<Steered>,
    ) -> Self {
        Self {
            queue,
            circuit,
            began: Instant::now(),
            came: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            waiting: AtomicBool::new(false),
            wide: AtomicBool::new(false),
            replicas: watch::Sender::new(None),
            held_back: AtomicUsize::new(0),
            trouble: Mutex::default(),
            losses: consumer.losses(),
            arrivals: consumer.arrivals(),
            steered,
        }
    }

    pub(crate) fn queue(&self) -> &str {
        &self.queue
    }

    /// Counts deliveries that came.
    pub(crate) fn came(&self, count: usize) {
        self.came.store(self.elapsed(), Ordering::Relaxed);
        self.taken.fetch_add(count as u64, Ordering::AcqRel);
    }

    /// Counts one that is settled, or can't be any more.
    pub(crate) fn settled(&self) {
        self.settled.fetch_add(1, Ordering::AcqRel);
    }

    /// How many came that are not settled yet.
    fn unsettled(&self) -> u64 {
        // in this order: what was settled had been taken
        let settled = self.settled.load(Ordering::Acquire);
        self.taken.load(Ordering::Acquire).saturating_sub(settled)
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn quiet(&self) -> Duration {
        Duration::from_millis(self.elapsed().saturating_sub(self.came.load(Ordering::Relaxed)))
    }

    /// Sets what is wrong with the queue; `None` if nothing is.
    pub(crate) fn set(&self, trouble: Option<String>) {
        let mut now = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(trouble) = trouble.as_deref().filter(|_| now.is_none()) {
            tracing::error!(queue = %self.queue, trouble, "the worker receives nothing from the queue");
        }
        *now = trouble;
    }

    fn limited(&self) -> Option<String> {
        self.steered.borrow().limit.map(|limit| format!("{} is limited by hand: {limit}", self.queue))
    }

    fn trouble(&self) -> Option<String> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.as_ref().map(|trouble| format!("{}: {trouble}", self.queue))
    }
}

/// Watches one queue. Never returns.
pub(crate) async fn watch(queue: &QueueContext, transport: &Transport) {
    let (mut strikes, mut down_since) = (0, None);
    loop {
        sleep(BETWEEN).await;
        let link = queue.consuming.borrow().clone();
        if link == Link::Closed {
            return;
        }
        if let Link::Down { error, .. } = &link {
            strikes = 0;
            let since = *down_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= DOWN {
                let why = error.as_ref().map_or_else(|| "no answer yet".into(), ToString::to_string);
                queue.pulse.set(Some(format!("no connection for {} s: {why}", since.elapsed().as_secs())));
            }
            continue;
        }
        down_since = None;
        match why_nothing_comes(queue, transport).await {
            Some(what) => {
                strikes += 1;
                if strikes >= 2 {
                    queue.pulse.set(Some(what));
                }
            }
            None => {
                strikes = 0;
                queue.pulse.set(None);
            }
        }
    }
}

/// Why nothing comes from a queue; `None` if there is no reason to worry.
async fn why_nothing_comes(queue: &QueueContext, transport: &Transport) -> Option<String> {
    let quiet = queue.pulse.quiet();
    if quiet < QUIET || !is_hungry(queue) {
        return None;
    }
    let state = match timeout(ANSWER, transport.inspect(&queue.plan.name)).await {
        Ok(Ok(Some(state))) => state,
        Ok(Ok(None)) => return Some("its queue does not exist".into()),
        Ok(Err(error)) => return Some(format!("the broker can't be asked about the queue: {error}")),
        Err(_) => {
            return Some(format!(
                "the broker did not answer within {} s what state the queue is in",
                ANSWER.as_secs()
            ));
        }
    };
    let QueueState { ready, consumers } = state;
    if consumers == 0 {
        return Some("the broker has no consumer for it".into());
    }
    // behind a single active consumer the others wait for it to go
    (ready > 0 && !queue.plan.policy.exclusive && queue.pulse.quiet() >= QUIET).then(|| {
        format!("{ready} messages are ready, a slot is free, and nothing came for {} s", quiet.as_secs())
    })
}

/// Whether the broker should send something if it has it: nobody paused the queue, a slot is free that no limit keeps so, nothing waits
/// here, and the prefetch is not used up by what is at work (one at a time, until the first without a delivery count). A batch at work
/// or open ones may use it up though slots are free; all of them end before long if nothing comes.
fn is_hungry(queue: &QueueContext) -> bool {
    let (free, slots) = (queue.slots.available_permits(), queue.plan.policy.slots());
    let at_work = slots.saturating_sub(free + queue.pulse.held_back.load(Ordering::Relaxed));
    let steered = queue.steered.borrow();
    let at_once = steered.limit.map_or(slots, |limit| limit.slots(&queue.plan.policy));
    free > 0
        && at_work < at_once
        && steered.paused.is_none()
        && !queue.pulse.waiting.load(Ordering::Relaxed)
        && (at_work == 0 || queue.pulse.wide.load(Ordering::Relaxed))
        && (queue.plan.batch.is_none() || queue.pulse.unsettled() == 0)
}
