//! Compressed bodies: a program is given them inflated, people are shown them so, and what inflates to gigabytes costs no memory.

use super::support::{LIMIT, declare, holds, look, ponos_ends, put, start};
use ponos::{
    compression,
    event::{Event, Message},
    topology::worker::TASKS,
};
use serde_json::{Value, json};
use testkit::{Node, Signal};

const QUEUE: &str = "shop.stock.shelf.clean";
const LETTERS: &str = "shop.stock.shelf.clean.dlq";
/// Of a worker that has four at a time: what one may inflate to, twice where it grows, and as large a window.
const MEMORY: usize = 300_000_000;

fn task(id: &str, body: impl Into<Vec<u8>>) -> Message {
    let name = "stock.shelf.clean".parse().unwrap();
    let mut message = Event::new(id.parse().unwrap(), "/shop", name, body).into_message();
    message.routing_key = QUEUE.into();
    message
}

/// 256 KiB of zstd that inflate to 8 GiB of spaces: a window of 16 MiB, and blocks of one byte, 128 KiB times.
fn gibibytes(id: &str) -> Message {
    const BLOCKS: u32 = 64 << 10;
    let block = |number: u32| (128 << 10 << 3) | (1 << 1) | u32::from(number == BLOCKS);
    let blocks = (1..=BLOCKS).flat_map(|number| {
        let [low, middle, high, _] = block(number).to_le_bytes();
        [low, middle, high, b' ']
    });
    let mut message =
        task(id, [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x70].into_iter().chain(blocks).collect::<Vec<u8>>());
    message.properties.content_encoding = Some("zstd".into());
    message
}

/// The most memory that a process ever had, in bytes.
fn peak(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[test]
fn what_inflates_to_gigabytes_is_dead_with_the_reason_and_costs_no_memory() {
    let url = Node::shared().vhost("run-compressed");
    declare(&url, QUEUE);
    let shelf = json!({ "shelf": "a".repeat(5_000) }).to_string();
    let mut good = task("good", shelf.clone());
    assert!(compression::gzip(&mut good));
    let bombs = (0..8).map(|number| gibibytes(&format!("large-{number}")));
    put(&url, TASKS, bombs.chain([good.clone()]).collect());
    let words = ["run", "--service", "shop", "--task", "stock.shelf.clean", "--concurrency", "4"];
    let mut running = start(&url, &[&words[..], &["--", "cat"]].concat());
    holds(&url, LETTERS, 8);
    testkit::block_until("the good one to be done", LIMIT, || (running.out().trim() == shelf).then_some(()));
    let peak = peak(running.program.id());
    running.program.signal(Signal::TERM);
    assert_eq!(running.program.wait(LIMIT), Some(0), "{}", running.err());
    assert!(peak < MEMORY, "{} MB", peak / 1_000_000);
    let letter = look(&url, LETTERS, 1).remove(0);
    assert_eq!(letter.headers.text("dead-kind"), Some("too-large"));
    let reason = letter.headers.text("dead-reason").unwrap();
    assert!(reason.contains("inflates to more than 16777216 bytes"), "{reason}");
    assert_eq!(letter.body.len(), gibibytes("any").body.len());
}

#[test]
fn a_dead_letter_is_shown_inflated_and_requeued_as_it_came() {
    let url = Node::shared().vhost("dead-compressed");
    declare(&url, QUEUE);
    let whole = json!({
        "specversion": "1.0", "id": "whole", "source": "/s", "type": "stock.shelf.clean", "data": "a".repeat(300)
    });
    let mut message = Message { routing_key: QUEUE.into(), ..Message::default() };
    message.properties.message_id = Some("the property's".into());
    message.properties.content_type = Some("application/cloudevents+json".into());
    message.body = whole.to_string().into_bytes();
    assert!(compression::gzip(&mut message));
    put(&url, "dlx", vec![message.clone()]);
    holds(&url, LETTERS, 1);
    let shown = ponos_ends(&url, &["dead", "show", "whole", "--queue", QUEUE], 0);
    let body = format!("body ({} bytes of gzip)", message.body.len());
    for part in [body.as_str(), "content_encoding: gzip", "\"source\": \"/s\""] {
        assert!(shown.out.contains(part), "{part}: {}", shown.out);
    }
    holds(&url, LETTERS, 1);
    let shown = ponos_ends(&url, &["dead", "show", "whole", "--queue", QUEUE, "--json"], 0);
    let shown: Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(shown["message"]["body"], whole);
    holds(&url, LETTERS, 1);
    let ended = ponos_ends(&url, &["dead", "requeue", "whole", "--queue", QUEUE], 0);
    assert!(ended.err.contains("1 requeued, 0 stayed"), "{}", ended.err);
    holds(&url, QUEUE, 1);
    let again = look(&url, QUEUE, 1).remove(0);
    assert_eq!((again.body, again.properties.content_encoding.as_deref()), (message.body, Some("gzip")));
}
