//! Shares of what there is a limited number of, so that nobody takes all of it: of connections, each address has one; of
//! feeds and long answers, each owner.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How many each may have, and has. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Shares<K: Eq + Hash> {
    most: usize,
    /// Those who have some.
    held: Arc<Mutex<HashMap<K, usize>>>,
}

/// One of those that somebody has, until it is dropped.
#[derive(Debug)]
pub(super) struct Share<K: Eq + Hash> {
    /// None once it counts no more.
    whose: Mutex<Option<K>>,
    of: Shares<K>,
}

impl<K: Eq + Hash + Clone> Shares<K> {
    pub(super) fn new(most: usize) -> Self {
        Self { most, held: Arc::default() }
    }

    /// One more, if there may be.
    pub(super) fn take(&self, whose: K) -> Option<Share<K>> {
        let mut held = self.held();
        let count = held.get(&whose).copied().unwrap_or_default();
        if count >= self.most {
            return None;
        }
        held.insert(whose.clone(), count + 1);
        drop(held);
        Some(Share { whose: Mutex::new(Some(whose)), of: self.clone() })
    }

    /// One that does not count.
    pub(super) fn uncounted(&self) -> Share<K> {
        Share { whose: Mutex::default(), of: self.clone() }
    }
}

impl<K: Eq + Hash> Shares<K> {
    /// How many each may have.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    fn held(&self) -> MutexGuard<'_, HashMap<K, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Share<K> {
    /// It counts no more.
    pub(super) fn release(&self) {
        let Some(whose) = self.whose.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let mut held = self.of.held();
        match held.get_mut(&whose) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(held.remove(&whose)),
        }
    }
}

impl<K: Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        self.release();
    }
}

/// Connections, of which each address has a share as long as it shows no token. This machine's own are known to whoever runs
/// it, and a proxy's are of everybody: these are not counted.
#[derive(Debug)]
pub(super) struct Addresses {
    shares: Shares<IpAddr>,
    behind_proxy: bool,
}

impl Addresses {
    pub(super) fn new(most: usize, behind_proxy: bool) -> Self {
        Self { shares: Shares::new(most), behind_proxy }
    }

    /// One more of this address, if there may be.
    pub(super) fn take(&self, peer: Option<IpAddr>) -> Option<Share<IpAddr>> {
        match peer.filter(|peer| !self.behind_proxy && !peer.to_canonical().is_loopback()) {
            Some(peer) => self.shares.take(whose(peer)),
            None => Some(self.shares.uncounted()),
        }
    }
}

/// Whoever has this address: of IPv6, the network of 64 bits, in which a host has as many addresses as it likes.
fn whose(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_has_more_than_his_share_and_what_he_gives_back_is_there_again() {
        let shares = Shares::new(2);
        let first = shares.take("ann").unwrap();
        let second = shares.take("ann").unwrap();
        assert!(shares.take("ann").is_none() && shares.take("bob").is_some());
        first.release();
        first.release();
        drop(first);
        let third = shares.take("ann").unwrap();
        assert!(shares.take("ann").is_none());
        drop((second, third, shares.uncounted()));
        assert!(shares.held().is_empty(), "nobody is remembered");
    }

    #[test]
    fn an_address_has_its_share_of_connections_until_it_shows_a_token() {
        let taken = |addresses: &Addresses, peer: &str| addresses.take(peer.parse().ok());
        let addresses = Addresses::new(3, false);
        let crowd: Vec<_> = (0..3).map(|_| taken(&addresses, "192.0.2.7").unwrap()).collect();
        assert!(taken(&addresses, "192.0.2.7").is_none() && taken(&addresses, "::ffff:192.0.2.7").is_none());
        assert!(taken(&addresses, "192.0.2.8").is_some());
        crowd[1].release();
        assert!(taken(&addresses, "192.0.2.7").is_some());
        for (behind_proxy, peer) in [(false, "127.0.0.1"), (false, "::1"), (true, "192.0.2.7")] {
            let addresses = Addresses::new(1, behind_proxy);
            let many: Vec<_> = (0..100).filter_map(|_| taken(&addresses, peer)).collect();
            assert_eq!(many.len(), 100, "{peer}");
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let whose = |address: &str| whose(address.parse().unwrap()).to_string();
        assert_eq!(whose("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!((whose("::ffff:192.0.2.7"), whose("192.0.2.7")), ("192.0.2.7".into(), "192.0.2.7".into()));
    }
}
