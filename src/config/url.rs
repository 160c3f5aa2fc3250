//! Which broker, as a URL that never shows its password.

use ponos::broker::{LinkError, amqp};
use std::fmt;

/// Which broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerUrl {
    /// `memory:`, the one that is built in.
    Memory,
    /// RabbitMQ.
    Amqp(amqp::BrokerUrl),
}

impl BrokerUrl {
    /// Whether it is the embedded broker, whose only durable copy is the record.
    pub fn is_embedded(&self) -> bool {
        *self == Self::Memory
    }

    /// Understands a URL; the error says what is wrong with it, without its text.
    pub(super) fn parse(text: &str) -> Result<Self, LinkError> {
        match text.trim() {
            "memory:" => Ok(Self::Memory),
            text => text.parse().map(Self::Amqp),
        }
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::Amqp(url) => fmt::Display::fmt(url, f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_built_in_one_or_what_everybody_reads_as_a_url() {
        assert_eq!(BrokerUrl::parse(" memory:\n").unwrap(), BrokerUrl::Memory);
        let url = BrokerUrl::parse("amqps://clock:hunter2@rabbit.example:5671/prod\n").unwrap();
        assert_eq!(url.to_string(), "amqps://clock:***@rabbit.example:5671/prod");
        assert!(!format!("{url:?}").contains("hunter2"));
        let error = BrokerUrl::parse("amqp://u:hun#ter2@host").unwrap_err();
        assert!(error.what.contains("written %23") && !error.to_string().contains("ter2"), "{error}");
    }
}
