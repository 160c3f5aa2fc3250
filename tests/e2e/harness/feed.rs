//! A reader of server-sent events that knows nothing of the clock's own one.

use super::{Clock, LIMIT};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    net::TcpStream,
};
use testkit::block_until;

pub(crate) struct Feed {
    lines: BufReader<TcpStream>,
    /// The last id seen.
    pub(crate) last: Option<String>,
}

impl Feed {
    /// Opens the feed, after an event if its id is given; waits until somebody answers.
    pub(crate) fn open(clock: &Clock, path: &str, after: Option<&str>) -> Self {
        let header = after.map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
        let stream = block_until("the feed to answer", LIMIT, || clock.request(path, &header));
        let mut feed = Self { lines: BufReader::new(stream), last: after.map(str::to_owned) };
        let status = feed.line().expect("the feed answers");
        assert!(status.contains(" 200 "), "{status}");
        while feed.line().is_some_and(|line| !line.is_empty()) {}
        feed
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(1..) => Some(line.trim_end_matches(['\r', '\n']).to_owned()),
            _ => None,
        }
    }

    /// The next event with its name; `None` when the feed ended.
    pub(crate) fn next(&mut self) -> Option<(String, Value)> {
        let (mut name, mut data, mut id) = (String::new(), String::new(), None);
        loop {
            let line = self.line()?;
            if line.is_empty() {
                // Not before: of an event that was cut off its id has not been seen.
                self.last = id.take().or(self.last.take());
            }
            match line.split_once(": ").unwrap_or((line.trim_end_matches(':'), "")) {
                ("event", value) => value.clone_into(&mut name),
                ("data", value) => data.push_str(value),
                ("id", value) => id = Some(value.to_owned()),
                ("", _) if line.is_empty() && !data.is_empty() => {
                    return Some((name, serde_json::from_str(&data).expect("data is JSON")));
                }
                _ => {}
            }
        }
    }
}
