//! The key by which the inbox remembers a message.

use crate::event::{Event, EventId};
use std::{fmt, sync::Arc};
use uuid::Uuid;

/// The key of what was handled: this handler, on this queue, handled this message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InboxKey {
    /// The queue that the message came from.
    pub queue: Arc<str>,
    /// The name or pattern that the handler was registered under.
    pub handler: Arc<str>,
    /// The sender: ids are unique within their source only.
    pub source: Arc<str>,
    /// The message's id.
    pub id: EventId,
}

/// A longer source is kept as its UUIDv5, because an index limits the length of its keys.
const SOURCE: usize = 512;

impl InboxKey {
    /// The key of an event that came from `queue` and goes to `handler`.
    pub fn of(queue: impl Into<Arc<str>>, handler: impl Into<Arc<str>>, event: &Event) -> Self {
        let source = match event.source.as_str() {
            source if source.len() <= SOURCE => source.into(),
            long => format!("urn:uuid:{}", Uuid::new_v5(&Uuid::NAMESPACE_URL, long.as_bytes())).into(),
        };
        Self { queue: queue.into(), handler: handler.into(), source, id: event.id.clone() }
    }
}

impl fmt::Display for InboxKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {} of {} in {}", self.id, self.source, self.handler, self.queue)
    }
}
