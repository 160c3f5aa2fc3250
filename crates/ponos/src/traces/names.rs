//! The names of attributes: those of OpenTelemetry's conventions for messaging, version 1.40, which are still in development, and
//! our own. They stand here alone, so that a new version of the conventions is one edit.
//! <https://opentelemetry.io/docs/specs/semconv/messaging/rabbitmq/>

/// The messaging system: [`RABBITMQ`].
pub const SYSTEM: &str = "messaging.system";
/// The value of [`SYSTEM`].
pub const RABBITMQ: &str = "rabbitmq";
/// What is done, in the words of the system: send, receive, process, ack, nack.
pub const OPERATION: &str = "messaging.operation.name";
/// What is done, in the words of the conventions: create, send, receive, process, settle.
pub const OPERATION_TYPE: &str = "messaging.operation.type";
/// `exchange:routing key` of a producer, `exchange:routing key:queue` of a consumer.
pub const DESTINATION: &str = "messaging.destination.name";
/// The routing key.
pub const ROUTING_KEY: &str = "messaging.rabbitmq.destination.routing_key";
/// The id of the event.
pub const MESSAGE_ID: &str = "messaging.message.id";
/// The correlation id.
pub const CONVERSATION_ID: &str = "messaging.message.conversation_id";
/// How many messages a batch has.
pub const BATCH_COUNT: &str = "messaging.batch.message_count";
/// Bytes of the body.
pub const BODY_SIZE: &str = "messaging.message.body.size";
/// Of what kind an error is.
pub const ERROR_TYPE: &str = "error.type";
/// The name of the event.
pub const EVENT_TYPE: &str = "cloudevents.event_type";
/// Of the clock's events, the schedule.
pub const EVENT_SUBJECT: &str = "cloudevents.event_subject";
/// Who the spans are of.
pub const SERVICE: &str = "service.name";
/// Which process of it.
pub const INSTANCE: &str = "service.instance.id";
/// What made the spans.
pub const SDK: &str = "telemetry.sdk.name";
/// In which language.
pub const SDK_LANGUAGE: &str = "telemetry.sdk.language";
/// Of which version.
pub const SDK_VERSION: &str = "telemetry.sdk.version";

/// How a delivery ended, in the words of `ponos_deliveries_total`.
pub const OUTCOME: &str = "ponos.outcome";
/// Which attempt it was, from 1.
pub const ATTEMPT: &str = "ponos.attempt";
/// How late an event was sent, in milliseconds.
pub const LATENESS: &str = "khronos.lateness_ms";
/// No queue was bound to it.
pub const REACHED_NOBODY: &str = "ponos.reached_nobody";
