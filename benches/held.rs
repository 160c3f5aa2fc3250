//! Schedules held: memory of each, processor time while none is due, and how soon the clock fires again after kill -9.
//! `HELD` (100,000) says how many. Each measurement is a process of its own, so that none sees another's memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // a benchmark's error is its end

mod common;

use common::{
    clock::{Clock, rules},
    measure::{cpu, memory, wall},
    setting,
    tap::{Passed, confirming, tap},
};
use khronos::{
    config::ScheduleSource,
    engine::{Action, Engine, Input, Reading, Snapshot},
    schedule::Packed,
    sources,
};
use ponos::event::Timestamp;
use std::{
    fmt::Write as _,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

fn main() {
    match std::env::var("HELD_PART").as_deref() {
        Ok("engine") => engine(),
        Ok("clock") => run(clock(false)),
        Ok("idle") => run(clock(true)),
        _ => whole(),
    }
}

fn run(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(work);
}

/// Starts the parts one after the other and shows what they say.
fn whole() {
    let count = setting("HELD", 100_000);
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("schedules")).unwrap();
    std::fs::write(folder.path().join("schedules/held.toml"), text(count)).unwrap();
    println!("{count} schedules");
    show(&mut part("engine", folder.path()), "");
    let mut first = part("clock", folder.path());
    show(&mut first, "fired");
    first.kill().unwrap();
    first.wait().unwrap();
    let mut again = part("clock", folder.path());
    println!("after kill -9:");
    show(&mut again, "fired");
    again.kill().unwrap();
    again.wait().unwrap();
    println!("with nothing due:");
    show(&mut part("idle", folder.path()), "");
}

fn part(name: &str, folder: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env("HELD_PART", name).env("HELD_FOLDER", folder).env("HELD_START", wall().to_string());
    command.stdout(Stdio::piped()).spawn().unwrap()
}

/// Shows its lines, up to the one that begins with `last`; all if that is empty.
fn show(part: &mut Child, last: &str) {
    for line in BufReader::new(part.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        println!("  {line}");
        if !last.is_empty() && line.starts_with(last) {
            break;
        }
    }
}

/// All but one are due once a day, at instants spread over it and not soon.
fn text(count: usize) -> String {
    let mut text =
        String::from("[[schedule]]\nname = \"a\"\nevent = \"bench.second.passed\"\nevery = \"1s\"\n");
    let now = khronos::clock::now();
    for number in 1..count {
        let first = now.plus(3_600_000 + i64::try_from(number * 100 % 80_000_000).unwrap());
        writeln!(
            text,
            "[[schedule]]\nname = \"held-{number:07}\"\nevent = \"bench.item-{number}.fired\"\nevery = \"24h\"\nanchor = \"{first}\""
        )
        .unwrap();
    }
    text
}

fn read(folder: &Path) -> Vec<Packed> {
    let read = sources::read(&ScheduleSource::Folder(folder.join("schedules")));
    assert_eq!(read.diagnostics.errors(), 0, "{}", read.diagnostics);
    read.list.iter().map(|one| Packed::new(&one.definition, &one.schedule)).collect()
}

fn folder() -> std::path::PathBuf {
    std::env::var("HELD_FOLDER").unwrap().into()
}

/// The engine alone, from schedules made one by one, so that no reader's memory is counted.
fn engine() {
    let count = setting("HELD", 100_000);
    let now = Timestamp::from_millis(wall() / 1_000_000);
    let reading = Reading { wall: now, boot: 0 };
    let before = memory("VmRSS");
    let schedules = (0..count).map(|number| common::clock::schedule(number, "24h", now.plus(3_600_000)));
    let schedules: Vec<Packed> = schedules.collect();
    let accepted = memory("VmRSS");
    let mut engine = Engine::start(rules(), Snapshot::default(), reading);
    let start = wall();
    let actions = engine.step(reading, Input::Load(schedules));
    let took = (wall() - start) as f64 / 1e6;
    for action in actions {
        if let Action::Save { ticket, commit } = action {
            drop(commit);
            drop(engine.step(reading, Input::Saved(ticket)));
        }
    }
    let each = |mib: f64| mib * 1024.0 * 1024.0 / count as f64;
    println!(
        "engine: {:.0} bytes a schedule resident (of which {:.0} for definition and schedule as read); loading took {took:.0} ms",
        each(memory("VmRSS") - before),
        each(accepted - before)
    );
    assert_eq!(engine.len(), count);
}

/// The whole clock on the files and the store in the folder.
async fn clock(idle: bool) {
    let folder = folder();
    let started: i64 = std::env::var("HELD_START").unwrap().parse().unwrap();
    let since = || (wall() - started) as f64 / 1e9;
    let mut schedules = read(&folder);
    schedules.retain(|one| !idle || one.name() != "a");
    println!("read     after {:.2} s, {:.0} MiB resident", since(), memory("VmRSS"));
    let (publisher, mut passed) = tap(confirming(), false);
    let clock = Clock::start(&folder.join("store"), schedules, publisher).await;
    println!("started  after {:.2} s, {:.0} MiB resident", since(), memory("VmRSS"));
    if !idle {
        while !matches!(passed.recv().await.unwrap(), Passed::Taken { .. }) {}
        println!(
            "fired    after {:.2} s, {:.0} MiB resident (peak {:.0})",
            since(),
            memory("VmRSS"),
            memory("VmHWM")
        );
        return std::future::pending().await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (start, used) = (wall(), cpu());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let share = (cpu() - used) as f64 / (wall() - start) as f64;
    println!("idle     {:.3} % of a core, {:.0} MiB resident", share * 100.0, memory("VmRSS"));
    clock.stop().await;
}
