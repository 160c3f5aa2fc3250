//! A folder of a test's own and the programs that run in it: gone together, however the test ends.

use crate::{
    block_until,
    processes::{Processes, signal_group},
};
use rustix::process::Signal;
use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::Arc,
    time::Duration,
};

/// A folder of a test's own. When it and its programs are dropped, and when the test's process is gone, nothing is left.
#[derive(Debug)]
pub struct Sandbox {
    folder: PathBuf,
    processes: Arc<Processes>,
}

/// A program that was started in a [`Sandbox`]; killed when dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    processes: Arc<Processes>,
}

impl Sandbox {
    /// Makes an empty folder; its path is short enough for a socket in it.
    #[allow(clippy::new_without_default)] // it makes something on the disk
    pub fn new() -> Self {
        let made = tempfile::Builder::new().prefix("khronos-test-").tempdir();
        let folder = made.expect("a folder can be made for the test").keep();
        Self { processes: Arc::new(Processes::new(&folder)), folder }
    }

    /// What is, or is to be, there under this name.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.join(name)
    }

    /// Starts a program as the leader of a process group of its own.
    pub fn start(&self, command: &mut Command) -> Program {
        self.start_in(command, &self.folder)
    }

    /// The same in another working directory.
    pub fn start_in(&self, command: &mut Command, folder: &Path) -> Program {
        let child = self.processes.spawn(command.current_dir(folder));
        Program { child, processes: self.processes.clone() }
    }
}

impl Program {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        signal_group(&self.child, signal).expect("the program runs");
    }

    /// Waits for its end; gives its exit code, `None` when a signal ended it.
    ///
    /// # Panics
    /// When it still runs after `limit`.
    pub fn wait(&mut self, limit: Duration) -> Option<i32> {
        block_until("the program to end", limit, || self.child.try_wait().ok().flatten()).code()
    }

    /// Whether it runs still.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.processes.end(&mut self.child);
    }
}

/// A file is for its user alone, or a folder with everything below it.
///
/// # Panics
/// If others may do anything with one of them.
pub fn assert_private(path: &Path) {
    let found = std::fs::symlink_metadata(path).unwrap();
    let wanted = if found.is_dir() { 0o700 } else { 0o600 };
    assert_eq!(found.permissions().mode() & 0o7777, wanted, "{}", path.display());
    if found.is_dir() {
        std::fs::read_dir(path).unwrap().for_each(|entry| assert_private(&entry.unwrap().path()));
    }
}
