//! The configuration of the adapter: parsed once, valid from then on.

use super::{
    super::{Fence, LinkError, LinkErrorClass},
    backoff,
    host_order::HostOrder,
    tls::TlsFiles,
    url::BrokerUrl,
};
use crate::stack;
use lapin::uri::AMQPUri;
use std::{path::PathBuf, sync::Arc, time::Duration};

/// How to reach the broker, and the limits of everything that waits. Made by [`AmqpConfig::parse`] or
/// [`AmqpConfig::from_file`]; the fields may be
/// changed afterwards. What is connected with copies of one configuration tells each other which hosts failed.
#[derive(Debug, Clone)]
pub struct AmqpConfig {
    /// Hosts, user and vhost; with `url_file`, the first content of that file.
    pub url: BrokerUrl,
    /// A file that holds the URL. It is read whenever a connection is made, so that a password can be changed without a
    /// restart. While it can't be read, or holds no URL, no connection is made: what it held before may be what was revoked.
    pub url_file: Option<PathBuf>,
    /// Files for `amqps://`.
    pub tls: TlsFiles,
    /// Shown in the broker's list of connections.
    pub connection_name: String,
    /// The time limit of an attempt: TCP, TLS and the AMQP handshake together (10 s). Each address of each host in the URL is an
    /// attempt; one behind which another is to be made gets 3 s at most.
    pub connect_timeout: Duration,
    /// The heartbeat in seconds; the lower value of both sides counts (15).
    pub heartbeat: u16,
    /// The largest frame in bytes, where the URL names none (131,072, RabbitMQ's own limit); at least 8,192. The headers of a message must
    /// fit into one, and a connection keeps 64 of them in memory.
    pub frame_max: u32,
    /// The time limit of every call to the broker, closing included (10 s).
    pub call_timeout: Duration,
    /// The time limit for the confirm of a publishing, which is then settled as lost (30 s). A channel on which nothing is confirmed for as
    /// long, though something is outstanding, is given up for another one; then all that is outstanding on it is settled as lost.
    pub confirm_timeout: Duration,
    /// The most unconfirmed publishings per channel, at least 1 (2,000; more costs memory and is not faster).
    pub window: usize,
    /// Confirm channels of a publisher, at least 1 (1).
    pub channels: u16,
    /// The longest wait between two attempts to connect (10 s).
    pub backoff_max: Duration,
    /// How often a publisher compares what it declared with the broker, and a consumer binds its own temporary queue again:
    /// the shortest time between two looks, the longest is twice as long (30 s). Each look takes one call for each exchange,
    /// queue and binding.
    pub compare: Duration,
    /// What failed, for all connections that are made with this configuration or a copy of it.
    pub(super) order: Arc<HostOrder>,
    /// What publishers ask before they give a publishing to the connection (lets everything pass).
    pub fence: Fence,
}

impl AmqpConfig {
    /// The default limits, changed by the URL's parameters.
    pub fn new(url: BrokerUrl) -> Self {
        Self {
            tls: TlsFiles::default(),
            connection_name: "ponos".to_owned(),
            connect_timeout: url.connect_timeout().unwrap_or(Duration::from_secs(10)),
            heartbeat: url.heartbeat().unwrap_or(15),
            frame_max: stack::FRAME_MAX,
            call_timeout: Duration::from_secs(10),
            confirm_timeout: Duration::from_secs(30),
            window: 2_000,
            channels: 1,
            backoff_max: Duration::from_secs(10),
            compare: Duration::from_secs(30),
            fence: Fence::default(),
            url_file: None,
            order: Arc::default(),
            url,
        }
    }

    /// The configuration for a URL, as [`BrokerUrl`] parses it.
    ///
    /// # Errors
    /// [`LinkError`] of the class `Configuration`; the text holds nothing of the URL's credentials.
    pub fn parse(url: &str) -> Result<Self, LinkError> {
        url.parse().map(Self::new)
    }

    /// The configuration for the URL in a file, read now and again for each connection. Blocks for at most
    /// [`PATIENCE`](crate::files::PATIENCE).
    ///
    /// # Errors
    /// [`LinkError`] of the class `Configuration`: the file can't be read, or does not hold a valid URL.
    pub fn from_file(file: impl Into<PathBuf>) -> Result<Self, LinkError> {
        let file = file.into();
        let url = BrokerUrl::read(&file)?;
        Ok(Self { url_file: Some(file), ..Self::new(url) })
    }

    /// As it is to be for the next connection: with the URL that its file holds by now.
    pub(super) async fn renewed(&self) -> Result<Self, LinkError> {
        let Some(file) = self.url_file.clone() else { return Ok(self.clone()) };
        let url = aside(move || BrokerUrl::read(&file)).await?;
        Ok(Self { url, ..self.clone() })
    }

    /// How long to wait before connecting again, after so many attempts in a row that failed; `elects`: a node of a cluster was
    /// lost just now.
    pub(super) fn backoff(&self, failures: u32, elects: bool) -> Duration {
        backoff::wait(failures, elects, self.backoff_max, fastrand::f64())
    }

    /// The URI for lapin, with the heartbeat and a limit of frames in it.
    pub(super) fn uri(&self) -> AMQPUri {
        self.url.uri(self.heartbeat, self.frame_max)
    }
}

/// Reads files off the threads that connections live on.
pub(super) async fn aside<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, LinkError> + Send + 'static,
) -> Result<T, LinkError> {
    match tokio::task::spawn_blocking(read).await {
        Ok(read) => read,
        Err(error) => Err(LinkError {
            class: LinkErrorClass::Unreachable,
            what: format!("reading the files of the connection ended early: {error}"),
            remedy: "it is tried again".into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameters_of_the_url_become_limits() {
        let config = AmqpConfig::parse("amqp://u:hunter2@h?heartbeat=7&connection_timeout=900").unwrap();
        assert_eq!((config.heartbeat, config.connect_timeout), (7, Duration::from_millis(900)));
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn the_largest_frame_is_that_of_the_url_if_it_names_one() {
        let asked = |url: &str| {
            let config = AmqpConfig { frame_max: 16_384, ..AmqpConfig::parse(url).unwrap() };
            config.uri().query.frame_max
        };
        assert_eq!(asked("amqp://h"), Some(16_384));
        assert_eq!(asked("amqp://h?frame_max=8192"), Some(8_192));
    }

    #[tokio::test]
    async fn the_file_is_read_again_for_each_connection() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "amqp://first@h").unwrap();
        let config = AmqpConfig::from_file(file.path()).unwrap();
        assert_eq!(config.url.user(), Some("first"));
        std::fs::write(&file, "amqp://second@h").unwrap();
        assert_eq!(config.renewed().await.unwrap().url.user(), Some("second"));
        std::fs::write(&file, "").unwrap();
        assert!(config.renewed().await.unwrap_err().what.contains("is empty"));
    }
}
