//! The loop of a queue whose handler takes batches: deliveries join open batches, and a task begins for each batch that is full or due,
//! as soon as there is a place. A batch that waits for one is joined meanwhile.
//!
//! What must be alone waits until no batch is open. A second attempt is a batch of one, and overtakes the open ones: else each of
//! many neighbours that come back one by one would cut a batch short.

use super::{
    QueueLoop, begin, give_up,
    places::place,
    steer::{is_said, said},
};
use crate::{
    broker::{Delivery, Flow},
    control::Steered,
    worker::{
        batch::{Arrived, BatchPlan},
        circuit::Ticket,
        delivery::{self, Unsettled},
        fleet,
        queue_context::QueueContext,
        retry::comes_alone,
    },
};
use futures_util::FutureExt;
use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering},
};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::{Instant, sleep_until},
};

/// What begins next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The batch in this place, which has so many deliveries.
    Batch(usize, usize),
    /// The first of those that wait, by itself; and beside nothing else at all?
    One { alone: bool },
}

impl Next {
    fn is_alone(self) -> bool {
        self == Self::One { alone: true }
    }

    fn deliveries(self) -> usize {
        match self {
            Self::Batch(_, deliveries) => deliveries,
            Self::One { .. } => 1,
        }
    }
}

impl QueueLoop {
    /// As [`QueueLoop::work`]: a delivery leaves `waiting` only for an open batch, and that only when it is begun or given back.
    pub(super) async fn work_in_batches(&mut self, plan: &BatchPlan, steered: &mut watch::Receiver<Steered>) {
        loop {
            if is_said(steered) && !self.steer(steered).await {
                return;
            }
            self.give_back_waiting().await;
            self.take_share().await;
            let next = self.next(plan);
            self.queue.pulse.waiting.store(next.is_some(), Ordering::Relaxed);
            let wanted = self.wanted(next.is_some_and(Next::is_alone));
            let (queue, limiters) = (&*self.queue, [self.limiter.as_ref(), self.slower.as_ref()]);
            let begins = async {
                match next {
                    Some(next) => place(queue, limiters, wanted, next.deliveries()).await,
                    None => std::future::pending().await,
                }
            };
            let due = self.open.due().filter(|_| next.is_none());
            let falls_due = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = queue.circuit.lasts(self.outage) => {}
                () = said(steered) => {}
                () = fleet::changed(self.fleet.as_ref()), if self.fleet.is_some() => {}
                place = begins => match (next, place) {
                    (Some(next), Some((slot, ticket))) => self.begin_next(next, plan, slot, ticket),
                    _ => return,
                },
                () = falls_due => {}
                // those that wait can't join now, so that more would only wait as well
                came = self.consumer.next_many(&mut self.incoming, super::AT_ONCE), if self.waiting.is_empty() => {
                    if came == 0 {
                        return;
                    }
                    self.queue.pulse.came(came);
                    self.came = self.queue.is_timed().then(Instant::now);
                    self.adapt();
                    self.waiting.extend(self.incoming.drain(..));
                }
            }
        }
    }

    /// Has those that wait join open batches; returns what is to begin, as soon as there is a place.
    fn next(&mut self, plan: &BatchPlan) -> Option<Next> {
        let by_itself = self.join_waiting(plan);
        if by_itself == Some(Next::One { alone: true }) {
            self.open.close();
        }
        let ready = self.open.ready(Instant::now());
        ready.map(|(index, deliveries)| Next::Batch(index, deliveries)).or(by_itself)
    }

    /// Until the first of those that wait can't join. If it is to begin by itself, that is returned; else a batch is closed.
    fn join_waiting(&mut self, plan: &BatchPlan) -> Option<Next> {
        loop {
            let first = self.waiting.front()?;
            if self.queue.is_void(first.tag) {
                self.pass_over();
                continue;
            }
            if self.look(first) {
                return Some(Next::One { alone: true });
            }
            if comes_alone(&first.message.headers) {
                return Some(Next::One { alone: false });
            }
            let most = self.queue.service.limits.body;
            let Ok((key, bytes)) = plan.handler.look(&first.message, most) else {
                return Some(Next::One { alone: false });
            };
            if !self.open.has_room(key.as_deref(), bytes) {
                return None;
            }
            let delivery = self.waiting.pop_front()?;
            self.open.join((key, bytes), (delivery, self.came), (self.size, plan.window));
            if self.consumer.flow() != Flow::Wide {
                // no other one comes before these are settled
                self.open.close();
            }
        }
    }

    /// Begins a task, for which there is a place.
    fn begin_next(&mut self, next: Next, plan: &BatchPlan, mut slot: OwnedSemaphorePermit, ticket: Ticket) {
        if !next.is_alone() {
            self.take_one(&mut slot);
        }
        let is_current = self.queue.circuit.is_current(ticket);
        let deliveries: Vec<Arrived> = match next {
            _ if !is_current => Vec::new(),
            Next::Batch(index, _) => self.open.take(index),
            Next::One { .. } => {
                self.waiting.pop_front().map(|first| (first, self.came)).into_iter().collect()
            }
        };
        let (void, deliveries): (Vec<Arrived>, Vec<Arrived>) =
            deliveries.into_iter().partition(|(delivery, _)| self.queue.is_void(delivery.tag));
        void.into_iter().for_each(|(delivery, _)| self.passed(delivery));
        if deliveries.is_empty() {
            self.queue.circuit.ended(ticket);
            return;
        }
        for (_, came) in &deliveries {
            for limiter in self.limiter.iter_mut().chain(&mut self.slower) {
                limiter.begin(Instant::now());
            }
            if let (Some(metrics), Some(came)) = (&self.queue.plan.metrics, came) {
                metrics.waited(came.elapsed());
            }
        }
        let queue = Arc::clone(&self.queue);
        match <[Arrived; 1]>::try_from(deliveries) {
            Ok([one]) => drop(tokio::spawn(begin(queue, one, slot, ticket).boxed())),
            Err(many) => drop(tokio::spawn(begin_batch(queue, plan.clone(), many, slot, ticket).boxed())),
        }
    }

    /// Puts what is in open batches back to those that wait, before them.
    pub(super) fn reopen(&mut self) {
        let open: Vec<Delivery> = self.open.take_all().map(|(delivery, _)| delivery).collect();
        open.into_iter().rev().for_each(|delivery| self.waiting.push_front(delivery));
    }

    /// At the end: open batches begin, oldest first, as far as there is a place for them now; the rest is given back with what waits.
    pub(super) fn close_open(&mut self) {
        if let Some(plan) = self.queue.plan.batch.clone() {
            self.open.close();
            while let Some((index, deliveries)) = self.open.ready(Instant::now()) {
                let place =
                    place(&self.queue, self.limiters(), self.wanted(false), deliveries).now_or_never();
                let Some((slot, ticket)) = place.flatten() else { break };
                self.begin_next(Next::Batch(index, deliveries), &plan, slot, ticket);
            }
        }
        self.reopen();
    }
}

/// Runs the task of one batch, from taking its slot to giving it back.
async fn begin_batch(
    queue: Arc<QueueContext>,
    plan: BatchPlan,
    deliveries: Vec<Arrived>,
    slot: OwnedSemaphorePermit,
    ticket: Ticket,
) {
    let began = Instant::now();
    let unsettled = Unsettled::of(&queue, &deliveries);
    let batch = delivery::process_batch(&queue, &plan, deliveries, ticket, &unsettled);
    if let Err(panic) = AssertUnwindSafe(batch).catch_unwind().await {
        // as for a single one: of dropping what the handler left
        let words = delivery::panic_message(panic.as_ref());
        for (tag, id) in unsettled.all() {
            give_up(&queue, (tag, id), &words, began).await;
            unsettled.settled(&queue, tag);
        }
    }
    drop(slot);
}
