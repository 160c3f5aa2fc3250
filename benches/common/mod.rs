//! What the benchmarks share: a whole clock in this process, bare publishers to compare it with, and measuring.
#![allow(dead_code, unreachable_pub)] // each benchmark uses a part

pub mod asking;
pub mod at_once;
pub mod bare;
pub mod clock;
pub mod measure;
pub mod program;
pub mod raw;
pub mod tap;
pub mod ticks;

use ponos::topology::{Binding, Exchange, Queue, Topology};

/// As the clock's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the program does for itself at its start: no huge pages.
pub fn as_the_program() {
    // Where it can't be done the figures are still right, if a little better.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// The exchange of all benchmarks.
pub const EXCHANGE: &str = "events";
/// The one queue.
pub const QUEUE: &str = "bench";

/// The topic exchange with one queue bound to everything.
pub fn topology(quorum: bool) -> Topology {
    let queue = if quorum { Queue::quorum(QUEUE) } else { Queue::classic(QUEUE) };
    Topology {
        exchanges: vec![Exchange::topic(EXCHANGE)],
        queues: vec![queue],
        bindings: vec![Binding::queue(EXCHANGE, QUEUE, "#")],
        ..Topology::default()
    }
}

/// A number from the environment.
pub fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
