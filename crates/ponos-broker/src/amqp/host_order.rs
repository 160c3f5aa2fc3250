//! In which order the hosts of a URL are tried, and the addresses of a host: as they were written, and as the resolver
//! gives them; but what failed or was lost goes to the end, so that the next attempt begins with another.
//!
//! One for each task that connects. It knows nothing of time: a host that failed keeps its place until others have failed
//! after it.

use super::{BrokerHost, BrokerUrl};
use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

/// How many failures are remembered: names may stand for other addresses every day.
const MOST: usize = 64;

/// What failed, the latest last: hosts, and single addresses of hosts.
#[derive(Debug, Default)]
pub(super) struct HostOrder(Mutex<Vec<(BrokerHost, Option<SocketAddr>)>>);

impl HostOrder {
    /// The hosts of the URL as they are to be tried.
    pub(super) fn hosts(&self, url: &BrokerUrl) -> Vec<BrokerHost> {
        let mut hosts = url.hosts().to_vec();
        hosts.sort_by_cached_key(|host| self.place(host, None));
        hosts
    }

    /// The addresses of a host as they are to be tried.
    pub(super) fn addresses(&self, host: &BrokerHost, mut found: Vec<SocketAddr>) -> Vec<SocketAddr> {
        found.sort_by_cached_key(|address| self.place(host, Some(*address)));
        found
    }

    /// A host failed with all its addresses, or an address of it did.
    pub(super) fn put_back(&self, host: &BrokerHost, address: Option<SocketAddr>) {
        let mut failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failed.retain(|(known, at)| known != host || *at != address);
        failed.push((host.clone(), address));
        if failed.len() > MOST {
            failed.remove(0);
        }
    }

    /// 0 for one that did not fail.
    fn place(&self, host: &BrokerHost, address: Option<SocketAddr>) -> usize {
        let failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failed.iter().position(|(known, at)| known == host && *at == address).map_or(0, |place| place + 1)
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
        order.put_back(a, None);
        assert_eq!(tried(&order, &url), "bca");
        order.put_back(b, None);
        assert_eq!(tried(&order, &url), "cab");
        order.put_back(b, None);
        assert_eq!(tried(&order, &url), "cab", "twice is once");
        order.put_back(c, None);
        order.put_back(a, None);
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
        order.put_back(a, Some(found[0]));
        assert_eq!(order.addresses(a, found.clone()), [found[1], found[0]]);
        assert_eq!(order.addresses(b, found.clone()), found);
        assert_eq!(tried(&order, &url), "ab", "the host itself is well");
    }

    #[test]
    fn no_more_is_remembered_than_its_bound_and_the_oldest_goes_first() {
        let (order, url) = (HostOrder::default(), "amqp://a,b".parse::<BrokerUrl>().unwrap());
        let [a, _] = url.hosts() else { panic!("{url}") };
        order.put_back(a, None);
        for port in 1..=64 {
            order.put_back(a, Some(SocketAddr::from(([10, 0, 0, 1], port))));
        }
        assert_eq!(order.0.lock().unwrap().len(), MOST);
        assert_eq!(tried(&order, &url), "ab");
    }
}
