//! Exchanges, queues and bindings as data. Pure: `broker` declares them, tests compare them.

use crate::event::{HeaderValue, Headers};

/// What is to exist on the broker; declaring it twice changes nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Topology {
    /// Declared first, in order.
    pub exchanges: Vec<Exchange>,
    /// Declared second.
    pub queues: Vec<Queue>,
    /// Bound last.
    pub bindings: Vec<Binding>,
}

/// An exchange.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    /// Its name.
    pub name: String,
    /// How it routes.
    pub kind: ExchangeKind,
    /// Survives a broker's restart.
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
    /// To all.
    Fanout,
}

/// A queue. An empty name asks the broker to make one up.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Survives a broker's restart.
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

/// What a binding leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A queue by name.
    Queue(String),
    /// An exchange by name.
    Exchange(String),
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
        self.arguments.set(name, value);
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
        self.arguments.set(name, value);
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

/// Whether `key` matches the topic `pattern`: words are separated by dots, `*` stands for one word, `#` for zero or
/// more. The one matcher of the project: the in-memory broker, the feed and the tests use it.
pub fn topic_matches(pattern: &str, key: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('.').collect();
    let key: Vec<&str> = if key.is_empty() { Vec::new() } else { key.split('.').collect() };
    // `reached[i]`: the words of the pattern so far match the first i words of the key.
    let mut reached = vec![false; key.len() + 1];
    reached[0] = true;
    for word in pattern {
        let mut next = vec![false; key.len() + 1];
        for i in 0..=key.len() {
            next[i] = match word {
                "#" => reached[i] || (i > 0 && next[i - 1]),
                "*" => i > 0 && reached[i - 1],
                literal => {
                    (i > 0 && reached[i - 1] && key[i - 1] == literal)
                        || (key.is_empty() && literal.is_empty() && reached[i])
                }
            };
        }
        reached = next;
    }
    reached[key.len()]
}
