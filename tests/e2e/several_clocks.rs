//! Three clocks on one Postgres: one leads, the others take over, whatever is done to it or to the database. Nothing is lost, equal ids
//! have equal bodies, nothing is early, and the audit agrees.

mod doors;

use crate::harness::{Arrival, Arrivals, Balancer, Clock, clocks, faults, let_pass, random, scale};
use khronos::clock;
use ponos::{event::Timestamp, topology::Queue};
use testkit::{Node, Postgres, Signal};

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

/// What is done to the leader, to the broker, to the database, or to all connections between the clocks and it.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Killed,
    Stopped,
    Suspended,
    BrokerKilled,
    BrokerBlocked,
    DatabaseKilled,
    Cut,
    HalfClosed,
    /// What comes by those that are open goes nowhere, and they stay.
    Dropped,
    Delayed,
    StandingStill,
}

const FAULTS: [Fault; 11] = [
    Fault::Killed,
    Fault::Stopped,
    Fault::Suspended,
    Fault::BrokerKilled,
    Fault::BrokerBlocked,
    Fault::DatabaseKilled,
    Fault::Cut,
    Fault::HalfClosed,
    Fault::Dropped,
    Fault::Delayed,
    Fault::StandingStill,
];

/// Clocks of one name on one database.
struct Several {
    clocks: Vec<Clock>,
    database: String,
    /// Between the clocks and the database.
    network: Balancer,
}

impl Several {
    fn started(broker: &str, postgres: &Postgres) -> Self {
        let network = Balancer::to(postgres.port());
        let database = network.url(&postgres.database("several"));
        let clock = |_| Clock::new(broker, SCHEDULES).reached().with("KHRONOS_STORE_PATH", &database);
        let mut all = Self { clocks: (0..3).map(clock).collect(), database, network };
        clocks::start_all(&mut all.clocks);
        all
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
    arrivals.look(|all| all.iter().map(term).max()).unwrap()
}

fn told(what: &str, mut took: Vec<i64>) {
    took.sort_unstable();
    if let (Some(median), Some(most)) = (took.get(took.len() / 2), took.last()) {
        println!("{what}: p50 {median} ms, max {most} ms, of {}: {took:?}", took.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_done_to_the_leader_the_broker_or_the_database_nothing_is_lost_and_another_one_leads() {
    let node = Node::start();
    let arrivals = Arrivals::of_all_events(&node.url(), &[Queue::classic("classic")]).await;
    let postgres = Postgres::start(true);
    let mut all = Several::started(&node.url(), &postgres);
    arrivals.more(30);
    node.write_down();
    let (mut killed, mut stopped) = (Vec::new(), Vec::new());
    let mut random = random();
    // Each of them once before any comes again.
    let mut coming: Vec<Fault> = Vec::new();
    for _ in 0..faults(FAULTS.len()) {
        if coming.is_empty() {
            coming.extend(FAULTS);
            random.shuffle(&mut coming);
        }
        let fault = coming.pop().unwrap();
        println!("{fault:?}");
        let leader = clocks::leader(&all.clocks);
        clocks::follower(&all.clocks);
        let before = last_term(&arrivals);
        let since = clock::now();
        match fault {
            Fault::Killed => {
                all.clocks[leader].kill();
                killed.push(first_of_the_next(&arrivals, before, since));
            }
            Fault::Stopped => {
                all.clocks[leader].stop();
                stopped.push(first_of_the_next(&arrivals, before, since));
            }
            Fault::Suspended => {
                all.clocks[leader].signal(Signal::STOP);
                let_pass(random.u64(500..if scale() > 1 { 60_000 } else { 4_000 }));
                all.clocks[leader].signal(Signal::CONT);
            }
            Fault::BrokerKilled => {
                node.kill9();
                let_pass(random.u64(0..2_000));
                node.restart();
            }
            Fault::BrokerBlocked => {
                node.raise_memory_alarm();
                let_pass(random.u64(500..4_000));
                node.clear_memory_alarm();
            }
            Fault::DatabaseKilled => {
                postgres.kill9();
                let_pass(random.u64(0..3_000));
                postgres.restart();
            }
            Fault::Cut => all.network.cut(),
            Fault::HalfClosed => all.network.half_close(random.bool()),
            Fault::Dropped => all.network.drop_what_comes(),
            Fault::Delayed => {
                let delay = random.u64(10..600);
                all.network.while_all_is_delayed(delay, || let_pass(random.u64(500..4_000)));
            }
            Fault::StandingStill => {
                all.network.while_nothing_goes_through(|| let_pass(random.u64(200..4_000)));
            }
        }
        arrivals.more(random.usize(5..40));
        clocks::start_all(&mut all.clocks);
    }
    told("killed, to the first event of the next leader", killed);
    told("stopped, to the first event of the next leader", stopped);
    arrivals.more(50);
    // By any door.
    clocks::leader(&all.clocks);
    let follower = clocks::follower(&all.clocks);
    // A database that is busy may not answer at once.
    all.clocks[follower].done_in_time(&["audit"], |_| true);
    let expected = clocks::settled(&mut all.clocks, &all.database);
    let (occurrences, arrived, coalesced) = expected.compare(&arrivals, 1);
    println!("{occurrences} occurrences, {arrived} arrivals, {coalesced} stood for by others");
}
