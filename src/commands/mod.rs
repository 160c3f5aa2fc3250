//! The door of commands: messages that ask the clock for something, and the answers to them, over RabbitMQ (ADR 0023).
//!
//! A command's path: `taking.rs` takes it from the queue, `users.rs` tells who asks, `command.rs`, `request.rs` and `body.rs` read what he
//! asks for (of delayed events `events.rs` reads and does it), `turns.rs` says when it is its turn, `dispatch.rs` has `ops` do it, `answer.rs` gives the answer its form, `outcome.rs`
//! says where that goes, and `settling.rs` in which order it is answered and settled; what can't be a command goes to the dead letters
//! besides. `door.rs` is the loop of all that, `report.rs` what is seen of it. A delivery is settled when its effect is durable and its
//! answer confirmed: what comes again is answered as before. `topology.rs` is what is declared. Everything lies on connections and a thread of its
//! own (`apart.rs`), so that no command delays an event. Absent: what a caller may do (`authority/`), and everything that a
//! command does (`ops/`).

mod answer;
mod apart;
mod body;
mod command;
mod dispatch;
mod door;
mod events;
mod order;
mod outbox;
mod outcome;
mod report;
mod request;
mod settling;
mod taking;
#[cfg(test)]
mod tests;
mod topology;
mod turns;
mod unconfirmed;
mod users;

pub use apart::{Door, Running, StartError, start};
pub use topology::topology;
