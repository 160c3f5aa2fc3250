//! The real program, on a broker, with a folder and a port of its own.

use std::{
    fs::{self, File},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// So many schedules of 100 ms, each at another time of it.
pub const TICKING: usize = 10;

/// The clock as a process; killed when it is dropped.
pub struct Program {
    child: Child,
    log: std::path::PathBuf,
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
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = folder.join("log");
        let out = File::create(&log).unwrap();
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
        Self { child, log, port }
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
            assert!(ended.is_none(), "{}", fs::read_to_string(&self.log).unwrap());
            let listens = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok();
            if listens && ready().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{}", fs::read_to_string(&self.log).unwrap());
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
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
