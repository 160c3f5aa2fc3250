//! How much arithmetic a definition may cost before it is accepted: who writes one may be a stranger.

/// Steps that may still be made. One is an instant that is looked for in one rule.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Steps(u64);

/// All steps were made, and there is no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UsedUp;

impl Steps {
    /// For what was accepted before.
    pub(crate) const UNLIMITED: Self = Self(u64::MAX);
    /// For a new definition: some 20 ms of a processor, or 30,000 occurrences of two timings that share some.
    pub(crate) const OF_A_DEFINITION: Self = Self(100_000);

    /// Makes so many.
    pub(crate) fn make(&mut self, count: usize) -> Result<(), UsedUp> {
        self.0 = self.0.checked_sub(count as u64).ok_or(UsedUp)?;
        Ok(())
    }
}
