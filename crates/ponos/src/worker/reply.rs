//! Answers to whoever asked: [`Context::reply`].

use super::{
    Context,
    held::{PublishError, PublishKey},
};
use crate::{
    broker::{DIRECT_REPLY, PublishOutcome},
    event::{Message, Properties},
    inbox::Held,
    text::shown,
    topology::worker::{PARKING, dead_letters},
};
use prometheus_client::metrics::counter::Counter;
use serde::Serialize;
use std::sync::Arc;

/// The exchange by which a queue, or a channel that waits for its answers, is reached by its name.
const DEFAULT: &str = "";
/// Queues whose names begin so are this framework's or the clock's.
const OURS: [&str; 3] = ["retry.", "ponos.", "khronos."];
/// The longest address, in bytes: that of a routing key.
const LONGEST: usize = 255;
/// A name of no event, from which the ids of answers are made.
const REPLY: &str = "reply";

/// Where a message wants its answer.
#[derive(Debug, Clone)]
pub(crate) struct ReplyAddress {
    queue: String,
    correlation_id: Option<String>,
}

impl ReplyAddress {
    /// As the properties of a message say it.
    pub(crate) fn of(properties: &Properties) -> Option<Self> {
        let queue = properties.reply_to.clone().filter(|queue| !queue.is_empty())?;
        let correlation_id = properties.correlation_id.clone().or_else(|| properties.message_id.clone());
        Some(Self { queue, correlation_id })
    }

    /// Why no answer goes there: whoever sends a message must not have the worker write where it does harm.
    fn fault(&self, own: &str) -> Option<&'static str> {
        let name = self.queue.as_str();
        let is_direct = name.starts_with(DIRECT_REPLY);
        if name.len() > LONGEST || name.chars().any(char::is_control) {
            Some("it is not a name of a queue")
        } else if is_direct && !says_no_route(name) {
            Some("it is not the name that the broker gives to who asks so")
        } else if name == own
            || name == PARKING
            || name.ends_with(&dead_letters(""))
            || OURS.iter().any(|start| name.starts_with(start))
        {
            Some("this queue takes no answers")
        } else {
            None
        }
    }
}

/// Whether what goes there is called unroutable whatever becomes of it: no queue has it, but a channel.
/// (<https://www.rabbitmq.com/docs/direct-reply-to>)
fn says_no_route(queue: &str) -> bool {
    queue.strip_prefix(DIRECT_REPLY).is_some_and(|rest| rest.len() > 1 && rest.starts_with('.'))
}

/// Whether a message to this exchange is an answer, which need not arrive.
pub(crate) fn is_reply(exchange: &str) -> bool {
    exchange == DEFAULT
}

/// Notes what became of an answer, unless it is not known yet: whose queue is full, gone or forbidden must not have a task
/// fail that is done.
pub(crate) fn note_reply(outcome: &PublishOutcome, queue: &str, lost: &Counter) {
    match outcome {
        PublishOutcome::Confirmed { returned: true } if !says_no_route(queue) => {
            note_lost(queue, "there is no queue of this name; whoever asked may have gone", lost);
        }
        PublishOutcome::Confirmed { .. } | PublishOutcome::Lost => {}
        PublishOutcome::Nacked => note_lost(queue, "this queue is full, or its node is in trouble", lost),
        PublishOutcome::Refused(why) | PublishOutcome::Missing(why) => note_lost(queue, why, lost),
    }
}

fn note_lost(queue: &str, why: &str, lost: &Counter) {
    lost.inc();
    tracing::warn!(reply_to = %shown(queue), why, "an answer reaches nobody");
}

impl Context {
    /// Answers whoever asked, if the message says where to (`reply_to`): checked now, sent when the handler is done, as what it
    /// publishes is, and by the outbox where there is one. The body is the JSON of `payload`; the correlation id is the
    /// message's, or else its id. It is no event, and held to no contract; hooks for what goes out don't see it.
    ///
    /// False: nobody asked, or not with an address that answers may go to, which is logged. An answer that reaches nobody is
    /// logged and counted (`ponos_replies_lost_total`), and no failure: the work is done all the same. A task that fails is not
    /// answered, unless its final handler does so.
    ///
    /// # Errors
    /// [`PublishError`]: it can't be written as JSON, the handler holds too much, or it has ended; nothing is held of it.
    pub fn reply<T: Serialize>(&self, payload: &T) -> Result<bool, PublishError> {
        let inner = self.inner();
        let Some(address) = &inner.reply_to else { return Ok(false) };
        if let Some(why) = address.fault(&inner.queue) {
            note_lost(&address.queue, why, &inner.service.replies_lost);
            return Ok(false);
        }
        let unwritable = |why| PublishError::Payload(REPLY.to_owned(), why);
        let body = serde_json::to_vec(payload).map_err(unwritable)?;
        let number = self.buffer().number();
        let (origin, event) = (self.origin(), self.event());
        let uuid = origin.id(REPLY, PublishKey::Number(number));
        let declared = &inner.service.declared;
        let properties = Properties {
            content_type: Some("application/json".to_owned()),
            correlation_id: address.correlation_id.clone(),
            message_id: Some(uuid.to_string()),
            kind: Some(event.name.to_string()),
            app_id: Some(declared.service.to_string()),
            ..Properties::default()
        };
        let mut message =
            Message { routing_key: address.queue.clone(), properties, body, ..Message::default() };
        if let Some(context) = origin.traceparent(uuid) {
            message.headers.set("traceparent", context);
        }
        let held = Held { id: uuid.into(), exchange: Arc::from(DEFAULT), message, due: None };
        self.buffer().hold(held, &inner.service.limits)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::worker::LADDER;

    fn fault(queue: &str) -> Option<&'static str> {
        ReplyAddress { queue: queue.to_owned(), correlation_id: None }.fault("shop.order.item.shipped")
    }

    #[test]
    fn answers_go_to_queues_of_who_asks_and_to_none_of_ours() {
        for taken in
            ["answers", "amq.gen-JzTY20BRgKO", "billing.answers", "amq.rabbitmq.reply-to.g1h2AAa.b+c/d=="]
        {
            assert_eq!(fault(taken), None, "{taken}");
        }
        let long = "a".repeat(256);
        for refused in [
            "shop.order.item.shipped",
            "billing.order.item.shipped.dlq",
            "parking",
            "retry.1h",
            "khronos.commands",
            "ponos.control",
            "amq.rabbitmq.reply-to",
            "amq.rabbitmq.reply-to.",
            "amq.rabbitmq.reply-tomorrow",
            "a\nb",
            &long,
        ] {
            assert!(fault(refused).is_some(), "{refused}");
        }
        for (rung, _) in LADDER {
            assert!(fault(rung).is_some(), "{rung}");
        }
    }
}
