//! What `[gateway]` in `ponos.toml` says. Read and checked in `config/gateway.rs`; valid from then on.

use ponos::{event::EventName, schema::Registry};
use ponos_http::{
    Domains,
    token::{TokenDigest, TokenId},
};
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    path::PathBuf,
    time::Duration,
};

/// All of it.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) tls: Option<TlsFiles>,
    /// Tokens are configured, even if none of them could be used.
    pub(crate) are_tokens_wanted: bool,
    pub(crate) holders: Vec<Holder>,
    pub(crate) paths: Vec<PlainPath>,
    pub(crate) unroutable: Unroutable,
    pub(crate) limits: Limits,
    /// By the webhook protocol of CloudEvents.
    pub(crate) origins: Vec<String>,
    pub(crate) webhooks: Vec<Webhook>,
    pub(crate) contracts: Contracts,
}

impl Settings {
    /// Where it listens if nothing else is said.
    pub(crate) const LISTEN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 7314));
}

/// The files of a certificate and its key.
#[derive(Debug, Clone)]
pub(crate) struct TlsFiles {
    pub(crate) cert_file: PathBuf,
    pub(crate) key_file: PathBuf,
}

/// Who publishes with a token.
#[derive(Debug, Clone)]
pub(crate) struct Holder {
    pub(crate) id: TokenId,
    pub(crate) digest: TokenDigest,
    pub(crate) owner: String,
    /// Of the events that it may publish.
    pub(crate) domains: Domains,
    /// What its plain JSON is.
    pub(crate) plain: Option<EventName>,
    /// Events in a second; of several tokens of one owner the smallest holds.
    pub(crate) rate: Option<u32>,
}

/// A path whose plain JSON is one event: `/v1/events/<path>`.
#[derive(Debug, Clone)]
pub(crate) struct PlainPath {
    pub(crate) path: String,
    pub(crate) event: EventName,
}

/// What becomes of an event that no queue is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unroutable {
    /// It is refused: whoever sent it has it still.
    Refuse,
    /// It is accepted, and gone.
    Accept,
}

/// Bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Bytes of a body.
    pub(crate) body: usize,
    /// Events of a batch.
    pub(crate) batch: usize,
    /// Events that wait for their confirms at a time.
    pub(crate) window: usize,
    /// How long a confirm is waited for.
    pub(crate) confirm: Duration,
    /// Events in a second of one publisher that has no rate of its own; without, any number.
    pub(crate) rate: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        let confirm = Duration::from_secs(10);
        Self { body: 1 << 20, batch: 100, window: 1_000, confirm, rate: None }
    }
}

/// Somebody else's webhooks: `/v1/webhooks/<name>`.
#[derive(Debug, Clone)]
pub(crate) struct Webhook {
    pub(crate) name: String,
    pub(crate) scheme: WebhookScheme,
    /// Any of these keys may have signed.
    pub(crate) keys: Vec<KeySource>,
    /// What everything is that `events` does not name.
    pub(crate) event: Option<EventName>,
    /// By the sender's names.
    pub(crate) events: BTreeMap<String, EventName>,
}

/// How a webhook is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WebhookScheme {
    /// <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>
    Standard,
    /// <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>
    GitHub,
}

/// Where a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeySource {
    File(PathBuf),
    /// Of the environment.
    Variable(String),
}

/// What the data of events must be like.
#[derive(Debug, Clone)]
pub(crate) enum Contracts {
    /// Anything.
    Any,
    /// What the schema of its name says; an event without one is refused.
    Folder(Registry),
}
