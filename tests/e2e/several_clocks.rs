//! Three clocks on one Postgres: one leads, the others take over, whatever is done to it or to the database. Nothing is lost, equal ids
//! have equal bodies, nothing is early, and the audit agrees.

use crate::harness::{Arrival, Arrivals, Balancer, Clock, Expected, LIMIT, let_pass, random, scale};
use khronos::clock;
use ponos::{event::Timestamp, topology::Queue};
use testkit::{Node, Postgres, Signal, block_until, block_until_or_tell};

const SCHEDULES: &str = r#"
[[schedule]]
name = "all-100"
event = "test.all-hundred.passed"
every = "100ms"
catch_up = { policy = "all", grace = "200ms" }
[[schedule]]
name = "all-1000"
event = "test.all-second.passed"
every = "1s"
phase = "137ms"
catch_up = { policy = "all", grace = "50ms" }
[[schedule]]
name = "latest-400"
event = "test.latest-half.passed"
every = "400ms"
catch_up = { policy = "latest", grace = "100ms" }
"#;

/// Clocks of one name on one database.
struct Several {
    clocks: Vec<Clock>,
    running: Vec<bool>,
    database: String,
    /// Between the clocks and the database.
    network: Balancer,
}

impl Several {
    fn started(broker: &str, postgres: &Postgres) -> Self {
        let network = Balancer::to(postgres.port());
        let database = network.url(&postgres.database("several"));
        let clock = |_| Clock::new(broker, SCHEDULES).reached().with("KHRONOS_STORE_PATH", &database);
        let mut all =
            Self { clocks: (0..3).map(clock).collect(), running: vec![false; 3], database, network };
        all.start_all();
        all
    }

    fn start_all(&mut self) {
        for (clock, runs) in self.clocks.iter_mut().zip(&mut self.running) {
            if !std::mem::replace(runs, true) {
                clock.start();
            }
        }
    }

    /// All that they said.
    fn log(&self) -> String {
        let logs =
            self.clocks.iter().enumerate().map(|(at, clock)| format!("--- clock {at}\n{}", clock.log()));
        logs.collect()
    }

    /// Which one leads, and is ready; it is waited for.
    fn leader(&self) -> usize {
        let leads = |at: &usize| {
            let seen = if self.running[*at] { self.clocks[*at].get("/readyz") } else { None };
            seen.is_some_and(|(status, body)| status == 200 && body["role"] == "leader")
        };
        block_until_or_tell("a leader", LIMIT, || (0..3).find(leads), || self.log())
    }

    /// One that is ready to take over.
    fn follower(&self) -> usize {
        let follows = |at: &usize| {
            let seen = if self.running[*at] { self.clocks[*at].get("/readyz") } else { None };
            seen.is_some_and(|(status, body)| {
                status == 200 && body["role"] == "follower" && body["leader"].is_string()
            })
        };
        block_until_or_tell("a follower", LIMIT, || (0..3).find(follows), || self.log())
    }

    fn kill(&mut self, at: usize) {
        self.running[at] = false;
        self.clocks[at].kill();
    }

    fn stop(&mut self, at: usize) {
        self.running[at] = false;
        self.clocks[at].stop();
    }

    /// Stopped, with nothing outstanding.
    fn settled(&mut self) -> Expected {
        for _ in 0..10 {
            let leader = self.leader();
            self.clocks[leader].until_calm();
            // Followers first: nobody takes over.
            for at in (0..3).filter(|at| *at != leader).chain([leader]) {
                if self.running[at] {
                    self.stop(at);
                }
            }
            if let Some(expected) = Expected::in_postgres(&self.database) {
                return expected;
            }
            self.start_all();
        }
        panic!("ten times something was outstanding:\n{}", self.log());
    }
}

fn term(arrival: &Arrival) -> i64 {
    arrival.message.headers.int("khronos-term").expect("each event shows its term")
}

/// How long after this instant the first event of a later term arrived.
fn first_of_the_next(arrivals: &Arrivals, before: i64, since: Timestamp) -> i64 {
    let next = arrivals.first("an event of the next leader", |arrival| term(arrival) > before);
    next.at.since(since)
}

fn last_term(arrivals: &Arrivals) -> i64 {
    arrivals.so_far().iter().map(term).max().unwrap()
}

fn told(what: &str, mut took: Vec<i64>) {
    took.sort_unstable();
    if let (Some(median), Some(most)) = (took.get(took.len() / 2), took.last()) {
        println!("{what}: p50 {median} ms, max {most} ms, of {}: {took:?}", took.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_done_to_the_leader_or_the_database_nothing_is_lost_and_another_one_leads() {
    let url = Node::shared().vhost("several");
    let arrivals = Arrivals::of_all_events(&url, &[Queue::classic("classic")]).await;
    let postgres = Postgres::start(true);
    let mut all = Several::started(&url, &postgres);
    arrivals.more(30);
    let (mut killed, mut stopped) = (Vec::new(), Vec::new());
    let mut random = random();
    for fault in 0..10 * scale() {
        let leader = all.leader();
        all.follower();
        let before = last_term(&arrivals);
        match fault % 7 {
            0 | 3 => {
                let since = clock::now();
                all.kill(leader);
                killed.push(first_of_the_next(&arrivals, before, since));
            }
            1 => {
                let since = clock::now();
                all.stop(leader);
                stopped.push(first_of_the_next(&arrivals, before, since));
            }
            2 => {
                all.clocks[leader].signal(Signal::STOP);
                let_pass(random.u64(500..4_000));
                all.clocks[leader].signal(Signal::CONT);
            }
            5 => all.network.cut(),
            6 => all.network.while_nothing_goes_through(|| let_pass(random.u64(200..4_000))),
            _ => {
                postgres.kill9();
                let_pass(random.u64(0..3_000));
                postgres.restart();
            }
        }
        arrivals.more(random.usize(5..40));
        all.start_all();
    }
    told("killed, to the first event of the next leader", killed);
    told("stopped, to the first event of the next leader", stopped);
    arrivals.more(50);
    // By any door.
    all.leader();
    let follower = all.follower();
    // A database that is busy may not answer at once.
    all.clocks[follower].done_in_time(&["audit"], |_| true);
    let expected = all.settled();
    let (occurrences, arrived, coalesced) = expected.compare(&arrivals, 1);
    println!("{occurrences} occurrences, {arrived} arrivals, {coalesced} stood for by others");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_of_a_follower_the_leader_does_and_while_nobody_leads_it_says_so() {
    let url = Node::shared().vhost("doors");
    let arrivals = Arrivals::of_all_events(&url, &[Queue::classic("classic")]).await;
    let postgres = Postgres::start(false);
    let database = postgres.database("several");
    let clock = || {
        let clock = Clock::new(&url, SCHEDULES).reached().with("KHRONOS_STORE_PATH", &database);
        let secret = clock.sandbox.path("secret");
        std::fs::write(&secret, "sesame, open the cave").unwrap();
        clock.with("KHRONOS_HTTP_OPEN", "true").with("KHRONOS_CLUSTER_SECRET_FILE", secret.display())
    };
    let mut leader = clock().started();
    leader.until("it to lead", |status, body| status == 200 && body["role"] == "leader");
    arrivals.more(5);
    let mut follower = clock().started();
    let follows = follower.until("it to follow", |status, body| status == 200 && body["leader"].is_string());
    assert_eq!(follows["role"], "follower");
    let warm = follower.until("it to be warm", |_, body| body["warm"] == true);
    assert!(warm["warm_at"].is_string() && warm["cold"].is_null(), "{warm}");
    let seen = leader.until_at("/v1/cluster", "that to be seen", |_, body| {
        let mut members = body["members"].as_array().into_iter().flatten();
        members.any(|member| member["warm"] == true && member["leads"] == false)
    });
    assert!(seen.to_string().contains("warm_ms_ago"), "{seen}");
    let listed = follower.done(&["list"]);
    assert!(listed.contains("all-100"), "{listed}");
    let paused = follower.post("/v1/schedules/all-100/pause", r#"{"note": "by a follower"}"#);
    assert_eq!(paused.as_ref().map(|(status, _)| *status), Some(200), "{paused:?}");
    let seen = leader.get("/v1/schedules/all-100").unwrap().1;
    assert!(seen.to_string().contains("by a follower"), "{seen}");
    // Who can write to the tables can't have anything sent to himself.
    let real = postgres.sql("several", "select address from khronos.shard");
    postgres.sql("several", "update khronos.shard set address = 'http://127.0.0.1:1'");
    let refused = block_until("the address to be refused", LIMIT, || {
        follower.get("/v1/schedules").filter(|(status, _)| *status != 200)
    });
    assert!(refused.0 == 503 && refused.1.to_string().contains("is not sealed"), "{refused:?}");
    postgres.sql("several", &format!("update khronos.shard set address = '{real}'"));
    follower.until_at("/v1/schedules", "the leader to be asked again", |status, _| status == 200);
    leader.signal(Signal::STOP);
    let nobody = block_until("nobody to lead", LIMIT, || {
        follower.get("/v1/schedules").filter(|(status, _)| *status != 200)
    });
    assert_eq!(nobody.0, 503, "{nobody:?}");
    follower.until("it to lead", |status, body| status == 200 && body["role"] == "leader");
    leader.signal(Signal::CONT);
    let seen = follower.get("/v1/schedules/all-100").unwrap().1;
    assert!(seen.to_string().contains("by a follower"), "what was answered is kept: {seen}");
    leader.until("it to follow", |status, body| status == 200 && body["role"] == "follower");
    follower.stop();
    leader.until("it to lead again", |status, body| status == 200 && body["role"] == "leader");
    leader.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_whose_database_is_not_there_says_that_it_lives_and_what_it_waits_for() {
    let url = Node::shared().vhost("waits");
    let postgres = Postgres::start(false);
    let database = postgres.database("several");
    postgres.kill9();
    let mut clock = Clock::new(&url, SCHEDULES).reached().with("KHRONOS_STORE_PATH", &database);
    clock.start();
    let waits = clock.until("it to wait", |status, body| {
        status == 503 && body["reasons"].to_string().contains("the database is waited for")
    });
    assert_eq!(waits["role"], "follower");
    assert_eq!(clock.get("/healthz").map(|(status, _)| status), Some(200));
    assert!(clock.text("/metrics").is_some_and(|text| text.contains("khronos_ready 0")));
    postgres.restart();
    clock.until("it to lead", |status, body| status == 200 && body["role"] == "leader");
    clock.stop();
    // It may end while it waits, too.
    postgres.kill9();
    clock.start();
    clock.until("it to wait again", |status, _| status == 503);
    clock.stop();
}
