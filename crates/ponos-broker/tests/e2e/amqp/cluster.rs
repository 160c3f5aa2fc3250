//! A cluster of three nodes that lose each other: whatever was published arrives, each id once or more.

use crate::support::{self, config, outcomes, publisher, publishing, topology, up};
use ponos_broker::{
    Consume, Consumer, Link, PublishOutcome, Publisher, Publishing, Settle, Settlement, Transport,
};
use ponos_event::topology::{Queue, Topology};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use testkit::{Cluster, wait_until};
use tokio::{sync::watch, task::JoinHandle, time::Instant};

/// The one cluster of this binary, whole again: for one test at a time.
fn cluster() -> MutexGuard<'static, Cluster> {
    static CLUSTER: LazyLock<Mutex<Cluster>> = LazyLock::new(|| Mutex::new(Cluster::start()));
    let cluster = CLUSTER.lock().unwrap_or_else(PoisonError::into_inner);
    cluster.mend();
    cluster
}

/// Between ten publishings and the next ten.
const PACE: Duration = Duration::from_millis(10);

fn quorum() -> Topology {
    Topology { queues: vec![Queue::quorum("all")], ..topology("all", "#") }
}

/// What was confirmed and what arrived so far.
#[derive(Debug, Default)]
struct Tally {
    confirmed: BTreeSet<u64>,
    arrived: BTreeSet<u64>,
}

/// A publisher and a consumer of one queue, both busy until they are stopped.
struct Traffic {
    tally: Arc<Mutex<Tally>>,
    publishing: watch::Receiver<Link>,
    consuming: watch::Receiver<Link>,
    stop: watch::Sender<bool>,
    publisher: JoinHandle<()>,
    consumer: JoinHandle<()>,
}

impl Traffic {
    async fn begin(url: &str) -> Self {
        let mut config = config(url);
        config.backoff_max = Duration::from_secs(10);
        config.connect_timeout = Duration::from_secs(5);
        config.call_timeout = Duration::from_secs(5);
        config.confirm_timeout = Duration::from_secs(15);
        let publisher = publisher(config.clone(), quorum()).await;
        let consumer = Transport::amqp(config).consumer(quorum(), Consume::new("all").prefetch(100));
        up(&mut consumer.link()).await;
        let (tally, stop) = (Arc::<Mutex<Tally>>::default(), watch::channel(false).0);
        Self {
            publishing: publisher.link(),
            consuming: consumer.link(),
            publisher: tokio::spawn(publish(publisher, tally.clone(), stop.subscribe())),
            consumer: tokio::spawn(consume(consumer, tally.clone())),
            tally,
            stop,
        }
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap()
    }

    /// Waits until so many more were confirmed and have arrived; how long each took.
    async fn more(&self, count: usize) -> (Duration, Duration) {
        let (confirmed, arrived) = {
            let tally = self.tally();
            (tally.confirmed.len() + count, tally.arrived.len() + count)
        };
        let confirms = self.until("more confirms", |tally| tally.confirmed.len() >= confirmed);
        let arrivals = self.until("more arrivals", |tally| tally.arrived.len() >= arrived);
        tokio::join!(confirms, arrivals)
    }

    /// Waits until the tally is as wanted; how long that took.
    async fn until(&self, what: &str, wanted: impl Fn(&Tally) -> bool) -> Duration {
        let begun = Instant::now();
        while !wanted(&self.tally()) {
            assert!(begun.elapsed() < support::LIMIT, "waited in vain for {what}: {}", self.state());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        begun.elapsed()
    }

    fn state(&self) -> String {
        let (confirmed, arrived) = {
            let tally = self.tally();
            (tally.confirmed.len(), tally.arrived.len())
        };
        let links = (self.publishing.borrow().clone(), self.consuming.borrow().clone());
        format!("{confirmed} confirmed, {arrived} arrived; {links:?}")
    }

    /// Publishes no more; all that was confirmed arrives.
    async fn end(mut self, what: &str) {
        self.stop.send_replace(true);
        let ended = tokio::time::timeout(support::LIMIT, &mut self.publisher).await;
        ended.unwrap_or_else(|_| panic!("not all was confirmed: {}", self.state())).unwrap();
        let all = |tally: &Tally| tally.confirmed.is_subset(&tally.arrived);
        self.until("all that was confirmed to arrive", all).await;
        println!("{what}: {} published, none lost", self.tally().confirmed.len());
        self.consumer.abort();
    }
}

/// A few at a time, each again until it is confirmed.
async fn publish(mut publisher: Publisher, tally: Arc<Mutex<Tally>>, stop: watch::Receiver<bool>) {
    let mut links = publisher.link();
    let (mut next, mut again) = (0, Vec::new());
    // what three nodes on two cores can do beside other tests
    let mut pace = tokio::time::interval(PACE);
    while !*stop.borrow() || !again.is_empty() {
        pace.tick().await;
        up(&mut links).await;
        let mut batch = std::mem::take(&mut again);
        while batch.len() < 10 && !*stop.borrow() {
            batch.push(next);
            next += 1;
        }
        let count = batch.len();
        publisher.submit(batch.into_iter().map(|token| publishing(token, "a.b.c")).collect()).await.unwrap();
        for (token, outcome) in outcomes(&mut publisher, count).await {
            match outcome {
                PublishOutcome::Confirmed { returned: false } => {
                    tally.lock().unwrap().confirmed.insert(token);
                }
                _ => again.push(token),
            }
        }
    }
}

async fn consume(mut consumer: Consumer, tally: Arc<Mutex<Tally>>) {
    while let Some(delivery) = consumer.next().await {
        tally.lock().unwrap().arrived.insert(support::body(&delivery));
        if consumer.settle(delivery.tag, Settle::Ack).await.is_err() {
            return;
        }
    }
}

/// The place of the node that a link is on.
fn place(cluster: &Cluster, link: &watch::Receiver<Link>) -> Option<usize> {
    let Link::Up { broker, .. } = &*link.borrow() else { return None };
    let is_there = |node: &testkit::Node| broker.ends_with(&format!(":{}", node.port()));
    cluster.nodes().iter().position(is_there)
}

async fn elsewhere(cluster: &Cluster, link: &watch::Receiver<Link>, node: usize) {
    let what = "the link to be up on another node";
    wait_until(what, support::LIMIT, async || {
        place(cluster, link).is_some_and(|at| at != node).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::await_holding_lock, reason = "one test at a time has the cluster")]
async fn the_node_that_we_are_on_is_killed_and_publisher_and_consumer_go_on_on_another() {
    let cluster = cluster();
    let traffic = Traffic::begin(&cluster.vhost("here")).await;
    traffic.more(300).await;
    assert_eq!(place(&cluster, &traffic.publishing), Some(0));
    assert_eq!(place(&cluster, &traffic.consuming), Some(0));
    cluster.nodes()[0].kill9();
    let (confirms, arrivals) = traffic.more(100).await;
    println!("our node killed: 100 confirms after {confirms:.1?}, 100 arrivals after {arrivals:.1?}");
    elsewhere(&cluster, &traffic.publishing, 0).await;
    elsewhere(&cluster, &traffic.consuming, 0).await;
    traffic.end("our node killed").await;
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::await_holding_lock, reason = "one test at a time has the cluster")]
async fn the_leader_of_the_queue_is_killed_and_nothing_is_lost_though_we_are_on_another_node() {
    let cluster = cluster();
    cluster.vhost("leader");
    // who declares a quorum queue gets its leader
    drop(publisher(config(&cluster.url_from(2, "leader")), quorum()).await);
    let leader = cluster.leader("leader", "all");
    let ours = (leader + 1) % 3;
    let traffic = Traffic::begin(&cluster.url_from(ours, "leader")).await;
    traffic.more(300).await;
    assert_eq!(place(&cluster, &traffic.publishing), Some(ours));
    cluster.nodes()[leader].kill9();
    let (confirms, arrivals) = traffic.more(100).await;
    println!("the leader killed: 100 confirms after {confirms:.1?}, 100 arrivals after {arrivals:.1?}");
    assert_ne!(cluster.leader("leader", "all"), leader);
    assert_eq!(place(&cluster, &traffic.publishing), Some(ours), "our node is well");
    traffic.end("the leader killed").await;
}

/// Channels, each with its first publishing at another moment of an election.
const LANES: u16 = 32;

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::await_holding_lock, reason = "one test at a time has the cluster")]
async fn a_channel_that_stands_still_since_an_election_is_replaced_and_what_goes_by_it_is_answered_soon() {
    let cluster = cluster();
    cluster.vhost("election");
    drop(publisher(config(&cluster.url_from(2, "election")), quorum()).await);
    let leader = cluster.leader("election", "all");
    let ours = (leader + 1) % 3;
    let mut config = config(&cluster.url_from(ours, "election"));
    (config.confirm_timeout, config.channels) = (Duration::from_secs(1), LANES);
    let mut publisher = publisher(config, quorum()).await;

    cluster.nodes()[leader].kill9();
    let killed = Instant::now();
    let of_lane = |lane: u64| Publishing { lane: u32::try_from(lane).unwrap(), ..publishing(lane, "a.b.c") };
    let (mut answered, mut lost) = (BTreeMap::new(), BTreeSet::new());
    let (mut begins, mut again) = (0..u64::from(LANES), Vec::new());
    let mut pace = tokio::time::interval(Duration::from_millis(25));
    while answered.len() < usize::from(LANES) {
        assert!(killed.elapsed() < support::LIMIT, "of {LANES} channels {} are answered", answered.len());
        tokio::select! {
            _ = pace.tick() => {
                again.extend(begins.next());
                publisher.submit(again.drain(..).map(of_lane).collect()).await.unwrap();
            }
            settled = publisher.settlements() => for Settlement { token, outcome } in settled.unwrap() {
                match outcome {
                    PublishOutcome::Lost => {
                        again.push(token);
                        lost.insert(token);
                    }
                    // a queue without a leader refuses some
                    answer => assert!(answered.insert(token, answer).is_none()),
                }
            },
        }
    }
    let took = killed.elapsed();
    let refused = answered.values().filter(|answer| **answer == PublishOutcome::Nacked).count();
    println!(
        "of {LANES} channels {} stood still, {refused} were refused; all were answered {took:.1?} after the kill",
        lost.len()
    );
    // who stands still does so for more than a minute
    assert!(took < Duration::from_secs(40), "{took:?}");
    let is_first = matches!(*publisher.link().borrow(), Link::Up { generation: 1, .. });
    assert!(is_first, "the connection is the same");
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::await_holding_lock, reason = "one test at a time has the cluster")]
async fn a_channel_that_refuses_since_before_an_election_is_replaced_though_the_old_leader_stays_away() {
    let cluster = cluster();
    cluster.vhost("refusing");
    drop(publisher(config(&cluster.url_from(2, "refusing")), quorum()).await);
    let leader = cluster.leader("refusing", "all");
    let (ours, other) = ((leader + 1) % 3, (leader + 2) % 3);
    let mut config = config(&cluster.url_from(ours, "refusing"));
    config.confirm_timeout = Duration::from_secs(2);
    let mut publisher = publisher(config, quorum()).await;

    // nobody can be elected until the other one goes on
    cluster.nodes()[other].pause();
    cluster.nodes()[leader].kill9();
    let mut again = Some(0);
    let mut refused = 0;
    let mut elected = None;
    let confirmed = async {
        let mut pace = tokio::time::interval(Duration::from_millis(50));
        loop {
            tokio::select! {
                _ = pace.tick() => if let Some(token) = again.take() {
                    publisher.submit(vec![publishing(token, "a.b.c")]).await.unwrap();
                },
                settled = publisher.settlements() => for Settlement { token, outcome } in settled.unwrap() {
                    match outcome {
                        PublishOutcome::Confirmed { .. } => return,
                        PublishOutcome::Nacked => refused += 1,
                        outcome => println!("{outcome:?}"),
                    }
                    again = Some(token + 1);
                    if elected.is_none() {
                        cluster.nodes()[other].unpause();
                        elected = Some(Instant::now());
                    }
                },
            }
        }
    };
    tokio::time::timeout(support::LIMIT, confirmed).await.expect("what is published is confirmed");
    let took = elected.expect("nothing is confirmed before there is a leader").elapsed();
    println!("refused {refused} times; confirmed {took:.1?} after another leader could be elected");
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::await_holding_lock, reason = "one test at a time has the cluster")]
async fn our_node_is_cut_off_from_the_others_and_nothing_is_lost_until_it_is_back() {
    let cluster = cluster();
    let traffic = Traffic::begin(&cluster.vhost("apart")).await;
    traffic.more(300).await;
    cluster.cut_off(0);
    // From RabbitMQ 4.3 on nobody pauses: what is published there waits for its confirm until the partition is healed.
    if cluster.nodes()[0].version() < (4, 3) {
        let (confirms, arrivals) = traffic.more(100).await;
        println!("our node paused: 100 confirms after {confirms:.1?}, 100 arrivals after {arrivals:.1?}");
        elsewhere(&cluster, &traffic.publishing, 0).await;
    }
    cluster.mend();
    traffic.more(100).await;
    traffic.end("a partition healed").await;
}
