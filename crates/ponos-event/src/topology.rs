//! Exchanges, queues and bindings as data. Pure: `broker` declares them, tests compare them.

mod definitions;
mod document;
mod kubernetes;
mod pattern;
mod permissions;
mod resource_name;
mod terraform;
pub mod worker;

pub use definitions::definitions;
pub use document::Document;
pub use pattern::{InvalidPattern, check_event_pattern, check_pattern};
pub use permissions::{Permissions, TopicPermissions, permissions};

use crate::{HeaderValue, Headers};

/// Exchanges, queues and bindings that must exist on the broker; declaring them twice changes nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Topology {
    /// Declared first, in order.
    pub exchanges: Vec<Exchange>,
    /// Declared second.
    pub queues: Vec<Queue>,
    /// Bound last.
    pub bindings: Vec<Binding>,
    /// True if nothing is declared or bound: exchanges and queues must exist already, with any arguments, and bindings are not
    /// checked. For users without configure permission.
    pub passive: bool,
}

impl Topology {
    /// The same topology, only checked and not declared.
    #[must_use]
    pub fn passive(mut self) -> Self {
        self.passive = true;
        self
    }
}

/// An exchange.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    /// Its name.
    pub name: String,
    /// How it routes.
    pub kind: ExchangeKind,
    /// Survives a restart of the broker.
    pub durable: bool,
    /// `alternate-exchange` and the like.
    pub arguments: Headers,
}

/// How an exchange routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExchangeKind {
    /// By topic pattern (`*` one word, `#` zero or more).
    Topic,
    /// By equal key.
    Direct,
    /// To every binding.
    Fanout,
}

/// A queue. An empty name asks the broker to make one up.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Survives a restart of the broker.
    pub durable: bool,
    /// Belongs to the connection that declares it, and goes with it.
    pub exclusive: bool,
    /// Goes when its last consumer goes.
    pub auto_delete: bool,
    /// `x-queue-type`, `x-dead-letter-exchange`, `x-delivery-limit`, `x-message-ttl`, `x-max-length`, `x-overflow`, …
    pub arguments: Headers,
}

/// A binding of a queue or an exchange to an exchange.
#[derive(Debug, Clone, PartialEq)]
pub struct Binding {
    /// Where messages come from.
    pub source: String,
    /// Where they go.
    pub destination: Destination,
    /// The key or pattern.
    pub routing_key: String,
}

/// The destination of a binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A queue by name.
    Queue(String),
    /// An exchange by name.
    Exchange(String),
}

impl Topology {
    /// The part that outlives its connections.
    pub fn lasting(&self) -> Self {
        let mut lasting = self.clone();
        lasting.queues.retain(|queue| !(queue.name.is_empty() || queue.exclusive || queue.auto_delete));
        let of = |all: &Self, name: &str| all.queues.iter().any(|queue| queue.name == name);
        let goes = |name: &str| name.is_empty() || of(self, name) && !of(&lasting, name);
        let stays = |to: &Destination| !matches!(to, Destination::Queue(queue) if goes(queue));
        let bindings = self.bindings.iter().filter(|binding| stays(&binding.destination)).cloned().collect();
        Self { bindings, ..lasting }
    }

    /// Adds what `other` has and this lacks.
    pub fn join(&mut self, other: Self) {
        self.exchanges.extend(other.exchanges);
        self.queues.extend(other.queues);
        self.bindings.extend(other.bindings);
    }
}

impl Exchange {
    /// A durable topic exchange without arguments.
    pub fn topic(name: impl Into<String>) -> Self {
        Self { name: name.into(), kind: ExchangeKind::Topic, durable: true, arguments: Headers::default() }
    }

    /// A durable direct exchange without arguments.
    pub fn direct(name: impl Into<String>) -> Self {
        Self { kind: ExchangeKind::Direct, ..Self::topic(name) }
    }

    /// A durable fanout exchange without arguments.
    pub fn fanout(name: impl Into<String>) -> Self {
        Self { kind: ExchangeKind::Fanout, ..Self::topic(name) }
    }

    /// The same exchange with one more argument.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<HeaderValue>) -> Self {
        self.arguments.set(name.to_owned(), value);
        self
    }
}

impl Queue {
    /// A durable classic queue.
    pub fn classic(name: impl Into<String>) -> Self {
        Self { name: name.into(), durable: true, ..Self::default() }
    }

    /// A durable quorum queue.
    pub fn quorum(name: impl Into<String>) -> Self {
        Self::classic(name).with("x-queue-type", "quorum")
    }

    /// A queue of this connection alone, named by the broker, gone with the connection.
    pub fn temporary() -> Self {
        Self { exclusive: true, auto_delete: true, ..Self::default() }
    }

    /// The same queue with one more argument.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<HeaderValue>) -> Self {
        self.arguments.set(name.to_owned(), value);
        self
    }
}

impl Binding {
    /// `queue` receives from `source` what matches `routing_key`.
    pub fn queue(
        source: impl Into<String>,
        queue: impl Into<String>,
        routing_key: impl Into<String>,
    ) -> Self {
        let destination = Destination::Queue(queue.into());
        Self { source: source.into(), destination, routing_key: routing_key.into() }
    }

    /// `exchange` receives from `source` what matches `routing_key`.
    pub fn exchange(
        source: impl Into<String>,
        exchange: impl Into<String>,
        routing_key: impl Into<String>,
    ) -> Self {
        let destination = Destination::Exchange(exchange.into());
        Self { source: source.into(), destination, routing_key: routing_key.into() }
    }
}

/// Whether `key` matches the topic `pattern`: words are separated by dots, `*` stands for one word (an empty one too),
/// `#` for zero or more; an empty text has no words at all. The one matcher of the project: the in-memory broker, the
/// feed and the tests use it. As RabbitMQ's `rabbit_exchange_type_topic` does it; allocates nothing.
pub fn topic_matches(pattern: &str, key: &str) -> bool {
    let (mut pattern, mut key) = (split_words(pattern), split_words(key));
    // where to go on if the words after the last `#` don't fit: it then swallows one word more
    let mut retry = None;
    loop {
        let here = key.clone();
        match (pattern.next(), key.next()) {
            (None, None) => return true,
            (Some("#"), _) => {
                key = here.clone();
                retry = Some((pattern.clone(), here));
            }
            (Some("*"), Some(_)) => {}
            (Some(literal), Some(word)) if literal == word => {}
            _ => {
                let Some((after, mut from)) = retry.take() else { return false };
                if from.next().is_none() {
                    return false;
                }
                (pattern, key) = (after.clone(), from.clone());
                retry = Some((after, from));
            }
        }
    }
}

fn split_words(text: &str) -> impl Iterator<Item = &str> + Clone {
    text.split('.').take(if text.is_empty() { 0 } else { usize::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_match_as_in_rabbitmq() {
        for (pattern, key, matches) in [
            ("time.one-day.passed", "time.one-day.passed", true),
            ("time.one-day.passed", "time.one-day", false),
            ("time.*.passed", "time.one-day.passed", true),
            ("time.*.passed", "time.passed", false),
            ("time.#", "time", true),
            ("time.#", "time.one-day.passed", true),
            ("time.#", "timer.one-day.passed", false),
            ("#", "", true),
            ("#", "a.b", true),
            ("#.#", "", true),
            ("#.#", "a", true),
            ("#.*", "", false),
            ("#.*", "a", true),
            ("*.#", "a", true),
            ("#.b.#", "a.b.c", true),
            ("#.b.#", "b", true),
            ("#.b.#", "a.c", false),
            ("#.a.b", "a.a.b", true),
            ("#.a.#.b", "a.b.a", false),
            ("", "", true),
            ("", "a", false),
            ("*", "", false),
            ("*", "a.b", false),
            // empty words are words
            ("*.*", ".", true),
            ("a.", "a.", true),
            ("a.", "a", false),
            ("a..b", "a.b", false),
            ("a.*.b", "a..b", true),
            (".", "", false),
            (".#", "", false),
            // in a key these are words like others
            ("a", "#", false),
            ("#", "#.*", true),
            ("*", "#", true),
        ] {
            assert_eq!(topic_matches(pattern, key), matches, "{pattern:?} {key:?}");
        }
    }

    #[test]
    fn many_hashes_take_no_exponential_time() {
        let pattern = "#.a.".repeat(60) + "b";
        assert!(!topic_matches(&pattern, &"a.".repeat(120)));
    }

    /// The definition, word by word.
    fn naive(pattern: &[&str], key: &[&str]) -> bool {
        match (pattern.split_first(), key.split_first()) {
            (None, None) => true,
            (Some((&"#", rest)), None) => naive(rest, key),
            (Some((&"#", rest)), Some((_, shorter))) => naive(rest, key) || naive(pattern, shorter),
            (Some((word, rest)), Some((found, shorter))) => {
                (*word == "*" || word == found) && naive(rest, shorter)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn the_matcher_agrees_with_the_definition(pattern in "([ab*#]?\\.){0,5}[ab*#]?", key in "([ab]?\\.){0,5}[ab]?") {
            let split = |text: &str| if text.is_empty() { vec![] } else { text.split('.').map(str::to_owned).collect() };
            let (pattern_words, key_words) = (split(&pattern), split(&key));
            let pattern_words: Vec<&str> = pattern_words.iter().map(String::as_str).collect();
            let key_words: Vec<&str> = key_words.iter().map(String::as_str).collect();
            prop_assert_eq!(topic_matches(&pattern, &key), naive(&pattern_words, &key_words));
        }
    }
}
