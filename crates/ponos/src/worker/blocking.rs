//! Blocking work, on threads of its own. A task's slot stays taken until that work ends, because it can't be cancelled.

use super::{Context, Failure, HandlerResult, queue_context::QueueContext};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::{
    sync::Notify,
    task::{AbortHandle, spawn_blocking},
};

/// How much of a task runs on other threads.
#[derive(Debug, Default)]
pub(crate) struct BlockingWork {
    count: AtomicUsize,
    ended: Notify,
}

impl BlockingWork {
    /// Whether any of it still runs.
    pub(crate) fn is_busy(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }

    /// Waits until all of it has ended, or the worker stops.
    pub(crate) async fn idle(&self, queue: &QueueContext, context: &Context) {
        context.span().in_scope(|| {
            tracing::warn!(
                queue = %queue.plan.name, id = %context.id(),
                "the handler ended, but its blocking work still runs; its slot stays taken until that work ends"
            );
        });
        tokio::select! {
            () = self.all_ended() => {}
            () = queue.stop.raised() => {}
        }
    }

    async fn all_ended(&self) {
        loop {
            let ended = self.ended.notified();
            if self.count.load(Ordering::Acquire) == 0 {
                return;
            }
            ended.await;
        }
    }
}

/// Counts one piece of work, until it is dropped: by its end, by its panic, or because it never began.
struct Counted(Context);

impl Counted {
    fn new(context: Context) -> Self {
        context.inner().blocking.count.fetch_add(1, Ordering::AcqRel);
        Self(context)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let running = &self.0.inner().blocking;
        running.count.fetch_sub(1, Ordering::AcqRel);
        running.ended.notify_waiters();
    }
}

/// Work that still waits for a thread when its handler is dropped never begins.
struct Unbegun(AbortHandle);

impl Drop for Unbegun {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Context {
    /// Runs `work`, which may block or keep a processor busy, on a thread for blocking work. The task's slot stays taken until
    /// it ends, even if the handler is cancelled before; a retry waits for that.
    ///
    /// # Errors
    /// The error of `work`; a panic in it is a failure.
    pub async fn blocking<W>(&self, work: W) -> HandlerResult
    where
        W: FnOnce(&Self) -> HandlerResult + Send + 'static,
    {
        let counted = Counted::new(self.clone());
        let work = spawn_blocking(move || {
            let counted = counted;
            let span = counted.0.span().clone();
            span.in_scope(|| work(&counted.0))
        });
        let _unbegun = Unbegun(work.abort_handle());
        match work.await {
            Ok(result) => result,
            Err(error) if error.is_panic() => {
                let words = super::delivery::panic_message(error.into_panic().as_ref());
                Err(Failure::new(format!("panicked: {words}")))
            }
            Err(_) => Err(Failure::new("the blocking work was cancelled, because the runtime shuts down")),
        }
    }
}
