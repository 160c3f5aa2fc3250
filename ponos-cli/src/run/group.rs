//! A child with everything it started: ended together.

use std::time::Duration;
use tokio::process::{Child, Command};

/// Between the request to end and the end.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// Makes the child the leader of a process group of its own; Ctrl-C at our terminal does not reach it then.
pub(super) fn lead(command: &mut Command) {
    #[cfg(unix)]
    command.process_group(0);
    // the last guard, should this process panic
    command.kill_on_drop(true);
}

/// Asks the whole group to end, and ends what is left of it after [`GRACE`].
pub(super) async fn end(child: &mut Child) {
    signal(child, false);
    if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
        signal(child, true);
        // now it can't but end
        let _ = child.wait().await;
    }
}

#[cfg(unix)]
fn signal(child: &Child, kill: bool) {
    use rustix::process::{Pid, Signal, kill_process_group};
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let signal = if kill { Signal::KILL } else { Signal::TERM };
        // an error means that nobody is left
        let _ = kill_process_group(pid, signal);
    }
}

#[cfg(not(unix))]
fn signal(child: &mut Child, _kill: bool) {
    let _ = child.start_kill();
}
