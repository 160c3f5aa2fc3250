//! Notices of which there may be many at once: one is said at once, then one in ten seconds at most, with how many others
//! there were. At the end nothing is kept back.

use super::Notice;
use ponos_event::Timestamp;

/// One in so many milliseconds at most.
const BETWEEN: i64 = 10_000;

/// Those of one kind.
#[derive(Debug, Default)]
pub(super) struct Rarely {
    said: Option<Timestamp>,
    /// The first that was not said since, and how many came after it.
    kept: Option<(Notice, usize)>,
}

impl Rarely {
    pub(super) fn note(&mut self, notice: Notice) {
        match &mut self.kept {
            Some((_, others)) => *others += 1,
            None => self.kept = Some((notice, 0)),
        }
    }

    /// What is to be said now.
    pub(super) fn take(&mut self, now: Timestamp) -> Option<Notice> {
        let is_early = |said: Timestamp| (0..BETWEEN).contains(&now.since(said));
        if self.kept.is_none() || self.said.is_some_and(is_early) {
            return None;
        }
        self.said = Some(now);
        let (notice, others) = self.kept.take()?;
        Some(notice.and_others(others))
    }

    /// Says what is kept at the next chance: the engine ends.
    pub(super) fn hurry(&mut self) {
        self.said = None;
    }

    /// When something is to be said.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.kept.as_ref().and(self.said).map(|said| said.plus(BETWEEN))
    }
}
