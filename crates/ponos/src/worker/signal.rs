//! A flag that is raised once, and can be waited for.

use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// Raised once, for good.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    raised: AtomicBool,
    notify: Notify,
}

impl Signal {
    /// Raises it and wakes all that wait.
    pub(crate) fn raise(&self) {
        self.raised.store(true, Ordering::Release);
        self.notify.notify_waiters();
    }

    /// Whether it is raised.
    pub(crate) fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }

    /// Resolves when it is raised.
    pub(crate) async fn raised(&self) {
        // the place in the queue is taken before the flag is looked at, so that none is missed
        let notified = self.notify.notified();
        if !self.is_raised() {
            notified.await;
        }
    }
}
