//! The clock on a cluster of three nodes: the one that it is on is killed, and its events go on by another.

use crate::harness::{Arrivals, Clock, Expected};
use khronos::clock;
use ponos::topology::Queue;
use testkit::Cluster;

const SCHEDULES: &str = r#"
[[schedule]]
name = "all-100"
event = "test.all-hundred.passed"
every = "100ms"
catch_up = { policy = "all", grace = "200ms" }
[[schedule]]
name = "latest-400"
event = "test.latest-half.passed"
every = "400ms"
catch_up = { policy = "latest", grace = "100ms" }
"#;

/// The place of the node that the clock says it is on.
fn place(cluster: &Cluster, readiness: &serde_json::Value) -> Option<usize> {
    let broker = readiness["broker"]["broker"].as_str()?;
    cluster.nodes().iter().position(|node| broker == format!("RabbitMQ at 127.0.0.1:{}", node.port()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_that_the_clock_is_on_is_killed_and_its_events_go_on_by_another_with_none_lost() {
    let cluster = Cluster::start();
    let url = cluster.vhost("clock");
    let arrivals = Arrivals::of_all_events(&url, &[Queue::quorum("all")]).await;
    let mut clock = Clock::new(&url, SCHEDULES).started();
    arrivals.more(50);
    let before = clock.until("the clock to be on a node", |_, body| place(&cluster, body).is_some());
    let first = place(&cluster, &before).unwrap();
    cluster.nodes()[first].kill9();
    let killed = clock::now();
    let elsewhere =
        |status, body: &_| status == 200 && place(&cluster, body).is_some_and(|node| node != first);
    let after = clock.until("the clock to be on another node", elsewhere);
    let again = arrivals
        .first("what was due since", |arrival| arrival.event.time.is_some_and(|due| due.since(killed) > 0));
    println!("the first event after the kill came {} ms after it", again.at.since(killed));
    assert_ne!(before["broker"], after["broker"]);
    arrivals.more(30);
    clock.until_calm();
    clock.done(&["audit"]);
    clock.stop_calm();
    let (occurrences, arrived, coalesced) = Expected::of(&clock).compare(&arrivals, 1);
    println!("{occurrences} occurrences, {arrived} arrivals, {coalesced} stood for by others");
    let log = clock.log();
    assert!(log.contains("the broker is back") && !log.contains("guest:guest"), "{log}");
}
