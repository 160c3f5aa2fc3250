//! The state that all handlers share.

use super::{access::Access, limits::Limits, places::Places, shares::Shares, tls::Tls};
use crate::ops::RunningClock;
use serde_json::{Map, Value};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The running clock, and how many may ask it at a time. Clones share it.
#[derive(Debug, Clone)]
pub struct HttpState {
    pub(super) clock: RunningClock,
    pub(super) hosts: Arc<[String]>,
    pub(super) access: Access,
    pub(super) tls: Option<Tls>,
    pub(super) limits: Limits,
    pub(super) feeds: Arc<Semaphore>,
    /// Of the feeds, each owner's.
    pub(super) feed_shares: Shares<Arc<str>>,
    pub(super) audits: Arc<Semaphore>,
    /// What is worked out next, of a definition or a schedule: one at a time, so that lists have a thread left.
    pub(super) previews: Arc<Semaphore>,
    pub(super) large: Places,
    /// Large bodies that are being read.
    pub(super) bodies: Arc<Semaphore>,
    /// Of these, each owner's.
    pub(super) body_shares: Shares<Arc<str>>,
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
            feeds: Arc::new(Semaphore::new(limits.feeds)),
            feed_shares: Shares::new(usize::MAX),
            audits: Arc::new(Semaphore::new(1)),
            previews: Arc::new(Semaphore::new(1)),
            large: Places::new(limits.large, usize::MAX, limits.hold),
            bodies: Arc::new(Semaphore::new(limits.bodies)),
            body_shares: Shares::new(usize::MAX),
            limits,
        }
    }

    /// The same for these callers. Where they have names, each owner has half of the feeds, long answers and large bodies
    /// at most.
    #[must_use]
    pub fn with_access(self, access: Access) -> Self {
        let limits = self.limits;
        let share = |all: usize| if access.has_tokens() { all.div_ceil(2) } else { usize::MAX };
        let feed_shares = Shares::new(share(limits.feeds));
        let large = Places::new(limits.large, share(limits.large), limits.hold);
        let body_shares = Shares::new(share(limits.bodies));
        Self { access, feed_shares, large, body_shares, ..self }
    }

    /// The same, encrypted on TCP if there is something to encrypt with.
    #[must_use]
    pub fn with_tls(self, tls: Option<Tls>) -> Self {
        Self { tls, ..self }
    }

    /// The same with places of its own: a flood from elsewhere takes none of the operators'.
    pub(super) fn for_operators(self) -> Self {
        Self::new(self.clock, Vec::new(), self.limits).with_tls(self.tls)
    }

    /// How an answer of this clock begins.
    pub(super) fn head(&self) -> Map<String, Value> {
        Map::from_iter([("clock".to_owned(), self.clock.name().into())])
    }
}
