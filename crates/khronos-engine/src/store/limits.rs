//! How much of the record is kept.

/// Bounds of the record. Both hold at once; trimming removes the oldest rows, in blocks, with a write that adds rows,
/// so that somewhat more than this may be kept, and never less of what `rows` allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The newest rows, this many.
    pub rows: u64,
    /// Milliseconds: rows older than the newest one by more than this may go.
    pub age: i64,
}

impl Default for Limits {
    /// A million rows, 90 days.
    fn default() -> Self {
        Self { rows: 1_000_000, age: 90 * 86_400_000 }
    }
}
