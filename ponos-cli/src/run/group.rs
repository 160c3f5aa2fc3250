//! A child with everything it started: ended together.

use std::time::Duration;
use tokio::process::{Child, Command};

/// Between the request to end and the end.
pub(super) const GRACE: Duration = Duration::from_secs(5);
/// How often it is looked whether somebody of the group is left; nobody tells of those who are not our children.
#[cfg(unix)]
const LOOK: Duration = Duration::from_millis(20);

/// Makes the child the leader of a process group of its own; Ctrl-C at our terminal does not reach it then.
pub(super) fn lead(command: &mut Command) {
    #[cfg(unix)]
    command.process_group(0);
    // the last guard, should this process panic
    command.kill_on_drop(true);
}

/// Asks the whole group to end, and ends what is left of it after [`GRACE`], be it the child or what the child started.
#[cfg(unix)]
pub(super) async fn end(child: &mut Child) {
    // once it was waited for, the child does not tell it any more
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    let Some(group) = group else { return };
    // an error means that nobody is left
    let _ = rustix::process::kill_process_group(group, rustix::process::Signal::TERM);
    let gone = async {
        let _ = child.wait().await;
        while rustix::process::test_kill_process_group(group).is_ok() {
            tokio::time::sleep(LOOK).await;
        }
    };
    if tokio::time::timeout(GRACE, gone).await.is_err() {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        // now it can't but end
        let _ = child.wait().await;
    }
}

#[cfg(not(unix))]
pub(super) async fn end(child: &mut Child) {
    let _ = child.kill().await;
}
