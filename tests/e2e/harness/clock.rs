//! The real program, with a folder, a port and schedules of its own.

use super::{LIMIT, MovedTime};
use khronos::store::{SledOptions, SledStore, Store};
use serde_json::Value;
use std::{
    cell::RefCell,
    fs::OpenOptions,
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Command, Output, Stdio},
};
use testkit::{Program, Sandbox, Signal, block_until_or_tell, free_port};

pub(crate) struct Clock {
    pub(crate) sandbox: Sandbox,
    pub(crate) port: u16,
    environment: Vec<(String, String)>,
    flags: Vec<String>,
    /// At most so many files may be open.
    files: Option<u32>,
    program: Option<Program>,
}

impl Clock {
    /// A clock that does not run yet.
    pub(crate) fn new(broker: &str, schedules: &str) -> Self {
        let sandbox = Sandbox::new();
        let folder = sandbox.path("schedules");
        std::fs::create_dir(&folder).unwrap();
        let port = free_port();
        let clock =
            Self { sandbox, port, environment: Vec::new(), flags: Vec::new(), files: None, program: None }
                .with("KHRONOS_BROKER_URL", broker)
                .with("KHRONOS_SCHEDULES_FOLDER", folder.display())
                .with("KHRONOS_HTTP_LISTEN", format!("127.0.0.1:{port}"));
        let store = clock.store();
        clock.write_schedules(schedules);
        clock.with("KHRONOS_STORE_PATH", store.display())
    }

    /// With another value of a variable.
    pub(crate) fn with(mut self, variable: &str, value: impl ToString) -> Self {
        self.environment.retain(|(known, _)| known != variable);
        self.environment.push((variable.to_owned(), value.to_string()));
        self
    }

    /// Where other clocks of its name reach it.
    pub(crate) fn reached(self) -> Self {
        let address = format!("http://127.0.0.1:{}", self.port);
        self.with("KHRONOS_CLUSTER_ADDRESS", address)
    }

    /// With a wall clock that can be moved.
    pub(crate) fn moved(self, time: &MovedTime) -> Self {
        time.variables().into_iter().fold(self, |clock, (variable, value)| clock.with(variable, value))
    }

    /// Without a variable.
    pub(crate) fn without(mut self, variable: &str) -> Self {
        self.environment.retain(|(known, _)| known != variable);
        self
    }

    /// With a flag of `khronos run`.
    pub(crate) fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }

    /// With a limit of open files.
    pub(crate) fn files(mut self, files: u32) -> Self {
        self.files = Some(files);
        self
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.sandbox.path("store")
    }

    /// Replaces the schedules, in one step, as a careful deployment does.
    pub(crate) fn write_schedules(&self, text: &str) {
        let unfinished = self.sandbox.path("schedules/.unfinished");
        std::fs::write(&unfinished, text).unwrap();
        std::fs::rename(unfinished, self.sandbox.path("schedules/all.toml")).unwrap();
    }

    pub(crate) fn start(&mut self) {
        assert!(self.program.is_none(), "the clock runs");
        let log = OpenOptions::new().create(true).append(true).open(self.sandbox.path("log")).unwrap();
        let mut command = match self.files {
            None => self.command("run"),
            Some(files) => {
                let mut shell = self.prepared(Command::new("/bin/sh"));
                let script = format!("ulimit -n {files} && exec \"$0\" run \"$@\"");
                shell.args(["-c", &script, env!("CARGO_BIN_EXE_khronos")]);
                shell
            }
        };
        command.args(&self.flags).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.program = Some(self.sandbox.start(&mut command));
    }

    /// Started, and ready.
    pub(crate) fn started(mut self) -> Self {
        self.start();
        self.until_ready();
        self
    }

    /// Whether it was started, and not ended.
    pub(crate) fn runs(&self) -> bool {
        self.program.is_some()
    }

    /// None ends by itself.
    pub(crate) fn assert_goes_on(&mut self) {
        let goes_on = self.program.as_mut().is_none_or(Program::runs);
        assert!(goes_on, "the clock ended by itself:\n{}", self.log());
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.assert_goes_on();
        drop(self.program.take().expect("the clock was started"));
    }

    /// SIGTERM; it ends well, as it should.
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::TERM);
        let code = self.end();
        assert_eq!(code, 0, "{}", self.log());
    }

    /// Stops it with nothing outstanding. On a busy machine something is once more before it hears of it.
    pub(crate) fn stop_calm(&mut self) {
        for _ in 0..10 {
            self.until_calm();
            self.stop();
            let mut store = SledStore::open(&self.store(), "khronos", &SledOptions::default()).unwrap();
            if store.load().unwrap().spans.is_empty() {
                return;
            }
            drop(store);
            self.start();
        }
        panic!("ten times something was outstanding:\n{}", self.log());
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.program.as_ref().expect("the clock was started").signal(signal);
    }

    /// Waits for its end; gives its exit code.
    pub(crate) fn end(&mut self) -> i32 {
        let mut program = self.program.take().expect("the clock was started");
        program.wait(LIMIT).unwrap_or_else(|| panic!("a signal ended the clock:\n{}", self.log()))
    }

    pub(crate) fn id(&self) -> u32 {
        self.program.as_ref().expect("the clock was started").id()
    }

    /// All that it ever said.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.sandbox.path("log")).unwrap_or_default()
    }

    /// Runs another verb beside it.
    pub(crate) fn verb(&self, arguments: &[&str]) -> Output {
        self.command(arguments[0]).args(&arguments[1..]).output().unwrap()
    }

    /// Begins another verb, which ends by itself or by a signal; what it says goes into the log.
    pub(crate) fn begin(&self, arguments: &[&str]) -> Program {
        let log = OpenOptions::new().create(true).append(true).open(self.sandbox.path("log")).unwrap();
        let mut command = self.command(arguments[0]);
        command.args(&arguments[1..]).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.sandbox.start(&mut command)
    }

    /// Runs another verb, which ends with 0; what it printed.
    pub(crate) fn done(&self, arguments: &[&str]) -> String {
        let output = self.verb(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}\n{}", text(&output), self.log());
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a verb that looks for an answer for a moment only, until what it printed is as wanted.
    pub(crate) fn done_in_time(&self, arguments: &[&str], wanted: impl Fn(&str) -> bool) {
        let is_done = || {
            let output = self.verb(arguments);
            let printed = String::from_utf8_lossy(&output.stdout).into_owned();
            (output.status.success() && wanted(&printed)).then_some(())
        };
        block_until_or_tell(&format!("{arguments:?}"), LIMIT, is_done, || self.log());
    }

    /// The same as `done` with `--json`, line by line.
    pub(crate) fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let printed = self.done(&[arguments, &["--json"]].concat());
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = self.prepared(Command::new(env!("CARGO_BIN_EXE_khronos")));
        command.arg(verb);
        command
    }

    fn prepared(&self, mut command: Command) -> Command {
        command.current_dir(self.sandbox.path("")).env_clear();
        command.envs(self.environment.iter().map(|(key, value)| (key, value)));
        command
    }

    /// Status and body of an answer; `None` when nobody answers.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, Value)> {
        answer(self.request(path, "")?)
    }

    /// The body of an answer that is no JSON.
    pub(crate) fn text(&self, path: &str) -> Option<String> {
        let mut answer = String::new();
        self.request(path, "")?.read_to_string(&mut answer).ok()?;
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
    }

    /// Posts JSON.
    pub(crate) fn post(&self, path: &str, body: &str) -> Option<(u16, Value)> {
        let headers = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        let mut stream = self.ask("POST", path, &headers)?;
        stream.write_all(body.as_bytes()).ok()?;
        answer(stream)
    }

    /// Asks in HTTP/1.0: the answer ends when the connection does.
    pub(crate) fn request(&self, path: &str, headers: &str) -> Option<TcpStream> {
        self.ask("GET", path, headers)
    }

    fn ask(&self, method: &str, path: &str, headers: &str) -> Option<TcpStream> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(LIMIT)).ok()?;
        write!(stream, "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1:{}\r\n{headers}\r\n", self.port).ok()?;
        Some(stream)
    }

    /// Waits until `/readyz` is as wanted; what it says then.
    pub(crate) fn until(&self, what: &str, wanted: impl Fn(u16, &Value) -> bool) -> Value {
        self.until_at("/readyz", what, wanted)
    }

    /// Waits until an answer is as wanted.
    pub(crate) fn until_at(&self, path: &str, what: &str, wanted: impl Fn(u16, &Value) -> bool) -> Value {
        let last = RefCell::new(None);
        let look = || {
            let seen = self.get(path);
            let found = seen.as_ref().is_some_and(|(status, body)| wanted(*status, body));
            last.replace(seen.clone());
            seen.filter(|_| found).map(|(_, body)| body)
        };
        let tell = || format!("{path} is {:?}\n{}", last.borrow(), self.log());
        block_until_or_tell(what, LIMIT, look, tell)
    }

    pub(crate) fn until_ready(&self) {
        self.until("the clock to be ready", |status, _| status == 200);
    }

    /// Ready, and nothing is outstanding: all that was missed is caught up with.
    pub(crate) fn until_calm(&self) {
        // One that follows has nothing outstanding.
        let is_calm =
            |status, body: &Value| status == 200 && body["outstanding"] == 0 && body["role"] != "follower";
        self.until("the clock to have caught up", is_calm);
    }
}

/// All that a program said.
pub(crate) fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Status and JSON of what comes until the connection ends.
fn answer(mut stream: TcpStream) -> Option<(u16, Value)> {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    Some((status, serde_json::from_str(body).ok()?))
}
