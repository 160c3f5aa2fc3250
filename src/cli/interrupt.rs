//! Ctrl-C (SIGINT) ends `run` in good order, and then with 130 as shells have it. The others end at once
//! (`ponos::shutdown::exit_on_interrupt`).

use super::exit::Exit;
/// Tells whether Ctrl-C came meanwhile.
#[derive(Debug)]
pub(super) struct Interrupt {
    #[cfg(unix)]
    signals: Option<tokio::signal::unix::Signal>,
}

impl Interrupt {
    /// From now on. Must be called within a tokio runtime.
    pub(super) fn begin() -> Self {
        Self {
            #[cfg(unix)]
            signals: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt()).ok(),
        }
    }

    /// What a verb that ended well ends with.
    #[cfg(unix)]
    pub(super) async fn exit(self) -> Exit {
        let Some(mut signals) = self.signals else { return Exit::Done };
        tokio::select! {
            biased;
            Some(()) = signals.recv() => Exit::Interrupted,
            () = std::future::ready(()) => Exit::Done,
        }
    }

    /// What a verb that ended well ends with.
    #[cfg(not(unix))]
    pub(super) async fn exit(self) -> Exit {
        Exit::Done
    }
}
