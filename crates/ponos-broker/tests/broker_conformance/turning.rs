//! Consumers that go on with another prefetch, stop, and settle from elsewhere.

use super::*;
use ponos_broker::{Consume, Consumer, Delivery, DeliveryTag, Flow, Link, Settle, Transport};
use ponos_event::topology::{Queue, Topology};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::MissedTickBehavior;

fn queue(queue: Queue) -> Topology {
    topology([], [queue])
}

async fn filled(harness: &impl Harness, wanted: &Queue, count: u64) -> Topology {
    let topology = queue(wanted.clone());
    let mut publisher = harness.publisher(topology.clone());
    send(&mut publisher, "", (0..count).map(|n| message(&wanted.name, &n.to_string()))).await;
    topology
}

async fn nexts(consumer: &mut Consumer, count: usize) -> Vec<Delivery> {
    let mut out = Vec::new();
    for _ in 0..count {
        out.push(next(consumer).await);
    }
    out
}

pub(crate) async fn a_cautious_consumer_gets_one_at_a_time_until_it_is_widened(harness: &impl Harness) {
    for wanted in [Queue::classic("classic"), Queue::quorum("quorum")] {
        let topology = filled(harness, &wanted, 20).await;
        let options = Consume::new(&wanted.name).prefetch(5).cautious();
        let mut consumer = harness.transport().consumer(topology, options);
        let first = next(&mut consumer).await;
        depth_becomes(harness, &wanted.name, 19).await;
        consumer.settle(first.tag, Settle::Ack).await.unwrap();
        let second = next(&mut consumer).await;
        assert_eq!((text(&second).as_str(), consumer.flow()), ("1", Flow::Narrow));

        // the one that is out stays out beside the full prefetch, and can be settled afterwards
        consumer.widen();
        consumer.widen();
        let more = nexts(&mut consumer, 5).await;
        assert_eq!(more.iter().map(text).collect::<Vec<_>>(), ["2", "3", "4", "5", "6"]);
        depth_becomes(harness, &wanted.name, 13).await;
        assert!(more.iter().all(|delivery| delivery.tag.generation == second.tag.generation));
        for delivery in more.iter().chain([&second]) {
            consumer.settle(delivery.tag, Settle::Ack).await.unwrap();
        }
        assert_eq!(take(&mut consumer, 13).await.last().unwrap(), "19");
        drop(consumer);
        depth_becomes(harness, &wanted.name, 0).await;
    }
}

pub(crate) async fn a_wide_consumer_takes_another_prefetch_within_its_bound(harness: &impl Harness) {
    for wanted in [Queue::classic("classic"), Queue::quorum("quorum")] {
        let topology = filled(harness, &wanted, 40).await;
        let options = Consume::new(&wanted.name).prefetch(3).at_most(8);
        let mut consumer = harness.transport().consumer(topology, options);
        let first = nexts(&mut consumer, 3).await;
        depth_becomes(harness, &wanted.name, 37).await;

        // those that are out stay out beside it
        consumer.set_prefetch(100);
        let more = nexts(&mut consumer, 8).await;
        depth_becomes(harness, &wanted.name, 29).await;
        assert!(more.iter().all(|delivery| delivery.tag.generation == first[0].tag.generation));
        for delivery in first.iter().chain(&more) {
            consumer.settle(delivery.tag, Settle::Ack).await.unwrap();
        }
        let next = nexts(&mut consumer, 8).await;
        depth_becomes(harness, &wanted.name, 21).await;

        consumer.set_prefetch(2);
        for delivery in &next {
            consumer.settle(delivery.tag, Settle::Ack).await.unwrap();
        }
        // what was on its way in the old breadth still comes
        let taken: Vec<Delivery> = nexts(&mut consumer, 2).await;
        for delivery in &taken {
            consumer.settle(delivery.tag, Settle::Ack).await.unwrap();
        }
        assert_eq!(take(&mut consumer, 19).await.last().unwrap(), "39");
        assert_eq!(consumer.flow(), Flow::Wide);
        drop(consumer);
        depth_becomes(harness, &wanted.name, 0).await;
    }
}

pub(crate) async fn a_smaller_prefetch_is_not_granted_on_top_of_more_that_is_out(harness: &impl Harness) {
    for wanted in [Queue::classic("classic"), Queue::quorum("quorum")] {
        let topology = filled(harness, &wanted, 40).await;
        let options = Consume::new(&wanted.name).prefetch(12).at_most(12);
        let mut consumer = harness.transport().consumer(topology, options);
        let mut out = nexts(&mut consumer, 12).await;
        consumer.set_prefetch(4);
        out.push(next(&mut consumer).await);
        // it is narrow: when that one is settled another comes, and no more
        consumer.settle(out.pop().unwrap().tag, Settle::Ack).await.unwrap();
        out.push(next(&mut consumer).await);
        depth_becomes(harness, &wanted.name, 26).await;
        for delivery in out.drain(..9) {
            consumer.settle(delivery.tag, Settle::Ack).await.unwrap();
        }
        out.extend(nexts(&mut consumer, 4).await);
        depth_becomes(harness, &wanted.name, 22).await;
        for delivery in out {
            consumer.settle(delivery.tag, Settle::Ack).await.unwrap();
        }
        assert_eq!(take(&mut consumer, 22).await.last().unwrap(), "39");
        drop(consumer);
        depth_becomes(harness, &wanted.name, 0).await;
    }
}

pub(crate) async fn turning_under_load_loses_nothing_and_delivers_nothing_twice(harness: &impl Harness) {
    for wanted in [Queue::classic("classic"), Queue::quorum("quorum")] {
        let topology = filled(harness, &wanted, 2_000).await;
        let options = Consume::new(&wanted.name).prefetch(50).at_most(200).cautious();
        let mut consumer = harness.transport().consumer(topology, options);
        let (mut seen, mut held) = (BTreeSet::new(), Vec::new());
        while seen.len() < 2_000 {
            let delivery = next(&mut consumer).await;
            assert!(!delivery.redelivered && seen.insert(text(&delivery)), "{} came twice", text(&delivery));
            held.push(delivery.tag);
            if seen.len() % 100 == 0 {
                consumer.widen();
            } else if seen.len() % 100 == 50 {
                consumer.narrow();
            } else if seen.len() % 30 == 20 {
                // wide or not
                consumer.set_prefetch(if seen.len() % 60 == 20 { 200 } else { 30 });
            }
            // some stay at work all the time, over several turns
            let keep = if seen.len() < 1_990 && consumer.flow() == Flow::Wide { 20 } else { 0 };
            while held.len() > keep {
                consumer.settle(held.remove(0), Settle::Ack).await.unwrap();
            }
        }
        drop(consumer);
        depth_becomes(harness, &wanted.name, 0).await;
    }
}

/// A quorum queue whose consumer is cancelled in the flow may take back most of what it has, again and again.
pub(crate) async fn stopping_in_the_flow_makes_no_more_come_back_than_were_out(harness: &impl Harness) {
    /// What was out, and what came for the acks that were on their way.
    const MOST: usize = 150;
    for wanted in [Queue::classic("classic"), Queue::quorum("quorum")] {
        let topology = filled(harness, &wanted, 2_000).await;
        let transport = harness.transport();
        let mut consumer = transport.consumer(topology.clone(), Consume::new(&wanted.name).prefetch(50));
        take(&mut consumer, 150).await;
        consumer.stop();
        // what still comes is given back at once, and must not come again
        let mut released = 0_usize;
        loop {
            tokio::select! {
                Some(delivery) = consumer.next() => {
                    consumer.settle(delivery.tag, Settle::Release).await.unwrap();
                    released += 1;
                }
                () = unconsumed(transport, &wanted.name) => break,
            }
        }
        drop(consumer);
        depth_becomes(harness, &wanted.name, 1_850).await;
        assert!(released <= MOST, "{released} were given back");
        let mut rest = harness.consumer(topology, &wanted.name, 500);
        let mut again = 0_usize;
        for _ in 0..1_850 {
            let delivery = next(&mut rest).await;
            again += usize::from(delivery.redelivered);
            rest.settle(delivery.tag, Settle::Ack).await.unwrap();
        }
        assert!(again <= MOST, "{again} came back");
        depth_becomes(harness, &wanted.name, 0).await;
    }
}

pub(crate) async fn what_is_settled_while_it_stops_is_settled_though_it_is_dropped_at_once(
    harness: &impl Harness,
) {
    for wanted in [Queue::classic("classic"), Queue::quorum("quorum")] {
        let topology = filled(harness, &wanted, 3).await;
        let mut consumer = harness.consumer(topology, &wanted.name, 5);
        let out = nexts(&mut consumer, 3).await;
        let mut link = consumer.link();
        consumer.stop();
        for delivery in &out {
            consumer.settle(delivery.tag, Settle::Dead).await.unwrap();
        }
        drop(consumer);
        within("the end", async { while link.changed().await.is_ok() {} }).await;
        let rest = harness.transport().inspect(&wanted.name).await.unwrap().unwrap();
        assert_eq!((rest.ready, rest.consumers), (0, 0), "the dead came back");
    }
}

/// Acks are held while it stops, so that nothing is on its way; but something always is here, and they can't wait for all of
/// the prefetch to come.
pub(crate) async fn stopping_amid_a_trickle_is_soon_done(harness: &impl Harness) {
    /// What comes in 8 s; all of the prefetch is thrice as much.
    const SOON: usize = 200;
    let wanted = Queue::quorum("quorum");
    let topology = filled(harness, &wanted, 1).await;
    let transport = harness.transport();
    let mut publisher = harness.publisher(topology.clone());
    let mut consumer = transport.consumer(topology, Consume::new(&wanted.name).prefetch(600));
    let mut trickle = tokio::time::interval(Duration::from_millis(40));
    // A machine that stood still makes no flood of it.
    trickle.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut taken = 0;
    let mut gone = std::pin::pin!(unconsumed(transport, &wanted.name));
    loop {
        tokio::select! {
            Some(delivery) = consumer.next() => {
                consumer.settle(delivery.tag, Settle::Ack).await.unwrap();
                taken += 1;
                if taken == 10 {
                    consumer.stop();
                }
            }
            _ = trickle.tick() => send(&mut publisher, "", [message(&wanted.name, "one")]).await,
            () = &mut gone, if taken >= 10 => break,
        }
    }
    assert!(taken - 10 < SOON, "{taken}");
}

async fn unconsumed(transport: &Transport, queue: &str) {
    testkit::wait_until("the queue to have no consumer", LIMIT, async || {
        (transport.inspect(queue).await.unwrap().unwrap().consumers == 0).then_some(())
    })
    .await;
}

pub(crate) async fn a_cautious_consumer_is_narrow_again_after_it_lost_its_connection(harness: &impl Harness) {
    let topology = filled(harness, &Queue::classic("q"), 10).await;
    let mut consumer = harness.transport().consumer(topology, Consume::new("q").prefetch(5).cautious());
    let first = next(&mut consumer).await;
    consumer.widen();
    nexts(&mut consumer, 5).await;
    harness.disconnect_all();
    let again = within("a delivery of the new connection", async {
        loop {
            let delivery = next(&mut consumer).await;
            if delivery.tag.generation > first.tag.generation {
                return delivery;
            }
        }
    })
    .await;
    depth_becomes(harness, "q", 9).await;
    assert_eq!((text(&again).as_str(), consumer.flow()), ("0", Flow::Narrow));
}

pub(crate) async fn a_single_active_consumer_keeps_the_order_when_it_is_widened(harness: &impl Harness) {
    for wanted in [Queue::classic("classic"), Queue::quorum("quorum")] {
        let wanted = wanted.with("x-single-active-consumer", true);
        let topology = filled(harness, &wanted, 4).await;
        let options = Consume::new(&wanted.name).prefetch(5).cautious();
        let mut one = harness.transport().consumer(topology.clone(), options);
        let first = next(&mut one).await;
        let mut two = harness.consumer(topology, &wanted.name, 1);
        up(two.link()).await;
        one.widen();
        one.settle(first.tag, Settle::Ack).await.unwrap();
        // whoever is active now: the next comes only when the one before is settled
        for expected in ["1", "2", "3"] {
            let (from, delivery) = tokio::select! {
                delivery = next(&mut one) => (&one, delivery),
                delivery = next(&mut two) => (&two, delivery),
            };
            assert_eq!(text(&delivery), expected);
            from.settle(delivery.tag, Settle::Ack).await.unwrap();
        }
    }
}

pub(crate) async fn a_stopped_consumer_gets_nothing_more_and_still_settles(harness: &impl Harness) {
    for wanted in [Queue::classic("classic"), Queue::quorum("quorum")] {
        let topology = filled(harness, &wanted, 3).await;
        let mut consumer = harness.consumer(topology.clone(), &wanted.name, 1);
        let out = next(&mut consumer).await;
        consumer.stop();
        consumer.widen();
        consumer.settle(out.tag, Settle::Ack).await.unwrap();
        // room for one here, and one after the other there
        let mut other = harness.consumer(topology, &wanted.name, 1);
        assert_eq!(take(&mut other, 2).await, ["1", "2"]);
        drop((consumer, other));
        depth_becomes(harness, &wanted.name, 0).await;
    }
}

pub(crate) async fn a_settler_settles_from_elsewhere_until_the_consumer_is_dropped(harness: &impl Harness) {
    let topology = filled(harness, &Queue::quorum("q"), 300).await;
    let mut consumer = harness.consumer(topology.clone(), "q", 20);
    let mut done = Vec::new();
    let mut buffer = Vec::new();
    while done.len() < 300 {
        let count = within("deliveries", consumer.next_many(&mut buffer, 8)).await;
        assert!((1..=8).contains(&count) && count == buffer.len(), "{count}");
        for delivery in buffer.drain(..) {
            done.push(text(&delivery));
            let settler = consumer.settler();
            tokio::spawn(async move { settler.settle(delivery.tag, Settle::Ack).await.unwrap() });
        }
    }
    assert_eq!(done, (0..300).map(|n| n.to_string()).collect::<Vec<_>>());
    let settler = consumer.settler();
    let mut link = consumer.link();
    let nobody = harness.transport().inspect("q");
    assert_eq!(nobody.await.unwrap().unwrap().ready, 0);
    testkit::wait_until("all to be acked", LIMIT, || async {
        // what is settled is sent in order with what is settled now
        (harness.depth("q") == Some(0)).then_some(())
    })
    .await;
    drop(consumer);
    within("the end", async { while link.changed().await.is_ok() {} }).await;
    let tag = DeliveryTag { generation: 1, tag: 1 };
    assert!(settler.settle(tag, Settle::Ack).await.is_err(), "a settler keeps no consumer alive");
}

pub(crate) async fn more_deliveries_than_anyone_takes_do_not_hold_settlements_up(harness: &impl Harness) {
    let topology = filled(harness, &Queue::classic("q"), 1_000).await;
    let mut consumer = harness.consumer(topology, "q", 10);
    let mut taken = 0;
    while taken < 1_000 {
        // ten are settled at once while ten more wait to be taken
        let batch = nexts(&mut consumer, 10.min(1_000 - taken)).await;
        taken += batch.len();
        let settlements = batch.iter().rev().map(|delivery| consumer.settle(delivery.tag, Settle::Ack));
        within("settlements", async {
            for settlement in settlements {
                settlement.await.unwrap();
            }
        })
        .await;
    }
}

pub(crate) async fn an_exclusive_consumer_is_alone(harness: &impl Harness) {
    let topology = queue(Queue::classic("q"));
    let mut alone = harness.transport().consumer(topology.clone(), Consume::new("q").exclusive());
    up(alone.link()).await;
    let mut second = harness.consumer(topology.clone(), "q", 1);
    let error = down(second.link()).await;
    assert!(error.what.contains("'q'") && error.what.contains("exclusive"), "{error}");
    let mut publisher = harness.publisher(topology);
    send(&mut publisher, "", [message("q", "1"), message("q", "2")]).await;
    assert_eq!(take(&mut alone, 1).await, ["1"]);
    drop(alone);
    assert_eq!(text(&next(&mut second).await), "2");
}

pub(crate) async fn a_paused_consumer_gets_nothing_until_it_is_resumed(harness: &impl Harness) {
    for wanted in [Queue::classic("classic"), Queue::quorum("quorum")] {
        let topology = filled(harness, &wanted, 4).await;
        let mut paused = harness.consumer(topology.clone(), &wanted.name, 2);
        let out = nexts(&mut paused, 2).await;
        paused.pause();
        paused.widen();
        paused.settle(out[0].tag, Settle::Ack).await.unwrap();
        paused.settle(out[1].tag, Settle::Release).await.unwrap();
        let mut other = harness.consumer(topology.clone(), &wanted.name, 1);
        assert_eq!(BTreeSet::from_iter(take(&mut other, 3).await), ["1", "2", "3"].map(String::from).into());
        // nor on another connection
        harness.disconnect_all();
        let is_new =
            |link: &Link| matches!(link, Link::Up { generation, .. } if *generation > out[0].tag.generation);
        within("another connection", paused.link().wait_for(is_new)).await.unwrap();
        let mut publisher = harness.publisher(topology.clone());
        send(&mut publisher, "", [message(&wanted.name, "4")]).await;
        // what was acked a moment before the connection went may come again
        while take(&mut other, 1).await != ["4"] {}
        drop(other);
        send(&mut publisher, "", [message(&wanted.name, "5")]).await;
        depth_becomes(harness, &wanted.name, 1).await;
        paused.resume();
        assert_eq!(take(&mut paused, 1).await, ["5"]);
    }
}
