//! A private Postgres.

use crate::{
    block_until,
    place::free_port,
    processes::{Processes, lock, processes, signal_group, wait_stopped},
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    net::TcpStream,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, OnceLock},
    time::Duration,
};

const VERSIONS: &str = "/usr/lib/postgresql";
const PASSWORD: &str = "testkit-secret";
/// A server answers within a second; on a busy machine it may take much longer.
const BOOT: Duration = Duration::from_secs(90);

/// A private Postgres on 127.0.0.1, gone when dropped, and gone when the test's process is gone.
#[derive(Debug)]
pub struct Postgres {
    port: u16,
    programs: PathBuf,
    folder: PathBuf,
    durable: bool,
    server: Mutex<Option<Child>>,
    processes: Processes,
}

impl Postgres {
    /// The one server of this test binary, started at the first call. Only for tests that take a [`Self::database`] each
    /// and do nothing to the server as a whole. It does not sync to the disk.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(false))
    }

    /// A server of one's own; `durable` for one whose commits survive [`Self::kill9`] by the rules, not by luck.
    ///
    /// # Panics
    /// When Postgres is not installed, or does not answer within 90 s.
    pub fn start(durable: bool) -> Self {
        let postgres = Self::new(durable);
        postgres.create();
        postgres.run();
        postgres
    }

    /// A folder and a port.
    fn new(durable: bool) -> Self {
        let folder = tempfile::Builder::new().prefix("khronos-postgres-").tempdir().unwrap().keep();
        // The server is another user than root, who makes the folder.
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o755)).unwrap();
        let processes = Processes::new(&folder);
        let (port, server) = (free_port(), Mutex::new(None));
        let postgres = Self { port, programs: programs(), folder, durable, server, processes };
        postgres.make_data();
        postgres
    }

    /// The folder of its files, the server's own.
    fn make_data(&self) {
        let data = self.folder.join("data");
        std::fs::create_dir(&data).unwrap();
        // Postgres takes no folder that others may read.
        std::fs::set_permissions(&data, PermissionsExt::from_mode(0o700)).unwrap();
        if is_root() {
            chown(&data, Some(id("-u")), Some(id("-g"))).unwrap();
        }
    }

    /// A new database of that name; gives its URL.
    pub fn database(&self, name: &str) -> String {
        self.sql("postgres", &format!("create database \"{name}\""));
        self.url("postgres", PASSWORD, name)
    }

    /// The URL for a user and a database.
    pub fn url(&self, user: &str, password: &str, database: &str) -> String {
        format!("postgres://{user}:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its superuser and password as a line of PgBouncer's file of users.
    pub(crate) fn userlist(&self) -> String {
        format!("\"postgres\" \"{PASSWORD}\"\n")
    }

    /// Runs statements as the superuser; gives what psql prints, unaligned and without headings.
    ///
    /// # Panics
    /// When one fails.
    pub fn sql(&self, database: &str, statements: &str) -> String {
        let output = Command::new(self.programs.join("psql"))
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "postgres", "-d", database])
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statements])
            .env("PGPASSWORD", PASSWORD)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{statements}\n{said}");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// A hot standby of this one, under that name (`application_name`): a server of its own, which is gone when dropped. Commits do
    /// not wait for it unless this server is told so.
    ///
    /// # Panics
    /// When it can't be made, or does not answer within 90 s.
    pub fn standby(&self, name: &str) -> Self {
        let standby = Self::new(self.durable);
        let source = format!(
            "host=127.0.0.1 port={} user=postgres password={PASSWORD} application_name={name}",
            self.port
        );
        let output = standby
            .command("pg_basebackup")
            .args(["-d", &source, "-X", "stream", "-c", "fast", "-R", "--no-sync", "-D"])
            .arg(standby.folder.join("data"))
            .output()
            .unwrap();
        assert!(output.status.success(), "pg_basebackup: {}", String::from_utf8_lossy(&output.stderr));
        standby.run();
        standby
    }

    /// Makes a [standby](Self::standby) a server that is written to, of a new timeline.
    ///
    /// # Panics
    /// When it is none.
    pub fn promote(&self) {
        self.sql("postgres", "select pg_promote()");
    }

    /// What the server and its processes, ended ones included, took of the processors so far: to ten milliseconds.
    ///
    /// # Panics
    /// When it does not run.
    pub fn cpu(&self) -> Duration {
        let server = lock(&self.server).as_ref().expect("the server runs").id();
        let ticks = |pid: u32, fields: std::ops::Range<usize>| -> u64 {
            // One that ended meanwhile counts with the server.
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let fields = stat
                .rsplit(')')
                .next()
                .unwrap_or_default()
                .split_whitespace()
                .skip(fields.start)
                .take(fields.len());
            fields.filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
        };
        // Its own and its ended children's; of each child its own.
        let all =
            ticks(server, 11..15) + children(server).into_iter().map(|pid| ticks(pid, 11..13)).sum::<u64>();
        Duration::from_millis(10 * all)
    }

    /// Kills the server and all that belongs to it as `kill -9` would.
    pub fn kill9(&self) {
        let Some(mut server) = lock(&self.server).take() else { return };
        // Each of its processes is a session of its own. First none may start others.
        let _ = signal_group(&server, Signal::STOP);
        wait_stopped(server.id());
        let children = children(server.id());
        self.processes.end(&mut server);
        signal(&children, Signal::KILL);
        block_until("the killed server's port to close", Duration::from_secs(20), || {
            TcpStream::connect(("127.0.0.1", self.port)).is_err().then_some(())
        });
        block_until("the killed server's processes to be gone", Duration::from_secs(20), || {
            children.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()).then_some(())
        });
    }

    /// Starts the server again on the same port and files; kills it before if it runs.
    ///
    /// # Panics
    /// When it does not answer within 90 s.
    pub fn restart(&self) {
        self.kill9();
        self.run();
    }

    /// Makes it stand still (SIGSTOP): its sockets stay open and nothing is answered.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        let leader = lock(&self.server).as_ref().expect("the server runs").id();
        // each of its processes leads a group
        for group in children(leader).into_iter().chain([leader]) {
            wait_stopped(group);
        }
    }

    /// Lets it go on after [`Self::pause`].
    pub fn unpause(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, which: Signal) {
        let server = lock(&self.server);
        let server = server.as_ref().expect("the server runs");
        signal_group(server, which).expect("the server runs");
        signal(&children(server.id()), which);
    }

    /// Files of a new cluster; nothing of the system's is touched.
    fn create(&self) {
        let data = self.folder.join("data");
        let password = self.folder.join("password");
        std::fs::write(&password, PASSWORD).unwrap();
        if is_root() {
            chown(&password, Some(id("-u")), Some(id("-g"))).unwrap();
        }
        let output = self
            .command("initdb")
            .args(["--username=postgres", "--auth=scram-sha-256", "--no-sync", "--encoding=UTF8"])
            .args(["--locale=C.UTF-8", "--pwfile"])
            .arg(&password)
            .arg(&data)
            .output()
            .unwrap();
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn run(&self) {
        let log = std::fs::File::create(self.folder.join("console.log")).unwrap();
        let sync = if self.durable { "on" } else { "off" };
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.folder.join("data"));
        for setting in [
            format!("port={}", self.port),
            "listen_addresses=127.0.0.1".into(),
            "unix_socket_directories=".into(),
            "max_connections=200".into(),
            "shared_buffers=32MB".into(),
            format!("fsync={sync}"),
            format!("full_page_writes={sync}"),
        ] {
            command.args(["-c", &setting]);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut child = self.processes.spawn(&mut command);
        block_until("Postgres", BOOT, || {
            if let Ok(Some(status)) = child.try_wait() {
                let said = std::fs::read_to_string(self.folder.join("console.log"));
                panic!("Postgres ended at its start ({status}):\n{}", said.unwrap_or_default());
            }
            let port = self.port.to_string();
            let mut ready = Command::new(self.programs.join("pg_isready"));
            let ready = ready.args(["-q", "-h", "127.0.0.1", "-p", &port]).status().unwrap();
            ready.success().then_some(())
        });
        *lock(&self.server) = Some(child);
    }

    /// A program of Postgres' in its folder.
    fn command(&self, program: &str) -> Command {
        let mut command = as_postgres(&self.programs.join(program));
        command.current_dir(&self.folder).env("LC_ALL", "C.UTF-8");
        command
    }
}

/// A program as the user of the package: it refuses to run as root.
pub(crate) fn as_postgres(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
    command
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// Where the newest installed version has its programs.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let newest = versions
        .filter(|version| version.path().join("bin/initdb").exists())
        .max_by_key(|version| version.file_name().to_string_lossy().parse::<u32>().unwrap_or(0));
    match newest {
        Some(version) => version.path().join("bin"),
        None => panic!(
            "Postgres is not installed ({VERSIONS}): run ./test.sh, which installs what the tests need"
        ),
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn id(which: &str) -> u32 {
    let output = Command::new("id").args([which, "postgres"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("the package made the user postgres")
}

fn children(leader: u32) -> Vec<u32> {
    processes(|parent, _| parent == leader)
}

fn signal(pids: &[u32], signal: Signal) {
    for pid in pids {
        if let Some(pid) = i32::try_from(*pid).ok().and_then(Pid::from_raw) {
            // One that is gone already is what is wanted.
            let _ = kill_process(pid, signal);
        }
    }
}
