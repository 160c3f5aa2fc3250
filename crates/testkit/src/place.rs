//! Where a node's files are, commands that run there, and a port for it.

use crate::processes::lock;
use std::{
    collections::BTreeSet,
    hash::{BuildHasher as _, RandomState},
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

/// Where a node's files are, seen from here and seen from within its chroot.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) root: Option<PathBuf>,
    pub(crate) outside: PathBuf,
    pub(crate) inside: PathBuf,
}

impl Place {
    pub(crate) fn make() -> Self {
        let root = std::env::var_os("TESTKIT_RABBITMQ_ROOT").map(PathBuf::from);
        let parent = root.as_ref().map_or_else(std::env::temp_dir, |root| root.join("tmp"));
        let outside = tempfile::Builder::new()
            .prefix("khronos-rabbitmq-")
            .tempdir_in(&parent)
            .unwrap_or_else(|error| panic!("no folder can be made in {}: {error}", parent.display()))
            .keep();
        let inside = match &root {
            Some(root) => Path::new("/").join(outside.strip_prefix(root).unwrap()),
            None => outside.clone(),
        };
        Self { root, outside, inside }
    }

    /// `program` with this environment and nothing else of ours; within the chroot if there is one.
    pub(crate) fn command(&self, program: &str, environment: &[(&str, String)]) -> Command {
        const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let mut command = match &self.root {
            Some(root) => {
                let mut command = Command::new("chroot");
                command.arg(root).arg("/usr/bin/env");
                command
            }
            None => Command::new("/usr/bin/env"),
        };
        command.current_dir(&self.outside).arg("-i").arg(PATH);
        command.args(environment.iter().map(|(key, value)| format!("{key}={value}"))).arg(program);
        command
    }
}

/// A port of 127.0.0.1 for a server that may be killed and started again. It is below those that the system gives to clients (32768
/// and up): one of these might have it while the server is away. No two servers of a test's process get the same.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let port = 10_000 + (RandomState::new().hash_one(0_u8) % 22_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() && lock(&GIVEN).insert(port) {
            return port;
        }
    }
}
