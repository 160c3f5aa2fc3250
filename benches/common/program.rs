//! The real program, on a broker, with a folder and a port of its own; alone, or one of several on one database.

use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// So many schedules of 100 ms, each at another time of it.
pub const TICKING: usize = 10;

/// The clock as a process; killed when it is dropped.
pub struct Program {
    child: Child,
    folder: PathBuf,
    broker: String,
    pub port: u16,
}

impl Program {
    pub fn start(folder: &Path, broker: &str, config: &str) -> Self {
        ticking(folder);
        fs::write(folder.join("config.toml"), config).unwrap();
        let (folder, broker) = (folder.to_owned(), broker.to_owned());
        let (child, port) = spawn(&folder, &broker);
        Self { child, folder, broker, port }
    }

    /// Kills it, and starts it again on the same store.
    pub fn restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        (self.child, self.port) = spawn(&self.folder, &self.broker);
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap()
    }

    /// It publishes, and takes commands.
    pub async fn until_ready(&mut self) {
        let port = self.port;
        let ready = async || {
            let mut http = super::asking::Http::connect(port).await;
            let (status, body) = http.ask("GET", "/readyz", String::new()).await;
            status == 200 && !body.contains("commands:")
        };
        for _ in 0..600 {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{}", self.log());
            let listens = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok();
            if listens && ready().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{}", self.log());
    }

    /// Memory as the system has it.
    pub fn memory(&self) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let mib = |line: &str| {
            let line = status.lines().find(|text| text.starts_with(line)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
        };
        format!("{:.0} MiB resident (peak {:.0})", mib("VmRSS"), mib("VmHWM"))
    }

    /// Processor time in milliseconds by the name of the thread, since the start.
    pub fn threads(&self) -> BTreeMap<String, u64> {
        let mut took = BTreeMap::new();
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap() {
            // One that ended meanwhile counts no more.
            let Ok(stat) = fs::read_to_string(task.unwrap().path().join("stat")) else { continue };
            let (before, rest) = stat.rsplit_once(')').unwrap();
            let name = before.split_once('(').unwrap().1.to_owned();
            let fields: Vec<&str> = rest.split_whitespace().collect();
            let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
            *took.entry(name).or_default() += 10 * ticks; // a hundredth of a second each
        }
        took
    }
}

fn spawn(folder: &Path, broker: &str) -> (Child, u16) {
    let port = free_port();
    let mut command = Command::new(env!("CARGO_BIN_EXE_khronos"));
    command.args(["run", "--schedules", "schedules", "--store", "store", "--listen"]);
    command.arg(format!("127.0.0.1:{port}")).env("KHRONOS_BROKER_URL", broker);
    command.env("KHRONOS_CONFIG", folder.join("config.toml"));
    (logged(&mut command, folder), port)
}

/// Begins it in its folder, where it also says what it says.
fn logged(command: &mut Command, folder: &Path) -> Child {
    let out = File::options().create(true).append(true).open(folder.join("log")).unwrap();
    command.current_dir(folder).stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
    command.spawn().unwrap()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Makes the folder of a clock, with its schedules.
pub fn ticking(folder: &Path) {
    let schedules = folder.join("schedules");
    fs::create_dir_all(&schedules).unwrap();
    let tick = |number: usize| {
        format!(
            "[[schedule]]\nname = \"tick-{number}\"\nevent = \"tick.one.passed\"\nevery = \"100ms\"\nphase = \"{}ms\"\n",
            number * 100 / TICKING
        )
    };
    fs::write(schedules.join("ticks.toml"), (0..TICKING).map(tick).collect::<String>()).unwrap();
}

/// One of several clocks on one database; killed when it is dropped.
pub struct Member {
    child: Child,
    folder: PathBuf,
    database: String,
    pub port: u16,
}

impl Member {
    /// Starts it in a folder that is [`ticking`].
    pub fn start(folder: &Path, broker: &str, database: &str) -> Self {
        let port = free_port();
        let mut command = Command::new(env!("CARGO_BIN_EXE_khronos"));
        command.args(["run", "--schedules", "schedules", "--listen"]).arg(format!("127.0.0.1:{port}"));
        command.env("KHRONOS_BROKER_URL", broker).env("KHRONOS_STORE_PATH", database);
        command.env("KHRONOS_CLUSTER_ADDRESS", format!("http://127.0.0.1:{port}"));
        let child = logged(&mut command, folder);
        Self { child, folder: folder.to_owned(), database: database.to_owned(), port }
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// `khronos cluster resign`, which is not waited for.
    pub fn resign(&self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_khronos"));
        command.args(["cluster", "resign"]).env("KHRONOS_STORE_PATH", &self.database);
        let mut asking = logged(&mut command, &self.folder);
        std::thread::spawn(move || assert!(asking.wait().unwrap().success()));
    }

    /// Until it has ended.
    pub fn wait(&mut self) {
        self.child.wait().unwrap();
    }

    /// All that it said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
