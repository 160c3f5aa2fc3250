//! Checks what a queue says of batches, and makes the plan of them.

use super::{ErasedBatch, open::OPEN};
use crate::worker::{
    Policy,
    around::Layers,
    builder::{QueueDraft, Takes},
};
use std::time::Duration;

/// How the deliveries of a queue become batches.
#[derive(Debug, Clone)]
pub(crate) struct BatchPlan {
    pub(crate) handler: ErasedBatch,
    pub(crate) size: usize,
    pub(crate) window: Duration,
}

/// The plan of a queue whose handler takes batches; what is wrong with that goes to the faults.
pub(crate) fn batch_plan(
    draft: &QueueDraft,
    (consumer_timeout, layers): (Duration, &Layers),
    faults: &mut Vec<String>,
) -> Option<BatchPlan> {
    let QueueDraft { intake, handlers, policy, label } = draft;
    let handler = handlers.iter().find_map(|named| named.batch.as_ref());
    if *intake == Takes::Several {
        if policy.batch.is_some() || handlers.iter().any(|named| has_batch(named.policy.as_ref())) {
            faults.push(
                "a fan-in has no batches: give each name a handler of batches, and with it a queue".into(),
            );
        }
        return None;
    }
    match (handler, policy.batch) {
        (None, None) => None,
        (None, Some(_)) => {
            faults.push(format!(
                "its policy is one of batches, but its handler takes one at a time: register a handler of Batch<…> by batch(\"{label}\", …) or batch_task"
            ));
            None
        }
        (Some(_), None) => {
            faults.push(
                "its handler takes batches, and nothing says how large they are: add .with(Policy::batch(500, Duration::from_secs(1)))"
                    .into(),
            );
            None
        }
        (Some(handler), Some(batching)) => {
            if !layers.is_empty() {
                faults.push(
                    "its handler takes batches, and layers are around one event: give it a worker of its own, and in this one leave out around, or set it at each handler"
                        .into(),
                );
            }
            let plan =
                BatchPlan { handler: handler.clone(), size: batching.size.max(1), window: batching.window };
            faults.extend(plan.keyed_fault(policy, consumer_timeout));
            Some(plan)
        }
    }
}

fn has_batch(policy: Option<&Policy>) -> bool {
    policy.is_some_and(|policy| policy.batch.is_some())
}

impl BatchPlan {
    /// Why a delivery may wait too long behind the batches of other keys, which need not be full.
    fn keyed_fault(&self, policy: &Policy, most: Duration) -> Option<String> {
        if !self.handler.is_keyed() {
            return None;
        }
        let held = usize::from(policy.held());
        let batches = held.div_ceil(self.size).saturating_add(OPEN - 1).min(held.max(1));
        // the share of a replica may be one
        let slots = if policy.fleet { 1 } else { policy.slots() };
        let rounds = u32::try_from(batches.div_ceil(slots)).unwrap_or(u32::MAX);
        let longest = policy.timeout.saturating_mul(rounds).saturating_add(self.window);
        (longest >= most).then(|| {
            format!(
                "a delivery may wait too long: {batches} batches of different keys / concurrency {slots} × timeout {:?} + window {:?} = {longest:?}, and the broker closes the channel after {most:?} (consumer_timeout): take a smaller timeout or more concurrency, or set consumer_timeout to what the broker has",
                policy.timeout, self.window
            )
        })
    }
}
