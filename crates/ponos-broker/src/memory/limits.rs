//! Which RabbitMQ the in-memory broker behaves like, what it holds at most, and what a queue holds now.

use super::Overflow;

/// Bounds of an in-memory broker. They hold beside what a queue declares for itself (`x-max-length`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokerLimits {
    /// Ready messages in one queue. What is out with consumers is bounded by their prefetch.
    pub messages_per_queue: u64,
    /// Bytes of the bodies of the ready messages in one queue.
    pub bytes_per_queue: u64,
    /// How a queue acts at one of these two bounds. By default the oldest message makes room, so that a queue that
    /// nobody consumes neither grows for ever nor stops the publisher.
    pub overflow: Overflow,
    /// Bytes of one body; a larger one is refused.
    pub message_bytes: usize,
    /// Queues; one more is refused when it is declared.
    pub queues: usize,
    /// Exchanges.
    pub exchanges: usize,
    /// Bindings of one exchange.
    pub bindings_per_exchange: usize,
}

impl Default for BrokerLimits {
    /// 100,000 messages and 64 MiB a queue, 16 MiB a message, 10,000 queues and exchanges.
    fn default() -> Self {
        Self {
            messages_per_queue: 100_000,
            bytes_per_queue: 64 << 20,
            overflow: Overflow::DropHead,
            message_bytes: 16 << 20,
            queues: 10_000,
            exchanges: 10_000,
            bindings_per_exchange: 10_000,
        }
    }
}

/// Where versions of RabbitMQ differ, the one that the twin behaves like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// 3.10 to 4.2: whatever comes back to a quorum queue counts towards its delivery limit.
    #[default]
    V3,
    /// 4.3: what is released (`basic.nack`) does not count, what is rejected or lost with its connection does; and what
    /// was delivered before it died reaches the dead letters as redelivered.
    V4_3,
}

/// The counts of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueStatus {
    /// Messages that wait for a consumer.
    pub ready: usize,
    /// Messages that are out with consumers.
    pub unacked: usize,
    /// Consumers.
    pub consumers: usize,
}
