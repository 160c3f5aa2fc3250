//! AMQP 0-9-1 on a bare socket: frames written in chunks, confirms counted, nothing else. What the broker can take.

use super::EXCHANGE;
use ponos::event::{HeaderValue, Message};
use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::TcpStream,
};

const WINDOW: u64 = 2_000;
const CHUNK: u64 = 256;

/// A connection with one confirm channel.
pub struct Raw {
    socket: TcpStream,
    /// Read and not yet understood.
    input: Vec<u8>,
    /// All tags up to this one are confirmed …
    confirmed: u64,
    /// … and these above it.
    single: BTreeSet<u64>,
    published: u64,
}

impl Raw {
    pub fn connect(port: u16, vhost: &str) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        socket.set_nodelay(true).unwrap();
        let mut raw = Self { socket, input: Vec::new(), confirmed: 0, single: BTreeSet::new(), published: 0 };
        raw.socket.write_all(b"AMQP\x00\x00\x09\x01").unwrap();
        raw.until(10, 10);
        let mut start = vec![0, 10, 0, 11, 0, 0, 0, 0];
        short(&mut start, "PLAIN");
        long(&mut start, b"\0guest\0guest");
        short(&mut start, "en_US");
        raw.method(0, &start);
        raw.until(10, 30);
        raw.method(0, &[0, 10, 0, 31, 0, 8, 0, 2, 0, 0, 0, 0]);
        let mut open = vec![0, 10, 0, 40];
        short(&mut open, vhost);
        open.extend([0, 0]);
        raw.method(0, &open);
        raw.until(10, 41);
        raw.method(1, &[0, 20, 0, 10, 0]);
        raw.until(20, 11);
        raw.method(1, &[0, 85, 0, 10, 0]);
        raw.until(85, 11);
        raw
    }

    /// Publishes `message` that often, each under an id of its own; returns when the last one is confirmed.
    pub fn burst(&mut self, message: &Message, count: usize) {
        let end = self.published + count as u64;
        let mut chunk = Vec::new();
        while self.published < end {
            let most = CHUNK.min(end - self.published);
            while self.published - self.confirmed + most > WINDOW {
                self.read();
            }
            chunk.clear();
            for number in self.published..self.published + most {
                publish(&mut chunk, message, number);
            }
            self.published += most;
            self.socket.write_all(&chunk).unwrap();
        }
        while self.confirmed < end {
            self.read();
        }
    }

    fn method(&mut self, channel: u16, payload: &[u8]) {
        let mut frame = Vec::new();
        put_frame(&mut frame, 1, channel, payload);
        self.socket.write_all(&frame).unwrap();
    }

    /// Reads until this method comes.
    fn until(&mut self, class: u16, method: u16) {
        loop {
            while let Some(frame) = self.frame() {
                assert!(frame[..4] != [0, 10, 0, 50], "the broker closed: {frame:?}");
                if frame[..4] == [class.to_be_bytes(), method.to_be_bytes()].concat() {
                    return;
                }
            }
            self.fill();
        }
    }

    fn fill(&mut self) {
        let mut buffer = [0; 16_384];
        let count = self.socket.read(&mut buffer).unwrap();
        assert!(count > 0, "the broker hung up");
        self.input.extend_from_slice(&buffer[..count]);
    }

    fn frame(&mut self) -> Option<Vec<u8>> {
        let size = u32::from_be_bytes(self.input.get(3..7)?.try_into().ok()?) as usize;
        let frame = self.input.get(7..7 + size)?.to_vec();
        self.input.get(7 + size)?;
        self.input.drain(..size + 8);
        Some(frame)
    }

    fn read(&mut self) {
        self.fill();
        while let Some(frame) = self.frame() {
            assert!(frame[..4] == [0, 60, 0, 80], "no basic.ack: {frame:?}");
            let tag = u64::from_be_bytes(frame[4..12].try_into().unwrap());
            if frame[12] & 1 == 1 {
                self.confirmed = self.confirmed.max(tag);
                self.single = self.single.split_off(&(tag + 1));
            } else {
                self.single.insert(tag);
            }
            while self.single.remove(&(self.confirmed + 1)) {
                self.confirmed += 1;
            }
        }
    }
}

fn put_frame(out: &mut Vec<u8>, kind: u8, channel: u16, payload: &[u8]) {
    out.push(kind);
    out.extend(channel.to_be_bytes());
    out.extend((payload.len() as u32).to_be_bytes());
    out.extend_from_slice(payload);
    out.push(0xce);
}

fn short(out: &mut Vec<u8>, text: &str) {
    out.push(u8::try_from(text.len()).unwrap());
    out.extend_from_slice(text.as_bytes());
}

fn long(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn publish(out: &mut Vec<u8>, message: &Message, number: u64) {
    let mut method = vec![0, 60, 0, 40, 0, 0];
    short(&mut method, EXCHANGE);
    short(&mut method, &message.routing_key);
    method.push(1); // mandatory
    put_frame(out, 1, 1, &method);
    let own = &message.properties;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let mut header = vec![0, 60, 0, 0];
    header.extend((message.body.len() as u64).to_be_bytes());
    // content-type, headers, delivery-mode, message-id, timestamp, type, user-id, app-id
    header
        .extend((1_u16 << 15 | 1 << 13 | 1 << 12 | 1 << 7 | 1 << 6 | 1 << 5 | 1 << 4 | 1 << 3).to_be_bytes());
    short(&mut header, &text(&own.content_type));
    let mut table = Vec::new();
    for (name, value) in message.headers.iter() {
        short(&mut table, name);
        match value {
            HeaderValue::Int(number) => {
                table.push(b'l');
                table.extend(number.to_be_bytes());
            }
            HeaderValue::Text(text) => {
                table.push(b'S');
                long(&mut table, text.as_bytes());
            }
            other => panic!("{other:?}"),
        }
    }
    long(&mut header, &table);
    header.push(2);
    short(&mut header, &format!("00000000-0000-5000-8000-{number:012}"));
    header.extend((own.timestamp.unwrap().millis() / 1000).to_be_bytes());
    short(&mut header, &text(&own.kind));
    short(&mut header, "guest");
    short(&mut header, &text(&own.app_id));
    put_frame(out, 2, 1, &header);
    put_frame(out, 3, 1, &message.body);
}
