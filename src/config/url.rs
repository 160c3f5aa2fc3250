//! Which broker, and which Postgres, as URLs that never show their passwords.

use crate::postgres::{AddressError, check_url};
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

/// The URL of a Postgres.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreUrl(String);

impl StoreUrl {
    /// Understands a URL; the error says what is wrong with it, without its text.
    pub(super) fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        check_url(text).map(|()| Self(text.to_owned()))
    }

    /// Whether a text is meant to be one.
    pub fn is_meant(text: &str) -> bool {
        ["postgres:", "postgresql:"].iter().any(|scheme| text.trim_start().starts_with(scheme))
    }

    /// The URL, with its password.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreUrl(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_postgres_is_a_url_that_is_not_shown() {
        let url = StoreUrl::parse(" postgres://clock:hunter2@db.example/clock\n").unwrap();
        assert_eq!(url.secret(), "postgres://clock:hunter2@db.example/clock");
        assert!(!format!("{url:?}").contains("hunter2"));
        let error = StoreUrl::parse("postgres://clock:hunter2@db:port/clock").unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert!(StoreUrl::is_meant("postgresql://db") && !StoreUrl::is_meant("/postgres"));
    }

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
