//! What a change of the clocks does to times on the wall: the two choices of `dst`.

use serde::{Deserialize, Serialize};

/// What becomes of a local time that does not exist, because the clock was put forward past it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Gap {
    /// All local times in the gap become one occurrence at the first instant after it.
    #[default]
    After,
    /// The local time is read with the offset from before the gap: 02:30 becomes 03:30.
    Shift,
    /// It does not happen.
    Skip,
}

/// What becomes of a local time that comes twice, because the clock was put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Fold {
    /// Only the first pass counts.
    #[default]
    First,
    /// Only the second pass counts.
    Last,
    /// It happens in both.
    Both,
}

/// A jump of the local clock by more than this corrects the calendar (Pacific/Apia had no 2011-12-30): nothing is
/// caught up for it and nothing suppressed. Milliseconds; from `tests/conformance/README.md`, as Debian's cron has it.
pub(crate) const CORRECTION: i64 = 3 * 3_600_000;

/// Both choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Dst {
    /// Local times that do not exist.
    pub gap: Gap,
    /// Local times that come twice.
    pub fold: Fold,
}

impl Dst {
    /// Every real instant whose local time matches, and nothing else: what *wild* expressions mean.
    pub const REAL: Self = Self { gap: Gap::Skip, fold: Fold::Both };
}
