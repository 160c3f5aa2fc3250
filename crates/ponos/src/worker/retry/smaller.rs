//! Shrinks a message whose headers leave no room in a frame for ours: what is needed least is dropped first.

use super::{DEAD_KIND, cut};
use crate::event::{HeaderValue, Message};

/// The length to which a reason is cut, in bytes.
const REASON: usize = 120;
/// Longer attributes of a dead letter are dropped last: an estimate in bytes.
const LONG: usize = 1_000;
/// Names what was dropped.
const DROPPED: &str = "dropped-headers";
/// Prefixes of headers that have a meaning: those of the event, and those that workers write.
const OWN: [&str; 9] =
    ["cloudEvents_", "cloudEvents:", "ce-", "retry-", "dead-", "requeued-", "once-", "groupid", "group-"];
/// Those of traces, which are kept as long.
const TRACES: [&str; 2] = ["traceparent", "tracestate"];

/// Whether a header of this name is the event's, or one that workers write.
pub(crate) fn is_own_header(name: &str) -> bool {
    OWN.iter().any(|own| name.starts_with(own))
}

/// Makes the message smaller by one step: shorter reasons; without foreign headers; and, if it is a dead letter, without
/// long attributes. Returns whether there was something to drop.
pub(crate) fn smaller(message: &mut Message) -> bool {
    shorten(message)
        || drop_where(message, |name, _| {
            !is_own_header(name) && !TRACES.iter().any(|trace| name.starts_with(trace))
        })
        || message.headers.get(DEAD_KIND).is_some() && drop_where(message, |_, value| size(value) > LONG)
}

fn shorten(message: &mut Message) -> bool {
    let mut shorter = false;
    for name in ["retry-reason", "dead-reason"] {
        if let Some(long) = message.headers.text(name).filter(|text| text.len() > REASON) {
            let short = cut(long.to_owned(), REASON);
            message.headers.set(name, short);
            shorter = true;
        }
    }
    shorter
}

fn drop_where(message: &mut Message, goes: impl Fn(&str, &HeaderValue) -> bool) -> bool {
    let going = message.headers.iter().filter(|(name, value)| *name != DROPPED && goes(name, value));
    let going: Vec<String> = going.map(|(name, _)| name.to_owned()).collect();
    for name in &going {
        message.headers.remove(name);
    }
    if !going.is_empty() {
        let before = message.headers.text(DROPPED).map(str::to_owned);
        let names: Vec<String> = before.into_iter().chain(going.iter().cloned()).collect();
        message.headers.set(DROPPED, cut(names.join(", "), REASON));
    }
    !going.is_empty()
}

/// An estimate of the bytes that a value takes.
fn size(value: &HeaderValue) -> usize {
    match value {
        HeaderValue::Text(text) => text.len(),
        HeaderValue::Bytes(bytes) => bytes.len(),
        HeaderValue::List(_) | HeaderValue::Table(_) => usize::MAX,
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_least_goes_first_and_is_named() {
        let mut message = Message::default();
        for (name, value) in [
            ("cloudEvents_type", "a.b.c".to_owned()),
            ("cloudEvents_subject", "s".repeat(5_000)),
            ("baggage", "b".repeat(5_000)),
            ("retry-reason", "r".repeat(1_000)),
            ("once-key", "k".repeat(512)),
            ("groupid", "g".repeat(36)),
        ] {
            message.headers.set(name, value);
        }
        assert!(smaller(&mut message));
        assert!(message.headers.text("retry-reason").unwrap().len() <= REASON);
        assert!(message.headers.get("baggage").is_some());
        assert!(smaller(&mut message));
        assert_eq!(message.headers.get("baggage"), None);
        assert_eq!(message.headers.text(DROPPED), Some("baggage"));
        assert!(!smaller(&mut message), "the next attempt needs the event whole");
        message.headers.set(DEAD_KIND, "attempts");
        assert!(smaller(&mut message));
        assert_eq!(message.headers.text(DROPPED), Some("baggage, cloudEvents_subject"));
        assert_eq!(message.headers.text("cloudEvents_type"), Some("a.b.c"));
        assert!(!smaller(&mut message));
        // else its end would not be found
        assert!(["once-key", "groupid"].iter().all(|name| message.headers.get(name).is_some()));
    }
}
