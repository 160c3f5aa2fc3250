//! A flag that is raised once, and can be waited for; whoever waits may be woken to look at something else.

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

    /// Wakes all that [wait to be woken](Self::woken).
    pub(crate) fn wake(&self) {
        self.notify.notify_waiters();
    }

    /// Whether it is raised.
    pub(crate) fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }

    /// Resolves when it is raised.
    pub(crate) async fn raised(&self) {
        self.woken(|| self.is_raised().then_some(())).await;
    }

    /// Resolves with what `look` finds, which looks now, and whenever all are woken.
    pub(crate) async fn woken<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        loop {
            // the place in the queue is taken before it looks, so that nothing is missed
            let notified = self.notify.notified();
            if let Some(found) = look() {
                return found;
            }
            notified.await;
        }
    }
}
