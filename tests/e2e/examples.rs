//! The programs of `examples/` against a RabbitMQ and the real clock: each subscriber prints every event, with the id that can be
//! computed from the schedule, and outlives the loss of its connection; each sender of commands has its answers.

use crate::harness::{Clock, scratch};
use ponos::event::{EventKind, OccurrenceId, Timestamp};
use std::{
    collections::BTreeSet,
    env,
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};
use testkit::{Node, block_until, block_until_or_tell};

/// Each of them prints so many events, one a second: its connection is lost in the midst of them.
const COUNT: usize = 20;
/// Starting everything takes seconds; on a machine that is busy with other things it may take much longer.
const LIMIT: Duration = Duration::from_secs(180);
const SCHEDULE: &str = r#"
[[schedule]]
name = "quick"
event = "time.one-minute.passed"
cron = "* * * * * *"
catch_up = { policy = "all" }
"#;

/// The user as whom they listen.
const SUBSCRIBER: &str = "subscriber";

/// Closes the connections of a user, as an operator would; one that goes meanwhile is gone.
fn close_connections_of(node: &Node, user: &str) {
    node.eval(&format!(
        "[catch rabbit_networking:close_connection(P, \"closed by the test\") \
         || P <- rabbit_networking:connections(), \
         (catch rabbit_reader:info(P, [user])) =:= [{{user, <<\"{user}\">>}}]]"
    ));
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Subscriber {
    language: &'static str,
    folder: PathBuf,
    _clock: Running,
    program: Running,
}

impl Subscriber {
    /// A clock that publishes to a vhost of its own, and a subscriber there.
    fn start(node: &Node, folder: &Path, language: &'static str, mut program: Command) -> Self {
        let folder = folder.join(language);
        fs::create_dir_all(folder.join("schedules")).unwrap();
        fs::write(folder.join("schedules/quick.toml"), SCHEDULE).unwrap();
        let url = node.vhost(language);
        let file = |name: &str| Stdio::from(File::create(folder.join(name)).unwrap());
        let clock = Command::new(env!("CARGO_BIN_EXE_khronos"))
            .args(["run", "--schedules", "schedules", "--store", "store", "--listen", &free_address()])
            .env("KHRONOS_BROKER_URL", &url)
            .current_dir(&folder)
            .stdout(Stdio::null())
            .stderr(file("clock.log"))
            .spawn()
            .unwrap();
        // A user of its own: what is cut off are its connections, and not the clock's.
        node.permit(SUBSCRIBER, language, ".*", ".*", ".*");
        let program = program
            .arg(node.url_for(SUBSCRIBER, "secret", language))
            .args(["--count", &COUNT.to_string()])
            .stdout(file("events"))
            .stderr(file("messages"))
            .spawn()
            .unwrap_or_else(|error| panic!("{language}: {program:?} can't be started: {error}"));
        Self { language, folder, _clock: Running(clock), program: Running(program) }
    }

    /// Waits until it has printed something; it must not have ended by then.
    fn prints(&mut self) {
        let what = format!("the first event in {}", self.language);
        let Self { program, folder, .. } = self;
        let printed = || {
            assert_eq!(program.0.try_wait().unwrap(), None, "{}", said(folder));
            text(folder, "events").contains('\n').then_some(())
        };
        block_until_or_tell(&what, LIMIT, printed, || said(folder));
    }

    /// Waits until it has ended by itself, and looks at what it printed.
    fn ends(mut self) {
        let what = format!("the end of the subscriber in {}", self.language);
        let status = block_until(&what, LIMIT, || self.program.0.try_wait().unwrap());
        assert!(status.success(), "{status}, {}", said(&self.folder));
        let events = text(&self.folder, "events");
        let due: BTreeSet<i64> = events.lines().map(|line| self.due(line).millis()).collect();
        assert_eq!(due.len(), COUNT, "each once: {events}{}", said(&self.folder));
        let (first, last) = (due.first().unwrap(), due.last().unwrap());
        let seconds = usize::try_from((last - first) / 1000).unwrap();
        assert_eq!(seconds, COUNT - 1, "none is missing: {events}{}", said(&self.folder));
    }

    /// The due time of a printed line, whose id must follow from it.
    fn due(&self, line: &str) -> Timestamp {
        let [due, name, id] = line.split("  ").collect::<Vec<_>>()[..] else {
            panic!("{}: not three columns: {line}", self.language)
        };
        let due: Timestamp = due.parse().unwrap();
        let expected =
            OccurrenceId { clock: "khronos", schedule: "quick", due, kind: &EventKind::Occurrence }.id();
        assert_eq!((name, id), ("time.one-minute.passed", expected.as_str()), "{line}");
        due
    }
}

fn text(folder: &Path, file: &str) -> String {
    fs::read_to_string(folder.join(file)).unwrap()
}

/// What the subscriber and its clock said.
fn said(folder: &Path) -> String {
    format!("{}: {}\nclock: {}", folder.display(), text(folder, "messages"), text(folder, "clock.log"))
}

#[test]
fn each_subscriber_prints_every_event_and_outlives_a_lost_connection() {
    let node = Node::start();
    node.add_user(SUBSCRIBER, "secret");
    let folder = tempfile::tempdir().unwrap();
    let mut all: Vec<Subscriber> = subscribers()
        .into_iter()
        .map(|(language, program)| Subscriber::start(&node, folder.path(), language, program))
        .collect();
    for subscriber in &mut all {
        subscriber.prints();
        close_connections_of(&node, SUBSCRIBER);
    }
    for subscriber in all {
        subscriber.ends();
    }
}

#[test]
fn what_only_a_person_can_mend_ends_a_subscriber() {
    let node = Node::shared();
    node.vhost("there");
    let cases = [
        ("a wrong password", node.url_for("guest", "wrong", "there")),
        ("a missing vhost", node.url_for("guest", "guest", "missing")),
    ];
    for (case, url) in cases {
        for (language, mut program) in subscribers() {
            let errors = tempfile::NamedTempFile::new().unwrap();
            let stderr = errors.reopen().unwrap();
            let mut program =
                Running(program.arg(&url).stdout(Stdio::null()).stderr(stderr).spawn().unwrap());
            let what = format!("the end of the subscriber in {language} on {case}");
            let status = block_until(&what, LIMIT, || program.0.try_wait().unwrap());
            let said = fs::read_to_string(errors.path()).unwrap();
            assert_eq!(status.code(), Some(1), "{language}, {case}: {said}");
            assert!(!said.is_empty() && !said.contains("trying again"), "{language}, {case}: {said}");
            assert!(!said.contains("wrong"), "{language} shows the password: {said}");
        }
    }
}

/// Makes the command that runs an example.
type Program = fn(&str) -> Command;

/// What the programs that send commands are told of the clock.
const COMMANDS: &str = r#"
[commands]
enabled = true
[[commands.users]]
user = "guest"
owner = "billing"
role = "write"
domains = ["billing.*"]
"#;

#[test]
fn each_sender_of_commands_has_its_answers_and_is_done_once() {
    let url = Node::shared().vhost("senders");
    let clock = Clock::new(&url, SCHEDULE);
    let config = clock.sandbox.path("config.toml");
    fs::write(&config, COMMANDS).unwrap();
    let clock = clock.with("KHRONOS_CONFIG", config.display()).started();
    clock.until("commands to be taken", |_, body| !body["warnings"].to_string().contains("commands:"));
    let senders: [(&str, Program); 2] = [("python", python), ("node", javascript)];
    for (language, program) in senders {
        let sent = |arguments: &[&str]| {
            let output = program("commands").args(arguments).env("AMQP_URL", &url).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let answer = serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap_or_default();
            (output.status.code().unwrap(), answer, said)
        };
        let (code, answer, said) = sent(&["schedule.get", r#"{"name": "quick"}"#]);
        assert_eq!((code, &answer["name"]), (0, &"quick".into()), "{language}: {said}");
        let (code, answer, said) = sent(&["schedule.list"]);
        assert_eq!((code, answer["clock"].as_str()), (0, Some("khronos")), "{language}: {said}");
        let (code, _, said) = sent(&["schedule.get", r#"{"name": "quik"}"#]);
        assert_eq!(code, 1, "{language}: {said}");
        assert!(
            said.contains("404 not-found") && said.contains("did you mean 'quick'?"),
            "{language}: {said}"
        );
        let (code, _, said) = sent(&["schedule.get", r#"{"nam": "quick"}"#]);
        assert_eq!(code, 1, "{language}: {said}");
        assert!(said.contains("422 invalid") && said.contains("/nam: unknown key"), "{language}: {said}");

        let put = format!(
            r#"{{"definition": {{"name": "{language}", "event": "billing.day.closed", "every": "1 day"}}}}"#
        );
        for _ in 0..2 {
            let (code, answer, said) = sent(&["schedule.put", &put, "--id", language]);
            assert_eq!((code, answer["outcome"].as_str()), (0, Some("created")), "{language}: {said}");
        }
        let delete = format!(r#"{{"name": "{language}"}}"#);
        let (code, _, said) = sent(&["schedule.delete", &delete]);
        assert_eq!(code, 0, "{language}: {said}");
        let (code, _, _) = sent(&["schedule.get", &delete]);
        assert_eq!(code, 1, "{language}");
    }
    drop(clock);
    for (language, program) in senders {
        let arguments = ["schedule.list", "{}", "--timeout", "1"];
        let output = program("commands").args(arguments).env("AMQP_URL", &url).output().unwrap();
        assert_eq!(output.status.code(), Some(75), "{language}: {output:?}");
    }
}

fn subscribers() -> [(&'static str, Command); 3] {
    [("rust", rust()), ("python", python("subscriber")), ("node", javascript("subscriber"))]
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust() -> Command {
    let built = Path::new(env!("CARGO_BIN_EXE_khronos")).with_file_name("examples").join("subscriber");
    assert!(built.exists(), "{} is missing; `cargo build --release --examples` makes it", built.display());
    Command::new(built)
}

/// With Debian's pika: another Python may come first in PATH.
fn python(example: &str) -> Command {
    let mut command = Command::new(env::var_os("KHRONOS_TEST_PYTHON").unwrap_or("/usr/bin/python3".into()));
    command.arg(root().join(format!("examples/python/{example}.py")));
    command
}

/// With the amqplib that `test.sh` installs.
fn javascript(example: &str) -> Command {
    let mut command = Command::new("node");
    command
        .arg(root().join(format!("examples/node/{example}.js")))
        .env("NODE_PATH", scratch().join("node/node_modules"));
    command
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}
