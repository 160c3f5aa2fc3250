//! The in-memory twin under the suite that RabbitMQ passes. Time stands still until all wait for it.

#[macro_use]
#[path = "../broker_conformance/mod.rs"]
mod broker_conformance;

use broker_conformance::Harness;
use ponos_broker::{
    Transport,
    memory::{self, Version},
};
use ponos_event::topology::Topology;

struct Twin(memory::Broker, Transport, Version);

impl Twin {
    fn like(version: Version) -> Self {
        let broker = memory::Broker::like(version);
        Self(broker.clone(), Transport::memory(broker), version)
    }
}

impl Harness for Twin {
    fn transport(&self) -> &Transport {
        &self.1
    }

    fn version(&self) -> Version {
        self.2
    }

    fn disconnect_all(&self) {
        self.0.disconnect_all();
    }

    fn delete_queue(&self, queue: &str) {
        assert!(self.0.delete_queue(queue));
    }

    fn delete_exchange(&self, exchange: &str) {
        assert!(self.0.delete_exchange(exchange));
    }

    fn depth(&self, queue: &str) -> Option<u64> {
        self.0.queue_depth(queue).map(|depth| depth as u64)
    }
}

conformance!(tokio::test(start_paused = true), |_case| Twin::like(Version::V3));

mod like_rabbitmq_4_3 {
    use super::*;

    conformance!(tokio::test(start_paused = true), |_case| Twin::like(Version::V4_3));
}

/// What drills do to it, beyond what RabbitMQ can be asked to do in a moment.
mod drills {
    use super::{broker_conformance::*, *};
    use ponos_broker::{Consume, Link, LinkErrorClass, PublishOutcome};
    use ponos_event::topology::Queue;

    fn queue() -> Topology {
        topology([], [Queue::classic("q")])
    }

    #[tokio::test(start_paused = true)]
    async fn a_blocked_broker_publishes_when_it_is_unblocked() {
        let broker = memory::Broker::new();
        let mut publisher = broker.publisher(queue());
        up(publisher.link()).await;
        broker.block("memory alarm");
        let blocked = Link::Blocked { reason: "memory alarm".into() };
        within("the block", publisher.link().wait_for(|link| *link == blocked)).await.unwrap();
        publisher.submit(vec![publishing(1, "", message("q", "1"))]).await.unwrap();
        assert_eq!(broker.queue_depth("q"), Some(0));
        broker.unblock();
        assert_eq!(settlements(&mut publisher, 1).await[&1], REACHED);
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_too_long_for_an_answer_is_lost() {
        let broker = memory::Broker::new();
        let mut publisher = broker.publisher(queue());
        up(publisher.link()).await;
        for block in [true, false] {
            match block {
                true => broker.block("disk alarm"),
                false => broker.hold_confirms(true),
            }
            publisher.submit(vec![publishing(1, "", message("q", "1"))]).await.unwrap();
            let settled = tokio::time::timeout(4 * LIMIT, publisher.settlements()).await.unwrap().unwrap();
            assert_eq!(settled[0].outcome, PublishOutcome::Lost);
            broker.unblock();
        }
        assert_eq!(broker.queue_depth("q"), Some(1), "the one whose confirm was kept back has arrived");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cut_while_confirms_are_kept_back_loses_what_has_arrived() {
        let broker = memory::Broker::new();
        let mut publisher = broker.publisher(queue());
        up(publisher.link()).await;
        broker.hold_confirms(true);
        publisher.submit((0..3).map(|n| publishing(n, "", message("q", "x"))).collect()).await.unwrap();
        testkit::wait_until("arrival", LIMIT, || async {
            (broker.queue_depth("q") == Some(3)).then_some(())
        })
        .await;
        broker.disconnect_all();
        let outcomes = settlements(&mut publisher, 3).await;
        assert!(outcomes.values().all(|outcome| *outcome == PublishOutcome::Lost), "{outcomes:?}");
        broker.hold_confirms(false);
        send(&mut publisher, "", [message("q", "y")]).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_stopped_broker_is_down_until_it_starts_and_keeps_what_is_persistent() {
        let broker = memory::Broker::new();
        let mut publisher = broker.publisher(queue());
        send(&mut publisher, "", [message("q", "1")]).await;
        broker.stop();
        let stopped = |link: &Link| matches!(link, Link::Down { attempts: 1.., .. });
        within("the stop", publisher.link().wait_for(stopped)).await.unwrap();
        assert_eq!(down(publisher.link()).await.class, LinkErrorClass::Unreachable);
        publisher.submit(vec![publishing(1, "", message("q", "2"))]).await.unwrap();
        assert_eq!(settlements(&mut publisher, 1).await[&1], PublishOutcome::Lost);
        broker.start();
        let mut consumer = broker.consumer(queue(), Consume::new("q"));
        assert_eq!(take(&mut consumer, 1).await, ["1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn queues_can_be_listed_and_peeked_into_without_taking_anything() {
        let broker = memory::Broker::new();
        let wanted = topology([], [Queue::classic("q"), Queue::quorum("empty")]);
        let mut publisher = broker.publisher(wanted.clone());
        send(&mut publisher, "", [message("q", "1"), message("q", "2")]).await;
        for _ in 0..2 {
            let waiting = broker.peek("q");
            assert_eq!(waiting.iter().map(text).collect::<Vec<_>>(), ["1", "2"]);
        }
        assert!(broker.peek("empty").is_empty() && broker.peek("missing").is_empty());
        let ready: Vec<_> = broker.queues().into_iter().map(|(name, status)| (name, status.ready)).collect();
        assert_eq!(ready, [("empty".to_owned(), 0), ("q".to_owned(), 2)]);
        let mut consumer = broker.consumer(wanted, Consume::new("q"));
        assert_eq!(take(&mut consumer, 2).await, ["1", "2"]);
    }

    #[tokio::test(start_paused = true)]
    async fn dropped_handles_leave_no_task_behind() {
        let broker = memory::Broker::new();
        let (publisher, consumer) = (broker.publisher(queue()), broker.consumer(queue(), Consume::new("q")));
        let (published, consumed) = (publisher.link(), consumer.link());
        up(published.clone()).await;
        drop((publisher, consumer, broker));
        for mut link in [published, consumed] {
            within("the end", async { while link.changed().await.is_ok() {} }).await;
        }
        let metrics = tokio::runtime::Handle::current().metrics();
        testkit::wait_until("all tasks to end", LIMIT, || async {
            (metrics.num_alive_tasks() == 0).then_some(())
        })
        .await;
    }
}
