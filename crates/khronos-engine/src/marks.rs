//! What delayed events need of the engine: the marks by which they are handed over, and the counter of creations, of which there
//! is one for all.

use super::{Engine, delayed::Marks, hand_over::RESERVE};
use ponos_event::Timestamp;

impl Engine {
    /// Where the marks stand.
    pub fn marks(&self) -> Marks {
        let progress = &self.progress;
        let (handed, reached) = (progress.handed(), progress.reached());
        Marks { now: self.now(), handed, reached, created: progress.created() }
    }

    /// A delayed event of this send time is handed over: after a clean end it may have been sent, too.
    pub fn hands_over_delayed(&mut self, send: Timestamp) {
        self.progress.hand_over(send);
    }

    /// Delayed events have creation numbers up to this one.
    pub fn created_delayed(&mut self, created: u64) {
        self.progress.created_beside(created);
    }

    /// Has H raised to a send time that is near; and somewhat beyond, so that what follows costs no write of its own.
    pub(super) fn reserve_for_delayed(&mut self, send: Timestamp) {
        if self.progress.wanted() < send {
            self.progress.reserve(send.max(self.now()).plus(RESERVE));
        }
    }
}
