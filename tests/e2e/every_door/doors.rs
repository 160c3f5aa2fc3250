//! The doors of a clock, as a service or an operator has them, and nothing of ours in between: HTTP with a token, the control
//! socket, messages, and the program as a process.

use super::ask::{Expect, Put};
use crate::{commands::client::Client, harness::LIMIT};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
};
use testkit::wait_until;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};

/// Who asks by a door.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Who {
    pub(super) owner: &'static str,
    pub(super) is_admin: bool,
    /// How the log of changes calls the door.
    pub(super) door: &'static str,
}

pub(super) const BY_HTTP: Who = Who { owner: "billing", is_admin: false, door: "HTTP, token " };
pub(super) const BY_SOCKET: Who = Who { owner: "operator", is_admin: true, door: "control socket" };
pub(super) const BY_MESSAGE: Who = Who { owner: "billing", is_admin: false, door: "AMQP, user guest" };

/// What a door answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    /// 0 of a process that was refused: it has words alone.
    pub(crate) status: u64,
    pub(crate) body: Value,
}

impl Answer {
    pub(super) fn is_refusal(&self) -> bool {
        self.status == 0 || self.status >= 400
    }

    /// Whether it may be of this status.
    pub(super) fn is(&self, status: u64) -> bool {
        self.status == status || self.status == 0
    }

    /// What has to be the same where a message is answered again.
    fn essence(&self) -> (u64, Vec<Value>) {
        let keys = ["name", "outcome", "creation", "revision", "event_id", "code"];
        (self.status, keys.map(|key| self.body[key].clone()).to_vec())
    }
}

/// Why there is no answer.
enum Lost {
    /// It was never sent.
    Unsent,
    /// It may have been done.
    Unknown,
}

/// Where HTTP is spoken.
#[derive(Debug, Clone)]
pub(crate) enum Http {
    Tcp { port: u16, token: String },
    Socket(PathBuf),
}

impl Http {
    /// The answer; none where the clock was killed meanwhile, or can't tell. What was not sent, or came too often, is sent again.
    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Option<Answer> {
        wait_until("an answer over HTTP", 2 * LIMIT, async || {
            match self.once(method, path, headers, body).await {
                Err(Lost::Unsent) | Ok(Answer { status: 429, .. }) => None,
                Err(Lost::Unknown) | Ok(Answer { status: 503, .. }) => Some(None),
                Ok(answer) => Some(Some(answer)),
            }
        })
        .await
    }

    /// The answer to what can be asked for again.
    pub(super) async fn ask_until_answered(&self, method: &str, path: &str, headers: &str) -> Answer {
        wait_until("an answer over HTTP", 2 * LIMIT, async || self.ask(method, path, headers, "").await).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.ask_until_answered("GET", path, "").await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.body
    }

    async fn once(&self, method: &str, path: &str, headers: &str, body: &str) -> Result<Answer, Lost> {
        let (host, headers) = match self {
            Self::Tcp { port, token } => {
                (format!("127.0.0.1:{port}"), format!("{headers}Authorization: Bearer {token}\r\n"))
            }
            Self::Socket(_) => ("localhost".into(), headers.to_owned()),
        };
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        );
        match self {
            Self::Tcp { port, .. } => {
                let stream = TcpStream::connect(("127.0.0.1", *port)).await;
                talk(stream.map_err(|_| Lost::Unsent)?, &request).await
            }
            Self::Socket(path) => {
                let stream = UnixStream::connect(path).await;
                talk(stream.map_err(|_| Lost::Unsent)?, &request).await
            }
        }
    }
}

/// By HTTP/1.0: the answer ends when the connection does.
async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> Result<Answer, Lost> {
    // Where it could not be written whole, an answer may have been given all the same.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let read =
        tokio::time::timeout(LIMIT, stream.read_to_end(&mut answer)).await.expect("an end of the answer");
    let whole = || {
        let answer = String::from_utf8(answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let body = if status == 204 { Value::Null } else { serde_json::from_str(body).ok()? };
        Some(Answer { status, body })
    };
    read.ok().and_then(|_| whole()).ok_or(Lost::Unknown)
}

/// `PUT /v1/schedules/{name}` and the like, with their conditions as headers.
pub(super) fn condition(expect: Expect) -> String {
    match expect {
        Expect::Any => String::new(),
        Expect::Absent => "If-None-Match: *\r\n".into(),
        Expect::Revision(creation, revision) => {
            format!("If-Match: \"{}\"\r\n", Expect::tag(creation, revision))
        }
    }
}

/// A command by message that may be sent again.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    id: String,
    kind: &'static str,
    body: Value,
    answer: Answer,
}

/// The door of messages: whatever becomes of the clock, each command is answered in the end.
pub(crate) struct Messages {
    client: Client,
    prefix: String,
    last: u64,
    /// What was answered, by correlation.
    answered: HashMap<String, Answer>,
    /// Answers that came again.
    pub(super) doubled: usize,
}

impl Messages {
    pub(crate) async fn connect(url: &str, prefix: String) -> Self {
        let client = Client::connect(url, "guest").await;
        Self { client, prefix, last: 0, answered: HashMap::new(), doubled: 0 }
    }

    pub(crate) async fn ask(&mut self, kind: &'static str, body: Value) -> Sent {
        self.last += 1;
        let id = format!("{}-{}", self.prefix, self.last);
        let answer = self.ask_as(&id, kind, &body).await;
        Sent { id, kind, body, answer }
    }

    /// Another command under the id of one that was answered is refused.
    pub(super) async fn ask_under_the_id_of(&mut self, sent: &Sent, kind: &'static str, body: Value) {
        let answer = self.ask_as(&sent.id, kind, &body).await;
        assert_eq!(answer.status, 422, "{sent:?}, and then {body}: {answer:?}");
    }

    /// The same again is answered as it was.
    pub(super) async fn ask_again(&mut self, sent: &Sent) {
        let answer = self.ask_as(&sent.id, sent.kind, &sent.body).await;
        assert_eq!(answer.essence(), sent.answer.essence(), "{sent:?}");
    }

    async fn ask_as(&mut self, id: &str, kind: &str, body: &Value) -> Answer {
        loop {
            self.client.name(id);
            let asked = self.client.send(kind, body.clone(), Some("amq.rabbitmq.reply-to")).await;
            let answer = loop {
                let reply = self.client.reply().await;
                let correlation = reply.correlation.clone().unwrap();
                let answer = Answer { status: reply.status, body: reply.body };
                if correlation == asked {
                    break answer;
                }
                // What was answered before a kill, and not acknowledged, is answered once more.
                let before = &self.answered[&correlation];
                if before.status != 429 && answer.status != 429 {
                    assert_eq!(
                        answer.essence(),
                        before.essence(),
                        "the answer came again, and is another one"
                    );
                }
                self.doubled += 1;
            };
            self.answered.insert(asked, answer.clone());
            // Too often, or not now: the same again.
            if !matches!(answer.status, 429 | 503) {
                return answer;
            }
        }
    }
}

impl Sent {
    pub(crate) fn answer(&self) -> &Answer {
        &self.answer
    }
}

/// The body of `schedule.put`.
pub(super) fn put_message(put: &Put) -> Value {
    let mut body = json!({ "definition": put.definition() });
    match put.expect {
        Expect::Any => {}
        Expect::Absent => body["if_absent"] = true.into(),
        Expect::Revision(creation, revision) => body["if_revision"] = Expect::tag(creation, revision).into(),
    }
    body
}

/// The body of `schedule.delete`.
pub(super) fn delete_message(name: &str, expect: Expect) -> Value {
    match expect {
        Expect::Revision(creation, revision) => {
            json!({ "name": name, "if_revision": Expect::tag(creation, revision) })
        }
        _ => json!({ "name": name }),
    }
}

/// `khronos` on the machine of the clock with this store.
#[derive(Debug, Clone)]
pub(super) struct Program(pub(super) Arc<PathBuf>);

impl Program {
    pub(super) async fn put(&self, put: &Put) -> Option<Answer> {
        let mut words = vec!["put".to_owned(), "-f".into(), "-".into(), "--json".into()];
        match put.expect {
            Expect::Any => {}
            Expect::Absent => words.push("--new".into()),
            Expect::Revision(creation, revision) => {
                words.extend(["--if-revision".into(), Expect::tag(creation, revision)])
            }
        }
        self.run(words, put.definition().to_string()).await
    }

    pub(super) async fn delete(&self, name: &str, expect: Expect) -> Option<Answer> {
        let mut words = vec!["delete".to_owned(), name.to_owned()];
        if let Expect::Revision(creation, revision) = expect {
            words.extend(["--if-revision".into(), Expect::tag(creation, revision)]);
        }
        self.run(words, String::new()).await
    }

    async fn run(&self, words: Vec<String>, input: String) -> Option<Answer> {
        let store = self.0.clone();
        let run = move || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_khronos"));
            command.args(&words).env_clear().env("KHRONOS_STORE_PATH", &*store);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut running = command.spawn().unwrap();
            // It may have ended before it reads.
            let _ = running.stdin.take().unwrap().write_all(input.as_bytes());
            let output = running.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let body = serde_json::from_slice(&output.stdout).unwrap_or(Value::from(said));
            let status = match output.status.code().unwrap() {
                0 => 200,
                2 | 77 => 0,
                // It was not reached, or went away: that may be before or after.
                69 | 74 => return None,
                _ => panic!("{words:?}: {output:?}"),
            };
            Some(Answer { status, body })
        };
        tokio::task::spawn_blocking(run).await.unwrap()
    }
}
