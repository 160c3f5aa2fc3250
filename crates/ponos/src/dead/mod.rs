//! Dead letters from code: what workers gave up on, in `<queue>.dlq`, and messages whose queue no longer exists, in `parking`.
//!
//! [`Client::dead`](crate::Client::dead) lists, requeues and discards those of one work queue; the program `ponos dead` stands on
//! the same [`LetterReader`]. Letters are read by consuming without settling: who looks at a queue holds what it looked at, and
//! at the end the closed channel gives it back, to the place where it was. That counts as a delivery on a quorum queue, which is
//! why `topology::worker` gives these queues a delivery limit that nobody reaches.
//!
//! Invariant: a letter is removed only once its queue has confirmed it, or because it is to be discarded. Absent: looking for
//! queues, which AMQP can't list.

mod dead_queue;
mod error;
mod letter;
mod letter_filter;
mod letter_reader;

pub use dead_queue::{DeadQueue, Requeued};
pub use error::DeadError;
pub use letter::Letter;
pub use letter_filter::LetterFilter;
pub use letter_reader::{HeldLetter, LetterReader};
