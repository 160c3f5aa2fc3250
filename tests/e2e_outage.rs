//! What stands still is seen, and goes on when it is mended: what the clock declared is deleted or replaced by hand, on a
//! real RabbitMQ.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod e2e;

use e2e::{Arrival, Arrivals, Clock, Expected};
use khronos::clock;
use ponos::topology::{Binding, Exchange, Queue, Topology};
use testkit::Node;

const FIRST: &str = r#"
[[schedule]]
name = "tick"
event = "test.tick.passed"
every = "200ms"
catch_up = { policy = "all" }
"#;

const SECOND: &str = r#"
[[schedule]]
name = "tock"
event = "test.tock.passed"
every = "300ms"
catch_up = { policy = "all" }
"#;

/// A queue that hears of the event by the event's own exchange: the clock's binding alone leads there.
fn by_fanout(event: &str) -> Topology {
    Topology {
        exchanges: vec![Exchange::fanout(event)],
        queues: vec![Queue::classic(format!("q-{event}"))],
        bindings: vec![Binding::queue(event, format!("q-{event}"), "")],
        ..Topology::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_deleted_under_the_clock_is_declared_again_at_once_and_nothing_is_lost_or_parked() {
    let node = Node::shared();
    let url = node.vhost("deleted");
    let topologies = ["test.tick.passed", "test.tock.passed"].map(by_fanout);
    let arrivals = Arrivals::of(&url, topologies.to_vec()).await;
    let mut clock = Clock::new(&url, FIRST).with("KHRONOS_BROKER_FANOUT", "true").started();
    arrivals.more(5);
    // What is declared later is kept as well.
    clock.write_schedules(&format!("{FIRST}{SECOND}"));
    arrivals.first("the event of the second schedule", |arrival| arrival.queue == 1);
    for _ in 0..3 {
        arrivals.more(3);
        node.delete_exchange("deleted", "events");
        arrivals.more(10);
        clock.until_ready();
    }
    let said = clock.until("the mended fault to be shown", |status, body| {
        status == 200 && body["warnings"].to_string().contains("the exchange 'events'")
    });
    assert!(said["warnings"].to_string().contains("it was declared again"), "{said}");
    assert!(clock.log().contains("the broker does not have what the clock needs"), "{}", clock.log());

    assert_eq!(said["parked"], 0, "{said}");
    clock.until_calm();
    clock.stop();
    // Every occurrence arrived, by way of bindings that are declared again before anything is sent again.
    let expected = Expected::of(&clock);
    for (queue, schedule) in ["tick", "tock"].into_iter().enumerate() {
        expected.all_came(schedule, &arrivals, queue);
    }
    clock.done(&["audit"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_declared_differently_is_an_outage_with_the_reason_and_all_goes_on_once_it_is_mended() {
    let node = Node::shared();
    let url = node.vhost("differently");
    let arrivals = Arrivals::of(&url, vec![by_fanout("test.tick.passed")]).await;
    let mut clock = Clock::new(&url, FIRST).with("KHRONOS_BROKER_FANOUT", "true").started();
    arrivals.more(5);
    node.eval(
        "Name = rabbit_misc:r(<<\"differently\">>, exchange, <<\"events\">>), \
         rabbit_exchange:delete(Name, false, <<\"test\">>), \
         rabbit_exchange:declare(Name, direct, true, false, false, [], <<\"test\">>)",
    );
    // A comparison finds it within a minute; a new connection at once.
    node.close_connections_of("differently");
    clock.until("the other exchange to be seen", |status, body| {
        status == 503 && body["reasons"].to_string().contains("we want topic, it has direct")
    });
    let outage = clock::now();
    assert_eq!(clock.get("/healthz").unwrap().0, 200, "the clock itself is well");
    node.delete_exchange("differently", "events");
    let missed = |arrival: &Arrival| arrival.event.time.is_some_and(|due| due.since(outage) > 0);
    arrivals.first("what was due since", missed);
    clock.until_calm();
    assert_eq!(clock.get("/readyz").unwrap().1["parked"], 0);
    clock.done(&["audit"]);
    clock.stop();
    clock.done(&["audit"]);
}
