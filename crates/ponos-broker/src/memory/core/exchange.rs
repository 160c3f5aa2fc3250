//! Exchanges and how they route.

use ponos_event::topology::{Destination, Exchange, ExchangeKind, topic_matches};
use std::collections::{BTreeMap, BTreeSet};

/// An exchange and what is bound to it.
#[derive(Debug)]
pub(super) struct ExchangeState {
    pub(super) declared: Exchange,
    /// Each (key, destination) once.
    pub(super) bindings: Vec<(String, Destination)>,
}

/// All exchanges by name, but for the default one, which has no name and no bindings of its own.
pub(super) type Exchanges = BTreeMap<String, ExchangeState>;

impl ExchangeState {
    pub(super) fn new(declared: Exchange) -> Self {
        Self { declared, bindings: Vec::new() }
    }

    fn destinations<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a Destination> {
        let kind = self.declared.kind;
        let matches = move |pattern: &str| match kind {
            ExchangeKind::Topic => topic_matches(pattern, key),
            ExchangeKind::Direct => pattern == key,
            ExchangeKind::Fanout => true,
        };
        self.bindings.iter().filter(move |(pattern, _)| matches(pattern)).map(|(_, destination)| destination)
    }
}

/// The queues that a message with `key` reaches from `exchange`, each once. Where nothing bound to an exchange matches,
/// its alternate exchange takes over (a matching exchange counts, even if it leads nowhere). Cycles end by themselves.
pub(super) fn route(exchanges: &Exchanges, exchange: &str, key: &str) -> BTreeSet<String> {
    let mut queues = BTreeSet::new();
    let mut visited = BTreeSet::from([exchange]);
    let mut open = vec![exchange];
    while let Some(name) = open.pop() {
        let Some(state) = exchanges.get(name) else { continue };
        let mut next: Vec<&str> = Vec::new();
        let mut matched = false;
        for destination in state.destinations(key) {
            matched = true;
            match destination {
                Destination::Queue(queue) => {
                    queues.insert(queue.clone());
                }
                Destination::Exchange(target) => next.push(target),
            }
        }
        if !matched {
            next.extend(state.declared.arguments.text("alternate-exchange"));
        }
        open.extend(next.into_iter().filter(|target| visited.insert(target)));
    }
    queues
}
