//! Reads server-sent events (WHATWG HTML, §9.2.6). Pure: bytes in, messages out.

/// The longest line, and the most data of one event, in bytes.
const LONGEST: usize = 1 << 20;

/// One event of a feed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// The last id seen: by which the feed is resumed.
    pub id: Option<String>,
    /// Its name; `message` if none was given.
    pub event: String,
    /// Its data.
    pub data: String,
}

/// The feed exceeded the event size limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the feed has an event of more than {LONGEST} bytes")]
pub(super) struct TooLong;

/// Collects lines until an event is whole.
#[derive(Debug, Default)]
pub(super) struct Parser {
    line: Vec<u8>,
    after_return: bool,
    event: String,
    data: String,
    /// Of the event that is being read.
    next_id: Option<String>,
    id: Option<String>,
}

impl Parser {
    /// Takes bytes in and gives the events that became whole.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Message>, TooLong> {
        let mut messages = Vec::new();
        for byte in bytes {
            let after_return = std::mem::replace(&mut self.after_return, *byte == b'\r');
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => {
                    let line = std::mem::take(&mut self.line);
                    messages.extend(self.end_of_line(&String::from_utf8_lossy(&line)));
                }
                _ => self.line.push(*byte),
            }
            if self.line.len() + self.data.len() > LONGEST {
                return Err(TooLong);
            }
        }
        Ok(messages)
    }

    /// The last id seen of what is whole.
    pub(super) fn last_id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    fn end_of_line(&mut self, line: &str) -> Option<Message> {
        if line.is_empty() {
            // Not before the event is whole: one that is cut off must come again.
            self.id.clone_from(&self.next_id);
            let event = std::mem::take(&mut self.event);
            let mut data = std::mem::take(&mut self.data);
            // The line end behind the last of its lines; those before belong to the data, empty lines too.
            data.pop()?;
            let event = if event.is_empty() { "message".into() } else { event };
            return Some(Message { id: self.id.clone(), event, data });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => self.next_id = Some(value.to_owned()),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEED: &str = ": khronos\nid: 7\n\nid: 8\r\nevent: time.one-day.passed\r\ndata: {\"a\":1}\r\n\r\ndata:x\ndata: y\n\n";

    #[test]
    fn events_are_read_however_the_bytes_are_cut() {
        for cut in 1..FEED.len() {
            let mut parser = Parser::default();
            let messages: Vec<Message> =
                FEED.as_bytes().chunks(cut).flat_map(|bytes| parser.feed(bytes).unwrap()).collect();
            let first = Message {
                id: Some("8".into()),
                event: "time.one-day.passed".into(),
                data: "{\"a\":1}".into(),
            };
            let second = Message { id: Some("8".into()), event: "message".into(), data: "x\ny".into() };
            assert_eq!(messages, [first, second], "cut at {cut}");
        }
    }

    #[test]
    fn an_id_without_data_is_remembered_and_is_no_event() {
        let mut parser = Parser::default();
        assert_eq!(parser.feed(b"id: 7\n\n").unwrap(), []);
        assert_eq!(parser.last_id(), Some("7"));
        assert_eq!(parser.feed(b"id: 8\nevent: x\n").unwrap(), []);
        assert_eq!(parser.last_id(), Some("7"), "the event is not whole yet");
        assert_eq!(parser.feed(b"data: y\n\n").unwrap().len(), 1);
        assert_eq!(parser.last_id(), Some("8"));
    }

    #[test]
    fn empty_lines_of_data_are_data() {
        let mut parser = Parser::default();
        let data = |message: &Message| message.data.clone();
        let messages = parser.feed(b"data: a\ndata:\ndata\n\ndata\n\n").unwrap();
        assert_eq!(messages.iter().map(data).collect::<Vec<_>>(), ["a\n\n", ""]);
    }

    #[test]
    fn an_endless_line_is_refused() {
        assert_eq!(Parser::default().feed(&vec![b'a'; LONGEST + 1]), Err(TooLong));
    }
}
