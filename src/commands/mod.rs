//! The door of commands: messages that ask the clock for something, and the answers to them, over RabbitMQ (ADR 0023).
//!
//! A command's path: `door.rs` takes it from the queue, `users.rs` tells who asks, `command.rs` and `request.rs` read what he asks for,
//! `dispatch.rs` has `ops` do it, `answer.rs` gives the answer its form, and `outcome.rs` says where that goes; what can't be
//! a command goes to the dead letters besides. A delivery is settled when its effect is durable and its answer confirmed: what
//! comes again is answered as before. `topology.rs` is what is declared. Everything lies on connections and a thread of its
//! own (`apart.rs`), so that no command delays an event. Absent: what a caller may do (`authority/`), and everything that a
//! command does (`ops/`).

mod answer;
mod apart;
mod command;
mod dispatch;
mod door;
mod lanes;
mod outbox;
mod outcome;
mod request;
#[cfg(test)]
mod tests;
mod topology;
mod users;

pub use apart::{Door, Running, StartError, start};
pub use topology::topology;
