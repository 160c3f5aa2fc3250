//! What was written and is not durable yet, and how a store that was opened again compares with it.

use crate::{
    clock,
    delayed::DelayedBatch,
    store::{StoreError, Written, failure},
};
use std::time::Duration;

/// Batches that were written since all was durable, oldest first; each counts one up.
pub(super) struct Unflushed {
    /// How far writing had come when all was durable.
    durable: Written,
    batches: Vec<DelayedBatch>,
    steps: usize,
    /// When the first of them was written, on the boot clock.
    since: Option<i64>,
}

/// What a store has that was opened again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Compared {
    /// So many of the batches.
    batches: usize,
    /// And what had just been tried.
    pub(super) tried: bool,
}

impl Unflushed {
    /// All is durable.
    pub(super) fn none(durable: Written) -> Self {
        Self { durable, batches: Vec::new(), steps: 0, since: None }
    }

    pub(super) fn push(&mut self, batch: DelayedBatch) {
        self.since.get_or_insert_with(|| clock::reading().boot);
        // An empty one takes room, too.
        self.steps += batch.steps.len().max(1);
        self.batches.push(batch);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    pub(super) fn steps(&self) -> usize {
        self.steps
    }

    /// When it is to be durable, on the boot clock.
    pub(super) fn due(&self, pace: Duration) -> Option<i64> {
        let pace = i64::try_from(pace.as_millis()).unwrap_or(i64::MAX);
        self.since.map(|since| since.saturating_add(pace))
    }

    /// What was lost, in the order of writing.
    pub(super) fn lost(&self, compared: &Compared) -> impl Iterator<Item = &DelayedBatch> {
        self.batches.iter().skip(compared.batches)
    }

    /// Compares with how far writing has come in a store that was opened again; `tried`: one more write may have been kept.
    ///
    /// # Errors
    /// Why that can't be the store that was closed.
    pub(super) fn compare(&self, now: Written, tried: bool) -> Result<Compared, StoreError> {
        let Some(more) = now.count.checked_sub(self.durable.count) else {
            return Err(failure(
                "it lost writes that were durable while it was closed after a failure; restore it from a backup, or start this clock again to go on with what is there",
            ));
        };
        let here = self.batches.len() as u64;
        let ours = if more == 0 { now.ours == self.durable.ours } else { now.ours };
        if !ours || more > here + u64::from(tried) {
            return Err(failure(
                "another process wrote to it while it was closed after a failure; start this clock again",
            ));
        }
        let batches = usize::try_from(more.min(here)).unwrap_or(usize::MAX);
        Ok(Compared { batches, tried: more > here })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(count: u64, ours: bool) -> Written {
        Written { count, ours, last_sequence: 0 }
    }

    /// Five writes of another process's time are durable, three of ours are not.
    fn three() -> Unflushed {
        let mut unflushed = Unflushed::none(written(5, false));
        (0..3).for_each(|_| unflushed.push(DelayedBatch::default()));
        unflushed
    }

    #[test]
    fn what_stands_above_the_count_was_lost() {
        let unflushed = three();
        for (count, ours, there) in [(5, false, 0), (6, true, 1), (8, true, 3)] {
            for tried in [false, true] {
                let compared = unflushed.compare(written(count, ours), tried).unwrap();
                assert_eq!(compared, Compared { batches: there, tried: false });
                assert_eq!(unflushed.lost(&compared).count(), 3 - there);
            }
        }
        let all = unflushed.compare(written(9, true), true).unwrap();
        assert_eq!(all, Compared { batches: 3, tried: true });
    }

    #[test]
    fn what_others_wrote_and_what_is_too_old_is_refused() {
        let unflushed = three();
        for (count, ours, tried) in [(9, true, false), (10, true, true), (6, false, true), (5, true, true)] {
            let refused = unflushed.compare(written(count, ours), tried).unwrap_err();
            assert!(refused.to_string().contains("another process"), "{count} {ours}: {refused}");
        }
        let refused = unflushed.compare(written(4, false), true).unwrap_err();
        assert!(refused.to_string().contains("lost writes"), "{refused}");
    }

    #[test]
    fn a_batch_without_steps_takes_room_and_time_runs_from_the_first() {
        let mut unflushed = three();
        assert_eq!(unflushed.steps(), 3);
        let due = unflushed.due(Duration::from_secs(1));
        unflushed.push(DelayedBatch::default());
        assert_eq!((due.is_some(), unflushed.due(Duration::from_secs(1))), (true, due));
        assert_eq!(Unflushed::none(written(9, true)).due(Duration::ZERO), None);
    }
}
