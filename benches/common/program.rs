//! The real program, on a broker, with a folder and a port of its own.

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
        let schedules = folder.join("schedules");
        fs::create_dir(&schedules).unwrap();
        let tick = |number: usize| {
            format!(
                "[[schedule]]\nname = \"tick-{number}\"\nevent = \"tick.one.passed\"\nevery = \"100ms\"\nphase = \"{}ms\"\n",
                number * 100 / TICKING
            )
        };
        fs::write(schedules.join("ticks.toml"), (0..TICKING).map(tick).collect::<String>()).unwrap();
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
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let out = File::create(folder.join("log")).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_khronos"))
        .args(["run", "--schedules", "schedules", "--store", "store", "--listen"])
        .arg(format!("127.0.0.1:{port}"))
        .env("KHRONOS_BROKER_URL", broker)
        .env("KHRONOS_CONFIG", folder.join("config.toml"))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(out.try_clone().unwrap())
        .stderr(out)
        .spawn()
        .unwrap();
    (child, port)
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
