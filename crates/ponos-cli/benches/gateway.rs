//! The gateway beside the HTTP publishing of RabbitMQ's management plugin: the same events, in turns in one run, on one broker, into
//! one quorum queue. Each sender has a connection of its own, and sends the next event once the last one is answered. `SECONDS` (5)
//! is how long each turn takes, `PAIRS` (3) how many turns each has, `SENDERS` (16) how many send at a time, `BATCH` (100) how many
//! events a request has in the turns of batches, which the management plugin has not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // a benchmark's error is its end

use ponos::{
    broker::{Transport, amqp::AmqpConfig},
    topology::{Binding, Exchange, Queue, Topology},
};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};
use testkit::{Node, Program, Sandbox, block_until};
use tokio::time::Instant;

const NAME: &str = "order.parcel.shipped";

/// Numbers of events: each has an id of its own.
static NEXT: AtomicU64 = AtomicU64::new(0);

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Some 300 bytes.
fn data() -> Value {
    json!({
        "number": 7, "customer": "0198a1f0-9d5b-7cc4-8a3e-5b7f1c2d3e4f", "weight": 12.25,
        "items": [{"sku": "chair-oak-natural", "count": 4}, {"sku": "table-oak-natural", "count": 1}],
        "note": "leave it with the neighbours on the ground floor if nobody opens, and ring twice please",
    })
}

fn event() -> Value {
    let id = NEXT.fetch_add(1, Ordering::Relaxed).to_string();
    json!({"specversion": "1.0", "id": id, "source": "/bench", "type": NAME, "data": data()})
}

/// Where events are posted to, and how.
struct Door {
    name: &'static str,
    address: String,
    path: &'static str,
    head: &'static str,
    body: fn() -> String,
    /// What it answers with when it has them.
    status: &'static str,
    /// Events in one request.
    events: u64,
}

fn one() -> String {
    event().to_string()
}

fn many() -> String {
    let count = setting("BATCH", 100);
    Value::from((0..count).map(|_| event()).collect::<Vec<_>>()).to_string()
}

fn by_management() -> String {
    let id = NEXT.fetch_add(1, Ordering::Relaxed).to_string();
    let headers = json!({"cloudEvents_specversion": "1.0", "cloudEvents_id": id, "cloudEvents_source": "/bench", "cloudEvents_type": NAME});
    let properties =
        json!({"delivery_mode": 2, "message_id": id, "content_type": "application/json", "headers": headers});
    json!({"properties": properties, "routing_key": NAME, "payload": data().to_string(), "payload_encoding": "string"})
        .to_string()
}

/// How long each request took that was answered until then.
fn send(door: &Door, until: Instant) -> Vec<Duration> {
    let mut stream = TcpStream::connect(&door.address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    let mut took = Vec::new();
    loop {
        let (body, began) = ((door.body)(), Instant::now());
        if began >= until {
            return took;
        }
        let (path, head, length) = (door.path, door.head, body.len());
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: localhost\r\n{head}Content-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let (mut line, mut length) = (String::new(), 0);
        answers.read_line(&mut line).unwrap();
        assert!(line.contains(door.status), "{}: {line}", door.name);
        while line != "\r\n" {
            line.clear();
            answers.read_line(&mut line).unwrap();
            if let Some(bytes) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = bytes.trim().parse().unwrap();
            }
        }
        answers.read_exact(&mut vec![0; length]).unwrap();
        took.push(began.elapsed());
    }
}

/// Events a second, and how long requests took, sorted.
fn turn(door: &Door) -> (f64, Vec<Duration>) {
    let (seconds, senders) = (setting("SECONDS", 5), setting("SENDERS", 16));
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut took: Vec<Duration> = thread::scope(|scope| {
        let senders: Vec<_> = (0..senders).map(|_| scope.spawn(|| send(door, until))).collect();
        senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect()
    });
    took.sort();
    ((took.len() as u64 * door.events) as f64 / seconds as f64, took)
}

/// Switches the management plugin on.
fn management(node: &Node) -> String {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    node.eval(&format!(
        "application:set_env(rabbitmq_management, tcp_config, [{{port, {}}}, {{ip, \"127.0.0.1\"}}])",
        free.port()
    ));
    node.eval(
        "begin File = os:getenv(\"RABBITMQ_ENABLED_PLUGINS_FILE\"), ok = file:write_file(File, \"[rabbitmq_management].\"), \
         rabbit_plugins:ensure(File) end",
    );
    block_until("the management plugin", Duration::from_secs(60), || TcpStream::connect(free).ok());
    free.to_string()
}

/// The gateway, and its address.
fn gateway(sandbox: &Sandbox, url: &str) -> (Program, String) {
    fs::write(
        sandbox.path("ponos.toml"),
        "service = \"edge\"\n[gateway]\nlisten = \"127.0.0.1:0\"\nwindow = 10000\nbatch = 1000\n",
    )
    .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ponos"));
    command
        .args(["gateway", "--config"])
        .arg(sandbox.path("ponos.toml"))
        .env("PONOS_URL", url)
        .stderr(File::create(sandbox.path("err")).unwrap());
    let program = sandbox.start(&mut command);
    let address = block_until("the gateway", Duration::from_secs(60), || {
        let said = fs::read_to_string(sandbox.path("err")).unwrap();
        said.contains("connected to").then_some(())?;
        Some(said.split("listening at http://").nth(1)?.lines().next()?.to_owned())
    });
    (program, address)
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let node = Node::start();
    let all = Topology {
        exchanges: vec![Exchange::topic("events")],
        // so that the broker's disk stays small
        queues: vec![Queue::quorum("bench").with("x-max-length", 10_000)],
        bindings: vec![Binding::queue("events", "bench", NAME)],
        ..Topology::default()
    };
    runtime.block_on(Transport::amqp(AmqpConfig::parse(&node.url()).unwrap()).check(&all)).unwrap();
    let sandbox = Sandbox::new();
    let (_program, address) = gateway(&sandbox, &node.url());
    let structured = "Content-Type: application/cloudevents+json\r\n";
    let batch = "Content-Type: application/cloudevents-batch+json\r\n";
    // guest:guest
    let basic = "Content-Type: application/json\r\nAuthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n";
    let path = "/v1/events";
    let doors = [
        Door {
            name: "gateway",
            address: address.clone(),
            path,
            head: structured,
            body: one,
            status: " 202 ",
            events: 1,
        },
        Door {
            name: "management API",
            address: management(&node),
            path: "/api/exchanges/%2F/events/publish",
            head: basic,
            body: by_management,
            status: " 200 ",
            events: 1,
        },
        Door {
            name: "gateway, batches",
            address,
            path,
            head: batch,
            body: many,
            status: " 202 ",
            events: setting("BATCH", 100),
        },
    ];
    println!(
        "{} senders, {} s a turn, events of {} bytes of data",
        setting("SENDERS", 16),
        setting("SECONDS", 5),
        data().to_string().len()
    );
    let mut all_rates = vec![Vec::new(); doors.len()];
    for pair in 1..=setting("PAIRS", 3) {
        for (door, rates) in doors.iter().zip(&mut all_rates) {
            let (rate, took) = turn(door);
            rates.push(rate);
            let at = |part: usize| {
                took.get(took.len() * part / 100).copied().unwrap_or_default().as_secs_f64() * 1_000.0
            };
            println!(
                "turn {pair}: {:<18} {rate:>8.0} events/s, answered in {:.1} ms (p50), {:.1} ms (p99)",
                door.name,
                at(50),
                at(99)
            );
        }
    }
    let medians: Vec<f64> = all_rates.iter_mut().map(|rates| median(rates)).collect();
    for (door, rate) in doors.iter().zip(&medians) {
        println!(
            "median: {:<18} {rate:>8.0} events/s, {:.2} of the management API's",
            door.name,
            rate / medians[1]
        );
    }
}

/// The middle one.
fn median(rates: &mut [f64]) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}
