//! What stands still is seen, and goes on when it is mended: what the clock declared is deleted or replaced by hand, on a
//! real RabbitMQ.

use crate::harness::{Arrival, Arrivals, Clock, Expected, LIMIT};
use khronos::clock;
use ponos::{
    broker::{Link, Publishing, Transport, amqp::AmqpConfig},
    event::Message,
    topology::{Binding, Exchange, Queue, Topology},
};
use testkit::{Node, block_until};

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
    assert!(
        clock.log().contains("something that the clock needs is missing on the broker"),
        "{}",
        clock.log()
    );

    assert_eq!(said["parked"], 0, "{said}");
    clock.stop_calm();
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
    declare_differently(node, "differently");
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
    clock.stop_calm();
    clock.done(&["audit"]);
}

/// Another exchange of this name. A comparison finds it within a minute; a new connection at once.
fn declare_differently(node: &Node, vhost: &str) {
    node.eval(&format!(
        "Name = rabbit_misc:r(<<\"{vhost}\">>, exchange, <<\"events\">>), \
         rabbit_exchange:delete(Name, false, <<\"test\">>), \
         rabbit_exchange:declare(Name, direct, true, false, false, [], <<\"test\">>)"
    ));
    node.close_connections_of(vhost);
}

const UNROUTED: &str = r#"
[[schedule]]
name = "needed"
event = "test.needed.passed"
every = "200ms"
unrouted = "park"
catch_up = { policy = "all" }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_released_while_nobody_is_bound_is_parked_again_and_comes_singly_once_somebody_is() {
    let node = Node::shared();
    let url = node.vhost("needed");
    let mut clock = Clock::new(&url, UNROUTED).started();
    clock.until("a run to be parked", |_, body| body["parked"].as_u64() >= Some(5));
    let parked = || clock.json(&["parked", "list"]);
    let run = parked().remove(0);
    assert_eq!((&run["id"], &run["events"]), (&1.into(), &run["count"]), "{run}");
    assert!(run["count"].as_u64() >= Some(5), "{run}");
    assert_eq!(clock.done(&["parked", "release", "1"]), "1 released\n");
    let again = block_until("it to be parked again", LIMIT, || {
        let run = parked().remove(0);
        (run["released"] == false).then_some(run)
    });
    assert_eq!(again["first_due_at"], run["first_due_at"], "nothing of it is settled");
    assert!(again["reason"].as_str().unwrap().contains("no queue is bound"), "{again}");

    // During an outage it waits, and is not dropped, for it may have been sent before.
    declare_differently(node, "needed");
    clock.until("the outage", |status, _| status == 503);
    assert_eq!(clock.done(&["parked", "release", "1"]), "1 released\n");
    for verb in ["drop", "release"] {
        let refused = clock.verb(&["parked", verb, "1"]);
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        assert!(crate::harness::text(&refused).contains("1 is being sent"), "{refused:?}");
    }
    assert!(clock.done(&["parked", "list"]).contains("being sent"));
    node.delete_exchange("needed", "events");
    clock.until_ready();
    block_until("it to be parked again", LIMIT, || (parked()[0]["released"] == false).then_some(()));

    let arrivals = Arrivals::of_all_events(&url, &[Queue::classic("needs")]).await;
    arrivals.more(1);
    clock.done(&["parked", "release", "--all"]);
    clock.until("all to be sent", |_, body| body["parked"] == 0 && body["outstanding"] == 0);
    clock.stop_calm();
    Expected::of(&clock).all_came("needed", &arrivals, 0);
    assert!(arrivals.so_far().iter().all(|arrival| data(arrival)["coalesced"] == 0));
    clock.done(&["audit"]);
}

fn data(arrival: &Arrival) -> serde_json::Value {
    serde_json::from_slice(&arrival.message.body).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clocks_of_one_name_on_one_broker_warn_of_each_other_until_one_of_them_stops() {
    let node = Node::shared();
    let url = node.vhost("twice");
    let is_warned = |_: u16, body: &serde_json::Value| {
        body["warnings"].to_string().contains("another clock called 'khronos'")
    };
    let first = Clock::new(&url, FIRST).started();
    let mut second = Clock::new(&url, FIRST).started();
    let stranger = Clock::new(&url, FIRST).with("KHRONOS_CLOCK_NAME", "another").started();
    // Anybody may write there: what is no word of a clock harms nobody.
    let exchange = Exchange { durable: false, ..Exchange::fanout("khronos.presence") };
    let exchanges = Topology { exchanges: vec![exchange], ..Topology::default() };
    let mut publisher = Transport::amqp(AmqpConfig::parse(&url).unwrap()).publisher(exchanges);
    publisher.link().wait_for(|link| matches!(link, Link::Up { .. })).await.unwrap();
    let nonsense = |token| {
        let message = Message { body: vec![b'['; 30_000], ..Message::default() };
        Publishing { token, lane: 0, exchange: "khronos.presence".into(), message }
    };
    publisher.submit((0..100).map(nonsense).collect()).await.unwrap();
    let mut confirmed = 0;
    while confirmed < 100 {
        confirmed += publisher.settlements().await.unwrap().len();
    }
    let warned = first.until("the warning", is_warned);
    assert!(warned["warnings"].to_string().contains("every event goes out twice"), "{warned}");
    assert_eq!(first.get("/readyz").unwrap().0, 200, "both go on");
    second.until("the warning of the other", is_warned);
    assert!(!is_warned(200, &stranger.get("/readyz").unwrap().1));
    assert!(first.log().contains("another clock called 'khronos'"), "{}", first.log());
    second.stop();
    first.until("the warning to go", |status, body| !is_warned(status, body));
    assert!(first.get("/readyz").unwrap().1["parked"] == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_may_not_declare_the_presence_exchange_does_without_it_and_is_told_once() {
    let node = Node::shared();
    node.vhost("absent");
    node.add_user("unannounced", "secret");
    node.permit("unannounced", "absent", "^events$", "^events$", "^$");
    let url = node.url_for("unannounced", "secret", "absent");
    let mut clock = Clock::new(&url, FIRST).started();
    let said = "a second clock of the same name would not be noticed";
    block_until("it to be said", LIMIT, || clock.log().contains(said).then_some(()));
    let seen = clock.get("/readyz").unwrap().1["confirmed"].as_u64();
    clock.until("events to go out", |status, body| status == 200 && body["confirmed"].as_u64() > seen);
    clock.stop();
    assert_eq!(clock.log().matches(said).count(), 1, "{}", clock.log());
}
