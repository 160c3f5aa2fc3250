//! The lease: which of several clocks on one database leads. Here is the state machine of one of them, a *member*:
//! `step(reading, LeaseInput) → Vec<LeaseAction>` and `next_wakeup() → Option<instant>`. An adapter performs the calls.
//!
//! One row holds lease and progress, so that one compare-and-swap does both: whoever saves renews. The database's clock
//! decides when the lease has run out; trust runs by the boot-time clock: a leader hands over only until
//! `sent + ttl - margin` of its last save that was acknowledged, reckoned from *before* that was sent. When trust runs out
//! it hands nothing over, keeps what it knows, and goes on at once if the next compare-and-swap fits. A compare-and-swap
//! that does not fit fences it: it drops everything and follows.
//!
//! Invariants: at most one member trusts at any instant, whatever the clocks of the database and of the members do, and
//! though a standby is promoted that lacks commits. A write of unknown outcome is repeated as it was, or known to be kept, and
//! then believed only once a later save was acknowledged.
//!
//! *What a member saw counts from when its connection began*: a promotion ends all connections, and what was seen of the
//! database before says nothing of what the leader has saved there since, and which a standby may lack. The same where the timeline
//! changes behind a pooler.
//!
//! Absent: I/O, time, what is written (a job has a number), and when to hand over.

mod database_clock;
mod following;
mod io;
mod leading;
mod line;
mod member;
#[cfg(test)]
mod tests;
mod times;

pub use io::{LeaseAction, LeaseCall, LeaseInput, LeaseNotice, LeaseReply, LeaseRow, MemberId, Why};
pub use member::Member;
pub use times::LeaseTimes;
