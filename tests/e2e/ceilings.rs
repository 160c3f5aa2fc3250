//! A rate ceiling of a domain, on a real RabbitMQ, with a clock that is killed while events wait for it.

use crate::harness::{Arrival, Arrivals, Clock, LIMIT, Pace};
use ponos::{
    broker::{Link, Publisher, Publishing, Transport, amqp::AmqpConfig},
    event::{Event, Timestamp},
    topology::{Queue, Topology},
};
use serde_json::Value;
use std::collections::BTreeSet;
use testkit::{Node, block_until};

const BILLING: usize = 200;
const REPORTS: usize = 20;
const VHOST: &str = "ceilings";

/// Nothing of them is missed, however long the clock takes to be there again.
fn schedules() -> String {
    let of = |domain: &str, count| {
        let one = |number| {
            format!(
                "[[schedule]]\nname = \"{domain}-{number}\"\nevent = \"{domain}.month.ended\"\nevery = \"15s\"\ncatch_up = {{ grace = \"5m\" }}\n"
            )
        };
        (0..count).map(one).collect::<String>()
    };
    of("billing", BILLING) + &of("reports", REPORTS)
}

/// What was due then of a domain, once for each schedule, in the order of arrival.
fn due_at(arrivals: &Arrivals, domain: &str, due: Timestamp) -> Vec<Arrival> {
    let mut seen = BTreeSet::new();
    let mut all = arrivals.so_far();
    all.retain(|one| {
        let name = one.event.subject.clone().unwrap_or_default();
        one.event.time == Some(due) && name.starts_with(domain) && seen.insert(name)
    });
    all
}

/// A client of its own, which declares nothing.
async fn publisher(url: &str) -> Publisher {
    let publisher = Transport::amqp(AmqpConfig::parse(url).unwrap()).publisher(Topology::default());
    let mut link = publisher.link();
    let up = link.wait_for(|link| matches!(link, Link::Up { .. }));
    drop(tokio::time::timeout(LIMIT, up).await.expect("the broker lets it in").unwrap());
    publisher
}

/// Waits until all has come that a clock had sent which does not run any more: once the broker has read what was left of its
/// connections, so that nothing but those of this test is connected, something that is sent comes behind all of it.
async fn all_that_was_sent(arrivals: &Arrivals, publisher: &mut Publisher, (token, ours): (u64, usize)) {
    block_until("the connections of the clock to be gone", LIMIT, || {
        (Node::shared().connections_of(VHOST) == ours).then_some(())
    });
    let id = format!("sentinel-{token}");
    let event =
        Event::new(id.parse().unwrap(), "/test", "test.sentinel.sent".parse().unwrap(), b"{}".to_vec());
    let message = event.into_message();
    publisher.submit(vec![Publishing { token, lane: 0, exchange: "events".into(), message }]).await.unwrap();
    arrivals.first("what was sent behind all of the clock's", |one| one.event.id.as_str() == id);
}

fn late(arrival: &Arrival) -> i64 {
    arrival.event.recorded_time.unwrap().since(arrival.event.time.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_falls_due_together_is_spread_and_a_kill_loses_nothing_of_it() {
    let url = Node::shared().vhost(VHOST);
    let arrivals = Arrivals::of_all_events(&url, &[Queue::classic("all")]).await;
    let mut publisher = publisher(&url).await;
    let ours = Node::shared().connections_of(VHOST);
    let clock = Clock::new(&url, &schedules());
    let config = clock.sandbox.path("config.toml");
    std::fs::write(&config, "[[publish.ceilings]]\ndomain = \"billing.*\"\nrate = 50\n").unwrap();
    let mut clock = clock.with("KHRONOS_CONFIG", config.display()).started();
    let pace = Pace::begin(&clock);
    let first = block_until("the first to come", LIMIT, || arrivals.so_far().first()?.event.time);

    // All are loaded by the next.
    let due = first.plus(15_000);
    block_until("all of a quarter to come", LIMIT, || {
        (due_at(&arrivals, "billing", due).len() == BILLING).then_some(())
    });
    let all = due_at(&arrivals, "billing", due);
    let lateness: Vec<i64> = all.iter().map(late).collect();
    assert!(lateness.is_sorted() && lateness[0] >= 0, "{lateness:?}");
    // (200 - 5) / 50 s at least, of times that are whole milliseconds. How much more says what else the machine did.
    let allowed = pace.allows(10_000);
    assert!((3_890..allowed).contains(lateness.last().unwrap()), "{allowed} ms: {lateness:?}");
    for (from, begin) in lateness.iter().enumerate() {
        let within = lateness[from..].iter().take_while(|late| **late < begin + 1_000).count();
        assert!(within <= 5 + 50 + 1, "{within} within a second: {lateness:?}");
    }
    // None of the others stands behind them: all are sent before half of these are, however late the machine is with both.
    let others = block_until("all of the others to come", LIMIT, || {
        Some(due_at(&arrivals, "reports", due)).filter(|others| others.len() == REPORTS)
    });
    assert!(others.iter().all(|one| late(one) < lateness[BILLING / 2]), "{lateness:?} {others:?}");

    // It is killed while some wait; where this test was too late for that, at the next time that they are due.
    let mut killed = None;
    for round in 0..8 {
        let newest = arrivals.so_far().iter().filter_map(|one| one.event.time).max().unwrap();
        let due = newest.plus(15_000);
        block_until("some to come", LIMIT, || (!due_at(&arrivals, "billing", due).is_empty()).then_some(()));
        clock.kill();
        all_that_was_sent(&arrivals, &mut publisher, (round, ours)).await;
        if due_at(&arrivals, "billing", due).len() < BILLING {
            killed = Some(due);
            break;
        }
        clock.start();
        clock.until_ready();
    }
    let due = killed.expect("some still wait when the clock is killed");
    clock.start();
    block_until("the others to come", LIMIT, || {
        (due_at(&arrivals, "billing", due).len() == BILLING).then_some(())
    });
    clock.until_ready();
    let singly = |one: &Arrival| {
        let body: Value = serde_json::from_slice(&one.message.body).unwrap();
        body["coalesced"] == 0
    };
    let all = arrivals.so_far();
    let is_due = |one: &&Arrival| one.event.time.is_some_and(|time| time <= due);
    assert!(all.iter().filter(is_due).all(singly));
    clock.stop();
    clock.done(&["audit"]);
}
