//! A private Prometheus, and promtool.

use crate::{Program, Sandbox, block_until_or_tell};
use std::{
    ffi::OsStr,
    fmt::Write as _,
    io::{Read, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

const SERVER: &str = "/usr/bin/prometheus";
const TOOL: &str = "/usr/bin/promtool";
/// It answers within a second; on a busy machine it may take much longer.
const BOOT: Duration = Duration::from_secs(90);
const ANSWER: Duration = Duration::from_secs(30);

/// A private Prometheus on 127.0.0.1, with exemplars; gone when dropped, and gone when the test's process is gone.
#[derive(Debug)]
pub struct Prometheus {
    port: u16,
    // Dropped in this order: the server, then its folder.
    server: Program,
    sandbox: Sandbox,
}

impl Prometheus {
    /// Starts it on a configuration file, whose relative paths count from its own folder.
    ///
    /// # Panics
    /// When Prometheus is not installed, refuses the configuration, or is not ready within 90 s.
    pub fn start(configuration: &Path) -> Self {
        let sandbox = Sandbox::new();
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let log = std::fs::File::create(sandbox.path("log")).unwrap();
        let mut command = installed(SERVER);
        command
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!("--storage.tsdb.path={}", sandbox.path("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--enable-feature=exemplar-storage");
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut server = sandbox.start(&mut command);
        let said = || std::fs::read_to_string(sandbox.path("log")).unwrap_or_default();
        let ready = || {
            assert!(server.runs(), "Prometheus ended at its start:\n{}", said());
            request(port, "/-/ready").filter(|(status, _)| *status == 200)
        };
        block_until_or_tell("Prometheus", BOOT, ready, said);
        Self { port, server, sandbox }
    }

    /// Status and body of its answer to a GET of `path` with these parameters.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn get(&self, path: &str, parameters: &[(&str, &str)]) -> (u16, String) {
        let mut target = path.to_owned();
        for (number, (name, value)) in parameters.iter().enumerate() {
            let separator = if number == 0 { '?' } else { '&' };
            write!(target, "{separator}{name}={}", encoded(value)).unwrap();
        }
        request(self.port, &target).unwrap_or_else(|| panic!("no answer to {target}:\n{}", self.log()))
    }

    /// All that it said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.sandbox.path("log")).unwrap_or_default()
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.server.id()
    }
}

/// Runs promtool in a folder, with this on its standard input.
///
/// # Panics
/// When it is not installed.
pub fn promtool<A: AsRef<OsStr>>(
    folder: &Path,
    arguments: impl IntoIterator<Item = A>,
    input: &str,
) -> Output {
    let mut command = installed(TOOL);
    command.args(arguments).current_dir(folder);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that reads no input may have ended already; what it says of its task is in its output.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn installed(program: &str) -> Command {
    let remedy = "run ./test.sh, which installs what the tests need";
    assert!(Path::new(program).exists(), "Prometheus is not installed ({program}): {remedy}");
    let mut command = Command::new(program);
    // What it may need of the environment is nothing.
    command.env_clear();
    command
}

/// Asks in HTTP/1.0: the answer ends when the connection does.
fn request(port: u16, target: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(ANSWER)).ok()?;
    write!(stream, "GET {target} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// As a value of a URL's query.
fn encoded(value: &str) -> String {
    let mut text = String::new();
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(byte.into()),
            _ => write!(text, "%{byte:02X}").unwrap(),
        }
    }
    text
}
