//! Publishes messages whose headers are nested deeper than any client builds them: frames of AMQP 0-9-1, by hand.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

/// Longer than a broker that works takes for an answer, on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const FRAME_END: u8 = 0xce;

/// A field value: lists within lists, `levels` of them.
pub fn nested_lists(levels: usize) -> Vec<u8> {
    nested(levels, b"A", 0)
}

/// A field value: tables within tables, `levels` of them, each the only entry of the one around it.
pub fn nested_tables(levels: usize) -> Vec<u8> {
    nested(levels, b"\0F", 1)
}

/// `opening` before the length of each level; the first level has no `name` of its own.
fn nested(levels: usize, opening: &[u8], name: usize) -> Vec<u8> {
    let width = opening.len() + 4;
    let levels = (0..levels).rev().flat_map(|inner| [opening, &length(inner * width)].concat());
    levels.skip(name).collect()
}

/// Publishes an event by CloudEvents' binary mode, with a header `nested` of that field value, and waits until the broker
/// has confirmed it. `url` is that of a private node.
///
/// # Panics
/// When the broker does not take it.
pub fn publish_nested(url: &str, (exchange, key): (&str, &str), (name, id): (&str, &str), nested: &[u8]) {
    let (userinfo, place) = url.strip_prefix("amqp://").unwrap().split_once('@').unwrap();
    let (user, password) = userinfo.split_once(':').unwrap();
    let (address, vhost) = place.split_once('/').unwrap();
    let mut broker = Raw(TcpStream::connect(address).unwrap());
    broker.0.set_read_timeout(Some(LIMIT)).unwrap();
    broker.0.write_all(b"AMQP\0\0\x09\x01").unwrap();
    broker.await_method(10, 10);
    let response = format!("\0{user}\0{password}");
    broker.method(0, 10, 11, &[&length(0)[..], &short("PLAIN"), &long(&response), &short("en_US")].concat());
    let tune = broker.await_method(10, 30);
    // the broker's own limits, without a heartbeat
    broker.method(0, 10, 31, &[&tune[..6], &[0, 0]].concat());
    broker.method(0, 10, 40, &[&short(vhost)[..], &[0, 0]].concat());
    broker.await_method(10, 41);
    broker.method(1, 20, 10, &[0]);
    broker.await_method(20, 11);
    broker.method(1, 85, 10, &[0]);
    broker.await_method(85, 11);
    broker.method(1, 60, 40, &[&[0, 0], &short(exchange)[..], &short(key), &[0]].concat());
    let texts = [
        ("cloudEvents_specversion", "1.0"),
        ("cloudEvents_id", id),
        ("cloudEvents_type", name),
        ("cloudEvents_source", "/tests"),
    ];
    let mut table: Vec<u8> =
        texts.iter().flat_map(|(name, text)| [&short(name)[..], b"S", &long(text)].concat()).collect();
    table.extend([&short("nested"), nested].concat());
    // content type, headers, delivery mode, message id
    let flags = 0x8000_u16 | 0x2000 | 0x1000 | 0x0080;
    let body = b"{}";
    let header = [
        &60_u16.to_be_bytes()[..],
        &[0, 0],
        &(body.len() as u64).to_be_bytes(),
        &flags.to_be_bytes(),
        &short("application/json"),
        &length(table.len()),
        &table,
        &[2],
        &short(id),
    ];
    broker.frame(HEADER, 1, &header.concat());
    broker.frame(BODY, 1, body);
    broker.await_method(60, 80);
}

/// A connection of which only frames are known.
struct Raw(TcpStream);

impl Raw {
    fn frame(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        let channel = channel.to_be_bytes();
        let parts = [&[kind][..], &channel, &length(payload.len()), payload, &[FRAME_END]];
        self.0.write_all(&parts.concat()).unwrap();
    }

    fn method(&mut self, channel: u16, class: u16, method: u16, arguments: &[u8]) {
        let payload = [&class.to_be_bytes()[..], &method.to_be_bytes(), arguments];
        self.frame(METHOD, channel, &payload.concat());
    }

    /// Its arguments.
    fn await_method(&mut self, class: u16, method: u16) -> Vec<u8> {
        let mut head = [0; 7];
        self.0.read_exact(&mut head).unwrap();
        let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
        let mut payload = vec![0; usize::try_from(size).unwrap() + 1];
        self.0.read_exact(&mut payload).unwrap();
        let wanted = [class.to_be_bytes(), method.to_be_bytes()].concat();
        let said = String::from_utf8_lossy(&payload);
        assert!(head[0] == METHOD && payload.starts_with(&wanted), "{class}.{method} awaited, got {said:?}");
        payload.split_off(wanted.len())
    }
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap().to_be_bytes()
}

fn short(text: &str) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

fn long(text: &str) -> Vec<u8> {
    [&length(text.len()), text.as_bytes()].concat()
}
