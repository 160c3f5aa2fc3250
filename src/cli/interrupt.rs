//! Ctrl-C (SIGINT) ends every verb with 130, as shells have it: `run` after it ended in good order, the others at once,
//! whatever they compute or wait for.

use super::exit::Exit;
use std::thread;

/// From now on Ctrl-C ends the program at once. Where it can't be listened for, the signal itself does.
pub(super) fn end_at_once() {
    let listen = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if runtime.is_ok_and(|runtime| runtime.block_on(tokio::signal::ctrl_c()).is_ok()) {
            std::process::exit(Exit::Interrupted as i32);
        }
    };
    drop(thread::Builder::new().name("interrupt".to_owned()).spawn(listen));
}

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
