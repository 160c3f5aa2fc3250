//! A waker that notes that it woke.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Wake, Waker},
};

/// Notes a wake-up while it passes it on.
pub(super) struct Woken {
    again: AtomicBool,
    task: Waker,
}

impl Woken {
    /// Passes wake-ups on to the task.
    pub(super) fn new(task: Waker) -> Self {
        Self { again: AtomicBool::new(false), task }
    }

    /// Whether it woke since the last call.
    pub(super) fn again(&self) -> bool {
        self.again.swap(false, Ordering::AcqRel)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.again.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}
