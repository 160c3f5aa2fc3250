//! Messages of 100 MB, such as somebody's mistake or malice: dead with the reason, and the worker's memory stays bounded.

use super::support::{LIMIT, declare, holds, ponos_ends, start, transport, wait};
use ponos::{
    broker::{
        Consume, Link, PublishOutcome, Publishing,
        amqp::{self, AmqpConfig},
    },
    event::{Event, Message},
    topology::{Topology, worker::TASKS},
};
use testkit::{Node, Signal};

const QUEUE: &str = "shop.stock.shelf.clean";
const LETTERS: &str = "shop.stock.shelf.clean.dlq";
const BODY: usize = 100_000_000;
const COUNT: u64 = 3;
/// They are dealt with one at a time; on the way to the dead letters one is there several times.
const MEMORY: usize = 550_000_000;

fn message(id: &str, bytes: usize) -> Message {
    let name = "stock.shelf.clean".parse().unwrap();
    let mut message = Event::new(id.parse().unwrap(), "/test", name, vec![b' '; bytes]).into_message();
    message.body.extend_from_slice(b"{}");
    message.routing_key = QUEUE.into();
    message
}

/// One at a time.
async fn put(url: &str, messages: impl Iterator<Item = Message>) {
    let mut config = AmqpConfig::parse(url).unwrap();
    config.confirm_timeout = LIMIT;
    let mut publisher = amqp::publisher(config, Topology::default());
    publisher.link().wait_for(|link| matches!(link, Link::Up { .. })).await.unwrap();
    for (message, token) in messages.zip(0..) {
        let exchange = TASKS.into();
        publisher.submit(vec![Publishing { token, lane: 0, exchange, message }]).await.unwrap();
        let settled = publisher.settlements().await.unwrap();
        assert_eq!(settled[0].outcome, PublishOutcome::Confirmed { returned: false });
    }
}

/// The most memory that a process ever had, in bytes.
fn peak(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[test]
fn bodies_of_100_megabytes_are_dead_with_the_reason_one_at_a_time() {
    // RabbitMQ 4 takes 16 MiB unless it is told otherwise
    let node = Node::builder().configure("max_message_size = 134217728").start();
    let url = node.url();
    declare(&url, QUEUE);
    let large = (0..COUNT).map(|number| message(&format!("large-{number}"), BODY));
    wait(put(&url, large.chain([message("small", 0)])));
    let words = ["run", "--service", "shop", "--task", "stock.shelf.clean", "--concurrency", "4"];
    let mut running = start(&url, &[&words[..], &["--", "echo", "ran"]].concat());
    holds(&url, LETTERS, COUNT);
    testkit::block_until("the small one to be done", LIMIT, || (running.out() == "ran\n").then_some(()));
    let peak = peak(running.program.id());
    running.program.signal(Signal::TERM);
    assert_eq!(running.program.wait(LIMIT), Some(0), "{}", running.err());
    holds(&url, QUEUE, 0);
    assert!(peak < MEMORY, "{} MB", peak / 1_000_000);

    wait(async {
        let mut consumer = transport(&url).consumer(Topology::default(), Consume::new(LETTERS).prefetch(1));
        let letter = consumer.next().await.unwrap().message;
        assert_eq!(letter.body.len(), BODY + 2);
        assert_eq!(letter.headers.text("dead-kind"), Some("too-large"));
        let reason = letter.headers.text("dead-reason").unwrap();
        assert!(reason.contains("100000002 bytes") && reason.contains("16777216"), "{reason}");
    });
    let listed = ponos_ends(&url, &["dead", "list", "--queue", QUEUE, "--limit", "1"], 0);
    assert!(listed.out.contains("too-large"), "{}", listed.out);
}
