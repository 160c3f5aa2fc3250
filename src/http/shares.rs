//! Shares of what there is a limited number of, so that nobody takes all of it: connections, feeds, long answers. An owner
//! has half of it, an address that shows no token a quarter; but while half of all stays free, nobody has to give way.

use axum::{
    extract::FromRequestParts,
    http::{Extensions, request::Parts},
};
use std::{
    collections::HashMap,
    convert::Infallible,
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Whose something is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Whose {
    /// Of this owner of tokens.
    Owner(Arc<str>),
    /// Of this address, which shows no token; of IPv6, of its network of 64 bits, in which a host has as many as it likes.
    Address(IpAddr),
    /// Of nobody in particular: of this machine, which is known to whoever runs it, or of a proxy, whose are everybody's.
    Everybody,
}

impl Whose {
    /// Of whoever sent a request, as `authenticate` found out.
    pub(super) fn of(extensions: &Extensions) -> Self {
        extensions.get().cloned().unwrap_or(Self::Everybody)
    }

    /// Of whoever has this address.
    pub(super) fn address(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            address => address,
        })
    }

    /// How many of all he may have where others want some.
    fn most(&self, all: usize) -> usize {
        match self {
            Self::Owner(_) => all.div_ceil(2),
            Self::Address(_) => all.div_ceil(4),
            Self::Everybody => usize::MAX,
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Whose {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.extensions))
    }
}

/// So many there are, and who has them. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Shares {
    all: usize,
    /// Whether more than there are may be waited for.
    is_queue: bool,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    total: usize,
    /// Of those who have some.
    of: HashMap<Whose, usize>,
}

/// One of those that somebody has, until it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    whose: Mutex<Whose>,
    of: Shares,
}

/// Why somebody gets none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoShare {
    /// All are taken: so many.
    Full(usize),
    /// The owner has so many, and others may want theirs.
    Owner(usize),
    /// The address has so many without a token, and others may want theirs.
    Address(usize),
}

impl Shares {
    pub(super) fn new(all: usize) -> Self {
        Self { all, is_queue: false, held: Arc::default() }
    }

    /// The same of those who have one or wait for it, who may be more in all.
    pub(super) fn with_queue(all: usize) -> Self {
        Self { is_queue: true, ..Self::new(all) }
    }

    /// One more, if he may have it.
    pub(super) fn take(&self, whose: Whose) -> Result<Share, NoShare> {
        let mut held = self.held();
        let total = held.total.saturating_add(1);
        self.check(&held, &whose, total)?;
        if total > self.all && !self.is_queue {
            return Err(NoShare::Full(self.all));
        }
        held.total = total;
        held.add(whose.clone());
        drop(held);
        Ok(Share { whose: Mutex::new(whose), of: self.clone() })
    }

    /// Whether all are taken.
    pub(super) fn are_taken(&self) -> bool {
        self.held().total >= self.all
    }

    /// Whether he may have one more, so that these are taken in all.
    fn check(&self, held: &Held, whose: &Whose, total: usize) -> Result<(), NoShare> {
        let count = held.of.get(whose).copied().unwrap_or_default();
        if total <= self.all.div_ceil(2) || count < whose.most(self.all) {
            return Ok(());
        }
        Err(match whose {
            Whose::Owner(_) => NoShare::Owner(count),
            Whose::Address(_) => NoShare::Address(count),
            Whose::Everybody => NoShare::Full(self.all),
        })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn add(&mut self, whose: Whose) {
        *self.of.entry(whose).or_default() += 1;
    }

    fn remove(&mut self, whose: &Whose) {
        match self.of.get_mut(whose) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.of.remove(whose)),
        }
    }
}

impl Share {
    /// Has it be his from now on, if he may have one more. Else it stays whose it was.
    pub(super) fn give(&self, to: Whose) -> Result<(), NoShare> {
        let mut whose = self.whose.lock().unwrap_or_else(PoisonError::into_inner);
        if *whose == to {
            return Ok(());
        }
        let mut held = self.of.held();
        self.of.check(&held, &to, held.total)?;
        held.remove(&whose);
        held.add(to.clone());
        *whose = to;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let whose = self.whose.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut held = self.of.held();
        held.total = held.total.saturating_sub(1);
        held.remove(whose);
    }
}

impl fmt::Display for NoShare {
    /// Behind what there are so many of.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "are open, which is the limit",
            Self::Owner(_) => "of yours are open, which is the limit of one owner",
            Self::Address(_) => "of your address are open, which is the limit of one that shows no token",
        })
    }
}

impl NoShare {
    /// How many there are.
    pub(super) fn count(self) -> usize {
        match self {
            Self::Full(count) | Self::Owner(count) | Self::Address(count) => count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(name: &str) -> Whose {
        Whose::Owner(name.into())
    }

    fn address(address: &str) -> Whose {
        Whose::address(address.parse().unwrap())
    }

    /// As many as he gets.
    fn all(shares: &Shares, whose: &Whose) -> (Vec<Share>, NoShare) {
        let mut taken = Vec::new();
        loop {
            match shares.take(whose.clone()) {
                Ok(share) => taken.push(share),
                Err(why) => return (taken, why),
            }
        }
    }

    #[test]
    fn an_owner_has_half_and_what_he_gives_back_is_there_again() {
        let shares = Shares::new(8);
        let (mut ann, why) = all(&shares, &owner("ann"));
        assert_eq!((ann.len(), why), (4, NoShare::Owner(4)));
        let (bob, why) = all(&shares, &owner("bob"));
        assert_eq!((bob.len(), why), (4, NoShare::Owner(4)));
        assert!(shares.are_taken());
        assert_eq!(shares.take(owner("eve")).unwrap_err(), NoShare::Full(8));
        ann.pop();
        assert_eq!(shares.take(owner("bob")).unwrap_err(), NoShare::Owner(4));
        assert!(shares.take(owner("eve")).is_ok());
        drop((ann, bob));
        assert!(shares.held().of.is_empty() && shares.held().total == 0, "nobody is remembered");
    }

    #[test]
    fn an_address_gives_way_only_where_fewer_than_half_are_free() {
        let shares = Shares::new(16);
        let (crowd, why) = all(&shares, &address("192.0.2.7"));
        assert_eq!((crowd.len(), why), (8, NoShare::Address(8)));
        assert!(shares.take(address("::ffff:192.0.2.7")).is_err());
        let (other, _) = all(&shares, &address("192.0.2.8"));
        assert_eq!(other.len(), 4);
        let (here, why) = all(&shares, &Whose::Everybody);
        assert_eq!((here.len(), why), (4, NoShare::Full(16)));
        assert!(shares.are_taken());
        let queue = Shares::with_queue(4);
        let many: Vec<_> = (0..100).map(|_| queue.take(Whose::Everybody).unwrap()).collect();
        assert_eq!((all(&queue, &owner("ann")).0.len(), many.len()), (2, 100));
        drop(here);
        assert!(shares.take(address("192.0.2.7")).is_err() && shares.take(owner("ann")).is_ok());
        let one = Shares::new(1);
        assert_eq!(all(&one, &address("192.0.2.7")).0.len(), 1);
    }

    #[test]
    fn what_is_given_on_counts_for_whom_it_was_given_to() {
        let shares = Shares::new(4);
        let (crowd, _) = all(&shares, &address("192.0.2.7"));
        assert_eq!(crowd.len(), 2);
        crowd[0].give(owner("ann")).unwrap();
        crowd[0].give(owner("ann")).unwrap();
        let more = [shares.take(owner("ann")).unwrap(), shares.take(owner("bob")).unwrap()];
        assert!(shares.are_taken());
        assert_eq!(crowd[1].give(owner("ann")), Err(NoShare::Owner(2)));
        assert_eq!(crowd[1].give(owner("bob")), Ok(()));
        assert!(!shares.held().of.contains_key(&address("192.0.2.7")));
        drop((crowd, more));
        assert!(shares.held().of.is_empty() && shares.held().total == 0);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        assert_eq!(address("2001:db8:1:2:3:4:5:6"), address("2001:db8:1:2:9::1"));
        assert_ne!(address("2001:db8:1:2::1"), address("2001:db8:1:3::1"));
        assert_eq!(address("::ffff:192.0.2.7"), address("192.0.2.7"));
    }
}
