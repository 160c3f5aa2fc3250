//! Shutdown in two stages, as a parameter: first *stop taking in and finish what is begun*, then *stop now*.

use std::future::Future;
use tokio::sync::watch;

/// How far the shutdown has come. Stages only go up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// No shutdown was requested.
    Running,
    /// Take nothing new in, finish and settle what is begun.
    Draining,
    /// Stop now and report what is left.
    Stopping,
}

/// The stage requested so far.
#[derive(Debug, Clone, Copy)]
struct Asked {
    stage: Stage,
    interrupted: bool,
}

/// Asks for the shutdown.
#[derive(Debug, Clone)]
pub struct Trigger(watch::Sender<Asked>);

/// Receives the shutdown.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<Asked>);

/// A trigger and the listener that belongs to it.
pub fn shutdown() -> (Trigger, Shutdown) {
    let (sender, receiver) = watch::channel(Asked { stage: Stage::Running, interrupted: false });
    (Trigger(sender), Shutdown(receiver))
}

/// A listener that SIGTERM and SIGINT (Ctrl-C) advance: the first signal drains, the second stops. Must be called within a
/// tokio runtime; it listens as long as that runs.
pub fn on_signals() -> Shutdown {
    let (trigger, shutdown) = shutdown();
    trigger.advance_on_signals(|| {
        tracing::info!("stopping: finishing the work in progress; a second signal stops at once");
    });
    shutdown
}

/// Makes Ctrl-C (SIGINT) end the program at once with exit code 130, after a call of `tell`: for a program that has nothing to
/// finish. If the signal can't be listened for, it ends the program as usual.
#[doc(hidden)]
pub fn exit_on_interrupt(tell: impl FnOnce() + Send + 'static) {
    let listen = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if runtime.is_ok_and(|runtime| runtime.block_on(tokio::signal::ctrl_c()).is_ok()) {
            tell();
            std::process::exit(INTERRUPTED);
        }
    };
    drop(std::thread::Builder::new().name("interrupt".to_owned()).spawn(listen));
}

/// 128 and the number of the signal.
const INTERRUPTED: i32 = 130;

impl Trigger {
    /// Goes one stage up.
    pub fn advance(&self) {
        self.up(false);
    }

    /// Goes one stage up because of Ctrl-C: see [`Shutdown::was_interrupted`].
    pub fn interrupt(&self) {
        self.up(true);
    }

    fn up(&self, interrupted: bool) {
        self.0.send_modify(|asked| {
            asked.stage = if asked.stage == Stage::Running { Stage::Draining } else { Stage::Stopping };
            asked.interrupted |= interrupted;
        });
    }

    /// Goes one stage up with each SIGTERM and SIGINT (Ctrl-C), after a call of `tell`. Must be called within a tokio runtime; it
    /// listens as long as that runs.
    pub fn advance_on_signals(&self, tell: impl Fn() + Send + 'static) {
        tokio::spawn(listen(self.clone(), tell));
    }
}

async fn listen(trigger: Trigger, tell: impl Fn()) {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut terminate), Ok(mut interrupt)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            // then they end the program as they always do
            tracing::warn!("signals can't be listened for");
            return;
        };
        loop {
            let interrupted = tokio::select! {
                _ = terminate.recv() => false,
                _ = interrupt.recv() => true,
            };
            tell();
            trigger.up(interrupted);
        }
    }
    #[cfg(not(unix))]
    while tokio::signal::ctrl_c().await.is_ok() {
        tell();
        trigger.interrupt();
    }
}

impl Shutdown {
    /// The stage reached.
    pub fn stage(&self) -> Stage {
        self.0.borrow().stage
    }

    /// Whether a Ctrl-C (SIGINT) was among the requests; a program then ends with exit code 130.
    pub fn was_interrupted(&self) -> bool {
        self.0.borrow().interrupted
    }

    /// Resolves when `stage` is reached; never, if the trigger is gone before.
    pub fn reached(&self, stage: Stage) -> impl Future<Output = ()> + Send + 'static {
        let mut receiver = self.0.clone();
        async move {
            if receiver.wait_for(|now| now.stage >= stage).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_request_drains_and_the_second_stops() {
        let (trigger, shutdown) = shutdown();
        assert_eq!(shutdown.stage(), Stage::Running);
        trigger.advance();
        shutdown.reached(Stage::Draining).await;
        assert_eq!(shutdown.stage(), Stage::Draining);
        trigger.advance();
        trigger.advance();
        shutdown.reached(Stage::Stopping).await;
        assert_eq!(shutdown.stage(), Stage::Stopping);
        assert!(!shutdown.was_interrupted());
        trigger.interrupt();
        assert!(shutdown.was_interrupted());
    }
}
