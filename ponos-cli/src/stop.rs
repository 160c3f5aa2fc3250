//! Ctrl-C and SIGTERM: the first asks for an end after what is begun, the second for an end now.

use ponos::shutdown::{Shutdown, Trigger, shutdown};

/// A shutdown that signals advance; `Trigger` for those who end by themselves. Must be called within a tokio runtime.
pub(crate) fn on_signals(told: &'static str) -> (Trigger, Shutdown) {
    let (trigger, listener) = shutdown();
    tokio::spawn(listen(trigger.clone(), told));
    (trigger, listener)
}

#[cfg(unix)]
async fn listen(trigger: Trigger, told: &'static str) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return; // then the signals end the program as they always do
    };
    loop {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        advance(&trigger, told);
    }
}

#[cfg(not(unix))]
async fn listen(trigger: Trigger, told: &'static str) {
    while tokio::signal::ctrl_c().await.is_ok() {
        advance(&trigger, told);
    }
}

fn advance(trigger: &Trigger, told: &str) {
    if !told.is_empty() {
        crate::output::complain(told);
    }
    trigger.advance();
}
