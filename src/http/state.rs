//! The state that all handlers share.

use super::{
    access::Access,
    audits::Audits,
    connection::{self, Connection},
    gate::Gate,
    limits::Limits,
    places::Places,
    shares::{Shares, Whose},
};
use crate::{
    authority::Caller,
    clock,
    ops::{RunningClock, cluster::ClusterReader},
};
use ponos_http::Tls;
use serde_json::{Map, Value};
use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// The running clock, and how many may ask it at a time. Clones share it.
#[derive(Debug, Clone)]
pub struct HttpState {
    pub(super) clock: RunningClock,
    pub(super) hosts: Arc<[String]>,
    pub(super) access: Access,
    pub(super) tls: Option<Tls>,
    /// From which probable error on the system's time is a warning.
    max_error: Option<Duration>,
    /// The others of its name; none where it is alone.
    pub(super) cluster: Option<ClusterReader>,
    pub(super) limits: Limits,
    pub(super) feeds: Shares,
    pub(super) audits: Audits,
    /// What is worked out next, of a definition or a schedule: one at a time, so that lists have a thread left.
    pub(super) previews: Arc<Semaphore>,
    /// Timelines, which read the record besides: one at a time.
    pub(super) timelines: Arc<Semaphore>,
    pub(super) large: Places,
    /// Of definitions one by one, and of many at once.
    pub(super) puts: Gate,
    pub(super) batches: Gate,
    /// Large bodies that are being read.
    pub(super) bodies: Shares,
    /// Whether an address is the machine's own, of which nobody is hurried.
    pub(super) is_own: fn(IpAddr) -> bool,
}

impl HttpState {
    /// `hosts`: names (without port) by which requests may address the clock, besides loopback's. Everybody may read, and
    /// nobody may change anything on TCP.
    pub fn new(clock: RunningClock, hosts: Vec<String>, limits: Limits) -> Self {
        Self {
            clock,
            hosts: hosts.into(),
            access: Access::default(),
            tls: None,
            max_error: None,
            cluster: None,
            feeds: Shares::new(limits.feeds),
            audits: Audits::new(limits.hold),
            previews: Arc::new(Semaphore::new(1)),
            timelines: Arc::new(Semaphore::new(1)),
            large: Places::new(limits.large, limits.hold),
            puts: Gate::new(limits.puts, limits.answer / 2),
            batches: Gate::new(limits.batches, limits.answer / 2),
            bodies: Shares::new(limits.bodies),
            is_own: connection::is_own,
            limits,
        }
    }

    /// The same for these callers.
    #[must_use]
    pub fn with_access(self, access: Access) -> Self {
        Self { access, ..self }
    }

    /// The same, encrypted on TCP if there is something to encrypt with.
    #[must_use]
    pub fn with_tls(self, tls: Option<Tls>) -> Self {
        Self { tls, ..self }
    }

    /// The same, which warns when the system's time is probably wrong by more than this.
    #[must_use]
    pub fn with_max_error(self, max_error: Option<Duration>) -> Self {
        Self { max_error, ..self }
    }

    /// What is to be said of this process, whether it leads or follows.
    pub(super) fn warnings(&self) -> Vec<String> {
        let tls = self.tls.iter().flat_map(|tls| tls.warnings(clock::now()));
        let limit = self.max_error.and_then(clock::quality_warning);
        tls.chain(limit).collect()
    }

    /// The same of one of several clocks.
    #[must_use]
    pub fn among(self, cluster: ClusterReader) -> Self {
        Self { cluster: Some(cluster), ..self }
    }

    /// The same with places of its own: a flood from elsewhere takes none of the operators'.
    pub(super) fn for_operators(self) -> Self {
        Self::new(self.clock, Vec::new(), self.limits).with_tls(self.tls).with_max_error(self.max_error)
    }

    /// Whose a connection is on which no token was shown.
    pub(super) fn whose_connection(&self, connection: Connection) -> Whose {
        let counts = |peer: &IpAddr| !self.access.is_behind_proxy() && !(self.is_own)(*peer);
        connection.peer.filter(counts).map_or(Whose::Everybody, Whose::address)
    }

    /// Whose it is what this caller takes. Where there are tokens, those who show none leave something to those who do.
    pub(super) fn whose(&self, caller: &Caller, connection: Connection) -> Whose {
        let named = || Whose::Owner(caller.owner().clone());
        if caller.has_token() {
            return named();
        }
        match self.whose_connection(connection) {
            Whose::Everybody if self.access.has_tokens() => named(),
            whose => whose,
        }
    }

    /// How an answer of this clock begins.
    pub(super) fn head(&self) -> Map<String, Value> {
        Map::from_iter([("clock".to_owned(), self.clock.name().into())])
    }
}
