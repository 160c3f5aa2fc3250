//! Several clocks on one database: the thread that keeps the lease of this one, and what the rest of the process sees of it.
//!
//! Who leads is decided in the engine ([`Member`](crate::engine::lease::Member)), which is simulated; here its calls are made and
//! its actions performed. The connection of the lease is the one that everything is written by: both stores ask for turns
//! ([`Led`](crate::postgres::Led)), so that a renewal finds its place between their transactions.
//!
//! Invariants: there is one call under way at most. What is written is written under the term of the leadership that asked for
//! it, or not at all. The trust that the process shares ([`Trust`]) is what the member says, and runs out by itself.
//!
//! Absent: what a leadership consists of. That is `start/`, which begins and ends one as the [`Role`] says.

mod calls;
mod keeper;
mod life;
mod notices;
mod role;
mod standby;
#[cfg(test)]
mod tests;
mod thread;
mod trust;

pub(crate) use keeper::{Keeper, KeeperParts, keep};
pub(crate) use role::{Role, Seen};
pub(crate) use standby::Standby;
pub(crate) use trust::Trust;
