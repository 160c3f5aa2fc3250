//! Which attempt it stands at, and whether that is due.

use super::Verdict;
use crate::{
    event::{Event, Timestamp},
    worker::{ended::Death, retry::Attempt},
};

/// Which attempt this is.
pub(super) fn read(event: &Event, now: Timestamp) -> Result<Attempt, Death> {
    Attempt::read(&event.extensions, now)
}

/// Early ones go around again.
pub(super) fn due(attempt: &Attempt, now: Timestamp) -> Result<(), Verdict> {
    attempt.early(now).map_or(Ok(()), |due| Err(Verdict::Early(due)))
}
