//! What an adapter needs to know: parsed once, valid from then on.

use super::{super::LinkError, errors::configuration, tls::TlsFiles};
use crate::stack;
use lapin::uri::{AMQPScheme, AMQPUri, SASLMechanism};
use std::{fmt, time::Duration};

/// How to reach the broker, and the limits of everything that waits. Made by [`AmqpConfig::parse`]; the fields may be
/// changed afterwards.
#[derive(Debug, Clone)]
pub struct AmqpConfig {
    /// Where, and as whom.
    pub url: BrokerUrl,
    /// Files for `amqps://`.
    pub tls: TlsFiles,
    /// Shown in the broker's list of connections.
    pub connection_name: String,
    /// For TCP, TLS and the AMQP handshake together (10 s).
    pub connect_timeout: Duration,
    /// In seconds; the lower of both sides' wishes counts (15).
    pub heartbeat: u16,
    /// For every call to the broker, closing included (10 s).
    pub call_timeout: Duration,
    /// For the confirm of a publishing; after it, the publishing is settled as lost (30 s).
    pub confirm_timeout: Duration,
    /// Publishings without a confirm per channel, at least 1 (2,000; more costs memory and wins nothing).
    pub window: usize,
    /// Confirm channels of a publisher, at least 1 (1).
    pub channels: u16,
    /// The longest wait between two attempts to connect (10 s).
    pub backoff_max: Duration,
    /// How often a publisher compares what it declared with the broker: the shortest time between two looks, the longest is
    /// twice as long (30 s). Each look takes one call for each exchange, queue and binding.
    pub compare: Duration,
}

/// A broker's URL, which hides its password wherever it is printed.
#[derive(Clone)]
pub struct BrokerUrl(AMQPUri);

/// Query parameters with a meaning here; others are refused, so that none is believed to work.
const PARAMETERS: [&str; 5] =
    ["heartbeat", "connection_timeout", "auth_mechanism", "frame_max", "channel_max"];

impl AmqpConfig {
    /// Reads `amqp://user:password@host:port/vhost` or `amqps://…`, percent-encoded. Without a vhost (and with an empty one)
    /// it is `/`. Parameters: `heartbeat` (s), `connection_timeout` (ms), `frame_max`, `channel_max`,
    /// `auth_mechanism` (`plain`, `amqplain`, `external`).
    ///
    /// # Errors
    /// [`LinkError`] of the class `Configuration`; the text holds nothing of the URL's credentials.
    pub fn parse(url: &str) -> Result<Self, LinkError> {
        let uri = parse(url).map_err(|why| {
            configuration(
                format!("the broker's URL can't be used: {why}"),
                "write it as amqp://user:password@host:5672/vhost, with special characters percent-encoded",
            )
        })?;
        let mut config = Self {
            tls: TlsFiles::default(),
            connection_name: "ponos".to_owned(),
            connect_timeout: Duration::from_secs(10),
            heartbeat: 15,
            call_timeout: Duration::from_secs(10),
            confirm_timeout: Duration::from_secs(30),
            window: 2_000,
            channels: 1,
            backoff_max: Duration::from_secs(10),
            compare: Duration::from_secs(30),
            url: BrokerUrl(uri),
        };
        if let Some(seconds) = config.url.0.query.heartbeat {
            config.heartbeat = seconds;
        }
        if let Some(millis) = config.url.0.query.connection_timeout {
            config.connect_timeout = Duration::from_millis(millis);
        }
        Ok(config)
    }

    /// The URI for lapin, with the heartbeat and a limit of frames in it.
    pub(super) fn uri(&self) -> AMQPUri {
        let mut uri = self.url.0.clone();
        uri.query.heartbeat = Some(self.heartbeat);
        uri.query.frame_max.get_or_insert(stack::FRAME_MAX);
        uri
    }
}

impl BrokerUrl {
    /// The user of the connection; `None` when a certificate says who it is.
    pub fn user(&self) -> Option<&str> {
        let external = self.0.query.auth_mechanism == Some(SASLMechanism::External);
        (!external).then_some(self.0.authority.userinfo.username.as_str())
    }

    /// The vhost.
    pub fn vhost(&self) -> &str {
        &self.0.vhost
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        let host = self.host();
        if host.contains(':') {
            format!("[{host}]:{}", self.port())
        } else {
            format!("{host}:{}", self.port())
        }
    }

    /// Whether it is `amqps`.
    pub fn is_tls(&self) -> bool {
        self.0.scheme == AMQPScheme::AMQPS
    }

    pub(super) fn host(&self) -> &str {
        &self.0.authority.host
    }

    pub(super) fn port(&self) -> u16 {
        self.0.authority.port
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let vhost = self.vhost().replace('/', "%2f");
        match self.user() {
            Some(user) => write!(f, "{}://{user}:***@{}/{vhost}", self.0.scheme, self.address()),
            None => write!(f, "{}://{}/{vhost}", self.0.scheme, self.address()),
        }
    }
}

impl fmt::Debug for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn parse(url: &str) -> Result<AMQPUri, String> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err("it must begin with amqp:// or amqps://".into());
    };
    if scheme != "amqp" && scheme != "amqps" {
        // The scheme is repeated only where it looks like one: anything else could be a part of a password.
        let known = ["http", "https", "mqtt", "mqtts", "stomp", "redis", "kafka", "memory"];
        let shown =
            known.iter().find(|known| **known == scheme).map_or(String::new(), |s| format!(", not {s}://"));
        return Err(format!("it must begin with amqp:// or amqps://{shown}"));
    }
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let name = pair.split('=').next().unwrap_or_default();
        if !PARAMETERS.contains(&name) {
            return Err(format!(
                "it has a parameter that means nothing here (known are {}; TLS files are set in the configuration)",
                PARAMETERS.join(", ")
            ));
        }
    }
    // The parser's own words could repeat the URL, and with it the password.
    let mut uri: AMQPUri =
        url.parse().map_err(|_| "host, port, vhost or a parameter is malformed".to_owned())?;
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.is_empty() {
        return Err("it names no host".into());
    }
    // lapin's parser would silently take `localhost` for an IPv6 address.
    if let Some((address, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        uri.authority.host = address.to_owned();
    }
    if uri.vhost.is_empty() {
        uri.vhost = "/".to_owned();
    }
    if uri.vhost.len() > 255 || uri.authority.userinfo.username.len() > 255 {
        return Err("vhost and user have at most 255 bytes".into());
    }
    match uri.query.auth_mechanism {
        None | Some(SASLMechanism::Plain | SASLMechanism::AMQPlain | SASLMechanism::External) => Ok(uri),
        Some(_) => Err("auth_mechanism is plain, amqplain or external".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_parsed_and_never_shows_its_password() {
        let config =
            AmqpConfig::parse("amqp://us%40er:pa%2Fss@broker:1234/v%2fh?heartbeat=7&connection_timeout=900")
                .unwrap();
        assert_eq!(config.url.user(), Some("us@er"));
        assert_eq!(config.url.vhost(), "v/h");
        assert_eq!(config.url.address(), "broker:1234");
        assert_eq!(config.heartbeat, 7);
        assert_eq!(config.connect_timeout, Duration::from_millis(900));
        for shown in [format!("{config:?}"), config.url.to_string()] {
            assert!(!shown.contains("pa/ss") && !shown.contains("pa%2Fss"), "{shown}");
        }
    }

    #[test]
    fn a_missing_or_empty_vhost_is_the_default_one() {
        for url in ["amqp://localhost", "amqp://localhost/", "amqp://localhost/%2f"] {
            assert_eq!(AmqpConfig::parse(url).unwrap().url.vhost(), "/", "{url}");
        }
        assert_eq!(AmqpConfig::parse("amqps://[::1]").unwrap().url.address(), "[::1]:5671");
    }

    #[test]
    fn what_can_not_be_used_is_refused_without_repeating_the_password() {
        for url in [
            "",
            "localhost",
            "hunter2",
            "http://u:hunter2@h",
            "amqp:",
            "amqp://",
            "amqp://u:hunter2@",
            "amqp://u:hunter2@h:99999",
            "amqp://u:hunter2@h:x/",
            "amqp://u:hunter2@h/?cacertfile=x",
            "amqp://u:hunter2@h/?heartbeat=soon",
            "amqp://u:hunter2@h/?auth_mechanism=anonymous",
            "hunter2://h",
            "amqp:u:hunter2@h",
        ] {
            let error = AmqpConfig::parse(url).expect_err(url).to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
