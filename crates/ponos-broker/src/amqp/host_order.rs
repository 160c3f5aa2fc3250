//! In which order the hosts of a URL are tried, and the addresses of a host: as they were written, and as the resolver
//! gives them; but what failed or was lost goes to the end, so that the next attempt begins with another.
//!
//! One for each configuration, and its copies: connections tell each other by it what failed. It knows nothing of time: a host that failed
//! keeps its place until others have failed after it.

use super::{BrokerHost, BrokerUrl};
use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

/// How many failures of each kind are remembered: names may stand for other addresses every day.
const MOST: usize = 64;

/// What failed: hosts with all their addresses, and single addresses of hosts.
#[derive(Debug, Default)]
pub(super) struct HostOrder {
    hosts: Failures<BrokerHost>,
    addresses: Failures<(BrokerHost, SocketAddr)>,
}

impl HostOrder {
    /// The hosts of the URL as they are to be tried.
    pub(super) fn hosts(&self, url: &BrokerUrl) -> Vec<BrokerHost> {
        let mut hosts = url.hosts().to_vec();
        hosts.sort_by_cached_key(|host| self.hosts.place(host));
        hosts
    }

    /// The addresses of a host as they are to be tried.
    pub(super) fn addresses(&self, host: &BrokerHost, mut found: Vec<SocketAddr>) -> Vec<SocketAddr> {
        found.sort_by_cached_key(|address| self.addresses.place(&(host.clone(), *address)));
        found
    }

    /// A host failed with all the addresses that were tried, or was lost.
    pub(super) fn put_back(&self, host: &BrokerHost) {
        self.hosts.add(host.clone());
    }

    /// An address of a host failed, or was lost.
    pub(super) fn put_back_address(&self, host: &BrokerHost, address: SocketAddr) {
        self.addresses.add((host.clone(), address));
    }
}

/// What failed, the latest last.
#[derive(Debug)]
struct Failures<T>(Mutex<Vec<T>>);

impl<T> Default for Failures<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: PartialEq> Failures<T> {
    fn add(&self, failed: T) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|known| *known != failed);
        known.push(failed);
        if known.len() > MOST {
            known.remove(0);
        }
    }

    /// 0 for one that did not fail.
    fn place(&self, of: &T) -> usize {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().position(|known| known == of).map_or(0, |place| place + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(order: &HostOrder, url: &BrokerUrl) -> String {
        order.hosts(url).iter().map(BrokerHost::name).collect()
    }

    #[test]
    fn what_failed_is_tried_last_and_the_others_as_they_were_written() {
        let (order, url) = (HostOrder::default(), "amqp://a,b,c".parse::<BrokerUrl>().unwrap());
        let [a, b, c] = url.hosts() else { panic!("{url}") };
        assert_eq!(tried(&order, &url), "abc");
        order.put_back(a);
        assert_eq!(tried(&order, &url), "bca");
        order.put_back(b);
        assert_eq!(tried(&order, &url), "cab");
        order.put_back(b);
        assert_eq!(tried(&order, &url), "cab", "twice is once");
        order.put_back(c);
        order.put_back(a);
        assert_eq!(tried(&order, &url), "bca");
        // of a file that is read again
        assert_eq!(tried(&order, &"amqp://a,x,c,b".parse().unwrap()), "xbca");
    }

    #[test]
    fn addresses_have_an_order_of_their_own_for_each_host() {
        let (order, url) = (HostOrder::default(), "amqp://a,b".parse::<BrokerUrl>().unwrap());
        let [a, b] = url.hosts() else { panic!("{url}") };
        let found: Vec<SocketAddr> =
            ["[::1]:5672", "10.0.0.1:5672"].iter().map(|text| text.parse().unwrap()).collect();
        order.put_back_address(a, found[0]);
        assert_eq!(order.addresses(a, found.clone()), [found[1], found[0]]);
        assert_eq!(order.addresses(b, found.clone()), found);
        assert_eq!(tried(&order, &url), "ab", "the host itself is well");
    }

    #[test]
    fn no_more_is_remembered_than_its_bound_the_oldest_goes_first_and_addresses_push_out_no_host() {
        let (order, url) = (HostOrder::default(), "amqp://a,b".parse::<BrokerUrl>().unwrap());
        let [a, _] = url.hosts() else { panic!("{url}") };
        order.put_back(a);
        let at = |port: u16| SocketAddr::from(([10, 0, 0, 1], port));
        for port in 1..=65 {
            order.put_back_address(a, at(port));
        }
        assert_eq!(tried(&order, &url), "ba");
        assert_eq!(order.addresses(a, vec![at(65), at(2), at(1)]), [at(1), at(2), at(65)]);
        assert_eq!(order.addresses.0.lock().unwrap().len(), MOST);
    }
}
