//! A private PgBouncer.

use crate::{Postgres, block_until_or_tell, postgres::as_postgres, processes::Processes};
use std::{
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

const PROGRAM: &str = "/usr/sbin/pgbouncer";
const BOOT: Duration = Duration::from_secs(60);

/// A private PgBouncer on 127.0.0.1 in transaction mode, before a [`Postgres`]: each transaction gets whichever of a few servers
/// is free. Gone when dropped, and gone when the test's process is gone.
#[derive(Debug)]
pub struct PgBouncer {
    port: u16,
    child: Child,
    processes: Processes,
    folder: PathBuf,
}

impl PgBouncer {
    /// Starts it before this server, with so many connections to it for each user and database.
    ///
    /// # Panics
    /// When PgBouncer is not installed, or takes no connection within 60 s.
    pub fn start(postgres: &Postgres, pool: u32) -> Self {
        Self::start_with(postgres, pool, "")
    }

    /// The same with these lines in its settings.
    ///
    /// # Panics
    /// As [`PgBouncer::start`].
    pub fn start_with(postgres: &Postgres, pool: u32, settings: &str) -> Self {
        assert!(
            Path::new(PROGRAM).exists(),
            "PgBouncer is not installed ({PROGRAM}): run ./test.sh, which installs what the tests need"
        );
        let folder = tempfile::Builder::new().prefix("khronos-pgbouncer-").tempdir().unwrap().keep();
        // It is another user than root, who makes the folder; what it reads is the password of a test.
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o755)).unwrap();
        let processes = Processes::new(&folder);
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let (users, file) = (folder.join("users"), folder.join("pgbouncer.ini"));
        std::fs::write(&users, postgres.userlist()).unwrap();
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = scram-sha-256\nauth_file = {}\npool_mode = transaction\ndefault_pool_size = {pool}\nserver_round_robin = 1\n{settings}",
            postgres.port(),
            users.display(),
        );
        std::fs::write(&file, text).unwrap();
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let mut command = as_postgres(Path::new(PROGRAM));
        command.arg(&file).current_dir(&folder);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut child = processes.spawn(&mut command);
        let said = || std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        let ready = || {
            assert!(matches!(child.try_wait(), Ok(None)), "PgBouncer ended at its start:\n{}", said());
            TcpStream::connect(("127.0.0.1", port)).ok()
        };
        block_until_or_tell("PgBouncer", BOOT, ready, said);
        Self { port, child, processes, folder }
    }

    /// The same URL by way of it.
    pub fn url(&self, url: &str) -> String {
        let (before, rest) = url.rsplit_once(':').expect("a URL of testkit has a port");
        let (_, database) = rest.split_once('/').expect("a URL of testkit has a database");
        format!("{before}:{}/{database}", self.port)
    }

    /// All that it said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        self.processes.end(&mut self.child);
    }
}
