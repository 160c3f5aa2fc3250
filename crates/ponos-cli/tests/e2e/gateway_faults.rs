//! `ponos gateway` while its broker stands still, has an alarm, is killed and restarted: whatever was accepted arrives, with the id
//! and the body that it was sent with.

use super::{
    config::file,
    gateway::{CLOUD_EVENT, Gateway, QUEUE, event, gateway_at, seen},
    serve::{Answer, ask_as},
    support::{LIMIT, declare_all, transport, wait},
};
use ponos::{
    broker::{Consume, Settle},
    topology::Topology,
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    io::ErrorKind,
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};
use testkit::{Node, Signal, block_until_or_tell};

/// Senders at a time, and how many events each has.
const SENDERS: usize = 4;
const EVENTS: usize = 60;

/// Sends an event again under the same id until it is accepted, and counts how often that was.
fn send(address: &str, id: &str, accepted: &AtomicUsize) {
    let mut placed = event(id, "order.item.placed");
    placed["data"] = json!({ "id": id });
    let body = placed.to_string();
    // a broker that is killed meanwhile has to be back first, and the gateway connected to it
    testkit::block_until(&format!("{id} to be accepted"), LIMIT * 3, || {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let head = format!("Content-Type: {CLOUD_EVENT}\r\n");
        let answer = ask_as(stream, "POST", "/v1/events", &head, &body);
        if answer.status == 202 {
            accepted.fetch_add(1, Ordering::Relaxed);
            return Some(());
        }
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert!(answer.head.contains("retry-after: "), "{}", answer.head);
        None
    });
}

/// What the queue has: bodies by id, and how many there are of each. All of these ids are waited for; others may be there too.
fn arrived(url: &str, wanted: &[String]) -> BTreeMap<String, (Vec<u8>, usize)> {
    wait(async {
        let mut consumer = transport(url).consumer(Topology::default(), Consume::new(QUEUE).prefetch(100));
        let mut found: BTreeMap<String, (Vec<u8>, usize)> = BTreeMap::new();
        // once all are there, for as long as more come
        loop {
            let is_whole = wanted.iter().all(|id| found.contains_key(id));
            let patience = if is_whole { Duration::from_millis(500) } else { LIMIT };
            let Ok(Some(delivery)) = tokio::time::timeout(patience, consumer.next()).await else {
                return found;
            };
            let id = delivery.message.properties.message_id.clone().unwrap();
            let (body, count) = found.entry(id).or_insert_with(|| (delivery.message.body.clone(), 0));
            assert_eq!(*body, delivery.message.body, "another body under the same id");
            *count += 1;
            // an error: it comes again, and is counted again
            let _ = consumer.settle(delivery.tag, Settle::Ack).await;
        }
    })
}

/// One that waits so long for confirms.
fn gateway(node: &Node, confirm: &str) -> Gateway {
    let text = format!("service = \"edge\"\n[gateway]\nlisten = \"127.0.0.1:0\"\nconfirm = {confirm:?}\n");
    let gateway = gateway_at(node.url(), file(&text).0, ("NO_KEY", ""));
    gateway.is_ready();
    gateway
}

fn post(gateway: &Gateway, id: &str) -> Answer {
    let head = format!("Content-Type: {CLOUD_EVENT}\r\n");
    gateway.ask(("POST", "/v1/events"), &head, &event(id, "order.item.placed").to_string())
}

#[test]
fn whatever_was_accepted_arrives_through_alarms_kills_and_an_orderly_end() {
    let node = Node::start();
    declare_all(&node.url(), &seen());
    node.write_down();
    // long enough for the broker to say that it has an alarm, which it does once something is published
    let hasty = gateway(&node, "3s");
    // an alarm: what is being sent has no confirm in time, and what comes then is refused at once
    node.raise_memory_alarm();
    let alarmed = post(&hasty, "alarmed");
    assert_eq!((alarmed.status, &alarmed.body["code"]), (503, &json!("unconfirmed")), "{}", alarmed.body);
    let knows = || {
        let answer = hasty.ask(("GET", "/readyz"), "", "");
        (answer.status == 503 && answer.body["code"] == "blocked").then_some(())
    };
    block_until_or_tell("the alarm to be known", LIMIT, knows, || hasty.running.err());
    let refused = post(&hasty, "refused");
    assert_eq!((refused.status, &refused.body["code"]), (503, &json!("blocked")), "{}", refused.body);
    assert!(refused.head.contains("retry-after: "), "{}", refused.head);
    node.clear_memory_alarm();
    hasty.is_ready();
    let gateway = gateway(&node, "30s");

    // killed and restarted while events come in
    let accepted = Arc::new(AtomicUsize::new(0));
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (address, accepted) = (gateway.address.clone(), Arc::clone(&accepted));
            thread::spawn(move || {
                (0..EVENTS).for_each(|number| send(&address, &format!("{sender}-{number}"), &accepted))
            })
        })
        .collect();
    let many = |count: usize| {
        let told = || format!("{} of them; {}", accepted.load(Ordering::Relaxed), gateway.running.err());
        block_until_or_tell(
            "events to be accepted",
            LIMIT,
            || (accepted.load(Ordering::Relaxed) >= count).then_some(()),
            told,
        );
    };
    many(SENDERS * EVENTS / 4);
    node.kill9();
    node.restart();
    for sender in senders {
        sender.join().unwrap();
    }

    // the end while a confirm is awaited: it is answered, once the broker has it
    gateway.is_ready();
    node.pause();
    let mut last = TcpStream::connect(&gateway.address).unwrap();
    last.set_read_timeout(Some(LIMIT)).unwrap();
    let waiting = thread::spawn(move || {
        let head = format!("Content-Type: {CLOUD_EVENT}\r\n");
        ask_as(&mut last, "POST", "/v1/events", &head, &event("last", "order.item.placed").to_string())
    });
    let unconfirmed = || gateway.metrics().contains("ponos_gateway_unconfirmed 1").then_some(());
    block_until_or_tell("the last one to be sent", LIMIT, unconfirmed, || gateway.running.err());
    gateway.running.program.signal(Signal::TERM);
    gateway.running.says("stopping; a second signal stops at once");
    block_until_or_tell(
        "the address to be free",
        LIMIT,
        || {
            TcpStream::connect(&gateway.address)
                .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
                .then_some(())
        },
        || gateway.running.err(),
    );
    node.unpause();
    let answer = waiting.join().unwrap();
    assert_eq!(answer.status, 202, "{}", answer.body);
    let ended = gateway.running.end();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.err.contains("all that was accepted is confirmed"), "{}", ended.err);

    let numbered =
        (0..SENDERS).flat_map(|sender| (0..EVENTS).map(move |number| format!("{sender}-{number}")));
    let wanted: Vec<String> = numbered.chain(["last".to_owned()]).collect();
    let found = arrived(&node.url(), &wanted);
    assert!(found.contains_key("last"));
    for id in &wanted[..SENDERS * EVENTS] {
        let (body, _) = found.get(id).unwrap_or_else(|| panic!("{id} was accepted, and is lost"));
        assert_eq!(*body, json!({ "id": id }).to_string().into_bytes());
    }
}
