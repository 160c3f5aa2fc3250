//! An SQS, SNS and S3 (moto, which checks signatures), asked by AWS's own library beside the program that is tested.

use super::support::LIMIT;
use serde_json::{Value, json};
use std::{
    env, fs,
    io::{BufRead, BufReader, PipeReader, PipeWriter, Write, pipe},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, OnceLock},
};
use testkit::{Program, Sandbox};

/// The one of this test program; gone when that is gone.
pub(crate) struct Aws {
    /// A key that may do everything.
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    asking: Mutex<(PipeWriter, BufReader<PipeReader>)>,
    sandbox: Sandbox,
    _programs: [Program; 2],
}

impl Aws {
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Aws> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    fn start() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let scratch = env::var_os("SCRATCH").map_or_else(|| root.join(".scratch"), PathBuf::from);
        let bin = scratch.join("moto/bin");
        assert!(bin.join("moto_server").exists(), "moto is not there: ./test.sh installs it");
        let sandbox = Sandbox::new();
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let log = fs::File::create(sandbox.path("log")).unwrap();
        let mut server = Command::new(bin.join("moto_server"));
        // it lets three calls pass, and checks the signature of each after them
        server.args(["-H", "127.0.0.1", "-p", &port.to_string()]).env("INITIAL_NO_AUTH_ACTION_COUNT", "3");
        server.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log.try_clone().unwrap());
        let server = sandbox.start(&mut server);
        let said = || fs::read_to_string(sandbox.path("log")).unwrap_or_default();
        let answers = || TcpStream::connect(("127.0.0.1", port)).ok();
        testkit::block_until_or_tell("moto", LIMIT, answers, said);
        let endpoint = format!("http://127.0.0.1:{port}");
        let (input, asking) = pipe().unwrap();
        let (answers, output) = pipe().unwrap();
        let mut client = Command::new(bin.join("python"));
        client.arg(root.join("tests/sqs/aws.py")).arg(&endpoint).stdin(input).stdout(output).stderr(log);
        let client = sandbox.start(&mut client);
        let mut answers = BufReader::new(answers);
        let mut key = String::new();
        answers.read_line(&mut key).unwrap();
        let key: Value = serde_json::from_str(&key).unwrap_or_else(|_| panic!("no key: {}", said()));
        let text = |name: &str| key[name].as_str().unwrap().to_owned();
        Self {
            access_key_id: text("aws_access_key_id"),
            secret_access_key: text("aws_secret_access_key"),
            asking: Mutex::new((asking, answers)),
            sandbox,
            _programs: [server, client],
        }
    }

    /// What a call of AWS's library returns.
    #[track_caller]
    pub(crate) fn ask(&self, service: &str, call: &str, with: &Value) -> Value {
        let mut asking = self.asking.lock().unwrap();
        let line = json!({ "service": service, "call": call, "with": with });
        writeln!(asking.0, "{line}").unwrap();
        let mut answer = String::new();
        asking.1.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|_| {
            panic!("{line}: {}", fs::read_to_string(self.sandbox.path("log")).unwrap_or_default())
        })
    }

    /// Makes a queue, and gives its URL.
    pub(crate) fn queue(&self, name: &str, attributes: &Value) -> String {
        let made = self.ask("sqs", "create_queue", &json!({ "QueueName": name, "Attributes": attributes }));
        made["QueueUrl"].as_str().unwrap().to_owned()
    }

    /// Makes a queue whose messages go to another one after so many receives; the URLs of both.
    pub(crate) fn queue_with_redrive(&self, name: &str, receives: u32) -> (String, String) {
        let dead = self.queue(&format!("{name}-dead"), &json!({}));
        let to = self.arn(&dead);
        let policy = json!({ "deadLetterTargetArn": to, "maxReceiveCount": receives }).to_string();
        (self.queue(name, &json!({ "RedrivePolicy": policy })), dead)
    }

    /// The name of a queue among all things.
    pub(crate) fn arn(&self, url: &str) -> String {
        self.attribute(url, "QueueArn")
    }

    fn attribute(&self, url: &str, name: &str) -> String {
        let with = json!({ "QueueUrl": url, "AttributeNames": [name] });
        let answer = self.ask("sqs", "get_queue_attributes", &with);
        answer["Attributes"][name].as_str().unwrap().to_owned()
    }

    /// How many messages it shows, and how many somebody has.
    pub(crate) fn holds(&self, url: &str) -> (u32, u32) {
        let number = |name: &str| self.attribute(url, name).parse().unwrap();
        (number("ApproximateNumberOfMessages"), number("ApproximateNumberOfMessagesNotVisible"))
    }

    pub(crate) fn send(&self, url: &str, body: &str) -> String {
        let sent = self.ask("sqs", "send_message", &json!({ "QueueUrl": url, "MessageBody": body }));
        sent["MessageId"].as_str().unwrap().to_owned()
    }
}
