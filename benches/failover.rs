//! Fail-over: three real clocks on one Postgres and one RabbitMQ, with ten schedules of 100 ms; from the instant at which the leader is
//! killed (SIGKILL), told to stop (SIGTERM) or asked to make room (`khronos cluster resign`) to the first event of the next leader in a
//! queue, each time once the others are warm. `ROUNDS` (20) is how often each is done. First what three clocks that have nothing to send
//! ask of the database, for `IDLE` (30) seconds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // a benchmark's error is its end

mod common;

use common::{
    EXCHANGE, QUEUE, as_the_program,
    asking::Http,
    measure::quantile,
    program::{Member, ticking},
    setting, topology,
};
use khronos::clock;
use ponos::{
    broker::{Consume, Settle, Transport, amqp::AmqpConfig},
    event::Timestamp,
};
use serde_json::Value;
use std::{path::PathBuf, time::Duration};
use testkit::{Node, Postgres};
use tokio::{sync::mpsc, time::timeout};

/// Beyond what any of it takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a leader ends.
#[derive(Clone, Copy)]
enum End {
    Killed,
    Stopped,
    Asked,
}

/// An event in the queue: when it came, and its leader's term.
type Came = (Timestamp, i64);

fn main() {
    as_the_program();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let rounds = setting("ROUNDS", 20);
        let (node, postgres) = (Node::start(), Postgres::start(true));
        let (broker, database) = (node.vhost("failover"), postgres.database("failover"));
        idle(&node, &postgres).await;
        let mut came = arrivals(&broker).await;
        let folder = tempfile::tempdir().unwrap();
        let places: Vec<PathBuf> = (1..=3).map(|number| folder.path().join(number.to_string())).collect();
        places.iter().for_each(|place| ticking(place));
        let start = |place: &PathBuf| Member::start(place, &broker, &database);
        let mut members: Vec<Member> = places.iter().map(start).collect();
        println!("to the first event of the next leader, of {rounds} each     p50 ms   p99 ms   max ms");
        for (what, end) in [
            ("the leader is killed (SIGKILL)", End::Killed),
            ("the leader is told to stop (SIGTERM)", End::Stopped),
            ("the leader is asked to make room (cluster resign)", End::Asked),
        ] {
            let mut took = Vec::new();
            for _ in 0..rounds {
                let leader = ready(&members).await;
                let term = last_term(&mut came).await;
                let since = clock::now();
                match end {
                    End::Killed => members[leader].kill(),
                    End::Stopped => members[leader].terminate(),
                    End::Asked => members[leader].resign(),
                }
                took.push(next_leader(&mut came, term).await.since(since) as f64);
                if !matches!(end, End::Asked) {
                    members[leader].wait();
                    members[leader] = start(&places[leader]);
                }
            }
            let [p50, p99, most] = [0.5, 0.99, 1.0].map(|part| quantile(&took, part));
            println!("{what:<52} {p50:>8.0} {p99:>8.0} {most:>8.0}");
        }
    });
}

/// What the database does for three clocks while nothing is due.
async fn idle(node: &Node, postgres: &Postgres) {
    let (broker, database) = (node.vhost("idle"), postgres.database("idle"));
    let folder = tempfile::tempdir().unwrap();
    let start = |number: u32| {
        let place = folder.path().join(number.to_string());
        std::fs::create_dir_all(place.join("schedules")).unwrap();
        let seldom = "[[schedule]]\nname = \"seldom\"\nevent = \"seldom.one.passed\"\nevery = \"1d\"\n";
        std::fs::write(place.join("schedules/seldom.toml"), seldom).unwrap();
        Member::start(&place, &broker, &database)
    };
    let members: Vec<Member> = (1..=3).map(start).collect();
    ready(&members).await;
    // Counted by the server, which tells what its sessions have told it: of the last second.
    let count = |what: &str| -> f64 { postgres.sql("idle", &format!("select {what}")).parse().unwrap() };
    let transactions = "xact_commit + xact_rollback from pg_stat_database where datname = 'idle'";
    let updates = "n_tup_upd from pg_stat_user_tables where relname = 'shard'";
    let seconds = setting("IDLE", 30);
    let (before, written, used) = (count(transactions), count(updates), postgres.cpu());
    tokio::time::sleep(Duration::from_secs(seconds as u64)).await;
    let a_second = |of: f64| of / seconds as f64;
    println!(
        "three clocks with nothing to send: {:.1} transactions a second, {:.1} of them renewals; the database takes {:.2} % of a \
         processor, the row's table has {} pages",
        a_second(count(transactions) - before),
        a_second(count(updates) - written),
        100.0 * a_second((postgres.cpu() - used).as_secs_f64()),
        count("pg_relation_size('khronos.shard') / 8192"),
    );
}

/// All that comes into the queue.
async fn arrivals(broker: &str) -> mpsc::UnboundedReceiver<Came> {
    let transport = Transport::amqp(AmqpConfig::parse(broker).unwrap());
    let mut consumer = transport.consumer(topology(false), Consume::new(QUEUE).prefetch(200));
    let (told, came) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(delivery) = consumer.next().await {
            let at = clock::now();
            let term = delivery.message.headers.int("khronos-term").expect("each event shows its term");
            if told.send((at, term)).is_err() || consumer.settle(delivery.tag, Settle::Ack).await.is_err() {
                return;
            }
        }
    });
    assert_eq!(EXCHANGE, "events", "the clock's own by default");
    came
}

/// Which one leads, once the others would take over at once.
async fn ready(members: &[Member]) -> usize {
    let looking = async {
        loop {
            let mut roles = Vec::new();
            for member in members {
                roles.push(role(member).await);
            }
            let leader = roles.iter().position(|role| role.as_deref() == Some("leader"));
            let follow = roles.iter().filter(|role| role.as_deref() == Some("follower")).count();
            if let Some(leader) = leader
                && follow + 1 == members.len()
            {
                return leader;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let leader = timeout(PATIENCE, looking).await.unwrap_or_else(|_| {
        panic!("{}", members.iter().map(Member::log).collect::<Vec<_>>().join("\n---\n"))
    });
    // A follower takes over what it has seen unchanged, or free, only after it was connected for the time of a lease.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    leader
}

/// What it is, where it is ready; a follower, where it is warm, too.
async fn role(member: &Member) -> Option<String> {
    tokio::net::TcpStream::connect(("127.0.0.1", member.port)).await.ok()?;
    let (status, body) = Http::connect(member.port).await.ask("GET", "/readyz", String::new()).await;
    let shown: Value = serde_json::from_str(&body).ok()?;
    // Who follows knows the leader, and holds what that keeps.
    let knows = shown["role"] == "leader" || shown["leader"].is_string() && shown["warm"] == true;
    (status == 200 && knows).then(|| shown["role"].as_str().map(str::to_owned))?
}

/// The term of what came last.
async fn last_term(came: &mut mpsc::UnboundedReceiver<Came>) -> i64 {
    while came.try_recv().is_ok() {}
    timeout(PATIENCE, came.recv()).await.expect("events come").unwrap().1
}

async fn next_leader(came: &mut mpsc::UnboundedReceiver<Came>, before: i64) -> Timestamp {
    let coming = async {
        loop {
            match came.recv().await.unwrap() {
                (at, term) if term > before => return at,
                _ => {}
            }
        }
    };
    timeout(PATIENCE, coming).await.expect("another one leads")
}
