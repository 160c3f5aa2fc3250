//! Looks at who leads, without a wish to write.

use super::{Door, Replication, lease::Seen, reads::Reads};
use crate::store::StoreError;

/// Looks at the row of a clock's lease, by a connection that it keeps.
#[derive(Debug)]
pub struct Follower {
    door: Door,
    reads: Reads,
}

impl Follower {
    /// Nothing is connected yet.
    pub fn new(door: &Door) -> Self {
        Self { door: door.clone(), reads: Reads::new(door) }
    }

    /// What the row says now; `None` before anybody ever led.
    ///
    /// # Errors
    /// [`StoreError::Io`], before the tables are made, too.
    pub fn look(&self) -> Result<Option<Seen>, StoreError> {
        self.reads.at_once(async |calls| self.door.shard().follow(calls).await)
    }

    /// What a failover of the server may lose, as it is now.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn replication(&self) -> Result<Replication, StoreError> {
        self.reads.at_once(async |calls| Replication::read(calls).await)
    }
}
