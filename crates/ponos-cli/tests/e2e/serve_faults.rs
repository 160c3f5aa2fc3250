//! The fault suite through `ponos serve` and the Python client: programs are killed in the middle of their handlers, the
//! sidecar is killed, and the broker is killed and restarted; with an inbox on Postgres that, too. Every message ends done, or dead
//! with its reason.

use super::{
    config::file,
    serve_clients::python,
    support::{LIMIT, Running, declare_seen, holds, ponos_ends, publish_all, start, transport, wait},
};
use ponos::{
    broker::{Consume, Delivery, Settle},
    event::Message,
    topology::Topology,
};
use serde_json::{Value, json};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::PathBuf,
    sync::{Arc, Mutex},
};
use tempfile::TempDir;
use testkit::{Node, Postgres, Program, Sandbox, Signal, block_until_or_tell};

const SHOP: &str = r#"
service = "shop"

[publish]
events = ["order.label.printed"]

[[queues]]
on = ["order.item.placed"]
timeout = "3s"
backoff = { first = "1s", factor = 1, longest = "1s", jitter = 0 }
"#;

const PROGRAM: &str = r#"
import os
from ponos_bus import Bus

bus = Bus(patience=30)
while True:
    with bus.receive() as event:
        kind, number = event.data["kind"], event.data["number"]
        if kind == "dies" and event.attempt == 1:
            os._exit(9)
        if kind == "raises once" and event.attempt == 1:
            raise ValueError("not yet")
        if kind == "raises":
            raise ValueError(f"never {number}")
        if kind == "dead":
            event.dead(f"refused {number}")
        elif kind == "snoozes" and not os.path.exists(f"snoozed-{number}"):
            open(f"snoozed-{number}", "w").close()
            event.snooze(1)
        else:
            event.publish("order.label.printed", {"order": number}, key=str(number))
"#;

const QUEUE: &str = "shop.order.item.placed";
const LETTERS: &str = "shop.order.item.placed.dlq";
const PROGRAMS: usize = 3;

fn kind(number: usize) -> &'static str {
    match number % 20 {
        0 => "dies",
        1 => "dead",
        2 => "raises",
        3 | 4 => "raises once",
        5 => "snoozes",
        _ => "works",
    }
}

/// What is killed.
#[derive(Clone, Copy)]
enum Victim {
    Sidecar,
    Program,
    Broker,
    Postgres,
}

/// The broker, the sidecar and the programs, and where the inbox is, if that is not the sidecar's disk.
struct Storm {
    node: Node,
    postgres: Option<Postgres>,
    messages: usize,
    config: TempDir,
    address: String,
    sidecar: Option<Running>,
    folder: Sandbox,
    programs: Vec<Option<Program>>,
    starts: usize,
    printed: Came,
    letters: Came,
}

impl Storm {
    /// With so many messages, each of which is tried so often.
    fn new(messages: usize, attempts: usize, postgres: Option<Postgres>) -> Self {
        let inbox = postgres.as_ref().map_or("sled:inbox".to_owned(), |postgres| postgres.database("storm"));
        let (node, (config, path)) =
            (Node::start(), file(&format!("inbox = \"{inbox}\"\n{SHOP}attempts = {attempts}\n")));
        let url = node.url();
        ponos_ends(&url, &["declare", "--config", &path], 0);
        declare_seen(&url, "order.label.printed");
        let placed = |number| ("order.item.placed", json!({ "kind": kind(number), "number": number }));
        publish_all(&url, &(0..messages).map(placed).collect::<Vec<_>>());
        node.write_down();
        let folder = Sandbox::new();
        fs::write(folder.path("program.py"), PROGRAM).unwrap();
        let reason = |letter: &Message| letter.headers.text("dead-reason").unwrap_or_default().to_owned();
        let mut storm = Self {
            printed: Came::watch(&url, "seen", "order", |event| {
                event.properties.message_id.clone().unwrap_or_default()
            }),
            letters: Came::watch(&url, LETTERS, "number", reason),
            node,
            postgres,
            messages,
            config,
            address: "127.0.0.1:0".into(),
            sidecar: None,
            folder,
            programs: (0..PROGRAMS).map(|_| None).collect(),
            starts: 0,
        };
        storm.begin();
        let said = storm.sidecar.as_ref().unwrap().err();
        let address = said.split("listening at http://").nth(1).unwrap().lines().next().unwrap();
        storm.address = address.to_owned();
        storm
    }

    /// Starts the sidecar.
    fn begin(&mut self) {
        let path = self.config.path().join("ponos.toml");
        let words = ["serve", "--config", path.to_str().unwrap(), "--listen", &self.address];
        let sidecar = start(&self.node.url(), &words);
        sidecar.says("listening at ");
        self.sidecar = Some(sidecar);
    }

    fn log(&self, number: usize) -> PathBuf {
        self.folder.path(format!("log-{number}"))
    }

    /// Starts the programs that do not run.
    fn tend(&mut self) {
        for number in 0..PROGRAMS {
            if self.programs[number].as_mut().is_some_and(Program::runs) {
                continue;
            }
            let log = File::options().create(true).append(true).open(self.log(number)).unwrap();
            let mut command = python();
            command
                .arg(self.folder.path("program.py"))
                .env("PONOS_SERVE", format!("http://{}", self.address))
                .stdout(log.try_clone().unwrap())
                .stderr(log);
            self.programs[number] = Some(self.folder.start(&mut command));
            self.starts += 1;
        }
    }

    fn said(&self) -> String {
        let logs = (0..PROGRAMS).map(|number| fs::read_to_string(self.log(number)).unwrap_or_default());
        let sidecar = self.sidecar.as_ref().map(Running::err).unwrap_or_default();
        logs.chain([sidecar]).collect::<Vec<_>>().join("\n")
    }

    /// Until so many have ended.
    fn until(&mut self, wanted: usize) {
        let storm = RefCell::new(self);
        block_until_or_tell(
            &format!("{wanted} messages to end"),
            LIMIT * 2,
            || {
                let mut storm = storm.borrow_mut();
                storm.tend();
                (storm.printed.all().len() + storm.letters.all().len() >= wanted).then_some(())
            },
            || storm.borrow().said(),
        );
    }

    /// Kills it, and starts it again: so many were killed before.
    fn kill(&mut self, victim: Victim, before: usize) {
        match victim {
            Victim::Sidecar => {
                let sidecar = self.sidecar.take().unwrap();
                sidecar.program.signal(Signal::KILL);
                sidecar.end();
                self.begin();
            }
            Victim::Broker => {
                self.node.kill9();
                self.node.restart();
            }
            Victim::Postgres => {
                let postgres = self.postgres.as_ref().unwrap();
                postgres.kill9();
                postgres.restart();
            }
            Victim::Program => {
                let program = self.programs[before % PROGRAMS].as_mut().unwrap();
                program.signal(Signal::KILL);
                program.wait(LIMIT);
            }
        }
    }
}

/// What came through a queue: of each message, what was found in it.
#[derive(Clone, Default)]
struct Came(Arc<Mutex<BTreeMap<usize, BTreeSet<String>>>>);

impl Came {
    /// Takes what comes, until the test ends: by its number, with what `read` finds in it.
    fn watch(url: &str, queue: &str, number: &'static str, read: fn(&Message) -> String) -> Self {
        let (came, url, queue) = (Self::default(), url.to_owned(), queue.to_owned());
        let noting = came.clone();
        std::thread::spawn(move || {
            wait(async {
                let consume = Consume::new(queue).prefetch(100);
                let mut consumer = transport(&url).consumer(Topology::default(), consume);
                while let Some(Delivery { message, tag, .. }) = consumer.next().await {
                    let data: Value = serde_json::from_slice(&message.body).unwrap();
                    let number = usize::try_from(data[number].as_u64().unwrap()).unwrap();
                    noting.0.lock().unwrap().entry(number).or_default().insert(read(&message));
                    // an error: it comes again
                    let _ = consumer.settle(tag, Settle::Ack).await;
                }
            });
        });
        came
    }

    fn all(&self) -> BTreeMap<usize, BTreeSet<String>> {
        self.0.lock().unwrap().clone()
    }
}

/// Kills these, one after the other, while the messages end.
fn every_message_ends(mut storm: Storm, victims: &[Victim]) {
    let messages = storm.messages;
    for (before, victim) in victims.iter().enumerate() {
        storm.until((before + 1) * messages / (victims.len() + 4));
        storm.kill(*victim, before);
    }
    storm.until(messages);
    holds(&storm.node.url(), QUEUE, 0);
    let is_dead = |number: &usize| matches!(kind(*number), "dead" | "raises");
    let (dead, done): (Vec<usize>, Vec<usize>) = (0..messages).partition(is_dead);
    let (printed, reasons) = (storm.printed.all(), storm.letters.all());
    assert_eq!(printed.keys().copied().collect::<Vec<_>>(), done, "{}", storm.said());
    assert_eq!(reasons.keys().copied().collect::<Vec<_>>(), dead, "{}", storm.said());
    let twice: Vec<_> = printed.iter().filter(|(_, ids)| ids.len() != 1).collect();
    assert!(twice.is_empty(), "what came again had another id: {twice:?}\n{}", storm.said());
    for (number, reasons) in &reasons {
        let words =
            if kind(*number) == "dead" { format!("refused {number}") } else { format!("never {number}") };
        assert!(reasons.iter().all(|reason| reason.contains(&words)), "{number}: {reasons:?}");
    }
    assert!(storm.starts >= PROGRAMS + messages / 20, "programs died {} times", storm.starts);
    // and all of them end as they should
    for program in storm.programs.iter_mut().flatten() {
        program.signal(Signal::TERM);
        assert_eq!(program.wait(LIMIT), Some(0));
    }
    let sidecar = storm.sidecar.take().unwrap();
    sidecar.program.signal(Signal::TERM);
    let ended = sidecar.end();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(!ended.err.contains("the outbox was not empty"), "{}", ended.err);
}

#[test]
fn through_kills_of_all_that_takes_part_every_message_ends_done_or_dead_with_its_reason() {
    let turn = [Victim::Sidecar, Victim::Program, Victim::Sidecar, Victim::Program, Victim::Broker];
    every_message_ends(Storm::new(300, 6, None), &turn.repeat(2));
}

#[test]
fn with_an_inbox_on_postgres_and_kills_of_that_too_every_message_ends_the_same() {
    let victims = [Victim::Sidecar, Victim::Postgres, Victim::Broker];
    every_message_ends(Storm::new(60, 4, Some(Postgres::start(true))), &victims);
}
