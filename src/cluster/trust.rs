//! Until when this process may hand over, for all that hand something over.

use crate::{clock, clock_loop::PROBE};
use ponos::broker::{Fence, Publishing};
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};
use tokio::sync::watch;

/// Until when this process may hand over, by the boot-time clock; not at all at first. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Trust(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    until: AtomicI64,
    told: watch::Sender<i64>,
}

impl Default for Trust {
    fn default() -> Self {
        Self(Arc::new(Inner { until: AtomicI64::new(i64::MIN), told: watch::channel(i64::MIN).0 }))
    }
}

impl Trust {
    /// Nothing at this instant or after it.
    pub(crate) fn set(&self, until: i64) {
        self.0.until.store(until, Ordering::SeqCst);
        self.0.told.send_replace(until);
    }

    /// Whether something may go now.
    pub(crate) fn holds(&self) -> bool {
        clock::reading().boot < self.0.until.load(Ordering::SeqCst)
    }

    /// Each change of it.
    pub(crate) fn follow(&self) -> watch::Receiver<i64> {
        self.0.told.subscribe()
    }

    /// Holds back what is not trusted any more when its turn comes. What only shows whether the broker confirms may always go.
    pub(crate) fn fence(&self) -> Fence {
        let trust = self.clone();
        Fence::new(move |publishing: &Publishing| publishing.token == PROBE || trust.holds())
    }
}
