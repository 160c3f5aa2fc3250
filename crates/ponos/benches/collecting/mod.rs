//! A collector of spans that throws them away: a process of its own, so that its work is not the worker's.
#![allow(unreachable_pub)] // a benchmark is a program

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
};

/// Set for the process that collects spans.
pub const COLLECTS: &str = "COLLECTS";

/// Says where it listens, and thanks for whatever comes, until its standard input ends.
pub fn collect() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("http://{}/v1/traces", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            std::thread::spawn(move || while take(&mut BufReader::new(&stream)).is_some() {});
        }
    });
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// One request, with an answer of no words; `None` at the end.
fn take(stream: &mut BufReader<&TcpStream>) -> Option<()> {
    let (mut line, mut length) = (String::new(), 0);
    while line != "\r\n" {
        line.clear();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(told) = lower.strip_prefix("content-length:") {
            length = told.trim().parse().unwrap();
        }
    }
    std::io::copy(&mut stream.take(length), &mut std::io::sink()).ok()?;
    let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
    stream.get_mut().write_all(answer.as_bytes()).ok()
}

/// A process that collects spans; ends when it is dropped.
pub struct Collecting {
    child: Child,
    pub endpoint: String,
}

impl Collecting {
    pub fn start() -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env(COLLECTS, "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut endpoint = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut endpoint).unwrap();
        Self { child, endpoint: endpoint.trim().to_owned() }
    }
}

impl Drop for Collecting {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}
