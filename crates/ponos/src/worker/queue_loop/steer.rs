//! What somebody says of a queue by hand: pauses and limits.
//!
//! Either way nothing is acked or put elsewhere that was not begun: what is in hand goes back to the queue, after the subscription was
//! ended to which it would come again at once. What is begun ends as ever.

use super::{AT_ONCE, LAST, QueueLoop};
use crate::{
    broker::Delivery,
    control::{Limit, Steered},
    worker::{delivery, rate::Limiter},
};
use futures_util::FutureExt;
use tokio::{sync::watch, time::timeout};

/// Whether something else is said than was looked at last.
pub(super) fn is_said(steered: &watch::Receiver<Steered>) -> bool {
    steered.has_changed().unwrap_or(false)
}

/// Resolves once something else is said, which is still to be looked at then.
pub(super) async fn said(steered: &mut watch::Receiver<Steered>) {
    match steered.changed().await {
        Ok(()) => steered.mark_changed(),
        // nobody says anything any more
        Err(_) => std::future::pending().await,
    }
}

impl QueueLoop {
    /// Obeys what is said now: returns when the queue is not paused, with its limit in force. False once the consumer has ended.
    pub(super) async fn steer(&mut self, steered: &mut watch::Receiver<Steered>) -> bool {
        let mut now = steered.borrow_and_update().clone();
        if now.paused.is_none() && now.limit == self.limit {
            return true;
        }
        self.consumer.pause();
        self.give_back_all().await;
        while now.paused.is_some() {
            self.show_paused(true);
            let came = tokio::select! {
                biased;
                () = said(steered) => {
                    now = steered.borrow_and_update().clone();
                    continue;
                }
                came = self.consumer.next_many(&mut self.incoming, AT_ONCE) => came,
            };
            if came == 0 {
                return false;
            }
            self.queue.pulse.came(came);
            self.waiting.extend(self.incoming.drain(..));
            self.give_back_all().await;
        }
        self.show_paused(false);
        // or the old subscription might go on in its old breadth: a single active consumer can't change it otherwise. Without a
        // connection there is none
        let _ = timeout(LAST, self.consumer.arrivals().are_complete()).await;
        self.give_back_all().await;
        self.limit_to(now.limit);
        self.consumer.resume();
        // what went back counts as come back, and would be taken one at a time until a new one comes
        if self.queue.circuit.may_widen() {
            self.consumer.widen();
        }
        true
    }

    /// Gives back all that waits here, in open batches too, or has come.
    pub(super) async fn give_back_all(&mut self) {
        self.reopen();
        while let Some(Some(delivery)) = self.consumer.next().now_or_never() {
            self.queue.pulse.came(1);
            self.waiting.push_back(delivery);
        }
        let mut confirms = true;
        while let Some(delivery) = self.waiting.pop_front() {
            self.give_back(delivery, &mut confirms).await;
        }
    }

    /// Gives back one that was taken out of those that wait. A shutdown may end this in the middle; then it is given back by that.
    pub(super) async fn give_back(&mut self, delivery: Delivery, confirms: &mut bool) {
        self.returning = Some(delivery.tag);
        delivery::release_queued(&self.queue, delivery, confirms).await;
        self.returning = None;
    }

    fn limit_to(&mut self, limit: Option<Limit>) {
        let plan = &self.queue.plan;
        self.at_once = limit.map_or(plan.policy.slots(), |limit| limit.slots(&plan.policy));
        self.slower = limit.and_then(|limit| limit.pace()).map(Limiter::new);
        self.limit = limit;
        self.consumer.set_prefetch(self.prefetch_now());
        self.resize();
    }

    pub(super) fn show_paused(&self, is_paused: bool) {
        if let Some(metrics) = &self.queue.plan.metrics {
            metrics.paused_by_hand.set(i64::from(is_paused));
        }
    }
}
