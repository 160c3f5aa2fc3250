//! What delayed events need of the engine: the marks by which they are handed over, and the counter of creations, of which there
//! is one for all.

use super::{Engine, delayed::Marks, hand_over::RESERVE};
use ponos_event::Timestamp;

/// Milliseconds ahead for which H is raised at most.
const NEAR: i64 = 2_000;

impl Engine {
    /// Where the marks stand.
    pub fn marks(&self) -> Marks {
        let progress = &self.progress;
        let (handed, reached) = (progress.handed(), progress.reached());
        Marks {
            now: self.now(),
            handed,
            reached,
            created: progress.created(),
            since: progress.since_set_back(),
        }
    }

    /// A delayed event of this send time is handed over: after a clean end it may have been sent, too.
    pub fn hands_over_delayed(&mut self, send: Timestamp) {
        self.progress.hand_over(send);
    }

    /// Delayed events have creation numbers up to this one.
    pub fn created_delayed(&mut self, created: u64) {
        self.progress.created_beside(created);
    }

    /// Whether H will be there once what is asked for is durable.
    pub fn is_reserved_beside(&self, send: Timestamp) -> bool {
        self.progress.wanted() >= send
    }

    /// Has H raised to a send time that is near; and somewhat beyond, so that what follows costs no write of its own. What was asked for
    /// before the clock was set back is not near any more.
    pub(super) fn reserve_for_delayed(&mut self, send: Timestamp) {
        let is_near = send.since(self.now()) <= NEAR && self.setting_back.is_none();
        if is_near && !self.is_reserved_beside(send) {
            self.progress.reserve(send.max(self.now()).plus(RESERVE));
        }
    }
}
