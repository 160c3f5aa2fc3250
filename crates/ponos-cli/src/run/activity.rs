//! Counts the runs in progress, and all that ever started.

use tokio::sync::watch;

/// Clones count together.
#[derive(Debug, Clone)]
pub(super) struct Activity(watch::Sender<RunCounts>);

/// The counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct RunCounts {
    /// Running now.
    pub(super) at_work: usize,
    /// Begun since the start.
    pub(super) begun: u64,
}

/// One that is at work until this is dropped.
#[derive(Debug)]
pub(super) struct AtWork(watch::Sender<RunCounts>);

impl Default for Activity {
    fn default() -> Self {
        Self(watch::Sender::new(RunCounts::default()))
    }
}

impl Activity {
    /// Counts one more, until the result is dropped.
    pub(super) fn begin(&self) -> AtWork {
        self.0.send_modify(|counts| {
            counts.at_work += 1;
            counts.begun += 1;
        });
        AtWork(self.0.clone())
    }

    /// The counts now.
    pub(super) fn counts(&self) -> RunCounts {
        *self.0.borrow()
    }

    /// Resolves when nothing runs.
    pub(super) async fn none_left(&self) {
        // the sender is ours: it can't be gone
        let _ = self.0.subscribe().wait_for(|counts| counts.at_work == 0).await;
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.send_modify(|counts| counts.at_work -= 1);
    }
}
