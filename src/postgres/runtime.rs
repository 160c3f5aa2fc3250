//! A runtime of one thread, for a port whose calls block.

use std::{future::Future, io};
use tokio::runtime::{Builder, Runtime};

/// Runs what is awaited on the thread that calls. It may be dropped anywhere, in a task of another runtime too.
pub(super) struct Blocking(Option<Runtime>);

impl Blocking {
    pub(super) fn new() -> io::Result<Self> {
        Builder::new_current_thread().enable_all().build().map(|runtime| Self(Some(runtime)))
    }

    /// `None` only while it is being dropped.
    pub(super) fn run<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.0.as_ref().map(|runtime| runtime.block_on(work))
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        // Dropped as it is, it would wait for its threads, which a task may not.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
