//! Parses a queue's arguments, and refuses invalid ones.

use super::precondition;
use crate::LinkError;
use ponos_event::topology::Queue;
use ponos_event::{HeaderValue, Headers};

/// A queue's arguments, understood.
#[derive(Debug, Clone, Default)]
pub(super) struct QueueSettings {
    pub(super) quorum: bool,
    /// What is read stays, up to its bound in bytes.
    pub(super) stream: bool,
    pub(super) ttl: Option<u64>,
    pub(super) dead_letter_exchange: Option<String>,
    pub(super) dead_letter_routing_key: Option<String>,
    /// A dead letter that reaches no queue is kept and tried again (quorum with reject-publish only, as in RabbitMQ).
    pub(super) at_least_once: bool,
    pub(super) delivery_limit: Option<u64>,
    pub(super) max_length: Option<u64>,
    pub(super) max_bytes: Option<u64>,
    pub(super) overflow: Overflow,
    pub(super) single_active: bool,
}

/// How a full queue treats a publishing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// The oldest ready message makes room (it is dead-lettered if the queue has a dead-letter exchange).
    #[default]
    DropHead,
    /// The new one is refused: its publisher gets [`Nacked`](crate::PublishOutcome::Nacked).
    RejectPublish,
    /// The new one is refused and dead-lettered.
    RejectPublishDlx,
}

/// The arguments that must be the same when a queue is declared again (`rabbit_amqqueue:assert_args_equivalence`).
pub(super) const COMPARED: [&str; 13] = [
    "x-expires",
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-delivery-limit",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-priority",
    "x-overflow",
    "x-queue-mode",
    "x-queue-type",
    "x-single-active-consumer",
];

impl QueueSettings {
    /// # Errors
    /// 406 as RabbitMQ says it: a value of the wrong type or range, and combinations that it refuses.
    pub(super) fn parse(queue: &Queue) -> Result<Self, LinkError> {
        let args = Arguments { queue: &queue.name, table: &queue.arguments };
        let (quorum, stream) = match args.text("x-queue-type")? {
            None | Some("classic") => (false, false),
            Some("quorum") => (true, false),
            Some("stream") => (false, true),
            Some(other) => return Err(args.invalid("x-queue-type", &format!("'{other}' is not known here"))),
        };
        let overflow = match args.text("x-overflow")? {
            None | Some("drop-head") => Overflow::DropHead,
            Some("reject-publish") => Overflow::RejectPublish,
            // a quorum queue does not know it, and falls back
            Some("reject-publish-dlx") if quorum => Overflow::DropHead,
            Some("reject-publish-dlx") => Overflow::RejectPublishDlx,
            Some(other) => return Err(args.invalid("x-overflow", &format!("'{other}'"))),
        };
        let settings = Self {
            quorum,
            stream,
            ttl: args.number("x-message-ttl")?,
            dead_letter_exchange: args.text("x-dead-letter-exchange")?.map(str::to_owned),
            dead_letter_routing_key: args.text("x-dead-letter-routing-key")?.map(str::to_owned),
            at_least_once: quorum
                && overflow == Overflow::RejectPublish
                && args.text("x-dead-letter-strategy")? == Some("at-least-once"),
            delivery_limit: args.number("x-delivery-limit")?,
            max_length: args.number("x-max-length")?,
            max_bytes: args.number("x-max-length-bytes")?,
            overflow,
            single_active: args.truth("x-single-active-consumer")?,
        };
        if settings.dead_letter_routing_key.is_some() && settings.dead_letter_exchange.is_none() {
            return Err(args.invalid("x-dead-letter-routing-key", "routing_key_but_no_dlx_defined"));
        }
        if settings.delivery_limit.is_some() && !quorum {
            return Err(args.invalid("x-delivery-limit", "not supported by classic queues"));
        }
        let refused = [
            (!queue.durable, "non-durable"),
            (queue.auto_delete, "auto-delete"),
            (queue.exclusive, "exclusive-owner"),
        ];
        if (quorum || stream)
            && let Some((_, property)) = refused.iter().find(|(has, _)| *has)
        {
            let kind = if stream { "stream" } else { "quorum queue" };
            let what = format!("invalid property '{property}' for queue '{}', a {kind}", queue.name);
            return Err(precondition(what, "remove that property, or leave x-queue-type out"));
        }
        Ok(settings)
    }
}

struct Arguments<'a> {
    queue: &'a str,
    table: &'a Headers,
}

impl<'a> Arguments<'a> {
    fn text(&self, name: &str) -> Result<Option<&'a str>, LinkError> {
        match self.table.get(name) {
            None => Ok(None),
            Some(HeaderValue::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.invalid(name, "it must be a text")),
        }
    }

    fn number(&self, name: &str) -> Result<Option<u64>, LinkError> {
        match self.table.get(name) {
            None => Ok(None),
            Some(HeaderValue::Int(number)) => {
                u64::try_from(*number).map(Some).map_err(|_| self.invalid(name, "it must not be negative"))
            }
            Some(_) => Err(self.invalid(name, "it must be an integer")),
        }
    }

    fn truth(&self, name: &str) -> Result<bool, LinkError> {
        match self.table.get(name) {
            None => Ok(false),
            Some(HeaderValue::Bool(truth)) => Ok(*truth),
            Some(_) => Err(self.invalid(name, "it must be a truth value")),
        }
    }

    fn invalid(&self, name: &str, why: &str) -> LinkError {
        precondition(
            format!("invalid arg '{name}' for queue '{}': {why}", self.queue),
            "correct the declaration",
        )
    }
}
