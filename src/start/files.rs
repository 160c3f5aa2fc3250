//! Whose files count among several clocks. Taking over applies none: what is stored goes on. But each member notes what it read, and when
//! *it* last changed to that; whoever leads applies its own files if they are what a member changed to last. So a rolling
//! deployment edits nothing to and fro, and its new files count as soon as one who has them leads.

use crate::{
    postgres::{Door, note_files},
    reading::Reader,
    schedule::Packed,
};
use sha2::{Digest, Sha256};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    task::spawn_blocking,
    time::sleep,
};
use tracing::{debug, warn};

/// Between two attempts to note them.
const PAUSE: Duration = Duration::from_secs(1);

/// What this member's files say, among those of the others.
#[derive(Debug, Clone)]
pub(super) struct Files {
    door: Door,
    /// The same whenever this member is started again.
    place: Arc<str>,
}

impl Files {
    pub(super) fn new(door: Door, place: &str) -> Self {
        Self { door, place: place.into() }
    }

    /// Notes what was read; whether that is what a member changed to last.
    pub(super) async fn are_the_newest(&self, read: &[Packed]) -> bool {
        match note_files(&self.door, &self.place, &digest(read)).await {
            Ok(newest) => newest,
            Err(error) => {
                warn!(%error, "whether the files of this clock are the newest is not known; the stored schedules go on");
                false
            }
        }
    }

    /// Notes them at the start and whenever they change, and says so.
    pub(super) async fn follow(
        self,
        read: Reader,
        mut changed: mpsc::Receiver<()>,
        said: watch::Sender<u64>,
    ) {
        loop {
            let read = read.clone();
            if let Ok(Ok(digest)) = spawn_blocking(move || read().map(|list| digest(&list))).await {
                while let Err(error) = note_files(&self.door, &self.place, &digest).await {
                    debug!(%error, "the files of this clock could not be noted; that is tried again");
                    sleep(PAUSE).await;
                }
            }
            if changed.recv().await.is_none() {
                return;
            }
            said.send_modify(|changes| *changes += 1);
        }
    }
}

/// The same for the same definitions, however they are written in files, and in which.
fn digest(list: &[Packed]) -> String {
    let mut ordered: Vec<&Packed> = list.iter().collect();
    ordered.sort_by_key(|one| one.name_bytes());
    let mut hash = Sha256::new();
    for one in ordered {
        // What can't be written as JSON was never read from a file.
        hash.update(serde_json::to_vec(&one.definition()).unwrap_or_default());
        hash.update([0]);
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::fixture::Tables;

    #[test]
    fn the_files_that_a_member_changed_to_last_count_and_who_is_started_again_changes_nothing() {
        let tables = Tables::new();
        drop(tables.door("khronos").session().unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let door = tables.door("khronos");
        let note = |place: &str, digest: &str| runtime.block_on(note_files(&door, place, digest)).unwrap();
        assert!(note("one", "a") && note("two", "a"));
        // A rolling deployment: one has new files, two is started again with its old ones.
        assert!(note("one", "b"));
        assert!(!note("two", "a"), "it did not change");
        assert!(note("one", "b"));
        assert!(note("two", "b"));
        // And back.
        assert!(note("two", "a") && !note("one", "b"));
    }
}
