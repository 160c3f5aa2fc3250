//! The outbox's relay, to the in-memory broker and to RabbitMQ.
#![cfg(feature = "postgres")]

use ponos::{
    broker::{
        Consume, Delivery, Transport,
        amqp::{self, AmqpConfig},
        memory,
    },
    event::{EventId, Message, Properties},
    inbox::{
        Begun, Held, Inbox, InboxKey,
        postgres::{OutboxStatus, PostgresOptions},
    },
    shutdown::{Trigger, shutdown},
    topology::{Binding, Exchange, Queue, Topology},
};
use std::{collections::HashSet, time::Duration};
use testkit::{Postgres, wait_until};
use tokio::task::JoinHandle;

const LIMIT: Duration = Duration::from_secs(60);

fn topology() -> Topology {
    Topology {
        exchanges: vec![Exchange::topic("events"), Exchange::direct("tasks")],
        queues: vec![
            Queue::classic("q"),
            Queue::classic("full").with("x-max-length", 0).with("x-overflow", "reject-publish"),
        ],
        bindings: vec![Binding::queue("events", "q", "a.#"), Binding::queue("events", "full", "full")],
        ..Topology::default()
    }
}

async fn inbox(url: &str) -> Inbox {
    Inbox::postgres(url, PostgresOptions::new("docker")).await.unwrap()
}

fn held(exchange: &str, key: &str, id: &str) -> Held {
    let properties = Properties { message_id: Some(id.into()), persistent: true, ..Properties::default() };
    let message = Message { routing_key: key.into(), properties, body: id.into(), ..Message::default() };
    Held { id: id.parse().unwrap(), exchange: exchange.into(), message, due: None }
}

async fn publish(inbox: &Inbox, run: &str, publishes: Vec<Held>) {
    let id: EventId = run.parse().unwrap();
    let key = InboxKey { queue: "docker.time".into(), handler: "time.#".into(), source: "/shop".into(), id };
    let Begun::Run(entry) = inbox.begin(&key).await.unwrap() else { panic!("{key} was handled") };
    entry.done(publishes).await.unwrap();
}

/// A relay that runs until told.
struct Running(Trigger, JoinHandle<()>);

impl Running {
    fn start(inbox: &Inbox, publisher: ponos::broker::Publisher) -> Self {
        let relay = inbox.relay(publisher).unwrap();
        let (trigger, shutdown) = shutdown();
        Self(trigger, tokio::spawn(async move { relay.run(&shutdown).await }))
    }

    async fn drain(self) {
        self.0.advance();
        tokio::time::timeout(LIMIT, self.1).await.expect("the relay stops").unwrap();
    }
}

async fn status_becomes(inbox: &Inbox, what: &str, wanted: impl Fn(&OutboxStatus) -> bool) {
    wait_until(what, LIMIT, async || {
        let status = inbox.outbox().await.unwrap().unwrap();
        wanted(&status).then_some(())
    })
    .await;
}

fn id(delivery: &Delivery) -> String {
    delivery.message.properties.message_id.clone().unwrap()
}

#[tokio::test]
async fn what_a_run_published_arrives_in_its_order_and_leaves_the_outbox() {
    let inbox = inbox(&Postgres::shared().database("order")).await;
    let broker = memory::Broker::new();
    let relay = Running::start(&inbox, broker.publisher(topology()));
    for run in 0..10 {
        let publishes = (0..120).map(|n| held("events", "a.b", &format!("{run}-{n}"))).collect();
        publish(&inbox, &run.to_string(), publishes).await;
    }
    status_becomes(&inbox, "an empty outbox", |status| status.waiting == 0).await;
    relay.drain().await;
    let arrived: Vec<String> = std::iter::from_fn(|| broker.get("q")).map(|delivery| id(&delivery)).collect();
    assert_eq!(arrived.len(), 1200);
    for run in 0..10 {
        let of_run = arrived.iter().filter(|id| id.starts_with(&format!("{run}-")));
        assert!(of_run.eq((0..120).map(|n| format!("{run}-{n}")).collect::<Vec<_>>().iter()));
    }
    assert_eq!(inbox.outbox().await.unwrap().unwrap().oldest, None);
}

#[tokio::test]
async fn what_is_refused_waits_and_lets_those_behind_it_pass() {
    let url = Postgres::shared().database("refused");
    let inbox = inbox(&url).await;
    let broker = memory::Broker::new();
    let relay = Running::start(&inbox, broker.publisher(topology()));
    publish(
        &inbox,
        "1",
        vec![
            held("events", "full", "nacked"),
            held("tasks", "nobody", "unrouted-task"),
            held("events", "nobody", "unrouted-fact"),
            held("events", "a", "good"),
        ],
    )
    .await;
    status_becomes(&inbox, "the refused alone", |status| (status.waiting, status.failing) == (2, 2)).await;
    assert_eq!(broker.get("q").map(|delivery| id(&delivery)).as_deref(), Some("good"));
    let told = Postgres::shared()
        .sql("refused", "select string_agg(last_error, ';' order by seq) from ponos.ponos_outbox");
    assert!(told.contains("nacked was nacked") && told.contains("unrouted-task reached no queue"), "{told}");
    // It is tried again by itself once there is room and somebody.
    let more = Topology {
        queues: vec![Queue::classic("work")],
        bindings: vec![Binding::queue("tasks", "work", "nobody")],
        ..topology()
    };
    broker.declare(&more).unwrap();
    status_becomes(&inbox, "the task to be taken", |status| status.waiting == 1).await;
    assert_eq!(broker.get("work").map(|delivery| id(&delivery)).as_deref(), Some("unrouted-task"));
    relay.drain().await;
    assert_eq!(inbox.outbox().await.unwrap().unwrap().waiting, 1);
}

#[tokio::test]
async fn while_the_broker_is_gone_all_stays_and_goes_when_it_is_back() {
    let inbox = inbox(&Postgres::shared().database("gone")).await;
    let broker = memory::Broker::new();
    let relay = Running::start(&inbox, broker.publisher(topology()));
    publish(&inbox, "0", vec![held("events", "a", "0")]).await;
    status_becomes(&inbox, "the first to be sent", |status| status.waiting == 0).await;
    broker.stop();
    publish(&inbox, "1", vec![held("events", "a", "1")]).await;
    assert_eq!(inbox.outbox().await.unwrap().unwrap().waiting, 1);
    broker.start();
    status_becomes(&inbox, "an empty outbox", |status| status.waiting == 0).await;
    broker.stop();
    publish(&inbox, "2", vec![held("events", "a", "2")]).await;
    relay.drain().await;
    let status = inbox.outbox().await.unwrap().unwrap();
    assert_eq!((status.waiting, status.failing), (1, 0));
}

#[tokio::test]
async fn a_relay_that_is_told_to_drain_sends_what_is_there_first() {
    let inbox = inbox(&Postgres::shared().database("drain")).await;
    let broker = memory::Broker::new();
    for run in 0..3 {
        let publishes = (0..400).map(|n| held("events", "a", &format!("{run}-{n}"))).collect();
        publish(&inbox, &run.to_string(), publishes).await;
    }
    let publisher = broker.publisher(topology());
    let mut link = publisher.link();
    let up = link.wait_for(|link| matches!(link, ponos::broker::Link::Up { .. }));
    tokio::time::timeout(LIMIT, up).await.unwrap().unwrap();
    Running::start(&inbox, publisher).drain().await;
    assert_eq!(inbox.outbox().await.unwrap().unwrap().waiting, 0);
    assert_eq!(broker.queue_depth("q"), Some(1200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_relay_to_rabbitmq_and_nothing_is_missing() {
    let node = testkit::Node::shared();
    let config = AmqpConfig::parse(&node.vhost("relay")).unwrap();
    let url = Postgres::shared().database("replicas");
    let (one, other) = (inbox(&url).await, inbox(&url).await);
    let mut consumer = Transport::amqp(config.clone()).consumer(topology(), Consume::new("q").prefetch(100));
    let relays =
        [&one, &other].map(|inbox| Running::start(inbox, amqp::publisher(config.clone(), topology())));
    for first in (0..100).step_by(10) {
        let runs = (first..first + 10).map(|run| {
            let inbox = if run % 2 == 0 { &one } else { &other };
            let publishes = (0..20).map(|n| held("events", "a", &format!("{run}-{n}"))).collect();
            async move { publish(inbox, &run.to_string(), publishes).await }
        });
        futures_util::future::join_all(runs).await;
    }
    let mut seen = HashSet::new();
    while seen.len() < 2000 {
        let delivery = tokio::time::timeout(LIMIT, consumer.next()).await.expect("all arrive").unwrap();
        seen.insert(id(&delivery));
        consumer.settle(delivery.tag, ponos::broker::Settle::Ack).await.unwrap();
    }
    status_becomes(&one, "an empty outbox", |status| status.waiting == 0).await;
    for relay in relays {
        relay.drain().await;
    }
}

#[tokio::test]
async fn what_nobody_takes_is_parked_and_tried_again_when_somebody_says_so() {
    let inbox = inbox(&Postgres::shared().database("parked")).await;
    let sql = |statement: &str| Postgres::shared().sql("parked", statement);
    let broker = memory::Broker::new();
    let publishes = vec![
        held("tasks", "nobody", "unrouted"),
        held("events", "full", "nacked"),
        held("events", "a", "good"),
    ];
    publish(&inbox, "1", publishes).await;
    // as after an hour
    sql("update ponos.ponos_outbox set attempts = 19");
    let relay = Running::start(&inbox, broker.publisher(topology()));
    let parked = |status: &OutboxStatus| (status.waiting, status.failing, status.parked) == (1, 1, 1);
    status_becomes(&inbox, "what nobody takes to be parked", parked).await;
    assert_eq!(sql("select id from ponos.ponos_outbox where parked is not null"), "unrouted");
    assert!(sql("select last_error from ponos.ponos_outbox where parked is not null").contains("no queue"));
    let more = Topology {
        queues: vec![Queue::classic("work")],
        bindings: vec![Binding::queue("tasks", "work", "nobody")],
        ..topology()
    };
    broker.declare(&more).unwrap();
    sql(
        "update ponos.ponos_outbox set parked = null, attempts = 0, next_try = now() where parked is not null",
    );
    status_becomes(&inbox, "it to be sent", |status| (status.waiting, status.parked) == (1, 0)).await;
    assert_eq!(broker.get("work").map(|delivery| id(&delivery)).as_deref(), Some("unrouted"));
    relay.drain().await;
}

#[tokio::test]
async fn large_messages_are_read_a_few_at_a_time_and_all_arrive() {
    let inbox = inbox(&Postgres::shared().database("large")).await;
    let broker = memory::Broker::new();
    for run in 0..4 {
        let mut large = held("events", "a", &run.to_string());
        large.message.body = vec![b'x'; 9 << 20];
        publish(&inbox, &run.to_string(), vec![large]).await;
    }
    let relay = Running::start(&inbox, broker.publisher(topology()));
    status_becomes(&inbox, "an empty outbox", |status| status.waiting == 0).await;
    relay.drain().await;
    let arrived: Vec<String> = std::iter::from_fn(|| broker.get("q")).map(|delivery| id(&delivery)).collect();
    assert_eq!(arrived, ["0", "1", "2", "3"]);
}

#[tokio::test]
async fn a_relay_ends_though_others_go_on_putting_in() {
    let inbox = inbox(&Postgres::shared().database("busy")).await;
    let broker = memory::Broker::new();
    publish(&inbox, "first", vec![held("events", "a", "first")]).await;
    let relay = Running::start(&inbox, broker.publisher(topology()));
    let other = inbox.clone();
    let busy = tokio::spawn(async move {
        for run in 0.. {
            publish(&other, &run.to_string(), vec![held("events", "a", &run.to_string())]).await;
        }
    });
    status_becomes(&inbox, "the outbox to be in use", |_| broker.queue_depth("q") > Some(10)).await;
    relay.drain().await;
    assert!(!busy.is_finished());
    busy.abort();
}
