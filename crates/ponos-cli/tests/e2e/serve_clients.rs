//! The clients of `clients/`, each with a real sidecar and a real RabbitMQ.

use super::{
    serve::{Serving, serve},
    support::{LIMIT, holds, look},
};
use serde_json::{Value, json};
use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};
use testkit::{Program, Sandbox, Signal};

const SHOP: &str = r#"
service = "shop"
inbox = "memory"

[contracts]
folder = "schemas"

[policy]
attempts = 2
backoff = { first = "1s", factor = 1, longest = "1s", jitter = 0 }

[[queues]]
on = ["order.item.placed"]

[[queues]]
task = "stock.shelf.clean"

[publish]
events = ["order.label.printed"]
"#;

/// A program beside the sidecar.
pub(crate) struct Beside {
    sandbox: Sandbox,
    program: Program,
}

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../clients")
}

/// Python, which finds the client.
pub(crate) fn python() -> Command {
    let mut command = Command::new(env::var_os("KHRONOS_TEST_PYTHON").unwrap_or("/usr/bin/python3".into()));
    command
        .args(["-u", "-W", "error"])
        .env("PYTHONPATH", clients().join("python/src"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Go, which fetches nothing.
fn go() -> Command {
    let mut command = Command::new("go");
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("go");
    command.env("GOFLAGS", "-mod=mod").env("GOPROXY", "off").env("GOCACHE", cache);
    command
}

impl Beside {
    pub(crate) fn python(serving: &Serving, script: &str) -> Self {
        let command = python();
        Self::start(serving, command, "script.py", script)
    }

    fn node(serving: &Serving, script: &str) -> Self {
        let client = clients().join("node/index.js");
        let script = script.replace("\"ponos-bus\"", &format!("{:?}", client.canonicalize().unwrap()));
        Self::start(serving, Command::new("node"), "script.mjs", &script)
    }

    /// A module of its own, which takes the client from its folder.
    fn go(serving: &Serving, script: &str) -> Self {
        let sandbox = Sandbox::new();
        fs::write(sandbox.path("main.go"), script).unwrap();
        let client = clients().join("go").canonicalize().unwrap();
        let module = format!(
            "module shop\n\ngo 1.19\n\nrequire ponosbus v0.0.0\n\nreplace ponosbus => {}\n",
            client.display()
        );
        fs::write(sandbox.path("go.mod"), module).unwrap();
        succeeds(go().args(["build", "-o", "shop", "."]).current_dir(sandbox.path("")));
        let program = Command::new(sandbox.path("shop"));
        Self::start_in(sandbox, serving, program)
    }

    fn start(serving: &Serving, mut command: Command, name: &str, script: &str) -> Self {
        let sandbox = Sandbox::new();
        fs::write(sandbox.path(name), script).unwrap();
        command.arg(sandbox.path(name));
        Self::start_in(sandbox, serving, command)
    }

    fn start_in(sandbox: Sandbox, serving: &Serving, mut command: Command) -> Self {
        command
            .current_dir(sandbox.path(""))
            .env("PONOS_SERVE", format!("http://{}", serving.address))
            .stdout(File::create(sandbox.path("out")).unwrap())
            .stderr(File::create(sandbox.path("err")).unwrap());
        let program = sandbox.start(&mut command);
        Self { sandbox, program }
    }

    /// The lines of its standard output.
    pub(crate) fn lines(&self) -> Vec<String> {
        fs::read_to_string(self.sandbox.path("out")).unwrap().lines().map(str::to_owned).collect()
    }

    pub(crate) fn said(&self) -> String {
        ["out", "err"].map(|name| fs::read_to_string(self.sandbox.path(name)).unwrap()).join("\n")
    }

    pub(crate) fn says(&self, words: &str) {
        let said = || self.said().contains(words).then_some(());
        testkit::block_until_or_tell(words, LIMIT, said, || self.said());
    }

    fn ends(&mut self) -> (Option<i32>, String) {
        testkit::block_until_or_tell(
            "the end of the program",
            LIMIT,
            || (!self.program.runs()).then_some(()),
            || fs::read_to_string(self.sandbox.path("err")).unwrap(),
        );
        (self.program.wait(LIMIT), self.said())
    }
}

const PYTHON: &str = r#"
from ponos_bus import Bus

bus = Bus()
print("ready", bus.contracts()["service"])
while True:
    with bus.receive() as event:
        print("got", event.name, event.attempt, event.data)
        if event.name == "stock.shelf.clean":
            continue
        kind = event.data["kind"]
        if kind == "raise" and event.attempt == 1:
            raise ValueError("not yet")
        if kind == "dead":
            event.dead("no such order")
        if kind == "publish":
            event.extend(60)
            event.task("stock.shelf.clean", {"shelf": 1}, key="one")
            event.publish("order.label.printed", {"order": 7})
        if kind == "wrong":
            event.publish("order.label.printed", {"order": "seven"})
"#;

const NODE: &str = r#"
import { Bus } from "ponos-bus";

const bus = new Bus();
console.log("ready", (await bus.contracts()).service);
await bus.run(async (event) => {
  console.log("got", event.name, event.attempt, JSON.stringify(event.data));
  if (event.name === "stock.shelf.clean") return;
  const { kind } = event.data;
  if (kind === "raise" && event.attempt === 1) throw new Error("not yet");
  if (kind === "dead") event.dead("no such order");
  if (kind === "publish") {
    await event.extend(60);
    event.task("stock.shelf.clean", { shelf: 1 }, { key: "one" });
    event.publish("order.label.printed", { order: 7 });
  }
  if (kind === "wrong") event.publish("order.label.printed", { order: "seven" });
}, { concurrency: 2 });
bus.close();
"#;

const GO: &str = r#"
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"ponosbus"
)

func handle(ctx context.Context, event *ponosbus.Event) error {
	fmt.Println("got", event.Name, event.Attempt, string(event.Data))
	if event.Name == "stock.shelf.clean" {
		return nil
	}
	var data struct{ Kind string }
	if err := event.Bind(&data); err != nil {
		return err
	}
	switch {
	case data.Kind == "raise" && event.Attempt == 1:
		return errors.New("not yet")
	case data.Kind == "dead":
		return ponosbus.Dead("no such order")
	case data.Kind == "publish":
		if err := event.Extend(ctx, time.Minute); err != nil {
			return err
		}
		if err := event.Task("stock.shelf.clean", map[string]int{"shelf": 1}, ponosbus.With{Key: "one"}); err != nil {
			return err
		}
		return event.Publish("order.label.printed", map[string]int{"order": 7})
	case data.Kind == "wrong":
		return event.Publish("order.label.printed", map[string]string{"order": "seven"})
	}
	return nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	bus, err := ponosbus.New(ponosbus.Config{Concurrency: 2})
	if err != nil {
		log.Fatal(err)
	}
	text, err := bus.Contracts(ctx)
	if err != nil {
		log.Fatal(err)
	}
	var contracts struct{ Service string }
	if err := json.Unmarshal(text, &contracts); err != nil {
		log.Fatal(err)
	}
	fmt.Println("ready", contracts.Service)
	if err := bus.Run(ctx, handle); err != nil {
		log.Fatal(err)
	}
}
"#;

/// What comes is handled in each way, and a signal ends it cleanly.
fn handles_what_comes(serving: Serving, mut program: Beside, raised: &str) {
    program.says("ready shop");
    for kind in ["raise", "dead", "publish", "wrong", "plain"] {
        serving.publish(&["order.item.placed", &json!({ "kind": kind }).to_string()]);
    }
    program.says("got stock.shelf.clean 1");
    program.says("got order.item.placed 2");
    program.says(raised);
    let letters = "shop.order.item.placed.dlq";
    holds(&serving.url, letters, 2);
    let reasons: Vec<String> = look(&serving.url, letters, 2)
        .iter()
        .map(|letter| letter.headers.text("dead-reason").unwrap().to_owned())
        .collect();
    assert!(reasons.iter().any(|reason| reason.contains("/publish/0/data")), "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason == "no such order"), "{reasons:?}");
    for queue in ["shop.order.item.placed", "shop.stock.shelf.clean"] {
        holds(&serving.url, queue, 0);
    }
    end(serving, &mut program);
}

/// A signal ends the program, which waits for the next event, and then the sidecar.
pub(crate) fn end(serving: Serving, program: &mut Beside) {
    program.program.signal(Signal::TERM);
    let (code, said) = program.ends();
    assert_eq!(code, Some(0), "{said}");
    serving.running.program.signal(Signal::TERM);
    let ended = serving.running.end();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
}

#[track_caller]
fn succeeds(command: &mut Command) {
    let output = command.env_remove("PONOS_SERVE").output().unwrap();
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    assert!(output.status.success(), "{}", said.join("\n"));
}

#[test]
fn the_clients_do_by_themselves_what_their_own_tests_say() {
    succeeds(python().args(["-m", "unittest", "discover"]).arg(clients().join("python/tests")));
    succeeds(Command::new("node").arg("--test").arg(clients().join("node")));
    succeeds(go().args(["vet", "./..."]).current_dir(clients().join("go")));
    succeeds(go().args(["test", "./..."]).current_dir(clients().join("go")));
}

#[test]
fn a_python_program_handles_what_comes_and_a_signal_ends_it_cleanly() {
    let serving = serve("serve-python", SHOP, &[]);
    let program = Beside::python(&serving, PYTHON);
    handles_what_comes(serving, program, "ValueError: not yet");
}

#[test]
fn a_node_program_handles_what_comes_and_a_signal_ends_it_cleanly() {
    let serving = serve("serve-node", SHOP, &[]);
    let program = Beside::node(&serving, NODE);
    handles_what_comes(serving, program, "Error: not yet");
}

#[test]
fn a_program_in_go_handles_what_comes_and_a_signal_ends_it_cleanly() {
    let serving = serve("serve-go", SHOP, &[]);
    let program = Beside::go(&serving, GO);
    handles_what_comes(serving, program, "failed: not yet");
}

#[test]
fn a_loop_in_node_settles_as_it_goes_on_and_what_it_was_left_with_comes_again() {
    let serving = serve("serve-node-loop", SHOP, &[]);
    let script = r#"
import { Bus, BusError } from "ponos-bus";

const bus = new Bus({ signals: false, patience: 5 });
const first = await bus.task("stock.shelf.clean", { shelf: 2 }, { key: "same" });
const again = await bus.task("stock.shelf.clean", { shelf: 2 }, { key: "other" });
console.log(first.id !== again.id);
await bus.publish("order.label.printed", { order: "seven" }).catch((error) => console.log(error instanceof BusError, error.status));
let seen = 0;
for await (const event of bus) {
  seen += 1;
  if (seen === 2) break;
}
const left = await bus.receive();
console.log(left.attempt, left.data.shelf);
await left.settle();
bus.close();
"#;
    let mut program = Beside::node(&serving, script);
    let (code, said) = program.ends();
    assert_eq!((code, said.trim()), (Some(0), "true\ntrue 422\n2 2"), "{}", serving.running.err());
}

#[test]
fn a_python_program_publishes_outside_of_a_delivery_and_is_told_what_is_wrong() {
    let serving = serve("serve-python-publish", SHOP, &[]);
    let script = r#"
import json
from ponos_bus import Bus, BusError

bus = Bus(signals=False, patience=5)
first = bus.task("stock.shelf.clean", {"shelf": 2}, key="same")
again = bus.task("stock.shelf.clean", {"shelf": 2}, key="same")
try:
    bus.publish("order.label.printed", {"order": "seven"})
except BusError as error:
    print(json.dumps([first == again, error.status, str(error)]))
try:
    Bus("http://127.0.0.1:1", signals=False, patience=0.3).contracts()
except BusError as error:
    print(json.dumps([error.status, error.code]))
with bus.receive("shop.stock.shelf.clean") as event:
    print(json.dumps(event.data))
bus.close()
"#;
    let mut python = Beside::python(&serving, script);
    let (code, said) = python.ends();
    assert_eq!(code, Some(0), "{said}");
    let lines: Vec<Value> = said
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!((&lines[0][0], &lines[0][1]), (&true.into(), &422.into()), "{said}");
    assert!(lines[0][2].as_str().unwrap().contains("/order"), "{said}");
    assert_eq!((&lines[1], &lines[2]), (&json!([0, "unreachable"]), &json!({"shelf": 2})));
}
