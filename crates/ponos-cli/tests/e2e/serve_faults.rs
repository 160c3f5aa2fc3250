//! The fault suite through `ponos serve` and the Python client: programs are killed in the middle of their handlers, the
//! sidecar is killed, and the broker is killed and restarted. Every message ends done, or dead with its reason.

use super::{
    config::file,
    serve_clients::python,
    support::{LIMIT, Running, declare_all, holds, ponos_ends, start, transport, wait},
};
use ponos::{
    Client,
    broker::{Consume, Delivery, Settle},
    event::Message,
    topology::{Binding, Queue, Topology},
};
use serde_json::{Value, json};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs::{self, File},
    path::PathBuf,
    sync::{Arc, Mutex},
};
use tempfile::TempDir;
use testkit::{Node, Program, Sandbox, Signal, block_until_or_tell};

const SHOP: &str = r#"
service = "shop"
inbox = "sled:inbox"

[policy]
attempts = 6
timeout = "3s"
backoff = { first = "1s", factor = 1, longest = "1s", jitter = 0 }

[[queues]]
on = ["order.item.placed"]

[publish]
events = ["order.label.printed"]
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
const MESSAGES: usize = 300;
const PROGRAMS: usize = 3;
/// So often something is killed: by turns the sidecar, a program, and, twice, the broker.
const KILLS: usize = 10;

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

/// The broker, the sidecar and the programs.
struct Storm {
    node: Node,
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
    fn new() -> Self {
        let (node, (config, path)) = (Node::start(), file(SHOP));
        let url = node.url();
        ponos_ends(&url, &["declare", "--config", &path], 0);
        let seen = Topology {
            queues: vec![Queue::quorum("seen")],
            bindings: vec![Binding::queue("events", "seen", "order.label.printed")],
            ..Topology::default()
        };
        declare_all(&url, &seen);
        wait(async {
            let client = Client::connect_on(transport(&url), "tester");
            let client = client.publishes::<Value>("order.item.placed").await.unwrap();
            for number in 0..MESSAGES {
                let data = json!({ "kind": kind(number), "number": number });
                client.publish("order.item.placed", &data).await.unwrap();
            }
            client.close().await.unwrap();
        });
        node.write_down();
        let folder = Sandbox::new();
        fs::write(folder.path("program.py"), PROGRAM).unwrap();
        let reason = |letter: &Message| letter.headers.text("dead-reason").unwrap_or_default().to_owned();
        let mut storm = Self {
            printed: Came::watch(&url, "seen", "order", |_| String::new()),
            letters: Came::watch(&url, LETTERS, "number", reason),
            node,
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
            &format!("{wanted} of {MESSAGES} to end"),
            LIMIT * 2,
            || {
                let mut storm = storm.borrow_mut();
                storm.tend();
                (storm.printed.all().len() + storm.letters.all().len() >= wanted).then_some(())
            },
            || storm.borrow().said(),
        );
    }

    /// Kills something: this many came before it.
    fn kill(&mut self, before: usize) {
        match before % 5 {
            0 | 2 => {
                let sidecar = self.sidecar.take().unwrap();
                sidecar.program.signal(Signal::KILL);
                sidecar.end();
                self.begin();
            }
            4 => {
                self.node.kill9();
                self.node.restart();
            }
            _ => {
                let program = self.programs[before % PROGRAMS].as_mut().unwrap();
                program.signal(Signal::KILL);
                program.wait(LIMIT);
            }
        }
    }
}

/// What came through a queue: each once.
#[derive(Clone, Default)]
struct Came(Arc<Mutex<BTreeMap<usize, String>>>);

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
                    noting.0.lock().unwrap().insert(number, read(&message));
                    // an error: it comes again
                    let _ = consumer.settle(tag, Settle::Ack).await;
                }
            });
        });
        came
    }

    fn all(&self) -> BTreeMap<usize, String> {
        self.0.lock().unwrap().clone()
    }
}

#[test]
fn through_kills_of_all_that_takes_part_every_message_ends_done_or_dead_with_its_reason() {
    let mut storm = Storm::new();
    for before in 0..KILLS {
        storm.until((before + 1) * MESSAGES / (KILLS + 4));
        storm.kill(before);
    }
    storm.until(MESSAGES);
    holds(&storm.node.url(), QUEUE, 0);
    let is_dead = |number: &usize| matches!(kind(*number), "dead" | "raises");
    let (dead, done): (Vec<usize>, Vec<usize>) = (0..MESSAGES).partition(is_dead);
    let (printed, reasons) = (storm.printed.all(), storm.letters.all());
    assert_eq!(printed.into_keys().collect::<Vec<_>>(), done, "{}", storm.said());
    assert_eq!(reasons.keys().copied().collect::<Vec<_>>(), dead, "{}", storm.said());
    for (number, reason) in &reasons {
        let words =
            if kind(*number) == "dead" { format!("refused {number}") } else { format!("never {number}") };
        assert!(reason.contains(&words), "{number}: {reason}");
    }
    assert!(storm.starts > PROGRAMS + MESSAGES / 20, "programs died {} times", storm.starts);
    // and all of them end as they should
    for program in storm.programs.iter_mut().flatten() {
        program.signal(Signal::TERM);
        assert_eq!(program.wait(LIMIT), Some(0));
    }
    let sidecar = storm.sidecar.take().unwrap();
    sidecar.program.signal(Signal::TERM);
    let ended = sidecar.end();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
}
