//! Steering workers while they run: pauses and limits of queues, and messages that are cancelled, as records of the stream
//! `ponos.control`.
//!
//! A record says of one key (a queue and what is said of it) what holds until when; the last one counts. `Fold` is the state that
//! the records make, `reading` gets them from the stream, `following` has a worker obey, and
//! [`ControlClient`](crate::client::ControlClient) writes. `cancelled` are the ids of messages, which have no order.
//!
//! Invariant: what was said is obeyed by each replica that reads the stream, also one that starts later, until its end and not beyond.
//! A worker that can't read the stream works as if nothing had been said, and says that once. Absent: what a pause does to deliveries
//! (`worker::queue_loop`), and what waits.

mod cancelled;
mod fold;
mod following;
mod reading;
mod steered;

pub(crate) use cancelled::{Cancelled, CancelledIds, IDS, Said, end as cancelled_until, weight as id_weight};
pub(crate) use fold::{Entry, Fold, Scope};
pub(crate) use following::{Follower, declare};
pub(crate) use reading::{Reader, Unread};
pub use steered::{Limit, PausedByHand};
pub(crate) use steered::{Steered, Steering};
