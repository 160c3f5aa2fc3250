//! Shows values to people: short, whatever their size.

pub(super) use ponos_event::text::shortened;
use serde::Serialize;
use std::io;

/// How many characters of a value are shown.
pub(super) const VALUE_CHARS: usize = 80;

/// The value as compact JSON, cut after `chars` characters. The cost depends on what is shown, not on the value's size.
pub(super) fn json_excerpt(value: &impl Serialize, chars: usize) -> String {
    let mut sink = Sink { bytes: Vec::new(), room: chars * 4 + 4 };
    // An error means only that the sink is full.
    let _ = serde_json::to_writer(&mut sink, value);
    shortened(&String::from_utf8_lossy(&sink.bytes), chars)
}

/// One step of a JSON pointer: `~` and `/` escaped.
pub(super) fn step(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// `a, b and 3 more`: at most `most` of the texts.
pub(super) fn listed(texts: impl ExactSizeIterator<Item = String>, most: usize) -> String {
    let left_out = texts.len().saturating_sub(most);
    let shown = texts.take(most).collect::<Vec<_>>().join(", ");
    if left_out == 0 { shown } else { format!("{shown} and {left_out} more") }
}

struct Sink {
    bytes: Vec<u8>,
    room: usize,
}

impl io::Write for Sink {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        let taken = part.len().min(self.room - self.bytes.len());
        self.bytes.extend_from_slice(&part[..taken]);
        if taken == 0 && !part.is_empty() { Err(io::ErrorKind::WriteZero.into()) } else { Ok(taken) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
