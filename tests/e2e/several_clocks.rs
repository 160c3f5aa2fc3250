//! Three clocks on one Postgres: one leads, the others take over, whatever is done to it or to the database. Nothing is lost, equal ids
//! have equal bodies, nothing is early, and the audit agrees.

mod doors;

use crate::harness::{Arrival, Arrivals, Balancer, Clock, clocks, faults, let_pass, random, scale};
use khronos::clock;
use ponos::{event::Timestamp, topology::Queue};
use std::collections::BTreeSet;
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

/// What they are called.
const NAMES: [&str; 3] = ["all-100", "all-1000", "latest-400"];

/// What is done to the leader, to the broker, to the database, to all connections between the clocks and it, or by a member.
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
    /// Of a member that is added, until another one changes back.
    OtherFiles,
    /// Both that followed want to lead at the same moment.
    Racing,
}

const FAULTS: [Fault; 13] = [
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
    Fault::OtherFiles,
    Fault::Racing,
];

/// Clocks of one name on one database.
struct Several {
    clocks: Vec<Clock>,
    broker: String,
    database: String,
    /// Between the clocks and the database.
    network: Balancer,
    /// How many members were added, each for a while.
    added: usize,
}

impl Several {
    fn started(broker: &str, postgres: &Postgres) -> Self {
        let network = Balancer::to(postgres.port());
        let database = network.url(&postgres.database("several"));
        let mut all = Self { clocks: Vec::new(), broker: broker.to_owned(), database, network, added: 0 };
        all.clocks = (0..3).map(|_| all.clock(SCHEDULES)).collect();
        clocks::start_all(&mut all.clocks);
        all
    }

    /// One more, which does not run yet.
    fn clock(&self, schedules: &str) -> Clock {
        Clock::new(&self.broker, schedules).reached().with("KHRONOS_STORE_PATH", &self.database)
    }

    /// A member is added that has other files. They count, also once it has gone, and whoever leads then; until another member
    /// changes back.
    fn change_files(&mut self, arrivals: &Arrivals, random: &mut fastrand::Rng) {
        self.added += 1;
        let name = format!("added-{}", self.added);
        let comes = |when: &str| {
            let since = clock::now();
            arrivals.first(&format!("an event of {name} {when}"), |arrival| {
                arrival.event.subject.as_deref() == Some(name.as_str()) && arrival.event.time > Some(since)
            });
        };
        let mut member = self.clock(&format!("{SCHEDULES}{}", added(&name)));
        member.start();
        comes("of a member that was added");
        if random.bool() {
            member.kill()
        } else {
            member.stop()
        }
        if random.bool() {
            let leader = clocks::leader(&self.clocks);
            self.clocks[leader].kill();
            clocks::start_all(&mut self.clocks);
        }
        comes("once that member has gone");
        let one = &self.clocks[random.usize(0..self.clocks.len())];
        let path = format!("/v1/schedules/{name}");
        one.until_at(&path, "what was added to be seen", |status, _| status == 200);
        // A text that is new to all: whoever has the former one still did not change to it.
        one.write_schedules(&format!("{SCHEDULES}# Once more without {name}.\n"));
        one.until_at(&path, "what was added to go", |status, _| status == 404);
        for name in NAMES {
            let path = format!("/v1/schedules/{name}");
            let seen = one.until_at(&path, "what stays to be seen", |status, _| status == 200);
            assert_eq!(seen["revision"], 1, "nobody wanted to change it: {seen}");
        }
    }

    /// The leader has gone, and both others want the lease at the same moment: one gets it, under the next term, and the other one
    /// follows.
    fn race(&mut self, random: &mut fastrand::Rng) {
        self.clocks.iter().for_each(Clock::until_ready);
        let leader = clocks::leader(&self.clocks);
        let others: Vec<usize> = (0..self.clocks.len()).filter(|at| *at != leader).collect();
        let before = self.terms().last().copied().expect("one leads");
        let signal =
            |clocks: &[Clock], signal: Signal| others.iter().for_each(|at| clocks[*at].signal(signal));
        if random.bool() {
            signal(&self.clocks, Signal::STOP);
            self.clocks[leader].kill();
        } else {
            self.clocks[leader].kill();
            // They have seen by then what it wrote last; so they need not look once more when they go on.
            let_pass(400);
            signal(&self.clocks, Signal::STOP);
        }
        // Until its lease has run out.
        let_pass(random.u64(1_300..3_000));
        signal(&self.clocks, Signal::CONT);
        clocks::leader(&self.clocks);
        clocks::follower(&self.clocks);
        // On a machine that stands still whoever leads may lose the lease again.
        let since: Vec<i64> = self.terms().into_iter().filter(|term| *term > before).collect();
        let one_by_one: Vec<i64> = (before + 1..).take(since.len().max(1)).collect();
        assert_eq!(since, one_by_one, "after {before}\n{}", clocks::log(&self.clocks));
    }

    /// The terms under which they have led: each one alone.
    fn terms(&self) -> BTreeSet<i64> {
        let led = clocks::terms(&self.clocks);
        let terms: BTreeSet<i64> = led.iter().copied().collect();
        assert_eq!(terms.len(), led.len(), "a term that two have led under\n{}", clocks::log(&self.clocks));
        terms
    }
}

/// One schedule more.
fn added(name: &str) -> String {
    format!(
        r#"
[[schedule]]
name = "{name}"
event = "test.added.passed"
every = "200ms"
catch_up = {{ policy = "all", grace = "100ms" }}
"#
    )
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
        // First: whenever the lease moves from here on, an event of a later term comes.
        let before = last_term(&arrivals);
        let leader = clocks::leader(&all.clocks);
        clocks::follower(&all.clocks);
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
            Fault::OtherFiles => all.change_files(&arrivals, &mut random),
            Fault::Racing => all.race(&mut random),
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
    all.terms();
    for revision in expected.revisions() {
        // What was added was taken away again; all else runs as it did at first.
        let is_as_wanted =
            revision.number == 1 && NAMES.contains(&revision.name()) != revision.ended.is_some();
        assert!(is_as_wanted, "{revision:?}");
    }
    let (occurrences, arrived, coalesced) = expected.compare(&arrivals, 1);
    println!("{occurrences} occurrences, {arrived} arrivals, {coalesced} stood for by others");
}
