//! Whose files count among several clocks. Taking over applies none: what is stored goes on. But each member notes what it read, and when
//! *it* last changed to that; whoever leads applies its own files if they are what a member changed to last. So a rolling
//! deployment edits nothing to and fro, and its new files count as soon as one who has them leads.

use crate::{
    diagnostic::Diagnostic,
    postgres::{Door, note_files},
    reading::Reader,
    schedule::Packed,
    store::StoreError,
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
/// So often it is tried to find out whether they are the newest when a leadership begins.
const ATTEMPTS: u32 = 30;

const OLDER: &str = "another clock of this name has newer schedule files, so those of this one are not applied: bring the same files to both";

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
    ///
    /// # Errors
    /// [`StoreError`]: then that is not known.
    async fn are_the_newest(&self, digest: &str) -> Result<bool, StoreError> {
        note_files(&self.door, &self.place, digest).await
    }

    /// The same, tried again for a while; not, where it can't be found out.
    pub(super) async fn are_the_newest_in_the_end(&self, read: &[Packed]) -> bool {
        let digest = digest(read);
        for _ in 0..ATTEMPTS {
            match self.are_the_newest(&digest).await {
                Ok(newest) => return newest,
                Err(error) => {
                    debug!(%error, "whether the files of this clock are the newest is not known; that is tried again");
                    sleep(PAUSE).await;
                }
            }
        }
        warn!("whether the files of this clock are the newest could not be found out");
        false
    }

    /// Reads nothing that is older than what another member has: that stands as an error, for people to see.
    pub(super) fn only_the_newest(self, read: Reader) -> Reader {
        let runtime = tokio::runtime::Handle::current();
        Arc::new(move || {
            let list = read()?;
            match runtime.block_on(self.are_the_newest(&digest(&list))) {
                Ok(true) => Ok(list),
                Ok(false) => Err(Diagnostic::error(OLDER).into()),
                Err(error) => Err(Diagnostic::error(format!(
                    "whether another clock of this name has newer schedule files is not known, so these are not applied: {error}"
                ))
                .into()),
            }
        })
    }

    /// Notes them at the start and whenever they change, and says where they are to be applied.
    pub(super) async fn follow(
        self,
        read: Reader,
        mut changed: mpsc::Receiver<()>,
        said: watch::Sender<u64>,
    ) {
        let mut has_begun = false;
        loop {
            let read = read.clone();
            // Where they can't be read, whoever reads them to apply them says why.
            let mut count = true;
            if let Ok(Ok(digest)) = spawn_blocking(move || read().map(|list| digest(&list))).await {
                count = loop {
                    match self.are_the_newest(&digest).await {
                        Ok(newest) => break newest,
                        Err(error) => {
                            debug!(%error, "the files of this clock could not be noted; that is tried again");
                            sleep(PAUSE).await;
                        }
                    }
                };
            }
            if !count {
                warn!("{OLDER}");
            }
            // What is read at the start is applied by whoever begins to lead.
            if std::mem::replace(&mut has_begun, true) && count {
                said.send_modify(|changes| *changes += 1);
            }
            if changed.recv().await.is_none() {
                return;
            }
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
        // One that is started again under another name, with what was known before.
        assert!(!note("three", "b") && note("two", "a"), "nobody changed to that");
        assert!(note("four", "a") && note("five", "c") && !note("four", "a"));
    }

    #[test]
    fn what_is_read_anew_is_not_applied_while_another_member_has_newer_files() {
        let tables = Tables::new();
        drop(tables.door("khronos").session().unwrap());
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let files = |place: &str| Files::new(tables.door("khronos"), place);
        let read: Reader = Arc::new(|| Ok(Vec::new()));
        let _in = runtime.enter();
        let read = files("one").only_the_newest(read);
        assert!(read().is_ok());
        assert!(runtime.block_on(note_files(&tables.door("khronos"), "two", "b")).unwrap());
        let refused = read().unwrap_err().to_string();
        assert!(refused.contains("another clock of this name has newer schedule files"), "{refused}");
    }
}
