//! Where to the broker refuses what is published, so that it closes the channel. Pure.
//!
//! It says so with no more than a reason, and with the channel go all that were in flight there. So what goes where one was
//! refused before goes through a channel of its own, one at a time, until one is accepted. A topic permission concerns all
//! that go there; any other reason (the size above all) is that message's own, so only those as large are meant.

use super::super::Publishing;
use lapin::types::ShortString;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// The most that are known; what is refused beyond them costs its neighbours a resend each time.
const MOST: usize = 1_000;
/// A route that nothing was published to for so long is forgotten.
const UNUSED: Duration = Duration::from_mins(10);
/// How the broker's reason begins when it does not permit the routing key, or the exchange.
const NOT_PERMITTED: &str = "ACCESS_REFUSED";

/// What of a publishing decides about its route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Routed {
    pub(super) exchange: Arc<str>,
    pub(super) key: ShortString,
    pub(super) size: usize,
}

/// Since when, and from which size of a body on.
#[derive(Debug)]
struct RefusedRoute {
    used: Instant,
    smallest: usize,
}

impl RefusedRoute {
    fn is_of(&self, publishing: &Publishing) -> bool {
        publishing.message.body.len() >= self.smallest
    }
}

/// The routes that are known, by exchange and routing key.
#[derive(Debug, Default)]
pub(super) struct RefusedRoutes {
    known: HashMap<Arc<str>, HashMap<String, RefusedRoute>>,
}

impl RefusedRoutes {
    /// The broker closed the channel for this one alone, for this reason.
    pub(super) fn learn(&mut self, routed: &Routed, why: &str, now: Instant) {
        let smallest = if why.starts_with(NOT_PERMITTED) { 0 } else { routed.size };
        let full = self.known.values().map(HashMap::len).sum::<usize>() >= MOST;
        let key = routed.key.as_str();
        let known = self.known.get_mut(&*routed.exchange).and_then(|keys| keys.get_mut(key));
        match known {
            Some(route) => *route = RefusedRoute { used: now, smallest: smallest.min(route.smallest) },
            None if full => {}
            None => {
                let keys = self.known.entry(routed.exchange.clone()).or_default();
                keys.insert(key.to_owned(), RefusedRoute { used: now, smallest });
            }
        }
    }

    /// The broker accepted one that goes there.
    pub(super) fn forget(&mut self, routed: &Routed) {
        if let Some(keys) = self.known.get_mut(&*routed.exchange) {
            keys.remove(routed.key.as_str());
            if keys.is_empty() {
                self.known.remove(&*routed.exchange);
            }
        }
    }

    /// Whether it goes where one was refused.
    pub(super) fn meet(&self, publishing: &Publishing) -> bool {
        let keys = self.known.get(&*publishing.exchange);
        let route = keys.and_then(|keys| keys.get(&publishing.message.routing_key));
        route.is_some_and(|route| route.is_of(publishing))
    }

    /// The same for one that is to be published now.
    pub(super) fn take(&mut self, publishing: &Publishing, now: Instant) -> bool {
        let keys = self.known.get_mut(&*publishing.exchange);
        let route = keys.and_then(|keys| keys.get_mut(&publishing.message.routing_key));
        route.filter(|route| route.is_of(publishing)).map(|route| route.used = now).is_some()
    }

    /// Forgets what nothing was published to for long.
    pub(super) fn expire(&mut self, now: Instant) {
        self.known.retain(|_, keys| {
            keys.retain(|_, route| now.saturating_duration_since(route.used) < UNUSED);
            !keys.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ponos_event::Message;

    const FORBIDDEN: &str = "ACCESS_REFUSED - access to topic 'a' in exchange 'events' in vhost '/' refused";
    const TOO_LARGE: &str = "PRECONDITION_FAILED - message size 9 is larger than configured max size 8";

    fn routed(exchange: &str, key: &str, size: usize) -> Routed {
        Routed { exchange: exchange.into(), key: ShortString::try_new(key).unwrap(), size }
    }

    fn publishing(exchange: &str, key: &str, size: usize) -> Publishing {
        let message = Message { routing_key: key.into(), body: vec![0; size], ..Message::default() };
        Publishing { token: 0, lane: 0, exchange: exchange.into(), message }
    }

    #[test]
    fn a_key_that_is_not_permitted_is_known_until_one_is_accepted() {
        let (mut routes, now) = (RefusedRoutes::default(), Instant::now());
        assert!(!routes.take(&publishing("events", "a", 1), now));
        routes.learn(&routed("events", "a", 9), FORBIDDEN, now);
        assert!(
            routes.take(&publishing("events", "a", 1), now) && routes.meet(&publishing("events", "a", 1))
        );
        for (exchange, key) in [("events", "b"), ("others", "a")] {
            assert!(!routes.take(&publishing(exchange, key, 9), now));
            routes.forget(&routed(exchange, key, 9));
        }
        assert!(routes.take(&publishing("events", "a", 1), now));
        routes.forget(&routed("events", "a", 1));
        assert!(
            !routes.take(&publishing("events", "a", 1), now) && !routes.meet(&publishing("events", "a", 1))
        );
    }

    #[test]
    fn a_message_that_is_too_large_says_nothing_about_smaller_ones_of_its_key() {
        let (mut routes, now) = (RefusedRoutes::default(), Instant::now());
        routes.learn(&routed("events", "a", 9), TOO_LARGE, now);
        let small = publishing("events", "a", 8);
        assert!(!routes.take(&small, now) && !routes.meet(&small));
        assert!(routes.take(&publishing("events", "a", 9), now));
        // smaller ones turn out to be refused too; that larger ones are is known still
        routes.learn(&routed("events", "a", 5), TOO_LARGE, now);
        routes.learn(&routed("events", "a", 7), TOO_LARGE, now);
        assert!(
            routes.take(&publishing("events", "a", 5), now) && routes.meet(&publishing("events", "a", 9))
        );
        assert!(!routes.take(&publishing("events", "a", 4), now));
    }

    #[test]
    fn what_is_not_used_for_ten_minutes_is_forgotten() {
        let (mut routes, start) = (RefusedRoutes::default(), Instant::now());
        for key in ["a", "b"] {
            routes.learn(&routed("events", key, 1), FORBIDDEN, start);
        }
        let almost = start + UNUSED - Duration::from_secs(1);
        assert!(routes.take(&publishing("events", "a", 1), almost));
        routes.expire(almost);
        assert!(routes.meet(&publishing("events", "b", 1)));
        routes.expire(start + UNUSED);
        assert!(!routes.meet(&publishing("events", "b", 1)) && routes.meet(&publishing("events", "a", 1)));
        routes.expire(almost + UNUSED);
        assert!(routes.known.is_empty());
    }

    #[test]
    fn a_thousand_are_known_at_most() {
        let (mut routes, now) = (RefusedRoutes::default(), Instant::now());
        let key = |number: usize| (["events", "others"][number % 2], format!("key-{number}"));
        for number in 0..=MOST {
            let (exchange, key) = key(number);
            routes.learn(&routed(exchange, &key, 1), FORBIDDEN, now);
        }
        let known = |routes: &mut RefusedRoutes, number| {
            let (exchange, key) = key(number);
            routes.take(&publishing(exchange, &key, 1), now)
        };
        assert!((0..MOST).all(|number| known(&mut routes, number)) && !known(&mut routes, MOST));
        // one that is known is known on, and one that is forgotten makes room
        routes.learn(&routed("events", "key-0", 1), FORBIDDEN, now);
        routes.forget(&routed("others", "key-1", 1));
        let (exchange, last) = key(MOST);
        routes.learn(&routed(exchange, &last, 1), FORBIDDEN, now);
        assert!(known(&mut routes, 0) && known(&mut routes, MOST) && !known(&mut routes, 1));
    }
}
