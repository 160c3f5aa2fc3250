//! What this process is among the clocks of its name.

use crate::{
    config::ClusterSecret,
    postgres::{FreshGrant, LeaderShown},
};
use tokio::sync::watch;
use tracing::warn;

/// What the process is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Another one leads, or nobody.
    Following,
    /// Lead under this term.
    Leading {
        /// The term.
        term: u64,
    },
    /// Lead no more under this term: finish what is begun, then say so.
    Draining {
        /// The term.
        term: u64,
    },
    /// The process can end.
    Ended,
}

impl Role {
    /// The term under which something may still be written.
    pub(crate) fn term(self) -> Option<u64> {
        match self {
            Self::Leading { term } | Self::Draining { term } => Some(term),
            Self::Following | Self::Ended => None,
        }
    }
}

/// What a follower sees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Where the leader is reached, if there is one that says so, and is known to say so.
    pub(crate) leader: Option<String>,
    /// Why nothing goes to where the tables say that it is.
    pub(crate) unsealed: Option<String>,
    /// Why the database can't be asked.
    pub(crate) failing: Option<String>,
    /// Why this member would not become the leader.
    pub(crate) hindered: Option<String>,
}

/// Where the rest of the process is told what to do, what a follower sees, and of a lease that was just taken.
pub(super) struct Outs {
    pub(super) role: watch::Sender<Role>,
    pub(super) seen: watch::Sender<Seen>,
    pub(super) probes: watch::Sender<u64>,
    pub(super) taken: FreshGrant,
}

impl Outs {
    pub(super) fn see(&self, change: impl FnOnce(&mut Seen)) {
        self.seen.send_if_modified(|seen| {
            let before = seen.clone();
            change(seen);
            *seen != before
        });
    }
}

impl Seen {
    /// Where the leader is, as the tables say: where there is a secret, only what is sealed with it.
    pub(super) fn show(&mut self, leader: Option<LeaderShown>, secret: Option<&ClusterSecret>, clock: &str) {
        let is_known = |LeaderShown { address, member, seal }: &LeaderShown| match (secret, seal) {
            (None, _) => true,
            (Some(secret), Some(seal)) => secret.sealed(clock, member, address, seal),
            (Some(_), None) => false,
        };
        let unsealed = leader.as_ref().filter(|leader| !is_known(leader)).map(|leader| {
            format!(
                "the address of the leader in the tables, {}, is not sealed with the secret of this clock (cluster.secret_file): nothing is passed on to it; give all clocks of this name the same secret, or find out who wrote that",
                leader.address
            )
        });
        if let Some(why) = &unsealed
            && self.unsealed != unsealed
        {
            warn!("{why}");
        }
        self.leader = leader.filter(|_| unsealed.is_none()).map(|leader| leader.address);
        self.unsealed = unsealed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_there_is_a_secret_only_an_address_that_is_sealed_with_it_is_the_leaders() {
        let secret = ClusterSecret::new("sesame, open the cave").unwrap();
        let (address, member) = ("https://clock-1:7650", "one");
        let shown = |address: &str, seal: Option<String>| {
            Some(LeaderShown { address: address.into(), member: member.into(), seal })
        };
        let seal = Some(secret.seal("khronos", member, address));
        let mut seen = Seen::default();
        seen.show(shown(address, seal.clone()), Some(&secret), "khronos");
        assert_eq!((seen.leader.as_deref(), &seen.unsealed), (Some(address), &None));
        for (address, seal) in [("https://evil:7650", seal), (address, None), (address, Some("00".into()))] {
            seen.show(shown(address, seal), Some(&secret), "khronos");
            assert_eq!(seen.leader, None, "{address}");
            assert!(seen.unsealed.as_ref().is_some_and(|why| why.contains(address)), "{seen:?}");
        }
        seen.show(None, Some(&secret), "khronos");
        assert_eq!(seen, Seen::default());
        seen.show(shown(address, None), None, "khronos");
        assert_eq!(seen.leader.as_deref(), Some(address), "without one all are believed");
    }
}
