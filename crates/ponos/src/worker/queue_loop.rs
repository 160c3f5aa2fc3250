//! The loop of one queue: takes deliveries in, and begins a task for each as soon as there is a slot and the rate allows.
//!
//! Invariant: at most as many tasks are at work as there are slots; a delivery is either waiting here, at work, or given
//! back. What happens within a task is `delivery`. For a handler of batches, the loop is `in_batches.rs`.

mod in_batches;
mod places;
mod steer;

use super::{
    auto_prefetch::AutoPrefetch,
    batch::OpenBatches,
    circuit::Ticket,
    delivery::{self, is_new, needs_to_be_alone},
    ended::{Ended, Observed},
    fleet::{self, FleetShare},
    queue_context::QueueContext,
    rate::Limiter,
};
use crate::{
    broker::{Consumer, Delivery, DeliveryTag, Flow, Link, Settle, Unclosed},
    control::{Limit, Steered},
    event::EventId,
    shutdown::{Shutdown, Stage},
};
use futures_util::FutureExt;
use places::place;
use std::{
    collections::VecDeque,
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use steer::{is_said, said};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::{Instant, sleep_until, timeout},
};

/// How many deliveries are taken over at once.
const AT_ONCE: usize = 64;
/// How long tasks may take to settle after they were cancelled, and the consumer to send the settlements.
const LAST: Duration = Duration::from_secs(5);

/// Why the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoopEnd {
    /// The worker was shut down.
    Stopped,
    /// Its consumer ended by itself, which none does.
    Broken,
}

/// Runs until the shutdown, or until the consumer ends.
pub(crate) async fn run(queue: Arc<QueueContext>, consumer: Consumer, shutdown: Shutdown) -> LoopEnd {
    let policy = &queue.plan.policy;
    let fleet = policy.fleet.then(|| FleetShare::new(&queue));
    let mut limiter = policy.rate.map(Limiter::new);
    if let (Some(limiter), Some(rate)) = (&mut limiter, fleet.as_ref().and_then(|fleet| fleet.now().rate)) {
        limiter.set(rate);
    }
    let mut queue_loop = QueueLoop {
        prefetch: AutoPrefetch::new(policy.slots(), policy.held(), queue.plan.most_held),
        at_once: policy.slots(),
        limit: None,
        slower: None,
        queue,
        consumer,
        limiter,
        fleet,
        waiting: VecDeque::new(),
        came: None,
        incoming: Vec::new(),
        open: OpenBatches::default(),
        size: 1,
        outage: 0,
        returning: None,
    };
    queue_loop.resize();
    let mut steered = queue_loop.queue.steered.clone();
    // what was said before is to be looked at, too
    steered.mark_changed();
    let end = tokio::select! {
        biased;
        () = shutdown.reached(Stage::Draining) => LoopEnd::Stopped,
        () = queue_loop.serve(&mut steered) => LoopEnd::Broken,
    };
    queue_loop.drain(&shutdown).await;
    end
}

struct QueueLoop {
    queue: Arc<QueueContext>,
    consumer: Consumer,
    limiter: Option<Limiter>,
    /// If its limits are those of all replicas.
    fleet: Option<FleetShare>,
    /// Bounded by the prefetch.
    waiting: VecDeque<Delivery>,
    /// When those that wait came, if that is measured: all at once.
    came: Option<Instant>,
    /// Those that just came.
    incoming: Vec<Delivery>,
    /// Of a queue whose handler takes batches; bounded by the prefetch, too.
    open: OpenBatches,
    /// The most deliveries in one of them.
    size: usize,
    /// The long outage that was seen last, at which all that waited went back.
    outage: u64,
    /// One that is being given back, and was taken out of `waiting` for that.
    returning: Option<DeliveryTag>,
    prefetch: AutoPrefetch,
    /// How many tasks may run at the same time: the slots, or less by a limit.
    at_once: usize,
    /// The limit in force, …
    limit: Option<Limit>,
    /// … and its rate, beside the policy's.
    slower: Option<Limiter>,
}

impl QueueLoop {
    /// Works in the way that the handler wants.
    async fn serve(&mut self, steered: &mut watch::Receiver<Steered>) {
        match self.queue.plan.batch.clone() {
            Some(plan) => self.work_in_batches(&plan, steered).await,
            None => self.work(steered).await,
        }
    }

    /// Works until the consumer ends. A delivery leaves `waiting` only when it is begun or given back, so this may be dropped
    /// at any time.
    async fn work(&mut self, steered: &mut watch::Receiver<Steered>) {
        loop {
            if is_said(steered) && !self.steer(steered).await {
                return;
            }
            self.give_back_waiting().await;
            self.take_share().await;
            if self.waiting.is_empty() {
                self.queue.pulse.waiting.store(false, Ordering::Relaxed);
                let came = tokio::select! {
                    biased;
                    () = self.queue.circuit.lasts(self.outage) => continue,
                    () = said(steered) => continue,
                    () = fleet::changed(self.fleet.as_ref()), if self.fleet.is_some() => continue,
                    came = self.consumer.next_many(&mut self.incoming, AT_ONCE) => came,
                };
                if came == 0 {
                    return;
                }
                self.queue.pulse.came(came);
                self.came = self.queue.is_timed().then(Instant::now);
                self.queue.pulse.waiting.store(true, Ordering::Relaxed);
                self.adapt();
                self.waiting.extend(self.incoming.drain(..));
            }
            let Some(next) = self.waiting.front() else { continue };
            if self.queue.is_void(next.tag) {
                self.pass_over();
                continue;
            }
            let alone = self.look(next);
            let (limiters, wanted) = (self.limiters(), self.wanted(alone));
            let place = tokio::select! {
                biased;
                place = place(&self.queue, limiters, wanted, 1) => place,
                () = self.queue.circuit.lasts(self.outage) => continue,
                () = said(steered) => continue,
                () = fleet::changed(self.fleet.as_ref()), if self.fleet.is_some() => continue,
            };
            let Some((mut slot, ticket)) = place else { return };
            if !alone {
                self.take_one(&mut slot);
            }
            let next = self.waiting.front();
            let may_begin = self.queue.circuit.is_current(ticket) && !is_said(steered);
            if !may_begin || next.is_none_or(|next| self.queue.is_void(next.tag)) {
                self.queue.circuit.ended(ticket);
                self.pass_over();
                continue;
            }
            let Some(delivery) = self.waiting.pop_front() else { continue };
            for limiter in self.limiter.iter_mut().chain(&mut self.slower) {
                limiter.begin(Instant::now());
            }
            if let (Some(metrics), Some(came)) = (&self.queue.plan.metrics, self.came) {
                metrics.waited(came.elapsed());
            }
            // in a box: the future is large, and spawning moves it several times
            tokio::spawn(begin(Arc::clone(&self.queue), (delivery, self.came), slot, ticket).boxed());
        }
    }

    /// Gives back the waiting deliveries once the queue has been paused for long: others have use for them. Those that come
    /// later are kept for the probe: they are few, because the intake is narrow then.
    async fn give_back_waiting(&mut self) {
        let Some(outage) = self.queue.circuit.long_outage() else { return };
        if std::mem::replace(&mut self.outage, outage) == outage || self.queue.plan.policy.exclusive {
            // of a single active consumer all would come again at once, and in another order
            return;
        }
        // before anything goes back, or it comes again in the old breadth
        self.consumer.narrow();
        self.give_back_all().await;
    }

    /// Drops the first delivery if its channel is gone: it comes again, and that is not a crash.
    fn pass_over(&mut self) {
        let is_void = self.waiting.front().is_some_and(|next| self.queue.is_void(next.tag));
        let Some(passed) = is_void.then(|| self.waiting.pop_front()).flatten() else { return };
        self.passed(passed);
    }

    /// A delivery was dropped because its channel is gone.
    fn passed(&self, passed: Delivery) {
        self.queue.pulse.settled();
        let passed = Some(passed).filter(|delivery| delivery.delivery_count().is_some());
        if let Some(id) = passed.and_then(|delivery| delivery.message.properties.message_id) {
            self.queue.own_releases.note(&id);
        }
    }

    /// Widens or narrows the intake by the next delivery; returns whether that one must run alone.
    fn look(&self, next: &Delivery) -> bool {
        let count = next.delivery_count();
        // it will be sent whole to the dead letters, in several copies: one at a time, for the sake of memory
        let large = next.message.body.len() > self.queue.service.limits.body;
        let alone = large || needs_to_be_alone(count);
        let flow = self.consumer.flow();
        if is_new(count) && !large && flow == Flow::Narrow && self.queue.circuit.may_widen() {
            self.consumer.widen();
        } else if alone && flow == Flow::Wide {
            self.consumer.narrow();
        }
        self.queue.pulse.wide.store(self.consumer.flow() == Flow::Wide, Ordering::Relaxed);
        alone
    }

    /// Adapts the prefetch to how long tasks take, and to the size of the delivery that just came.
    fn adapt(&mut self) {
        let policy = &self.queue.plan.policy;
        if !policy.adapts_to_size() || self.limit.is_some() {
            return;
        }
        let largest = self.incoming.iter().map(|delivery| delivery.message.body.len()).max().unwrap_or(0);
        let adapted = if policy.adapts() {
            let fewer = self.prefetch.came(Instant::now(), largest);
            let measured = self.queue.take_measured();
            measured.and_then(|measured| self.prefetch.adapt(measured)).or(fewer)
        } else {
            self.prefetch.fitted(Instant::now(), largest)
        };
        if let Some(prefetch) = adapted {
            tracing::debug!(queue = %self.queue.plan.name, prefetch, "the prefetch was changed, from the time that tasks take and the bytes that they hold");
            self.consumer.set_prefetch(prefetch);
            self.resize();
        }
    }

    /// Takes nothing in any more: waiting deliveries go back, running tasks have the grace to end.
    async fn drain(mut self, shutdown: &Shutdown) {
        let queue = Arc::clone(&self.queue);
        self.show_paused(false);
        self.consumer.stop();
        queue.drain.raise();
        self.close_open();
        // all slots are waited for
        self.fleet = None;
        let waiting = std::mem::take(&mut self.waiting);
        let mut confirms = true;
        if let Some(tag) = self.returning.take() {
            // cut off by the shutdown, with nothing said to the broker yet: not settled, it would count as a crash
            let _ = queue.settler.settle(tag, Settle::Release).await;
            queue.pulse.settled();
        }
        for delivery in waiting.into_iter().chain(std::mem::take(&mut self.incoming)) {
            delivery::release_queued(&queue, delivery, &mut confirms).await;
        }
        let all = queue.slots.acquire_many(queue.most());
        let grace = Instant::now() + queue.service.limits.grace;
        let idle = tokio::select! {
            biased;
            ended = all => ended.is_ok(),
            () = shutdown.reached(Stage::Stopping) => false,
            () = sleep_until(grace) => false,
            () = self.refuse() => false,
        };
        if !idle {
            queue.stop.raise();
            if timeout(LAST, queue.slots.acquire_many(queue.most())).await.is_err() {
                let still = queue.plan.policy.slots() - queue.slots.available_permits();
                tracing::warn!(queue = %queue.plan.name, still, "tasks did not end after they were cancelled");
            }
        }
        let link = self.consumer.link();
        drop(self);
        // what was settled is sent before it is closed
        if Link::closed(link, LAST).await == Err(Unclosed::Late) {
            tracing::warn!(queue = %queue.plan.name, "the consumer did not close in time: the last settlements may be lost");
        }
    }

    /// Gives back the deliveries that were still on their way. Never returns.
    async fn refuse(&mut self) {
        let mut confirms = true;
        while let Some(delivery) = self.consumer.next().await {
            self.queue.pulse.came(1);
            delivery::release_queued(&self.queue, delivery, &mut confirms).await;
        }
        std::future::pending().await
    }
}

/// Runs one task, from taking its slot to giving it back.
async fn begin(
    queue: Arc<QueueContext>,
    (delivery, came): (Delivery, Option<Instant>),
    slot: OwnedSemaphorePermit,
    ticket: Ticket,
) {
    let (tag, began) = (delivery.tag, Instant::now());
    let id = delivery.message.properties.message_id.as_deref().and_then(|id| id.parse().ok());
    let metrics = queue.plan.metrics.as_ref();
    if let Some(metrics) = metrics {
        metrics.in_progress.inc();
    }
    if let Err(panic) =
        AssertUnwindSafe(delivery::process(&queue, (delivery, came), ticket)).catch_unwind().await
    {
        // the handler's own panics are caught nearer to it: this is one of dropping what it left
        give_up(&queue, (tag, id), &delivery::panic_message(panic.as_ref()), began).await;
    }
    queue.pulse.settled();
    if let Some(metrics) = metrics {
        metrics.in_progress.dec();
    }
    drop(slot);
}

/// A task failed in a way that none should: its delivery goes back, and that counts towards poison.
async fn give_up(
    queue: &QueueContext,
    (tag, id): (DeliveryTag, Option<EventId>),
    words: &str,
    began: Instant,
) {
    tracing::error!(queue = %queue.plan.name, panic = words, "a task failed outside of its handler; its delivery is released");
    queue.given_back(None);
    if let Some(observer) = &queue.service.observer {
        let ended = Ended::Released(format!("its task failed outside of its handler: {words}"));
        let (queue, took) = (queue.plan.name.clone(), began.elapsed());
        observer(&Observed::Ended { queue, id, name: None, attempt: 1, ended, took });
    }
    let _ = queue.settler.settle(tag, Settle::Reject).await;
}
