//! A round of attempts to connect: each host of the URL in the present order, and each of its addresses, until one takes us.
//!
//! Nobody who is silent holds up the others for long: an attempt behind which another is to be made gets a few seconds, the
//! last one all of the connection's time limit. The round itself ends too; the next goes on behind what failed in it.
//!
//! Credentials that were refused are shown to nobody else in the round: a broker may count them against the user. Of the others it is
//! only found out whether they are there, for a refusal decides where no host is merely away ([`together`]).

use super::{
    super::{LinkError, LinkErrorClass},
    BrokerHost,
    attempt::Attempt,
    config::AmqpConfig,
    connection::{Place, Session},
    errors::{together, unreached},
    reactor,
};
use futures_util::FutureExt;
use lapin::tcp::RustlsConnector;
use std::{io, net::SocketAddr, time::Duration};
use tokio::time::Instant;

/// The time limit of an attempt that is not the last: the first packet is sent again after one second, and who has not answered
/// that will hardly answer the next.
const LIMIT: Duration = Duration::from_secs(3);
/// A round is over after this time: what was not tried by then is tried first in the next.
const LONGEST: Duration = Duration::from_secs(60);
/// No more addresses of a name are tried in a round.
const MOST_ADDRESSES: usize = 4;

/// What is the same for all that is tried.
pub(super) struct Round<'a> {
    config: &'a AmqpConfig,
    connector: Option<RustlsConnector>,
    /// Shown in the broker's list of connections.
    name: String,
    /// The time limit of an attempt that is not the last.
    limit: Duration,
    until: Instant,
}

impl<'a> Round<'a> {
    /// `purpose` joins the connection's name.
    pub(super) fn new(config: &'a AmqpConfig, connector: Option<RustlsConnector>, purpose: &str) -> Self {
        let name = format!("{} ({purpose})", config.connection_name);
        let limit = LIMIT.min(config.connect_timeout);
        Self { config, connector, name, limit, until: Instant::now() + LONGEST }
    }

    /// A connection to the first that takes us.
    pub(super) async fn first_that_takes_us(&self) -> Result<Session, LinkError> {
        let mut failures = Vec::new();
        let hosts = self.config.order.hosts(&self.config.url);
        for (at, host) in hosts.iter().enumerate() {
            let is_last = at + 1 == hosts.len();
            // Boxed: the compiler checks the whole future of a spawned worker for `Send`, and gives up at some depth.
            if let Some(session) = self.on(host, is_last, &mut failures).boxed().await {
                return Ok(session);
            }
            if self.is_over() {
                break;
            }
        }
        Err(together(&self.config.url, failures))
    }

    /// Connects to that host, or notes why it can't.
    async fn on(&self, host: &BrokerHost, is_last: bool, failures: &mut Vec<LinkError>) -> Option<Session> {
        let config = AmqpConfig { url: self.config.url.on(host), ..self.config.clone() };
        let found = match reactor::look_up(host.name(), host.port(), self.limit(is_last)).await {
            Ok(found) => found,
            Err(error) => {
                failures.push(unreached(&config.url, &error));
                self.config.order.put_back(host);
                return None;
            }
        };
        self.at(host, config, found, is_last, failures).await
    }

    /// Connects to the first of the host's addresses that takes us, or notes why none does.
    async fn at(
        &self,
        host: &BrokerHost,
        config: AmqpConfig,
        found: Vec<SocketAddr>,
        is_last: bool,
        failures: &mut Vec<LinkError>,
    ) -> Option<Session> {
        let is_one_of_several = found.len() > 1;
        let mut addresses = self.config.order.addresses(host, found);
        addresses.truncate(MOST_ADDRESSES);
        let mut failed: Vec<(SocketAddr, LinkError)> = Vec::with_capacity(addresses.len());
        for (at, &address) in addresses.iter().enumerate() {
            let attempt = Attempt {
                config: &config,
                address,
                connector: self.connector.as_ref(),
                limit: self.limit(is_last && at + 1 == addresses.len()),
                name: &self.name,
            };
            let is_refused = |error: &LinkError| error.class == LinkErrorClass::AccessRefused;
            let is_anything_refused =
                failures.iter().chain(failed.iter().map(|(_, error)| error)).any(is_refused);
            let opened = match is_anything_refused {
                true => attempt.reach().await.map(|()| None),
                false => attempt.connection().await.map(Some),
            };
            match opened {
                Ok(Some(opened)) => {
                    let is_in_cluster = is_one_of_several || self.config.url.hosts().len() > 1;
                    let place =
                        Place { config, host: host.clone(), address, is_one_of_several, is_in_cluster };
                    return Some(Session::new(opened, place));
                }
                Ok(None) => {}
                Err(error) => {
                    failed.push((address, error));
                    self.config.order.put_back_address(host, address);
                }
            }
            if self.is_over() {
                break;
            }
        }
        if failed.len() == addresses.len() {
            self.config.order.put_back(host);
        }
        if addresses.is_empty() {
            failures.push(unreached(&config.url, &io::Error::from(io::ErrorKind::AddrNotAvailable)));
        }
        // Which address it was matters where they failed differently.
        let differ = failed.windows(2).any(|pair| pair[0].1.what != pair[1].1.what);
        failures.extend(failed.into_iter().map(|(address, error)| match differ {
            true => LinkError { what: format!("{}: {}", address.ip(), error.what), ..error },
            false => error,
        }));
        None
    }

    /// Of what begins now. Who is reached only when the round is all but over is the last in it, too: else a host that needs more
    /// than a few seconds would never get them where many are silent.
    fn limit(&self, is_last: bool) -> Duration {
        if is_last || Instant::now() + self.limit >= self.until {
            self.config.connect_timeout
        } else {
            self.limit
        }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }
}

#[cfg(test)]
mod tests;
