//! The clocks of one name on one Postgres, as its tables say: asked of whichever of them, also while none leads.

use super::OpsError;
use crate::postgres::{ClusterSeen, Door};
use serde::Serialize;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Mutex, watch},
    time::{Instant, timeout},
};
use utoipa::ToSchema;

/// How long the database may take.
const LIMIT: Duration = Duration::from_secs(5);
/// For so long what it said is good for everybody: it is asked by a connection of its own each time.
const FRESH: Duration = Duration::from_secs(1);

/// The clocks of one name on one Postgres.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ClusterView {
    /// The member that answers: one of `members`, once it has shown itself.
    pub here: String,
    /// What a failover of the database may lose; null: nothing, as far as is known.
    pub replication: Option<String>,
    /// As the tables say.
    #[serde(flatten)]
    pub seen: ClusterSeen,
}

/// What was read, when.
type Kept = Option<(Instant, Result<ClusterSeen, String>)>;

/// Reads it. Clones share what was read last.
#[derive(Debug, Clone)]
pub struct ClusterReader {
    door: Door,
    replication: watch::Receiver<Option<String>>,
    kept: Arc<Mutex<Kept>>,
}

impl ClusterReader {
    /// By this door; what a failover may lose is known there from time to time.
    pub fn new(door: Door, replication: watch::Receiver<Option<String>>) -> Self {
        Self { door, replication, kept: Arc::default() }
    }

    /// How it is, or was less than a second ago.
    ///
    /// # Errors
    /// [`OpsError::Unavailable`]: the database does not say.
    pub async fn read(&self) -> Result<ClusterView, OpsError> {
        // Whoever comes while it is asked waits for the same answer.
        let mut kept = self.kept.lock().await;
        let seen = match &*kept {
            Some((at, seen)) if at.elapsed() < FRESH => seen.clone(),
            _ => {
                let asked = timeout(LIMIT, ClusterSeen::of(&self.door)).await;
                let late = |_| format!("the database did not answer within {} s", LIMIT.as_secs());
                let seen = asked.map_err(late).and_then(|seen| seen.map_err(|error| error.to_string()));
                *kept = Some((Instant::now(), seen.clone()));
                seen
            }
        };
        let seen = seen.map_err(OpsError::Unavailable)?;
        let replication = self.replication.borrow().clone();
        Ok(ClusterView { here: self.door.shard().holder.to_string(), replication, seen })
    }
}
