//! How long a handler keeps its thread at a time. One that blocks can't be cancelled, and holds up what shares the thread.

use crate::clock::Stopwatch;
use std::{
    future::{Future, poll_fn},
    pin::pin,
    time::Duration,
};

/// What is shorter may be a busy machine's doing.
const NOTICE: Duration = Duration::from_millis(100);

/// Watches one run.
#[derive(Debug)]
pub(super) struct Hold {
    began: Stopwatch,
    timeout: Duration,
    longest: Option<Duration>,
}

impl Hold {
    /// From now on.
    pub(super) fn new(timeout: Duration) -> Self {
        Self { began: Stopwatch::start(), timeout, longest: None }
    }

    /// The same future, watched.
    pub(super) async fn watch<F: Future>(&mut self, body: F) -> F::Output {
        let mut body = pin!(body);
        poll_fn(|context| {
            let poll = Stopwatch::start();
            let polled = body.as_mut().poll(context);
            let held = poll.elapsed();
            if held >= NOTICE && self.began.elapsed() > self.timeout {
                self.longest = self.longest.max(Some(held));
            }
            polled
        })
        .await
    }

    /// The longest that it kept its thread at a time, of what went beyond the timeout.
    pub(super) fn beyond(&self) -> Option<Duration> {
        self.longest
    }
}
