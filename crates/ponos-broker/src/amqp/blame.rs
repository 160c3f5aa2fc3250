//! Whose fault it is that the broker closed a channel that publishes. Pure.
//!
//! It names no publishing, only a reason. What it says about one message (403, most of 406) is that message's fault. That
//! an exchange is not there (404), or is another than was declared (406), is the topology's fault, never the message's:
//! the same message goes out as soon as somebody has declared the exchange.

use super::errors::no_exchange;
use lapin::{Error, ErrorKind};

/// Whose fault an error is, in the broker's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Blame {
    /// Of one of the messages that were in flight.
    Message(String),
    /// The exchange of this name is not there.
    Exchange(String, String),
    /// Something else of the topology is not as it was declared.
    Topology,
    /// Of nothing that was published: the network, the broker itself, an operator.
    Nobody,
}

impl Blame {
    /// Of an error of the channel, or (`hard`) of the whole connection.
    pub(super) fn of(error: &Error, hard: bool) -> Self {
        match error.kind() {
            // 320: an operator closed it.
            ErrorKind::ProtocolError(said) if error.is_amqp_soft_error() != hard && said.get_id() != 320 => {
                Self::read(said.get_id(), said.get_message().as_str())
            }
            _ => Self::Nobody,
        }
    }

    fn read(code: u16, said: &str) -> Self {
        match (code, no_exchange(said)) {
            (404, Some(exchange)) => Self::Exchange(exchange.to_owned(), said.to_owned()),
            (404, None) => Self::Topology,
            // Of another exchange than was declared: nobody may publish to it.
            (403, _) if said.contains("internal exchange") => Self::Topology,
            // Of the channel, of the exchange; else it is about a property, or the size, of one message.
            (406, _)
                if ["inequivalent arg", "exchange '", "channel"].iter().any(|about| said.contains(about)) =>
            {
                Self::Topology
            }
            _ => Self::Message(said.to_owned()),
        }
    }

    /// The words, if they blame a message.
    pub(super) fn message(&self) -> Option<&str> {
        match self {
            Self::Message(said) => Some(said),
            Self::Exchange(..) | Self::Topology | Self::Nobody => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_other_than_declared_is_no_messages_fault() {
        let missing = "NOT_FOUND - no exchange 'it's' in vhost '/'";
        for (code, said, blame) in [
            (404, missing, Blame::Exchange("it's".into(), missing.into())),
            (404, "NOT_FOUND - something", Blame::Topology),
            (
                403,
                "ACCESS_REFUSED - cannot publish to internal exchange 'events' in vhost '/'",
                Blame::Topology,
            ),
            (
                406,
                "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'events' in vhost '/': received 'topic' but current is 'fanout'",
                Blame::Topology,
            ),
            (
                406,
                "PRECONDITION_FAILED - cannot switch from tx to confirm mode of channel 1",
                Blame::Topology,
            ),
        ] {
            assert_eq!(Blame::read(code, said), blame, "{said}");
        }
        for (code, said) in [
            (
                403,
                "ACCESS_REFUSED - access to topic 'a' in exchange 'events' in vhost '/' refused for user 'u'",
            ),
            (406, "PRECONDITION_FAILED - user_id property set to 'x' but authenticated user was 'guest'"),
            (406, "PRECONDITION_FAILED - message size 9 is larger than configured max size 8"),
            (406, "PRECONDITION_FAILED - invalid expiration 'x': no_integer"),
        ] {
            assert_eq!(Blame::read(code, said), Blame::Message(said.into()), "{said}");
        }
    }
}
