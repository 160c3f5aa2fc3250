//! CloudEvents 1.0 on AMQP 0-9-1: binary mode written and read, structured mode read.

use super::{EventId, EventName, Message, Timestamp};

/// An event, independent of how it travels.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Unique within `source`.
    pub id: EventId,
    /// A URI reference: `/khronos/<clock>` for the clock's events.
    pub source: String,
    /// CloudEvents `type`, and the routing key.
    pub name: EventName,
    /// The schedule, for the clock's events.
    pub subject: Option<String>,
    /// The due time, for the clock's events.
    pub time: Option<Timestamp>,
    /// After this instant the event is of no use any more.
    pub expiry_time: Option<Timestamp>,
    /// When it was sent.
    pub recorded_time: Option<Timestamp>,
    /// What all that follows from one cause has in common.
    pub correlation_id: Option<String>,
    /// The id of the event that this one follows from.
    pub causation_id: Option<String>,
    /// W3C trace context of the sender.
    pub traceparent: Option<String>,
    /// Vendor part of the trace context.
    pub tracestate: Option<String>,
    /// The URI of the schema that `data` follows.
    pub data_schema: Option<String>,
    /// The JSON text of the payload.
    pub data: Vec<u8>,
}

/// Why a message is no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(pub String);

impl Event {
    /// The event as an AMQP message in binary mode.
    pub fn to_message(&self) -> Message {
        Message::default()
    }

    /// Reads a message in binary or structured mode.
    ///
    /// # Errors
    /// Names the attribute that is missing or malformed.
    pub fn from_message(message: &Message) -> Result<Self, DecodeError> {
        Err(DecodeError(format!("not yet: {}", message.routing_key)))
    }
}
