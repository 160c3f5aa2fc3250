//! How much of the record is kept, and of the log of changes.

/// Bounds of the record, and of the log of changes. Both hold at once; trimming removes the oldest rows, in blocks, with a write that adds rows,
/// so that somewhat more than this may be kept, and never less of what `rows` allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The newest rows, this many.
    pub rows: u64,
    /// Milliseconds: rows older than the newest one by more than this may go.
    pub age: i64,
    /// Of the log of changes the newest, this many; likewise.
    pub changes: u64,
    /// Milliseconds: changes older than the newest one by more than this may go.
    pub changes_age: i64,
}

impl Default for Limits {
    /// A million rows, 90 days; 100,000 changes, a year.
    fn default() -> Self {
        Self { rows: 1_000_000, age: 90 * 86_400_000, changes: 100_000, changes_age: 366 * 86_400_000 }
    }
}
