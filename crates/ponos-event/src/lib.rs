//! Events: an [`Event`] with its [`EventName`] and [`EventId`], and its form on the wire.
//!
//! Pure: nothing here uses a runtime, a broker client or the file system. The wire form is CloudEvents 1.0 in binary
//! mode on AMQP 0-9-1 (`cloudevents.rs`); structured mode is read too.

pub mod asyncapi;
mod cloudevents;
pub mod control;
pub mod duration;
mod id;
mod json;
mod kind;
mod message;
mod name;
mod numbered;
pub mod redact;
pub mod reports;
pub mod terminal;
#[doc(hidden)]
pub mod text;
mod timestamp;
pub mod topology;
mod trace;

pub use cloudevents::{DecodeError, Event, RECORDED_TIME, Written, identity};
#[doc(hidden)]
pub use cloudevents::{is_attribute, is_structured};
pub use id::{EventId, OccurrenceId};
pub use json::from_json;
pub use kind::{CommandId, EventKind};
pub use message::{HeaderValue, Headers, Message, Properties};
pub use name::{EventName, InvalidName};
pub use numbered::Numbered;
pub use timestamp::{InvalidTimestamp, Timestamp};
pub use trace::{Sampling, SpanContext, TraceParent};
