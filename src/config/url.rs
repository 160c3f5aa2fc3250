//! Which broker, as a URL that never shows its password.

use std::fmt;

/// Which broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerUrl {
    /// `memory:`, the one that is built in.
    Memory,
    /// RabbitMQ.
    Amqp(SecretUrl),
}

/// An `amqp://` or `amqps://` URL. `Display` and `Debug` show it without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(String);

impl SecretUrl {
    /// The URL with its password, for the one who connects.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it is `amqps://`.
    pub fn is_tls(&self) -> bool {
        self.0.starts_with("amqps://")
    }
}

impl BrokerUrl {
    /// Understands a URL; the error says what is wrong with it, without its text.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == "memory:" {
            return Ok(Self::Memory);
        }
        let Some(rest) = text.strip_prefix("amqp://").or_else(|| text.strip_prefix("amqps://")) else {
            return Err("a broker's URL begins with amqp:// or amqps://, or is memory:".into());
        };
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        // A raw '/' in the password ends the authority early and leaves its '@' behind.
        if rest.matches('@').count() > 1 || (!authority.contains('@') && rest.contains('@')) {
            return Err("a '/', '?' or '@' in the user or password must be written %2F, %3F or %40".into());
        }
        let host = authority.rsplit('@').next().unwrap_or_default();
        let (host, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, rest)) if rest.is_empty() || rest.starts_with(':') => (host, rest.strip_prefix(':')),
            Some(_) => return Err("after the ']' of the host comes :port or nothing".into()),
            None => match host.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (host, None),
            },
        };
        if host.is_empty() {
            return Err("the URL names no host".into());
        }
        if port.is_some_and(|port| port.parse::<u16>().map_or(true, |port| port == 0)) {
            return Err("the URL's port is not a number from 1 to 65535".into());
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("there is white space in the URL".into());
        }
        Ok(Self::Amqp(SecretUrl(text.to_owned())))
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_once("://").unwrap_or_default();
        // A query may carry secrets too.
        let rest = rest.split('?').next().unwrap_or_default();
        match rest.rsplit_once('@') {
            Some((user, rest)) => {
                let user = user.split(':').next().unwrap_or_default();
                write!(f, "{scheme}://{user}:***@{rest}")
            }
            None => write!(f, "{scheme}://{rest}"),
        }
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
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
    fn a_password_is_never_shown() {
        let url = BrokerUrl::parse("amqps://clock:hunter2@rabbit.example:5671/prod?auth=hunter2").unwrap();
        assert_eq!(url.to_string(), "amqps://clock:***@rabbit.example:5671/prod");
        assert!(!format!("{url:?}").contains("hunter2"));
        let BrokerUrl::Amqp(secret) = url else { panic!("{url}") };
        assert!(secret.expose().contains("hunter2") && secret.is_tls());
    }

    #[test]
    fn what_is_no_url_of_a_broker_is_refused_without_its_text() {
        for text in [
            "",
            "hunter2",
            "http://hunter2@host",
            "amqp://",
            "amqp://u:hunter2@",
            "amqp://u:hunter2@:5672",
            "amqp://u:hunter2@host:hunter2",
            "amqp://u:hunter2@host:0",
            "amqp://u:hun/ter2@host",
            "amqp://u:hunter2@host @",
            "amqp://[::1]x",
        ] {
            let error = BrokerUrl::parse(text).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
        for text in ["memory:", "amqp://localhost", "amqp://[::1]:5672/%2f", "amqp://u:p%40@h/v?heartbeat=10"]
        {
            assert!(BrokerUrl::parse(text).is_ok(), "{text}");
        }
    }
}
