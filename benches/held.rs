//! Schedules held: memory of each, processor time while none is due, how soon the clock fires again after kill -9, and how
//! long a page of their list takes (that alone: `HELD_PART=lists`), and each first view of the page in a browser (`HELD_PART=views`).
//! `HELD` (100,000) says how many, all different: elapsed with an anchor, cron in a zone, days with a phase in a zone; with
//! `HELD_CREATED=1` those of the engine alone are created at run time.
//! The engine alone is measured in a process of its own; the rest is the real program, with the embedded broker.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // a benchmark's error is its end

mod common;

use common::{
    as_the_program,
    clock::rules,
    measure::{median, memory, quantile, wall},
    setting,
};
use khronos::{
    engine::{Action, Author, ChangeRequest, Engine, Era, Input, Reading, Snapshot, Warm},
    http::client::{Client, Target},
    ops::ScheduleList,
    schedule::{CalendarStore, Created, Definition, DoorKind, Packed},
};
use ponos::event::Timestamp;
use std::{
    fmt::Write as _,
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

/// Schedules in one file.
const A_FILE: usize = 10_000;
const ZONES: [&str; 4] = ["Europe/Paris", "America/New_York", "Asia/Kolkata", "Australia/Sydney"];

fn main() {
    as_the_program();
    match std::env::var("HELD_PART").as_deref() {
        Ok("engine") => engine(),
        Ok("lists") => lists(),
        Ok("views") => views(),
        _ => whole(),
    }
}

/// A folder of schedules, one of which is due each second.
fn written(count: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let schedules = folder.path().join("schedules");
    fs::create_dir(&schedules).unwrap();
    for (number, first) in (1..count).step_by(A_FILE).enumerate() {
        let text: String =
            (first..count.min(first + A_FILE)).map(|number| text(&definition(number))).collect();
        fs::write(schedules.join(format!("held-{number:04}.toml")), text).unwrap();
    }
    let ticking = "[[schedule]]\nname = \"a\"\nevent = \"bench.second.passed\"\nevery = \"1s\"\n";
    fs::write(schedules.join("a.toml"), ticking).unwrap();
    folder
}

/// Pages of the list, as a client on the control socket has them.
fn lists() {
    let count = setting("HELD", 100_000);
    let folder = written(count);
    println!("{count} schedules");
    let mut clock = Clock::start(folder.path(), "lists");
    clock.wait_for("fired", "bench.second.passed");
    if count > 1_000 {
        clock.wait_for("all are durable", "schedules are loaded");
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = Client::new(Target::of_store(&folder.path().join("store")));
    let middle = format!("prefix=held-{:04}", count / 2_000);
    for (what, query) in [
        ("the first 1,000", "limit=1000"),
        ("1,000 from the middle", &format!("{middle}&limit=1000")),
        ("a domain that nobody has", "domain=nobody&limit=1000"),
        ("a state that none is in", "state=paused&limit=1000"),
        ("an owner who has none", "owner=nobody&limit=1000"),
        ("created at run time, none", "origin=client&limit=1000"),
        ("the first 100", "limit=100"),
    ] {
        let path = format!("/v1/schedules?{query}");
        let mut times = Vec::new();
        let mut given = 0;
        for _ in 0..50 {
            let start = wall();
            let page: ScheduleList = runtime.block_on(client.get(&path)).unwrap();
            times.push((wall() - start) as f64 / 1e6);
            given = page.schedules.len();
        }
        let (half, most) = (median(&times), quantile(&times, 0.98));
        println!("  {what} ({given} given): {half:.1} ms, p98 {most:.1} ms");
    }
    for (what, query) in
        [("all, page by page", "limit=1000"), ("a filter, page by page", "domain=nobody&limit=1000")]
    {
        let (mut times, mut given, mut page) = (Vec::new(), 0, String::new());
        loop {
            let path = format!("/v1/schedules?{query}{page}");
            let start = wall();
            let list: ScheduleList = runtime.block_on(client.get(&path)).unwrap();
            times.push((wall() - start) as f64 / 1e6);
            given += list.schedules.len();
            let Some(next) = list.next else { break };
            page = format!("&page={next}");
        }
        let [half, p98, most] = [0.5, 0.98, 1.0].map(|part| quantile(&times, part));
        println!(
            "  {what} ({} pages, {given} given): {half:.1} ms, p98 {p98:.1} ms, at most {most:.1} ms",
            times.len()
        );
    }
}

/// Each first view of the page, in Debian's chromium; `BROWSER_NEEDS` is where `./test.sh browser` has put what that needs.
fn views() {
    let count = setting("HELD", 100_000);
    let folder = written(count);
    println!("{count} schedules");
    let mut clock = Clock::start_with(folder.path(), "views", ("KHRONOS_HTTP_LISTEN", "127.0.0.1:17650"));
    clock.wait_for("fired", "bench.second.passed");
    if count > 1_000 {
        clock.wait_for("all are durable", "schedules are loaded");
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/views.mjs");
    let shown = Command::new("node").arg(script).arg("http://127.0.0.1:17650/").status();
    assert!(shown.unwrap().success());
}

fn whole() {
    let count = setting("HELD", 100_000);
    let folder = written(count);
    let schedules = folder.path().join("schedules");
    println!("{count} schedules");
    let mut part = Command::new(std::env::current_exe().unwrap());
    assert!(part.env("HELD_PART", "engine").status().unwrap().success());

    let mut first = Clock::start(folder.path(), "first");
    first.wait_for("the first start: fired", "bench.second.passed");
    if count > 1_000 {
        first.wait_for("the first start: all are durable", "schedules are loaded");
    }
    first.kill();
    for run in ["first", "second", "third"] {
        let mut again = Clock::start(folder.path(), &format!("again-{run}"));
        again.wait_for(&format!("after kill -9, {run} time: fired"), "bench.second.passed");
        // Not before the files were read too, if that was later.
        sleep(Duration::from_secs(if run == "third" { 60 } else { 3 }));
        again.show("later");
        again.kill();
    }
    fs::remove_file(schedules.join("a.toml")).unwrap();
    let idle = Clock::start(folder.path(), "idle");
    sleep(Duration::from_secs(60));
    let (start, used) = (wall(), idle.cpu());
    sleep(Duration::from_secs(10));
    let share = (idle.cpu() - used) / (wall() - start) as f64;
    println!("  nothing due: {:.3} % of a core, over 10 s", share * 100.0);
    idle.show("then");
}

/// All are due once a day, at moments spread over it.
fn definition(number: usize) -> Definition {
    let text = |text: String| Some(text);
    let mut definition = Definition {
        name: format!("held-{number:07}"),
        event: text(format!("bench.item-{number}.fired")),
        ..Definition::default()
    };
    let (minute, hour, milli) = (number % 60, number / 60 % 24, number % 1000);
    let zone = ZONES[number % ZONES.len()];
    match number % 3 {
        0 => {
            definition.every = text("24h".into());
            definition.anchor =
                text(format!("2026-01-01T{hour:02}:{minute:02}:{:02}.{milli:03}Z", number / 7 % 60));
        }
        1 => {
            definition.cron = text(format!("{} {minute} {hour} * * {}", number / 7 % 60, number % 5 + 1));
            definition.time_zone = text(zone.into());
        }
        _ => {
            definition.every = text("1 day".into());
            definition.phase = text(format!("{hour:02}:{minute:02}:{:02}", number / 7 % 60));
            definition.time_zone = text(zone.into());
        }
    }
    definition
}

fn text(definition: &Definition) -> String {
    let mut text = String::from("[[schedule]]\n");
    let value = serde_json::to_value(definition).unwrap();
    for (key, value) in value.as_object().unwrap() {
        writeln!(text, "{key} = {value}").unwrap();
    }
    text
}

/// The engine alone, from schedules made one by one, so that no reader's memory is counted.
fn engine() {
    let count = setting("HELD", 100_000);
    let now = Timestamp::from_millis(wall() / 1_000_000);
    let reading = Reading { wall: now, boot: 0 };
    let mut engine = Engine::start(rules(), Snapshot::default(), reading);
    // What is set up once (zones, tables) is no schedule's.
    // As the program does: those in one zone share it.
    let store = CalendarStore::default();
    let is_created = setting("HELD_CREATED", 0) > 0;
    let build = |number: usize| {
        let created = is_created.then(|| Created {
            number: number as u64 + 1,
            owner: "billing".into(),
            door: DoorKind::Http,
        });
        Packed::build_with(&Definition { created, ..definition(number) }, &store).unwrap()
    };
    (0..100).for_each(|number| drop(build(number)));
    let before = memory("VmRSS");
    let start = wall();
    let schedules: Vec<Packed> = (0..count).map(build).collect();
    let built = wall();
    let held = memory("VmRSS");
    step(&mut engine, reading, Input::Load(schedules));
    let loaded = wall();
    assert_eq!((engine.len(), engine.loading()), (count, None));
    let each = |mib: f64| mib * 1024.0 * 1024.0 / count as f64;
    println!(
        "  the engine: {:.0} bytes a schedule resident, of which {:.0} for the packed definitions; peak {:.0}; building took {:.1} µs each, loading {:.1}",
        each(memory("VmRSS") - before),
        each(held - before),
        each(memory("VmHWM") - before),
        (built - start) as f64 / 1e3 / count as f64,
        (loaded - built) as f64 / 1e3 / count as f64,
    );
    println!("  the engine, among {count}: {}", puts(&mut engine, reading, count));
    let (mut few, ten) = (Engine::start(rules(), Snapshot::default(), reading), 10);
    let schedules = (0..ten).map(|number| Packed::build(&definition(number)).unwrap()).collect();
    step(&mut few, reading, Input::Load(schedules));
    println!("  the engine, among {ten}: {}", puts(&mut few, reading, ten));
    let mut snapshot = kept(&engine);
    drop(engine);
    let start = wall();
    let engine = Engine::start(rules(), snapshot.clone(), reading);
    println!("  the engine, from what was kept: {:.0} ms", (wall() - start) as f64 / 1e6);
    assert_eq!(engine.len(), count);
    drop(engine);
    // As a clock that follows: it is half a minute behind whoever led, and a thousand schedules were changed last.
    let mut warm = Warm::of(&mut snapshot, now);
    let later = Reading { wall: now.plus(30_000), boot: 30_000 };
    let start = wall();
    for number in (0..count).step_by(count.div_ceil(1_000)) {
        warm.put(Era::first(1, now).of(build(number)));
    }
    let applied = wall();
    let left = Snapshot { settled: Some(later.wall), handed: Some(later.wall.plus(2_000)), ..snapshot };
    let engine = Engine::take_over(rules(), warm, left, later);
    println!(
        "  the engine, made ahead: {:.1} ms to be taken over with, {:.1} for a thousand changes before",
        (wall() - applied) as f64 / 1e6,
        (applied - start) as f64 / 1e6
    );
    assert_eq!(engine.len(), count);
}

/// Steps, and has written at once whatever is to be written.
fn step(engine: &mut Engine, reading: Reading, input: Input) {
    let mut actions = engine.step(reading, input);
    while let Some(Action::Save { ticket, commit }) = actions.pop() {
        drop(commit);
        actions = engine.step(reading, Input::Saved(ticket));
    }
}

/// What it costs to put one more schedule, to change it and to remove it, each answered: medians of a thousand.
fn puts(engine: &mut Engine, reading: Reading, count: usize) -> String {
    let mut times = [const { Vec::new() }; 3];
    for number in 0..1_000 {
        let name = format!("held-{:07}-more", number * 7_919 % count);
        let one = |anchor: &str| {
            let every =
                Definition { every: Some("24h".into()), anchor: Some(anchor.into()), ..definition(0) };
            Packed::build(&Definition { name: name.clone(), ..every }).unwrap()
        };
        let command = number as u64;
        let by = || Author::admin("bench", "bench");
        let change = |request| Input::Change(Box::new(request));
        let inputs = [
            change(ChangeRequest::put(command, by(), one("2026-01-01T00:00:00Z"))),
            change(ChangeRequest::put(command, by(), one("2026-01-01T12:00:00Z"))),
            change(ChangeRequest::delete(command, by(), &name)),
        ];
        for (input, times) in inputs.into_iter().zip(&mut times) {
            let start = wall();
            step(engine, reading, input);
            times.push(wall() - start);
        }
    }
    assert_eq!(engine.len(), count);
    let [put, changed, removed] = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2] as f64 / 1e3
    });
    format!("one put takes {put:.1} µs, changed {changed:.1}, removed {removed:.1}")
}

/// As a store would have it.
fn kept(engine: &Engine) -> Snapshot {
    let mut snapshot = Snapshot { settled: Some(engine.settled()), ..Snapshot::default() };
    let mut after = None;
    loop {
        let page = engine.kept_after(after.as_ref(), 1_000);
        after = page.revisions.last().map(|last| (last.name().into(), last.number));
        if after.is_none() {
            return snapshot;
        }
        snapshot.revisions.extend(page.revisions);
        snapshot.one_shots.extend(page.one_shots);
        snapshot.spans.extend(page.spans);
    }
}

/// The real program.
struct Clock {
    child: Child,
    log: std::path::PathBuf,
    started: i64,
}

impl Clock {
    fn start(folder: &Path, name: &str) -> Self {
        Self::start_with(folder, name, ("KHRONOS_HTTP_ENABLED", "false"))
    }

    fn start_with(folder: &Path, name: &str, (key, value): (&str, &str)) -> Self {
        let log = folder.join(format!("{name}.log"));
        let out = File::create(&log).unwrap();
        let started = wall();
        let child = Command::new(env!("CARGO_BIN_EXE_khronos"))
            .args(["run", "--broker", "memory:", "--schedules"])
            .arg(folder.join("schedules"))
            .arg("--store")
            .arg(folder.join("store"))
            .env(key, value)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap();
        Self { child, log, started }
    }

    fn wait_for(&mut self, what: &str, word: &str) {
        while !fs::read_to_string(&self.log).unwrap().contains(word) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{}", fs::read_to_string(&self.log).unwrap());
            sleep(Duration::from_millis(5));
        }
        self.show(what);
    }

    fn show(&self, what: &str) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let mib = |line: &str| {
            let line = status.lines().find(|text| text.starts_with(line)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
        };
        println!(
            "  {what} after {:.2} s; {:.0} MiB resident (peak {:.0}); {:.1} s of processor time",
            (wall() - self.started) as f64 / 1e9,
            mib("VmRSS"),
            mib("VmHWM"),
            self.cpu() / 1e9
        );
    }

    /// Nanoseconds on a processor, all threads that live.
    fn cpu(&self) -> f64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let of = |path: std::path::PathBuf| {
            let text = fs::read_to_string(path.join("schedstat")).unwrap_or_default();
            text.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).unwrap_or(0.0)
        };
        tasks.map(|task| of(task.unwrap().path())).sum()
    }

    fn kill(self) {
        drop(self);
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
