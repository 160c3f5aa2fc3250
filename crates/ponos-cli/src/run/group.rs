//! A child with everything it started, ended together: when the child has ended, or when it must end.
//!
//! That is its process group; a process that leaves the group (`setsid`) stays.

use std::time::Duration;
use tokio::process::{Child, Command};

/// The time between SIGTERM and SIGKILL.
pub(super) const GRACE: Duration = Duration::from_secs(5);
/// How often the group is checked for processes that are left; the system does not notify about other than our children.
#[cfg(unix)]
const LOOK: Duration = Duration::from_millis(20);

/// Makes the child the leader of a process group of its own; Ctrl-C at our terminal does not reach it then.
pub(super) fn lead(command: &mut Command) {
    #[cfg(unix)]
    command.process_group(0);
    // the last guard, should this process panic
    command.kill_on_drop(true);
}

/// The process group that a child leads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group(#[cfg(unix)] Option<rustix::process::Pid>);

impl Group {
    /// The group of a child that was just started: once waited for, it has no id any more.
    pub(super) fn of(child: &Child) -> Self {
        #[cfg(unix)]
        return Self(
            child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw),
        );
        #[cfg(not(unix))]
        {
            let _ = child;
            Self()
        }
    }

    /// Asks the whole group to end, and kills what is left of it after [`GRACE`]: the child, or what it started.
    /// Returns whether the group had any process.
    #[cfg(unix)]
    pub(super) async fn end(self, child: &mut Child) -> bool {
        use rustix::process::{Signal, kill_process_group};
        let Some(group) = self.0 else { return false };
        // an error means that nobody is left. A child that was waited for has left its number to its group, if there is one; that
        // the number was given to a stranger in the moment since then would take as many new processes as there are numbers
        if kill_process_group(group, Signal::TERM).is_err() {
            return false;
        }
        let gone = async {
            let _ = child.wait().await;
            while is_there(group) {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(GRACE, gone).await.is_err() {
            let _ = kill_process_group(group, Signal::KILL);
            // now it can't but end
            let _ = child.wait().await;
        }
        true
    }

    #[cfg(not(unix))]
    pub(super) async fn end(self, child: &mut Child) -> bool {
        child.kill().await.is_ok()
    }
}

/// Whether a process of the group is left; its leader was waited for.
#[cfg(unix)]
fn is_there(group: rustix::process::Pid) -> bool {
    use rustix::process::{WaitOptions, test_kill_process_group, waitpgid};
    // where we are the first process (in a container), orphans become our children, and would stay as zombies
    while let Ok(Some(_)) = waitpgid(group, WaitOptions::NOHANG) {}
    test_kill_process_group(group).is_ok()
}
