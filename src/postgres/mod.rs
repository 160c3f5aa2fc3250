//! What both stores on Postgres share: the address, connections on which every call has a time limit, the tables, the row of the
//! lease, and the one writer.
//!
//! Invariant: everything that a clock writes goes through one [`Session`], one short transaction at a time, whose first statement
//! compares (clock, shard, term, holder, writes) with the row of the shard and counts one up. Where that does not fit, another
//! clock leads, and nothing of the transaction is kept. A connection on which anything failed or took too long is never used
//! again; the next one begins with an acquisition, which waits for whatever the old one left in the server. So what is read
//! behind it is what was kept.
//!
//! Nothing here wants a session of its own in the server: statements are not prepared by name, settings hold for one transaction,
//! names are qualified. So it works behind a pooler in transaction mode. What is heard as a hint alone is not listened to there.
//!
//! Absent: who acquires when (that is for whoever follows), trust on a monotonic clock, and what the tables mean.

mod acquiring;
mod address;
mod calls;
mod contents;
mod door;
mod errors;
mod files;
mod follower;
mod hints;
mod idle;
mod leadership;
mod lease;
mod led;
mod members;
mod numbered;
mod reads;
mod replication;
mod row;
mod runtime;
mod schema;
mod session;
mod windows;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
pub(crate) mod proxy;
#[cfg(test)]
mod tests;

pub use address::AddressError;
pub(crate) use address::{Address, check_schema, check_url, has_password};
pub(crate) use calls::{Calls, column, integer, number};
pub(crate) use contents::{Contents, Table};
pub use door::{Door, DoorOptions};
pub(crate) use errors::Failed;
pub(crate) use files::{FilesNote, NewestFiles, files_of, newest_files, note_files};
pub use follower::Follower;
pub(crate) use hints::hear;
pub(crate) use leadership::{leader, note_leadership};
pub use lease::{Grant, Saved, Seen};
pub(crate) use lease::{Progress, Shard, Writing};
pub use led::Led;
pub(crate) use led::{FreshGrant, LedTurn, TurnAsked, TurnEnd};
pub(crate) use members::WARM;
pub use members::{ClusterSeen, MemberSeen, Resigning, resign};
pub(crate) use numbered::{Added, First, Kept, Numbered, PAGE, of};
pub(crate) use reads::Reads;
pub use replication::Replication;
pub(crate) use row::{LeaderShown, Line, MemberShown, Told};
pub(crate) use schema::{NEWEST, is_complete};
pub use session::Session;
pub(crate) use windows::{AT_ONCE_BYTES, Keyed, portions};
