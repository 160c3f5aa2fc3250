//! How large batches are, and how long they are gathered.

use crate::worker::{Policy, Prefetch};
use std::time::Duration;

/// The most deliveries of a batch.
const MOST: usize = 5_000;

/// How large a batch is, and how long it is gathered: the part of a [`Policy`] that only [handlers of
/// batches](super::super::Worker::batch) have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batching {
    /// The most deliveries of one batch, from 1 to 5,000.
    pub size: usize,
    /// A batch begins at the latest this long after its first delivery joined it, or as soon as there is a place after that.
    pub window: Duration,
}

impl Policy {
    /// The default for a [handler of batches](super::super::Worker::batch): up to `size` deliveries at a time, gathered for up to
    /// `window`; one batch at a time ([`Policy::concurrency`] counts batches). The prefetch is one batch more than can run, and less
    /// (with smaller batches) if that is more than 64 MiB of bodies, unless it is [set](Policy::prefetch): to `size` × `concurrency` at
    /// least. A [rate](Policy::rate) counts deliveries, and [`Policy::timeout`] is that of a whole batch.
    pub fn batch(size: usize, window: Duration) -> Self {
        Self { batch: Some(Batching { size, window }), concurrency: 1, ..Self::default() }
    }
}

impl Batching {
    /// How many deliveries are held where nothing else is said: the next batch fills while the others run.
    pub(crate) fn held(self, slots: usize) -> u16 {
        let held = self.size.max(1).saturating_mul(slots.saturating_add(1));
        u16::try_from(held).unwrap_or(u16::MAX)
    }

    /// What is wrong with it, in its policy.
    pub(crate) fn faults(self, policy: &Policy) -> Vec<String> {
        let Self { size, window } = self;
        let mut faults = Vec::new();
        if !(1..=MOST).contains(&size) {
            faults.push(format!("batch: its size is {size}; from 1 to {MOST}"));
        }
        if window.is_zero() {
            faults.push("batch: its window is 0; it would never be more than one".into());
        }
        let (held, wanted) = (usize::from(policy.held()), size.saturating_mul(policy.slots()));
        if held < wanted {
            let held = match policy.prefetch {
                Prefetch::Auto => format!("at most {held} can be held"),
                Prefetch::Fixed(_) => format!("prefetch is {held}"),
            };
            faults.push(format!(
                "batch: {held}, less than the {wanted} that batches of {size} are at concurrency {}; they would never be full",
                policy.slots()
            ));
        }
        if let Some(rate) = policy.rate.filter(|rate| (rate.tasks as usize) < size) {
            faults.push(format!(
                "batch: their size is {size}, and the rate allows {} in {:?}; they would never be full",
                rate.tasks, rate.per
            ));
        }
        if policy.exclusive {
            faults.push(
                "batch: exclusive is for one at a time, in order; what fails alone loses its place".into(),
            );
        }
        if policy.latest_only {
            faults.push("batch: latest_only is for one at a time; compare the times of the items".into());
        }
        faults
    }
}
