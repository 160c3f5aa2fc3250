//! Floods of requests beside a schedule of 100 ms: nothing is lost or late, health is answered, memory stays small.
//! It prints what it measures. `TEST_SCALE` makes it longer; `FLOOD_SCHEDULES` says how many schedules there are.

use crate::harness::{Clock, LIMIT, Pace, scale};
use ponos::event::Timestamp;
use serde_json::Value;
use std::{
    fmt::Write as _,
    io::{Read, Write as _},
    net::TcpStream,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};
use testkit::{Node, block_until};

/// MiB that a flood may take beyond what the clock has at rest.
const MEMORY: f64 = 64.0;
/// Who attacks at a time.
const ATTACKERS: usize = 16;
/// Connections that are only opened, or that want a feed.
const CONNECTIONS: u64 = 3_000;

/// Milliseconds that 99 of 100 events may be late: what tells a publisher that waits for HTTP from one that does not, on
/// any machine that does not stand still itself. How late they really are is printed, and read on a quiet one
/// (docs/performance.md).
const LATE: i64 = 2_000;

/// Schedules in one file.
const A_FILE: usize = 10_000;

/// Often due, with as much data as there may be: whoever reads much of the record may take much memory. What is late is late, and
/// not missed.
fn often() -> String {
    let data = "x".repeat(60_000);
    format!(
        "[[schedule]]\nname = \"often\"\nevent = \"flood.often.passed\"\nevery = \"100ms\"\ncatch_up = {{ grace = \"5m\" }}\ndata = {{ text = \"{data}\" }}\n"
    )
}

/// Schedules that are not due in this test.
fn quiet(numbers: Range<usize>) -> String {
    let mut text = String::new();
    for number in numbers {
        let name = format!("quiet-{number:06}-{}", "x".repeat(number % 100));
        writeln!(
            text,
            "[[schedule]]\nname = \"{name}\"\nevent = \"flood.quiet.passed\"\nevery = \"10 years\""
        )
        .unwrap();
    }
    text
}

/// What attackers share.
#[derive(Clone)]
struct Attack {
    port: u16,
    stop: Arc<AtomicBool>,
    /// How often the test has looked at the clock.
    looks: Arc<AtomicU64>,
}

impl Attack {
    fn connect(&self) -> Option<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        stream.set_write_timeout(Some(Duration::from_secs(5))).ok()?;
        Some(stream)
    }

    /// Sends a request; what happens to it is of no concern.
    fn ask(&self, path: &str) -> Option<TcpStream> {
        let mut stream = self.connect()?;
        let request = match path.strip_prefix("preview of ") {
            None => format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n"),
            Some(definition) => {
                let kind = "Content-Type: application/json\r\nContent-Length";
                let head = "POST /v1/preview?count=1000 HTTP/1.0\r\nHost: localhost";
                format!("{head}\r\n{kind}: {}\r\n\r\n{definition}", definition.len())
            }
        };
        stream.write_all(request.as_bytes()).ok()?;
        Some(stream)
    }

    /// Several that ask one after the other and read the answers.
    fn asking(&self, paths: &[&str]) -> Vec<JoinHandle<()>> {
        let path = |number: usize| paths[number % paths.len()].to_owned();
        (0..ATTACKERS)
            .map(|number| {
                let (attack, path) = (self.clone(), path(number));
                std::thread::spawn(move || {
                    let mut piece = vec![0; 1 << 16];
                    while !attack.stop.load(Ordering::Relaxed) {
                        let Some(mut stream) = attack.ask(&path) else { continue };
                        while !attack.stop.load(Ordering::Relaxed)
                            && stream.read(&mut piece).is_ok_and(|read| read > 0)
                        {}
                    }
                })
            })
            .collect()
    }

    /// One that opens many connections, asks on each if there is a path, and reads nothing.
    fn holding(&self, path: Option<&'static str>) -> Vec<JoinHandle<()>> {
        let attack = self.clone();
        vec![std::thread::spawn(move || {
            let mut held = std::collections::VecDeque::new();
            while !attack.stop.load(Ordering::Relaxed) {
                held.extend(match path {
                    Some(path) => attack.ask(path),
                    None => attack.connect(),
                });
                if held.len() as u64 > most_connections() {
                    held.pop_front();
                    // All are there: a new one at each look.
                    let (before, looks) = (attack.looks.load(Ordering::Relaxed), &attack.looks);
                    block_until("another look", LIMIT, || {
                        let ends = attack.stop.load(Ordering::Relaxed);
                        (ends || looks.load(Ordering::Relaxed) != before).then_some(())
                    });
                }
            }
        })]
    }
}

/// As many as this process may open.
fn most_connections() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Where it can't be raised there are fewer.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    CONNECTIONS.min(files.saturating_sub(100))
}

/// Resident memory of a process in MiB: `VmRSS` now, or `VmHWM`, the most since [`forget_most`].
fn resident(process: u32, which: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(which)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

/// From now on the most resident memory is counted anew (proc_pid_clear_refs(5)).
fn forget_most(process: u32) {
    std::fs::write(format!("/proc/{process}/clear_refs"), "5").unwrap();
}

/// The newest row of the frequent schedule.
fn newest(clock: &Clock) -> u64 {
    clock.json(&["history", "often", "--limit", "1"])[0]["sequence"].as_u64().unwrap()
}

/// Gives how late events were in milliseconds, in order.
fn flood(clock: &Clock, what: &str, begin: impl FnOnce(&Attack) -> Vec<JoinHandle<()>>) -> Vec<i64> {
    let attack = Attack { port: clock.port, stop: Arc::default(), looks: Arc::default() };
    let (before, rest) = (newest(clock), resident(clock.id(), "VmRSS"));
    forget_most(clock.id());
    let confirmed = || clock.get("/readyz").and_then(|(_, body)| body["confirmed"].as_u64());
    let first = block_until("the count of events", LIMIT, confirmed);
    let attackers = begin(&attack);
    // The operator is answered meanwhile too.
    newest(clock);
    let (mut slowest, mut asked) = (0, khronos::clock::now());
    // Ten events are due in a second.
    let enough = first + 40 * scale() as u64;
    block_until("events to go out meanwhile", LIMIT * scale() as u32, || {
        clock.get("/healthz").filter(|(status, _)| *status == 200)?;
        slowest = slowest.max(khronos::clock::now().since(asked));
        let seen = confirmed();
        let looks = attack.looks.fetch_add(1, Ordering::Relaxed);
        asked = khronos::clock::now();
        (seen? >= enough && looks >= 3).then_some(())
    });
    let ended = khronos::clock::now();
    attack.stop.store(true, Ordering::Relaxed);
    attackers.into_iter().for_each(|attacker| attacker.join().unwrap());
    let (most, looks) = (resident(clock.id(), "VmHWM"), attack.looks.load(Ordering::Relaxed));
    // Until all that was due meanwhile is in the record.
    let due = |row: &Value| row["due_at"].as_str().unwrap().parse::<Timestamp>().unwrap();
    let rows = block_until("the record to be written", LIMIT, || {
        let before = before.to_string();
        let rows = clock.json(&["history", "often", "--after", &before, "--limit", "1000000"]);
        rows.last().is_some_and(|last| due(last) >= ended).then_some(rows)
    });
    let lost: Vec<&[Value]> = rows
        .windows(2)
        .filter(|pair| due(&pair[1]).since(due(&pair[0])) != 100 || pair[0]["outcome"] != "confirmed")
        .collect();
    let mut late: Vec<i64> = rows.iter().map(|row| row["lateness_ms"].as_i64().unwrap_or(i64::MAX)).collect();
    late.sort_unstable();
    println!(
        "{what:<32} {:>5} events, late p50 {:>4} p90 {:>4} p99 {:>4} at most {:>5} ms; {:>5.1} MiB above {rest:.1}; health within {slowest} ms ({looks} looks)",
        rows.len(),
        quantile(&late, 50),
        quantile(&late, 90),
        quantile(&late, 99),
        quantile(&late, 100),
        most - rest
    );
    assert!(lost.is_empty(), "{what}: {lost:?}");
    assert!(most - rest < MEMORY, "{what}: {:.1} MiB above {rest:.1}", most - rest);
    late
}

fn quantile(sorted: &[i64], percent: usize) -> i64 {
    sorted[((sorted.len() - 1) * percent).div_ceil(100)]
}

#[test]
fn whatever_is_asked_events_go_out_on_time_and_health_is_answered() {
    let count: usize =
        std::env::var("FLOOD_SCHEDULES").map_or(5_000, |count| count.parse().expect("a number"));
    let url = Node::shared().vhost("flood");
    let mut clock = Clock::new(&url, &often());
    for first in (1..count).step_by(A_FILE) {
        let file = clock.sandbox.path(format!("schedules/quiet-{first}.toml"));
        std::fs::write(file, quiet(first..count.min(first + A_FILE))).unwrap();
    }
    clock.start();
    let patience = LIMIT * u32::try_from(1 + count / A_FILE).unwrap();
    block_until("all schedules to be taken in", patience, || {
        let (status, body) = clock.get("/readyz")?;
        let taken_in = !body["warnings"].to_string().contains("taken in so far");
        (status == 200 && taken_in && body["confirmed"].as_u64() > Some(20)).then_some(())
    });
    // A first look, so that what is set up once is at rest.
    clock.done(&["audit"]);
    println!("{count} schedules, {:.1} MiB", resident(clock.id(), "VmRSS"));
    let no_name = format!("/schedules/{}", "x".repeat(60_000));
    let unknown = format!("/schedules/quiet-000000-{}", "y".repeat(40));
    let (mut late, pace) = (Vec::new(), Pace::begin(&clock));
    let mut flood =
        |what, begin: &dyn Fn(&Attack) -> Vec<JoinHandle<()>>| late.extend(flood(&clock, what, begin));
    flood("nothing", &|_| Vec::new());
    flood("names that are none, of 60 kB", &|attack| attack.asking(&[&no_name]));
    flood("names that nobody has", &|attack| attack.asking(&[&unknown]));
    flood("lists of all schedules", &|attack| attack.asking(&["/schedules"]));
    flood("pages of lists, and of what nobody has", &|attack| {
        attack.asking(&["/v1/schedules?limit=1000", "/v1/schedules?domain=nobody&limit=1000"])
    });
    flood("next occurrences", &|attack| attack.asking(&["/v1/schedules/often/next?count=1000"]));
    let countless = r#"preview of {"name":"a","event":"a.b.c","limit":4294967295,"timings":[{"cron":"0-58 * * * * *"},{"cron":"1-59 * * * * *"}]}"#;
    let moved = r#"preview of {"name":"a","event":"a.b.c","cron":"* * * * * *","move":"next-business-day"}"#;
    let long = format!(
        r#"preview of {{"name":"a","every":"1h","data":{{"{}":[{}0]}}}}"#,
        "x".repeat(200_000),
        "0,".repeat(100_000)
    );
    flood("previews that are dear", &|attack| attack.asking(&[countless, moved, &long]));
    flood("lists that nobody reads", &|attack| attack.holding(Some("/schedules")));
    flood("idle connections", &|attack| attack.holding(None));
    flood("feeds of all the record, unread", &|attack| attack.holding(Some("/feed?after=0")));
    flood("feeds that are read", &|attack| attack.asking(&["/feed?after=0", "/feed"]));
    flood("the history of nobody", &|attack| {
        attack.asking(&["/history?schedule=nobody", "/history?limit=1000&after=0"])
    });
    flood("health and what else is short", &|attack| {
        attack.asking(&["/healthz", "/readyz", "/schedules/often", "/"])
    });
    flood("audits", &|attack| attack.asking(&["/audit"]));
    late.sort_unstable();
    let p99 = quantile(&late, 99);
    let allowed = pace.allows(LATE);
    println!("all together: {} events, p99 {p99} ms late, of {allowed}", late.len());
    assert!(p99 < allowed, "p99 {p99} ms late, of {allowed}");
    block_until("the last audit to make room for ours", LIMIT, || {
        clock.verb(&["audit"]).status.success().then_some(())
    });
    clock.stop();
}
