//! Looking at a broker without changing it, and consumers that share one connection.

use super::*;
use futures_util::FutureExt;
use ponos_broker::{Consume, LinkErrorClass, QueueState, Settle};
use ponos_event::{
    Message,
    topology::{Binding, Exchange, Queue, Topology},
};

pub(crate) async fn a_queue_can_be_inspected(harness: &impl Harness) {
    let transport = harness.transport();
    assert_eq!(transport.inspect("q").await.unwrap(), None);
    let wanted = topology([], [Queue::classic("q")]);
    let mut publisher = harness.publisher(wanted.clone());
    send(&mut publisher, "", ["1", "2", "3"].map(|id| message("q", id))).await;
    assert_eq!(transport.inspect("q").await.unwrap(), Some(QueueState { ready: 3, consumers: 0 }));
    let mut consumer = harness.consumer(wanted, "q", 1);
    next(&mut consumer).await;
    // asked on the connection of the consumer: nothing of it is lost by that, not even by asking for what is missing
    assert_eq!(transport.inspect("missing").await.unwrap(), None);
    assert_eq!(transport.inspect("q").await.unwrap(), Some(QueueState { ready: 2, consumers: 1 }));
    assert_eq!(up(consumer.link()).await, 1);
}

pub(crate) async fn what_a_queue_has_given_out_has_come_once_that_is_answered(harness: &impl Harness) {
    let wanted = topology([], [Queue::quorum("q")]);
    let mut publisher = harness.publisher(wanted.clone());
    // large, so that they are long on their way
    let large = (1..=300).map(|id| Message { body: vec![b' '; 64 << 10], ..message("q", &id.to_string()) });
    send(&mut publisher, "", large).await;
    let mut consumer = harness.consumer(wanted, "q", 300);
    up(consumer.link()).await;
    testkit::wait_until("all to be given out", LIMIT, || async {
        harness.transport().inspect("q").await.unwrap().filter(|state| state.ready == 0)
    })
    .await;
    assert!(within("the answer", consumer.arrivals().are_complete()).await);
    let came = (1..=300).map(|_| tokio::task::unconstrained(consumer.next()).now_or_never());
    assert_eq!(came.flatten().flatten().count(), 300, "some are still on their way");
    // one after the other, and none once it is dropped
    assert!(within("the answer", consumer.arrivals().are_complete()).await);
    let arrivals = consumer.arrivals();
    drop(consumer);
    assert!(!within("the end", arrivals.are_complete()).await);
}

pub(crate) async fn checking_declares_and_reports(harness: &impl Harness) {
    let transport = harness.transport();
    transport.check(&topology([], [Queue::classic("q")])).await.unwrap();
    assert_eq!(harness.depth("q"), Some(0));
    let error = transport.check(&topology([], [Queue::quorum("q")])).await.unwrap_err();
    assert_eq!(error.class, LinkErrorClass::Inequivalent, "{error}");
}

pub(crate) async fn a_passive_topology_declares_nothing_and_names_what_is_missing(harness: &impl Harness) {
    let wanted = topology([Exchange::topic("events")], [Queue::quorum("q")])
        .bind([Binding::queue("events", "q", "#")]);
    for thing in ["exchange 'events'", "queue 'q'"] {
        let error = down(harness.consumer(wanted.clone().passive(), "q", 1).link()).await;
        assert_eq!(error.class, LinkErrorClass::Missing, "{error}");
        assert!(error.what.contains(thing) && !error.remedy.is_empty(), "{error}");
        assert_eq!(harness.depth("q"), None, "nothing is declared");
        harness.transport().check(&topology([Exchange::topic("events")], [])).await.unwrap();
    }
    harness.transport().check(&wanted).await.unwrap();
    // other arguments are not looked at, for another one answers for them
    let other =
        topology([Exchange::fanout("events")], [Queue::classic("q").with("x-max-length", 1)]).passive();
    let mut publisher = harness.publisher(other.clone());
    send(&mut publisher, "events", [message("a", "1"), message("a", "2")]).await;
    let mut consumer = harness.consumer(other, "q", 1);
    assert_eq!(take(&mut consumer, 2).await, ["1", "2"]);

    let nameless = topology([], [Queue::temporary()]).passive();
    let error = harness.transport().check(&nameless).await.unwrap_err();
    assert_eq!(error.class, LinkErrorClass::Configuration, "{error}");
}

pub(crate) async fn an_error_of_one_consumer_does_not_disturb_the_others(harness: &impl Harness) {
    let wanted = topology([], [Queue::classic("q")]);
    let mut publisher = harness.publisher(wanted.clone());
    let mut well = harness.consumer(wanted, "q", 10);
    send(&mut publisher, "", [message("q", "1")]).await;
    let out = next(&mut well).await;
    let other = harness.consumer(topology([], [Queue::quorum("q")]), "q", 10);
    assert_eq!(down(other.link()).await.class, LinkErrorClass::Inequivalent);
    let other = harness.consumer(Topology::default(), "missing", 10);
    assert_eq!(down(other.link()).await.class, LinkErrorClass::Missing);
    well.settle(out.tag, Settle::Ack).await.unwrap();
    send(&mut publisher, "", [message("q", "2")]).await;
    let second = next(&mut well).await;
    assert_eq!((text(&second).as_str(), second.tag.generation), ("2", out.tag.generation));
    assert_eq!(up(well.link()).await, out.tag.generation);
}

pub(crate) async fn a_cancelled_consumer_counts_it_and_keeps_its_generation(harness: &impl Harness) {
    let wanted = topology([], [Queue::classic("q")]);
    let mut publisher = harness.publisher(wanted.clone());
    let mut consumer = harness.transport().consumer(wanted, Consume::new("q").prefetch(5).cautious());
    for round in 1..=3_u64 {
        send(&mut publisher, "", [message("q", "1"), message("q", "2")]).await;
        let out = next(&mut consumer).await;
        let mut link = consumer.link();
        link.mark_unchanged();
        harness.delete_queue("q");
        let told = link.wait_for(|_| consumer.cancellations() == round);
        within("the cancellation to be told", told).await.unwrap();
        consumer.settle(out.tag, Settle::Ack).await.unwrap();
        send(&mut publisher, "", [message("q", "3")]).await;
        let after = next(&mut consumer).await;
        assert_eq!(text(&after), "3");
        assert_eq!(after.tag.generation, out.tag.generation);
        assert!(after.tag.tag > out.tag.tag, "no tag is given twice");
        consumer.settle(after.tag, Settle::Ack).await.unwrap();
        depth_becomes(harness, "q", 0).await;
    }
}

pub(crate) async fn what_was_never_given_back_has_no_delivery_count(harness: &impl Harness) {
    for (wanted, counts) in
        [(Queue::classic("classic"), [None, None]), (Queue::quorum("quorum"), [None, Some(1)])]
    {
        let name = wanted.name.clone();
        let wanted = topology([], [wanted]);
        let mut publisher = harness.publisher(wanted.clone());
        send(&mut publisher, "", [message(&name, "1")]).await;
        let mut consumer = harness.consumer(wanted, &name, 1);
        for count in counts {
            let delivery = next(&mut consumer).await;
            assert_eq!(delivery.delivery_count(), count, "{name}");
            consumer.settle(delivery.tag, Settle::Reject).await.unwrap();
        }
    }
}
