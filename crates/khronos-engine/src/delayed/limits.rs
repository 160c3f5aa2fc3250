//! How much is kept of what is over. Limits of its own: a client's million events evicts no schedule's proof.

/// Of what is too old or too much, so many of each kind go with one write, beyond what it adds of that kind.
pub const PORTION: usize = 1_000;
/// How long a settled event is known by the name that the caller chose (1 hour, in milliseconds).
pub const TOMBSTONES_KEPT: i64 = 60 * 60 * 1_000;
/// How long the answer to a message is kept (24 hours, in milliseconds).
pub const ANSWERS_KEPT: i64 = crate::messages::KEPT;

/// A page of the record ends behind the row with which its content comes to so many bytes.
pub const PAGE_BYTES: usize = 1 << 20;

/// Bounds of what is kept beside the events that are pending. Age goes by the `now` of each write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DelayedLimits {
    /// Rows of the record: the newest, this many.
    pub rows: u64,
    /// Milliseconds: rows that are older go.
    pub age: i64,
    /// Of the log of changes the newest, this many; likewise.
    pub changes: u64,
    /// Milliseconds: changes that are older go.
    pub changes_age: i64,
    /// About so many bytes of them in all: where there are more, the oldest go.
    pub changes_bytes: u64,
    /// Tombstones: where there are more, the oldest go before their hour is over.
    pub tombstones: u64,
}

impl Default for DelayedLimits {
    /// A million rows, 90 days; 100,000 changes, a year, 64 MiB; four million tombstones, which is an hour of a thousand a second.
    fn default() -> Self {
        Self {
            rows: 1_000_000,
            age: 90 * 86_400_000,
            changes: 100_000,
            changes_age: 366 * 86_400_000,
            changes_bytes: 64 << 20,
            tombstones: 4_000_000,
        }
    }
}
