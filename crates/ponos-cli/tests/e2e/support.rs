//! Runs the built program, and looks at the broker beside it.

use ponos::{
    Client,
    broker::{Consume, Delivery, Link, Publishing, Transport, amqp::AmqpConfig},
    event::Message,
    topology::{
        Binding, Queue, Topology,
        worker::{QueueIntake, shared, work_queue},
    },
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs::{self, File},
    future::Future,
    process::{Command, Stdio},
    time::Duration,
};
use testkit::{Node, Program, Sandbox};

/// Longer than anything takes that works, on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);

/// How the program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The program while it runs.
pub(crate) struct Running {
    pub(crate) program: Program,
    sandbox: Sandbox,
    words: String,
}

fn read(sandbox: &Sandbox, name: &str) -> String {
    fs::read_to_string(sandbox.path(name)).unwrap()
}

impl Running {
    pub(crate) fn out(&self) -> String {
        read(&self.sandbox, "out")
    }

    pub(crate) fn err(&self) -> String {
        read(&self.sandbox, "err")
    }

    /// Waits until standard error says that.
    pub(crate) fn says(&self, text: &str) {
        testkit::block_until_or_tell(
            &format!("'{text}' on standard error"),
            LIMIT,
            || self.err().contains(text).then_some(()),
            || format!("{}\n{}", self.out(), self.err()),
        );
    }

    pub(crate) fn end(mut self) -> Ended {
        testkit::block_until_or_tell(
            &format!("the end of {}", self.words),
            LIMIT,
            || (!self.program.runs()).then_some(()),
            || ["out", "err"].map(|name| read(&self.sandbox, name)).join("\n"),
        );
        let code = self.program.wait(LIMIT);
        Ended { code, out: self.out(), err: self.err() }
    }
}

/// The program with these words, as the user of the URL.
pub(crate) fn start(url: &str, words: &[&str]) -> Running {
    start_with(url, words, "")
}

/// The same with something on standard input.
pub(crate) fn start_with(url: &str, words: &[&str], input: &str) -> Running {
    start_changed(url, words, input, |_| {})
}

/// The same with a variable of the environment.
pub(crate) fn start_in(url: &str, words: &[&str], (name, value): (&str, &str)) -> Running {
    start_changed(url, words, "", |command| {
        command.env(name, value);
    })
}

/// The same with these variables instead of the URL.
pub(crate) fn start_without_url(words: &[&str], variables: &[(&str, &str)]) -> Running {
    start_changed("", words, "", |command| {
        command.env_remove("PONOS_URL").envs(variables.iter().copied());
    })
}

/// The same with nobody who reads standard output.
pub(crate) fn start_unread(url: &str, words: &[&str]) -> Running {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    start_changed(url, words, "", |command| {
        command.stdout(writer);
    })
}

/// The same with standard input that comes from there.
pub(crate) fn start_reading(url: &str, words: &[&str], input: std::io::PipeReader) -> Running {
    start_changed(url, words, "", |command| {
        command.stdin(input);
    })
}

fn start_changed(url: &str, words: &[&str], input: &str, change: impl FnOnce(&mut Command)) -> Running {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("in"), input).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ponos"));
    command
        .args(words)
        .env("PONOS_URL", url)
        .env("USER", "tester")
        .env_remove("PONOS_URL_FILE")
        .env_remove("PONOS_INBOX")
        .env_remove("RUST_MIN_STACK")
        .stdin(Stdio::from(File::open(sandbox.path("in")).unwrap()))
        .stdout(Stdio::from(File::create(sandbox.path("out")).unwrap()))
        .stderr(Stdio::from(File::create(sandbox.path("err")).unwrap()));
    change(&mut command);
    let program = sandbox.start(&mut command);
    Running { program, sandbox, words: words.join(" ") }
}

/// Runs it to its end.
pub(crate) fn ponos(url: &str, words: &[&str]) -> Ended {
    start(url, words).end()
}

/// Runs it to its end, which must be that code.
#[track_caller]
pub(crate) fn ponos_ends(url: &str, words: &[&str], code: i32) -> Ended {
    let ended = ponos(url, words);
    assert_eq!(ended.code, Some(code), "{words:?}\n{}\n{}", ended.out, ended.err);
    ended
}

pub(crate) fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

pub(crate) fn transport(url: &str) -> Transport {
    Transport::amqp(AmqpConfig::parse(url).unwrap())
}

/// The work queue of a task, with everything around it.
pub(crate) fn declare(url: &str, queue: &str) {
    let mut all = shared();
    all.join(work_queue(queue, QueueIntake::Tasks, false));
    declare_all(url, &all);
}

pub(crate) fn declare_all(url: &str, topology: &Topology) {
    wait(transport(url).check(topology)).unwrap();
}

/// Declares the queue 'seen', which gets all events of a name.
pub(crate) fn declare_seen(url: &str, name: &str) {
    let seen = Topology {
        queues: vec![Queue::quorum("seen")],
        bindings: vec![Binding::queue("events", "seen", name)],
        ..Topology::default()
    };
    declare_all(url, &seen);
}

/// Has a node import definitions as rabbitmqctl import_definitions would: the node may not see our files.
pub(crate) fn import(node: &Node, definitions: &str) {
    let text = definitions.replace('\n', "").replace('\\', "\\\\").replace('"', "\\\"");
    assert_eq!(node.eval(&format!("rabbit_definitions:import_raw(<<\"{text}\">>)")), "ok");
}

/// Messages ready in a queue, which must be there.
pub(crate) fn ready(url: &str, queue: &str) -> u64 {
    wait(transport(url).inspect(queue)).unwrap().unwrap().ready
}

/// Waits until so many are ready.
pub(crate) fn holds(url: &str, queue: &str, count: u64) {
    testkit::block_until(&format!("{count} in {queue}"), LIMIT, || {
        (ready(url, queue) == count).then_some(())
    });
}

/// Looks at the first messages of a queue, which go back when this ends.
pub(crate) fn look(url: &str, queue: &str, count: usize) -> Vec<Message> {
    wait(async {
        let mut consumer = transport(url).consumer(Topology::default(), Consume::new(queue).prefetch(100));
        let mut found: Vec<Delivery> = Vec::new();
        while found.len() < count {
            let next = tokio::time::timeout(LIMIT, consumer.next()).await;
            found.push(next.expect("not so many are there").unwrap());
        }
        found.into_iter().map(|delivery| delivery.message).collect()
    })
}

/// Publishes these events, by their names, one after the other.
pub(crate) fn publish_all(url: &str, events: &[(&str, Value)]) {
    wait(async {
        let names: BTreeSet<&str> = events.iter().map(|(name, _)| *name).collect();
        let connect = Client::connect_on(transport(url), "tester");
        let connect = names.into_iter().fold(connect, |connect, name| connect.publishes::<Value>(name));
        let client = connect.await.unwrap();
        for (name, data) in events {
            client.publish(*name, data).await.unwrap();
        }
        client.close().await.unwrap();
    });
}

/// Publishes these to an exchange.
pub(crate) fn put(url: &str, exchange: &str, messages: Vec<Message>) {
    wait(async {
        let mut publisher = transport(url).publisher(Topology::default());
        let mut link = publisher.link();
        link.wait_for(|link| matches!(link, Link::Up { .. })).await.unwrap();
        let count = messages.len();
        let batch = messages.into_iter().zip(0..).map(|(message, token)| Publishing {
            token,
            lane: 0,
            exchange: exchange.into(),
            message,
        });
        publisher.submit(batch.collect()).await.unwrap();
        let mut settled = 0;
        while settled < count {
            settled += publisher.settlements().await.unwrap().len();
        }
    });
}
