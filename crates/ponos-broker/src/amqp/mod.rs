//! RabbitMQ through lapin.
//!
//! Each handle has one task. A publisher has a connection of its own, the consumers of a
//! [`Transport`](super::Transport) share one (publishing and consuming never do: an alarm of the broker blocks the
//! connections that publish, acks included), with a channel each. The task reconnects for ever with a capped, jittered
//! backoff: a fresh connection, the topology declared again, the channels opened again. lapin's own recovery is not used;
//! it can give up silently. Where the URL names several hosts, or a host has several addresses, each is tried in turn; the
//! one that failed or was lost is tried last.
//!
//! Invariants: one task owns each confirm channel, so that tags and frames can't be swapped between tasks; every call
//! has a time limit, and what does not end is cut off at the socket; no message of this module carries a password.
//!
//! What a publisher declares is its own to keep: it compares it with the broker every 30 to 60 s
//! ([`AmqpConfig::compare`]), and when one of its exchanges is gone, or another than declared, that is an outage
//! ([`Down`](super::Link::Down) with the reason) that ends once all is declared again, which is tried at once.
//!
//! While the link is not [`Up`](super::Link::Up), publishings are not held: they are settled
//! [`Lost`](super::PublishOutcome::Lost) at once, for the caller keeps them anyway and sees the link.

mod acks;
mod attempt;
mod backoff;
mod blame;
mod channels;
mod config;
mod confirms;
mod connection;
mod consumer;
mod convert;
mod declare;
mod errors;
mod hold;
mod host_order;
mod intake;
mod probe;
mod publisher;
mod reactor;
mod refused_routes;
mod requester;
mod returns;
mod round;
mod shared;
mod socket_handle;
mod tls;
mod unread;
mod url;
mod woken;

pub use config::AmqpConfig;
pub use tls::TlsFiles;
pub use url::{BrokerHost, BrokerUrl};

pub(super) use shared::SharedConnection;

use super::{Consume, Consumer, LinkError, Publisher, Requester};
use connection::Session;
use ponos_event::topology::Topology;
use std::sync::Arc;
use tokio::sync::watch;

/// How many batches may wait on either side of a publisher's task.
const BATCHES: usize = 64;

/// A publisher on a connection of its own, which declares `topology` whenever it connects. Must be called within a tokio
/// runtime. Dropping the handle lets what is in flight be confirmed (for at most the call's time limit), then closes.
pub fn publisher(config: AmqpConfig, topology: Topology) -> Publisher {
    publisher_following(config, watch::channel(topology).1)
}

/// The same for a topology that changes while it runs: what is declared next is what it is then. Nothing is declared because
/// of a change alone; see [`check`].
pub fn publisher_following(config: AmqpConfig, topology: watch::Receiver<Topology>) -> Publisher {
    let (handle, task) = Publisher::channel(BATCHES);
    tokio::spawn(publisher::run(config, topology, task));
    handle
}

/// A consumer on the shared connection. Must be called within a tokio runtime.
pub(super) fn consumer(shared: Arc<SharedConnection>, topology: Topology, options: Consume) -> Consumer {
    let (handle, task) = Consumer::channel(&options);
    tokio::spawn(consumer::run(shared, topology, options, task));
    handle
}

/// A requester on a connection of its own. Must be called within a tokio runtime.
pub(super) fn requester(config: AmqpConfig) -> Requester {
    let (handle, task) = Requester::channel(BATCHES);
    tokio::spawn(requester::run(config, task));
    handle
}

/// Connects once, declares `topology` once, and closes: the check of a first start, before anything runs.
///
/// # Errors
/// [`LinkError`] with what is wrong and what to do.
pub async fn check(config: &AmqpConfig, topology: &Topology) -> Result<(), LinkError> {
    let session = Session::open(config, "check").await?;
    let declared = declare::declare(&session, topology).await;
    session.close().await;
    declared.map(|_| ())
}
