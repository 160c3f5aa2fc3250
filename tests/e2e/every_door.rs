//! Commands by all doors at once, from many clients, while the clock is killed again and again: what was answered is so, what was
//! refused changed nothing, and of what got no answer either may be.

mod ask;
mod client;
pub(crate) mod doors;
mod log;

use crate::harness::{Arrivals, Clock, LIMIT, let_pass, random, scale};
use ask::{Expect, Put};
use client::{Client, FOREIGN, Scene, Told};
use doors::{BY_HTTP, Http, Program, Who};
use log::{Asked, Fate, Log, Present};
use ponos::{event::Timestamp, topology::Queue};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
};
use testkit::{Node, block_until_or_tell, wait_until};

const SCHEDULES: &str = r#"
[[schedule]]
name = "often"
event = "test.often.passed"
every = "100ms"
catch_up = { policy = "all" }
"#;

const CONFIG: &str = r#"
[http]
open_reads = true
[commands]
enabled = true
[[commands.users]]
user = "guest"
owner = "billing"
role = "write"
domains = ["billing.*"]
"#;

const PAYROLL: Who = Who { owner: "payroll", ..BY_HTTP };
/// So many ask at once.
const CLIENTS: usize = 12;

/// A clock that knows two owners; and their tokens.
fn clock(broker: &str) -> (Clock, [String; 2]) {
    let clock = Clock::new(broker, SCHEDULES);
    let mut config = CONFIG.to_owned();
    let tokens = ["billing", "payroll"].map(|owner| {
        let domains = format!("{owner}.*");
        let printed =
            clock.done(&["token", "new", "--owner", owner, "--role", "write", "--domains", &domains]);
        let (token, lines) = printed.split_once('\n').unwrap();
        config.push_str(lines);
        token.to_owned()
    });
    let file = clock.sandbox.path("config.toml");
    std::fs::write(&file, config).unwrap();
    (clock.with("KHRONOS_CONFIG", file.display()), tokens)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_answered_is_done_and_what_is_refused_is_not_whatever_becomes_of_the_clock() {
    let total = 10_000 * scale() as u64;
    let kills = 10 * scale() as u64;
    let (node, vhost) = (Node::shared(), "every-door");
    let url = node.vhost(vhost);
    let arrivals = Arrivals::of_all_events(&url, &[Queue::quorum("all")]).await;
    let (mut clock, [billing, payroll]) = clock(&url);
    clock.start();
    clock.until_ready();
    clock.until("commands to be taken", |_, body| !body["warnings"].to_string().contains("commands:"));
    let socket = Http::Socket(clock.store().join("control.sock"));
    let port = clock.port;
    let payroll = Http::Tcp { port, token: payroll };
    let mut asked = Vec::new();
    for number in 0..FOREIGN {
        let name = format!("foreign-{number}");
        // Numbers that no client has.
        let put = Put { name, number: 1_000_000_000 + number as u64, expect: Expect::Any, flaw: None };
        let mut definition = put.definition();
        definition["event"] = "payroll.run.due".into();
        let path = format!("/v1/schedules/{}", put.name);
        let answer = payroll.ask("PUT", &path, "", &definition.to_string()).await;
        assert_eq!(answer.as_ref().unwrap().status, 201, "{answer:?}");
        asked.push(Asked::put(&put, &PAYROLL, Fate::of_put(answer.as_ref())));
    }
    let scene = Arc::new(Scene {
        http: Http::Tcp { port, token: billing },
        socket: socket.clone(),
        program: Program(Arc::new(clock.store())),
        broker: url,
        asked: AtomicU64::new(0),
        total,
    });
    let mut random = random();
    let running: Vec<JoinHandle<Told>> = (0..CLIENTS)
        .map(|number| {
            let (scene, random) = (scene.clone(), random.fork());
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async { Client::new(scene, number, random).await.run().await })
            })
        })
        .collect();

    let mut log = Log::default();
    let begun = khronos::clock::now();
    let is_over = || running.iter().any(JoinHandle::is_finished);
    for kill in 0..kills {
        let after = (kill * total + random.u64(0..total)) / kills;
        let more = || (scene.asked.load(Ordering::Relaxed) >= after || is_over()).then_some(());
        block_until_or_tell("more commands to be asked", 10 * LIMIT, more, || clock.log());
        clock.kill();
        let_pass(random.u64(0..300));
        clock.start();
        if random.u8(0..4) == 0 {
            // While it starts.
            let_pass(random.u64(0..400));
            clock.kill();
            clock.start();
        }
        clock.until_ready();
        log.read(&socket).await;
    }
    let told: Vec<Told> = running
        .into_iter()
        .map(|one| one.join().expect("each client has the answers that are right"))
        .collect();
    let took = khronos::clock::now().since(begun);
    // What was answered last is durable, too.
    clock.kill();
    clock.start();
    clock.until_ready();
    log.read(&socket).await;

    asked.extend(told.iter().flat_map(|one| one.asked.iter().cloned()));
    let there = listed(&socket).await;
    compare(&log, &asked, &there, &told);
    let ready = |queue: &str| node.queue(vhost, queue).unwrap().0;
    let empty = async || (ready("khronos.commands") == 0).then_some(());
    wait_until("the queue of commands to be empty", LIMIT, empty).await;
    let dead = ready("khronos.commands.dlq");
    assert!(dead >= told.iter().map(|one| one.dead as u64).sum(), "{dead} dead letters");
    compare_events(&clock, &arrivals, &told);
    clock.until_calm();
    clock.done(&["audit"]);
    clock.stop_calm();
    clock.done(&["audit"]);
    let sum = |of: fn(&Told) -> usize| told.iter().map(of).sum::<usize>();
    println!(
        "{total} commands in {took} ms, {kills} kills: {} changes, {} without an answer; {} messages sent again, {} answers came again; {} events triggered",
        log.len(),
        asked.iter().filter(|one| one.is_unknown()).count(),
        sum(|one| one.again.0),
        sum(|one| one.again.1),
        sum(|one| one.triggered.len()),
    );
}

/// What is there that was created at run time, by name, as the list has it.
async fn listed(clock: &Http) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    let mut page = String::new();
    loop {
        let list = clock.get(&format!("/v1/schedules?origin=client&limit=1000{page}")).await;
        for one in list["schedules"].as_array().unwrap() {
            all.insert(one["name"].as_str().unwrap().to_owned(), one.clone());
        }
        match list["next"].as_str() {
            None => return all,
            Some(next) => page = format!("&page={next}"),
        }
    }
}

/// The list, the log and what the clients know agree.
fn compare(log: &Log, asked: &[Asked], there: &BTreeMap<String, Value>, told: &[Told]) {
    let of = |one: &Value| -> Present {
        let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{one}"));
        let creation = number(&one["definition"]["created"]["number"]);
        (creation, number(&one["revision"]), ask::number_of(&one["definition"]))
    };
    let found: BTreeMap<String, Present> = there.iter().map(|(name, one)| (name.clone(), of(one))).collect();
    assert_eq!(found, log.replayed());
    let foreign =
        found.iter().filter(|(name, (_, revision, _))| name.starts_with("foreign-") && *revision == 1);
    assert_eq!(foreign.count(), FOREIGN);
    log.compare(asked);
    for slot in told.iter().flat_map(|one| &one.slots) {
        let number = found.get(&slot.name).map(|(_, _, number)| *number);
        let fits = slot.present.iter().any(|one| one.as_ref().map(|one| one.number) == number);
        assert!(fits, "{number:?} is there of {slot:?}");
        if let Some(one) = there.get(&slot.name) {
            let note = one["pause"]["note"].as_str().map(str::to_owned);
            assert!(slot.pause.contains(&note), "the pause of {slot:?} is {note:?}");
        }
    }
}

/// None is lost, none is early, and each trigger has one event.
fn compare_events(clock: &Clock, arrivals: &Arrivals, told: &[Told]) {
    let triggered: BTreeMap<&String, &String> =
        told.iter().flat_map(|one| &one.triggered).map(|(command, id)| (command, id)).collect();
    let missing = || -> Vec<&String> {
        let arrived: BTreeSet<String> =
            arrivals.so_far().iter().map(|one| one.event.id.to_string()).collect();
        triggered.values().filter(|id| !arrived.contains(**id)).copied().collect()
    };
    block_until_or_tell(
        "each triggered event to arrive",
        LIMIT,
        || missing().is_empty().then_some(()),
        || format!("{:?} of {}\n{}", missing(), triggered.len(), clock.log()),
    );
    let all = arrivals.so_far();
    let cause = |body: &[u8]| serde_json::from_slice::<Value>(body).unwrap()["cause"].clone();
    let ids: BTreeSet<String> = all
        .iter()
        .filter(|one| cause(&one.message.body) == "triggered")
        .map(|one| one.event.id.to_string())
        .collect();
    assert_eq!(ids, triggered.values().map(|id| (*id).clone()).collect(), "one event for each command");
    let due: BTreeSet<Timestamp> = all
        .iter()
        .filter(|one| one.message.routing_key == "test.often.passed")
        .map(|one| {
            let due = one.event.time.unwrap();
            assert!(one.event.recorded_time.unwrap() >= due, "none is early: {one:?}");
            due
        })
        .collect();
    let due: Vec<Timestamp> = due.into_iter().collect();
    assert!(due.windows(2).all(|pair| pair[1].since(pair[0]) == 100), "none is lost");
}
