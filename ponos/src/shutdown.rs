//! Shutdown in two stages, as a parameter: first *stop taking in and finish what is begun*, then *stop now*.

use std::future::Future;
use tokio::sync::watch;

/// How far the shutdown has come. Stages only go up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Nobody asked.
    Running,
    /// Take nothing new in, finish and settle what is begun.
    Draining,
    /// Stop now and report what is left.
    Stopping,
}

/// Asks for the shutdown.
#[derive(Debug, Clone)]
pub struct Trigger(watch::Sender<Stage>);

/// Is told of the shutdown.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<Stage>);

/// A trigger and the listener that belongs to it.
pub fn shutdown() -> (Trigger, Shutdown) {
    let (sender, receiver) = watch::channel(Stage::Running);
    (Trigger(sender), Shutdown(receiver))
}

/// A listener that SIGTERM and SIGINT (Ctrl-C) advance: the first drains, the second stops. Must be called within a tokio
/// runtime; it listens as long as that lives.
pub fn on_signals() -> Shutdown {
    let (trigger, shutdown) = shutdown();
    trigger.advance_on_signals(|| {
        tracing::info!("stopping: finishing what is begun; a second signal stops at once");
    });
    shutdown
}

impl Trigger {
    /// Goes one stage up.
    pub fn advance(&self) {
        self.0.send_modify(|stage| {
            *stage = if *stage == Stage::Running { Stage::Draining } else { Stage::Stopping };
        });
    }

    /// Goes one stage up with each SIGTERM and SIGINT (Ctrl-C), after a word by `tell`. Must be called within a tokio
    /// runtime; it listens as long as that lives.
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
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tell();
            trigger.advance();
        }
    }
    #[cfg(not(unix))]
    while tokio::signal::ctrl_c().await.is_ok() {
        tell();
        trigger.advance();
    }
}

impl Shutdown {
    /// The stage reached.
    pub fn stage(&self) -> Stage {
        *self.0.borrow()
    }

    /// Resolves when `stage` is reached; never, if the trigger is gone before.
    pub fn reached(&self, stage: Stage) -> impl Future<Output = ()> + Send + 'static {
        let mut receiver = self.0.clone();
        async move {
            if receiver.wait_for(|now| *now >= stage).await.is_err() {
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
    }
}
