//! What the door needs on the broker: the exchange and the queue of commands, the queue of its dead letters, and the exchange
//! of answers.
//!
//! ```text
//! khronos.commands (topic) ─#─▶ khronos.commands ─dead─▶ (default exchange) ─▶ khronos.commands.dlq
//! khronos.replies (topic) ─whatever the client binds─▶ its queue
//! ```

use crate::config::CommandsConfig;
use ponos::topology::{
    Binding, Exchange, Queue, Topology,
    worker::{DELIVERY_LIMIT, LOOKED_AT_LIMIT, dead_letters},
};

/// Commands that wait, and their bytes; more are refused by the broker, which who publishes with confirms sees.
const WAITING: i64 = 100_000;
const WAITING_BYTES: i64 = 256 << 20;
/// Dead letters that are kept, and their bytes; the oldest go.
const DEAD: i64 = 10_000;
const DEAD_BYTES: i64 = 64 << 20;

/// All of it.
pub fn topology(config: &CommandsConfig) -> Topology {
    let CommandsConfig { exchange, queue, replies, .. } = config;
    let dead = dead_letters(queue);
    let commands = Queue::quorum(&**queue)
        .with("x-dead-letter-exchange", "")
        .with("x-dead-letter-routing-key", &*dead)
        .with("x-dead-letter-strategy", "at-least-once")
        // At-least-once needs it.
        .with("x-overflow", "reject-publish")
        .with("x-max-length", WAITING)
        .with("x-max-length-bytes", WAITING_BYTES)
        .with("x-delivery-limit", DELIVERY_LIMIT);
    let letters = Queue::quorum(&*dead)
        .with("x-max-length", DEAD)
        .with("x-max-length-bytes", DEAD_BYTES)
        .with("x-delivery-limit", LOOKED_AT_LIMIT);
    Topology {
        exchanges: vec![Exchange::topic(&**exchange), Exchange::topic(&**replies)],
        queues: vec![letters, commands],
        // Whatever its routing key is: what is wrong is to be answered, and not to vanish.
        bindings: vec![Binding::queue(&**exchange, &**queue, "#")],
        ..Topology::default()
    }
}
