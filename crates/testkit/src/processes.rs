//! Child processes that never outlive the test: not when it panics, and not when it is killed.

use crate::block_until;
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Waits until the test's end of the pipe closes, however that happens; then ends what stands in `pids` (a file for each,
/// so that one is forgotten as soon as it is reaped: its number may come back) and clears up.
const GUARD: &str = r#"trap '' INT TERM HUP
cat >/dev/null
for pid in "$1"/pids/*; do kill -9 "-${pid##*/}"; done 2>/dev/null
rm -rf "$1" 2>/dev/null || { sleep 1; rm -rf "$1"; }
"#;

/// The processes of one folder, each the leader of a process group, and the guard that ends them.
#[derive(Debug)]
pub(crate) struct Processes {
    pids: PathBuf,
    guard: Child,
}

impl Processes {
    /// Starts the guard over `folder`, which it removes at the end.
    pub(crate) fn new(folder: &Path) -> Self {
        let pids = folder.join("pids");
        std::fs::create_dir(&pids).unwrap();
        let guard = Command::new("sh")
            .args(["-c", GUARD, "guard"])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("sh can be started");
        Self { pids, guard }
    }

    /// Starts `command` as a process group of its own, under the guard.
    pub(crate) fn spawn(&self, command: &mut Command) -> Child {
        let child = command
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("can't start {command:?}: {error}"));
        std::fs::write(self.pids.join(child.id().to_string()), "").unwrap();
        child
    }

    /// Ends a process of this folder with its group, reaps it and forgets its number.
    pub(crate) fn end(&self, child: &mut Child) {
        kill_group(child);
        // The folder may be gone at the end of a test.
        let _ = std::fs::remove_file(self.pids.join(child.id().to_string()));
    }
}

/// Ends a process group with SIGKILL and reaps its leader.
pub(crate) fn kill_group(child: &mut Child) {
    // The group may be gone already, which is what is wanted.
    let _ = signal_group(child, Signal::KILL);
    let _ = child.wait();
}

/// Sends a signal to a process group.
pub(crate) fn signal_group(leader: &Child, signal: Signal) -> rustix::io::Result<()> {
    let group = i32::try_from(leader.id()).ok().and_then(Pid::from_raw).ok_or(rustix::io::Errno::SRCH)?;
    kill_process_group(group, signal)
}

/// Waits until every thread of every process in the group stands still: SIGSTOP takes effect only when some thread of
/// the process gets to run, and on a busy machine its others answer until then.
pub(crate) fn wait_stopped(leader: u32) {
    block_until("the processes to stand still", Duration::from_secs(20), || {
        let runs = |pid: &u32| threads(*pid).iter().any(|state| !matches!(state, 'T' | 'Z' | 'X'));
        (!processes(|_, group| group == leader).iter().any(runs)).then_some(())
    });
}

/// The processes of which `wanted` is true of the parent and the group.
pub(crate) fn processes(wanted: impl Fn(u32, u32) -> bool) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").expect("/proc is there");
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_wanted = |pid: &u32| {
        let Some((_, parent, group)) = stat(&format!("/proc/{pid}/stat")) else { return false };
        wanted(parent, group)
    };
    pids.filter(is_wanted).collect()
}

/// The state of each thread of a process; none when it is gone.
fn threads(pid: u32) -> Vec<char> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let state = |entry: std::io::Result<std::fs::DirEntry>| {
        stat(&format!("{}/stat", entry.ok()?.path().display())).map(|(state, ..)| state)
    };
    tasks.filter_map(state).collect()
}

/// State, parent and group of a process or thread (proc(5)); its name, which comes before, may hold anything.
fn stat(file: &str) -> Option<(char, u32, u32)> {
    let text = std::fs::read_to_string(file).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

impl Drop for Processes {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// A test that failed while it held the lock must still be able to clear up.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
