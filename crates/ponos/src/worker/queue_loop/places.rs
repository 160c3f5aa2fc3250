//! When and how many tasks of a queue may begin, and how many deliveries are held: by its policy, by its share of the limits of all
//! replicas, and by what is said by hand.

use super::QueueLoop;
use crate::worker::{
    circuit::Ticket, fleet::FleetShare, queue_context::QueueContext, rate::Limiter, wait::Wait,
};
use std::sync::Arc;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep_until},
};

impl QueueLoop {
    /// The rates to keep to.
    pub(super) fn limiters(&self) -> [Option<&Limiter>; 2] {
        [self.limiter.as_ref(), self.slower.as_ref()]
    }

    /// How many slots must be free for the next task to begin.
    pub(super) fn wanted(&self, alone: bool) -> u32 {
        if alone { self.most_taken() } else { 1 + self.beyond() }
    }

    /// Keeps one of the slots that were wanted, which is the task's.
    pub(super) fn take_one(&mut self, slot: &mut OwnedSemaphorePermit) {
        if let Some(fleet) = &mut self.fleet {
            fleet.keep(&self.queue, slot);
        }
        // those that a limit keeps free are free again
        drop(slot.split(slot.num_permits().saturating_sub(1)));
    }

    /// How many slots are taken for what is to be alone: all that are not held back for other replicas.
    fn most_taken(&self) -> u32 {
        let held_back = self.fleet.as_ref().map_or(0, FleetShare::held_back);
        self.queue.most().saturating_sub(u32::try_from(held_back).unwrap_or(u32::MAX))
    }

    /// How many slots must be free besides that of one task: what the share of this replica leaves, or a limit.
    fn beyond(&self) -> u32 {
        let slots = self.queue.plan.policy.slots();
        let (share, held_back) =
            self.fleet.as_ref().map_or((slots, 0), |fleet| (fleet.now().slots, fleet.held_back()));
        let beyond = slots.saturating_sub(self.at_once.min(share)).saturating_sub(held_back);
        u32::try_from(beyond).unwrap_or(u32::MAX)
    }

    /// How many deliveries are held at most: the share of this replica, and no more than a limit allows.
    pub(super) fn prefetch_now(&self) -> u16 {
        let plan = &self.queue.plan;
        let whole = self.fleet.as_ref().map_or(self.prefetch.now(), |fleet| fleet.now().prefetch);
        let slowest = plan.routes.iter().map(|route| route.policy.timeout).max().unwrap_or_default();
        let most = self.queue.service.limits.consumer_timeout;
        let is_keyed = plan.batch.as_ref().is_some_and(|batch| batch.handler.is_keyed());
        let fit = if is_keyed { Wait::fit_each } else { Wait::fit };
        self.limit.map_or(whole, |limit| whole.min(fit(&plan.policy, &limit, slowest, most)))
    }

    /// Has batches as many deliveries as the policy says, but no more than may begin at once by each rate in force, or are held. What
    /// is open is gathered anew.
    pub(super) fn resize(&mut self) {
        let Some(plan) = &self.queue.plan.batch else { return };
        let rates = self.limiters().into_iter().flatten().map(Limiter::tasks);
        let least = rates.chain([usize::from(self.prefetch_now())]).min();
        self.size = least.map_or(plan.size, |least| least.min(plan.size)).max(1);
        self.reopen();
    }

    /// Keeps to another share of the queue's limits, if there is one. What waits beyond that goes back, for the other replicas.
    pub(super) async fn take_share(&mut self) {
        let Some(share) = self.fleet.as_mut().and_then(|fleet| fleet.turn(&self.queue)) else { return };
        if let (Some(limiter), Some(rate)) = (&mut self.limiter, share.rate) {
            limiter.set(rate);
        }
        let prefetch = self.prefetch_now();
        self.consumer.set_prefetch(prefetch);
        self.resize();
        let mut confirms = true;
        while self.waiting.len() > usize::from(prefetch) {
            let Some(delivery) = self.waiting.pop_back() else { break };
            self.give_back(delivery, &mut confirms).await;
        }
    }
}

/// Waits until a task of so many deliveries may begin: for the rates, for the slots wanted, and for a paused queue. `None`: never
/// again.
pub(super) async fn place(
    queue: &QueueContext,
    limiters: [Option<&Limiter>; 2],
    wanted: u32,
    deliveries: usize,
) -> Option<(OwnedSemaphorePermit, Ticket)> {
    let due = || limiters.iter().flatten().filter_map(|one| one.next_of(deliveries, Instant::now())).max();
    while let Some(due) = due() {
        sleep_until(due).await;
    }
    // never closed
    let slot = Arc::clone(&queue.slots).acquire_many_owned(wanted).await.ok()?;
    // the last, for it counts
    Some((slot, queue.circuit.admitted().await))
}
