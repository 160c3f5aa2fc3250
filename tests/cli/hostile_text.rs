//! What comes from outside is printed by `khronos` so that no terminal obeys it: from a broker, a clock elsewhere, files.

use ponos::{
    broker::{PublishOutcome, Publishing, Transport, amqp::AmqpConfig},
    event::{Event, Message},
    topology::{Exchange, Topology},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};
use testkit::{HOSTILE, Node, Sandbox, assert_harmless};

fn khronos(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_khronos"));
    command.args(words).current_dir(folder).env_clear().stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn printed(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8(bytes.clone()).unwrap()).concat()
}

/// A clock elsewhere that answers this to every request.
fn clock(kind: &'static str, body: String, status: u16) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            lines.map_while(Result::ok).find(String::is_empty);
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
            );
            // Whoever asks may be gone.
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
        }
    });
    url
}

const AT: &str = "2026-12-01T09:00:00.000Z";

#[test]
fn what_a_clock_elsewhere_answers_is_harmless_in_every_verb() {
    let folder = tempfile::tempdir().unwrap();
    let schedules = json!({ "clock": HOSTILE, "schedules": [{
        "name": HOSTILE, "event": HOSTILE, "timing": HOSTILE, "next_due_at": AT, "paused": false, "revision": 1,
        "effective_from": AT, "counts_from": AT, "outstanding": null, "confirmed": 1, "returned": 0,
        "definition": { "name": HOSTILE, "every": "1 minute" },
    }] });
    let row = json!({
        "sequence": 1, "recorded_at": AT, "schedule": HOSTILE, "revision": 1, "first_due_at": AT, "due_at": AT,
        "count": 1, "outcome": HOSTILE, "reason": HOSTILE,
    });
    let history = json!({ "rows": [row], "first": 1, "last": 1, "next": null });
    let parked = json!({ "parked": [{
        "id": 1, "schedule": HOSTILE, "revision": 1, "first_due_at": AT, "due_at": AT, "count": 1, "events": 1,
        "parked_at": AT, "reason": HOSTILE, "released": false,
    }] });
    let told = |detail: &str| json!({ "title": detail, "detail": detail, "status": 503 });
    let cases: [(&[&str], Value, u16); 5] = [
        (&["list"], schedules, 200),
        (&["history"], history, 200),
        (&["parked", "list"], parked, 200),
        (&["health", "--ready"], told(HOSTILE), 503),
        (&["audit"], told(HOSTILE), 503),
    ];
    for (verb, answer, status) in cases {
        let url = clock("application/json", answer.to_string(), status);
        for more in [&[][..], &["--json"]] {
            let words = [verb, more, &["--url", &url]].concat();
            let output = khronos(folder.path(), &words).output().unwrap();
            assert_harmless(&format!("{words:?}"), &printed(&output));
            if status == 200 && !more.is_empty() {
                let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
                let text = ["name", "schedule"].iter().find_map(|key| shown[key].as_str());
                assert_eq!(text, Some(HOSTILE), "{words:?}");
            }
        }
    }
}

#[test]
fn arguments_that_are_wrong_are_told_in_harmless_words_and_without_passwords() {
    let folder = tempfile::tempdir().unwrap();
    let flag = format!("--{HOSTILE}");
    let url = "amqp://me:p\nhunter2@host";
    for words in [
        &[HOSTILE][..],
        &["run", HOSTILE],
        &["check", &flag],
        &["history", "--outcome", HOSTILE],
        &["audit", "--from", HOSTILE],
        &["list", "--url", "http://a", "--store", "b", HOSTILE],
    ] {
        let output = khronos(folder.path(), words).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert_harmless(&format!("{words:?}"), &printed(&output));
        assert!(printed(&output).starts_with("error: "), "{output:?}");
    }
    for words in [&["run", url][..], &["history", "--outcome", url], &["audit", "--from", url]] {
        let output = khronos(folder.path(), words).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(!printed(&output).contains("hunter2"), "{output:?}");
    }
    // Files that are not there.
    let files =
        [HOSTILE, &format!("{HOSTILE}.toml"), &format!("{HOSTILE}.ics"), url, &format!("{url}/a.toml")];
    for words in files.iter().flat_map(|file| [vec!["check", *file], vec!["check", "--json", *file]]) {
        let output = khronos(folder.path(), &words).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        if !words.iter().any(|word| word.contains("amqp")) {
            assert_harmless(&format!("{words:?}"), &printed(&output));
        }
        assert!(!printed(&output).contains("hunter2"), "{output:?}");
    }
}

#[test]
fn what_a_feed_gives_is_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let event =
        json!({ "specversion": "1.0", "id": HOSTILE, "type": HOSTILE, "time": HOSTILE, "subject": HOSTILE });
    for (kind, data) in
        [("message", event.to_string()), ("gap", HOSTILE.split('\n').next().unwrap().replace('\r', ""))]
    {
        let body = format!("event: {kind}\nid: 1\ndata: {data}\n\nid: 2\ndata: {event}\n\n");
        let url = clock("text/event-stream", body, 200);
        for more in [&[][..], &["--json"]] {
            let words = [&["tail", "--count", "1", "--feed", &url], more].concat();
            let output = khronos(folder.path(), &words).output().unwrap();
            assert_harmless(&format!("{words:?}"), &printed(&output));
        }
    }
}

#[test]
fn names_of_files_and_their_lines_are_harmless_in_check_and_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let schedules = folder.path().join("schedules");
    fs::create_dir(&schedules).unwrap();
    let name: String = HOSTILE.chars().map(|c| if c == '/' { ' ' } else { c }).collect();
    let text = "[[schedule]]\nname = \"a\u{9b}[31m\u{202e}\"\nevery = \"1 \u{200f}minute\"\n";
    fs::write(schedules.join(format!("{name}.toml")), text).unwrap();
    fs::write(schedules.join("b.toml"), format!("{} = 1 # \u{1b}[31m\u{202e}\n", "x\u{9b}")).unwrap();
    for more in [&[][..], &["--json"]] {
        let words = [&["check", "--schedules", "schedules"][..], more].concat();
        let output = khronos(folder.path(), &words).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert_harmless(&format!("{words:?}"), &printed(&output));
    }
    for verb in ["next", "forecast"] {
        let output = khronos(folder.path(), &[verb, "--schedules", "schedules"]).output().unwrap();
        assert_harmless(verb, &printed(&output));
    }
    for format in ["pretty", "json"] {
        let words = [
            "run",
            "--strict",
            "--schedules",
            "schedules",
            "--store",
            "memory:",
            "--broker",
            "memory:",
            "--listen",
            "127.0.0.1:0",
            "--log-format",
            format,
        ];
        let output = khronos(folder.path(), &words).output().unwrap();
        assert!(!output.status.success());
        assert_harmless("run --strict", &printed(&output));
    }
}

#[test]
fn the_log_of_a_clock_that_goes_on_without_its_files_is_harmless() {
    for format in ["pretty", "json"] {
        let sandbox = Sandbox::new();
        fs::create_dir(sandbox.path("schedules")).unwrap();
        fs::write(sandbox.path("schedules").join(format!("{HOSTILE}.toml")), "x = 1\n").unwrap();
        let words = [
            "run",
            "--schedules",
            "schedules",
            "--store",
            "memory:",
            "--broker",
            "memory:",
            "--listen",
            "127.0.0.1:0",
            "--log-format",
            format,
        ];
        let log = fs::File::create(sandbox.path("log")).unwrap();
        let _clock =
            sandbox.start(khronos(sandbox.path("").as_path(), &words).stderr(log).stdout(Stdio::null()));
        let logged = || fs::read_to_string(sandbox.path("log")).unwrap();
        testkit::block_until_or_tell(
            "the files in the log",
            Duration::from_secs(60),
            || logged().contains("unknown key").then_some(()),
            logged,
        );
        assert_harmless(format, &logged());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_of_a_broker_is_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let url = Node::shared().vhost("hostile-khronos");
    let mut event = Event::new("id".parse().unwrap(), HOSTILE, "a.b.c".parse().unwrap(), "{}");
    event.subject = Some(HOSTILE.into());
    let message = Message { routing_key: "a.b.c".into(), ..event.into_message() };
    let other = Message { routing_key: HOSTILE.into(), ..Message::default() };
    let exchange = Topology { exchanges: vec![Exchange::topic("events")], ..Topology::default() };
    let transport = Transport::amqp(AmqpConfig::parse(&url).unwrap());
    let mut publisher = transport.publisher(exchange);
    for more in [&[][..], &["--json"]] {
        let words = [&["tail", "--broker", &url, "--count", "1"], more].concat();
        let child = khronos(folder.path(), &words).spawn().unwrap();
        let waiting = std::thread::spawn(|| child.wait_with_output().unwrap());
        while !waiting.is_finished() {
            let batch = [&other, &message].map(|message| {
                let mut message = message.clone();
                message.properties.message_id.get_or_insert("other".into());
                Publishing { token: 0, lane: 0, exchange: "events".into(), message }
            });
            publisher.submit(batch.into()).await.unwrap();
            let settled = publisher.settlements().await.unwrap();
            assert!(
                !settled.iter().any(|one| matches!(one.outcome, PublishOutcome::Refused(_))),
                "{settled:?}"
            );
        }
        let output = waiting.join().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_harmless(&format!("{words:?}"), &printed(&output));
    }
}
