//! Whose files count among several clocks. Taking over applies none: what is stored goes on. But each member notes what it read, and when
//! *it* last changed to that; whoever leads applies what a member changed to last: its own files where they say that, else what lies in
//! the tables of those of that member, as if its own said so. So a rolling deployment edits nothing to and fro, and its new files count
//! soon after the first member has them.

mod asking;

use crate::{
    clock_loop::Loader,
    diagnostic::{Diagnostic, Diagnostics},
    postgres::{Door, FilesNote, NewestFiles, files_of, newest_files, note_files},
    reading::{FilesReader, Reader},
    schedule::Packed,
    sources::{FileSet, MOST_BYTES},
    store::StoreError,
};
use asking::Asking;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::spawn_blocking,
    time::{sleep, timeout},
};
use tracing::{debug, info, warn};

/// Between two attempts to note them.
const PAUSE: Duration = Duration::from_secs(1);
/// So often it is tried to find out whether they are the newest when a leadership begins.
const ATTEMPTS: u32 = 30;
/// How often whoever leads looks whether another member has changed to something.
const LOOK: Duration = Duration::from_secs(3);
/// How often what the newest files say is left again that does not lie in the tables.
const AGAIN: Duration = Duration::from_secs(10);

const NEWER: &str = "another clock of this name has newer schedule files: what they say is applied, and not what those of this clock say";
const OLDER: &str = "another clock of this name has newer schedule files: whoever leads applies those, and not these; bring the same files to both";

/// What this member's files say, among those of the others. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Files {
    door: Door,
    /// The same whenever this member is started again.
    place: Arc<str>,
    known: Arc<Mutex<Known>>,
}

/// Two sets, by their digests.
#[derive(Debug, Default)]
struct Known {
    /// What this member has noted last.
    own: Option<String>,
    /// What was read last to be applied, and is not applied yet.
    read: Option<String>,
    /// What was applied last; none where a leadership began with this member's files, for there were no others.
    applied: Option<String>,
}

/// What was read of this member's files, or what is wrong with them.
type OwnFiles = Result<(Vec<Packed>, FileSet), Diagnostics>;

/// What is to be applied.
#[derive(Debug)]
enum Judged {
    /// What this member's files say.
    Own,
    /// What those of another one say, by its digest; all of it, if it lies in the tables.
    Others(String, Option<Vec<u8>>),
}

impl Files {
    pub(super) fn new(door: Door, place: &str) -> Self {
        Self { door, place: place.into(), known: Arc::default() }
    }

    /// Notes what was read, and which is what a member changed to last.
    ///
    /// # Errors
    /// [`StoreError`]: then that is not known.
    async fn note(&self, set: &FileSet) -> Result<NewestFiles, StoreError> {
        let digest = set.digest();
        let note = FilesNote { digest: &digest, bytes: set.bytes(), is_assumed: set.is_assumed };
        let newest = note_files(&self.door, &self.place, note).await?;
        self.known().own = Some(digest);
        Ok(newest)
    }

    async fn judge(&self, own: &OwnFiles) -> Result<Judged, StoreError> {
        let newest = match own {
            Ok((_, set)) => Some(self.note(set).await?).filter(|newest| newest.digest != set.digest()),
            // They may be gone, or wrong: those of another one count all the same.
            Err(_) => newest_files(&self.door, &self.place).await?.filter(|newest| newest.is_others),
        };
        let Some(NewestFiles { digest, .. }) = newest else { return Ok(Judged::Own) };
        let bytes = files_of(&self.door, &digest).await?;
        Ok(Judged::Others(digest, bytes))
    }

    /// The schedules that are to be applied. It may take a while.
    fn read(&self, reader: &FilesReader, own: OwnFiles, judged: Judged) -> Result<Vec<Packed>, Diagnostics> {
        let (digest, list) = match judged {
            Judged::Own => own.map(|(list, set)| (set.digest(), list))?,
            Judged::Others(digest, bytes) => {
                let list = taken(reader, &digest, bytes.as_deref());
                let list = match own {
                    Ok(_) => list.inspect(|_| info!("{NEWER}")),
                    Err(wrong) => beside_own(list, wrong),
                }?;
                (digest, list)
            }
        };
        self.known().read = Some(digest);
        Ok(list)
    }

    /// What was read last is in effect from now on.
    pub(super) fn note_applied(&self) {
        let mut known = self.known();
        if let Some(read) = known.read.take() {
            known.applied = Some(read);
        }
    }

    /// Loads so, and knows afterwards that it did.
    pub(super) fn noting(self, load: Loader) -> Loader {
        Arc::new(move || load().inspect(|_| self.note_applied()))
    }

    /// The same when a leadership begins, where that is found out within a while; else why the stored schedules go on. Whoever applies
    /// them [notes it](Self::note_applied).
    pub(super) async fn applied_in_the_end(&self, reader: FilesReader) -> Result<Vec<Packed>, String> {
        let ended = |error: tokio::task::JoinError| format!("reading the schedules ended early: {error}");
        // Whatever is stored: what that is of is not known.
        self.known().applied = Some(String::new());
        let of_own = reader.clone();
        let own = spawn_blocking(move || of_own.own_set()).await.map_err(ended)?;
        let mut attempts = 0;
        let judged = loop {
            attempts += 1;
            match self.judge(&own).await {
                Ok(judged) => break judged,
                Err(error) if attempts == ATTEMPTS => return Err(unknown(&error, own).to_string()),
                Err(error) => {
                    debug!(%error, "whether the files of this clock are the newest is not known; that is tried again");
                    sleep(PAUSE).await;
                }
            }
        };
        let this = self.clone();
        let read = spawn_blocking(move || this.read(&reader, own, judged));
        read.await.map_err(ended)?.map_err(|wrong| wrong.to_string())
    }

    /// Reads what a member changed to last; where that can't be had, it stands as an error, for people to see.
    pub(super) fn only_the_newest(self, reader: FilesReader) -> Reader {
        let runtime = tokio::runtime::Handle::current();
        Arc::new(move || {
            let own = reader.own_set();
            match runtime.block_on(self.judge(&own)) {
                Ok(judged) => self.read(&reader, own, judged),
                Err(error) => Err(unknown(&error, own)),
            }
        })
    }

    /// Says that the files are to be read again, once another member has changed to something, or what it changed to can be had; and,
    /// seldom and more seldom, as long as that is not in effect.
    pub(super) async fn follow_others(self, reload: mpsc::Sender<()>) {
        let mut asking = Asking::default();
        loop {
            sleep(LOOK).await;
            let newest = match newest_files(&self.door, &self.place).await {
                Ok(newest) => newest,
                Err(error) => {
                    debug!(%error, "whether another clock has newer files is not known; that is tried again");
                    continue;
                }
            };
            let wanted = newest.filter(|newest| !self.is_applied(&newest.digest));
            if asking.is_due(wanted) {
                // One that waits to be noticed is as good as many.
                let _ = reload.try_send(());
            }
        }
    }

    /// Notes them at the start and whenever they change, and says where they are to be read again.
    pub(super) async fn follow(
        self,
        reader: FilesReader,
        mut changed: mpsc::Receiver<()>,
        said: watch::Sender<u64>,
    ) {
        let mut has_begun = false;
        loop {
            let own = reader.clone();
            // Where they can't be read, whoever reads them to apply them says why.
            let read = spawn_blocking(move || own.own_set().map(|(_, set)| set)).await;
            let mut lacking = None;
            if let Ok(Ok(set)) = read {
                let newest = self.noted(&set).await;
                if newest.digest != set.digest() {
                    warn!("{OLDER}");
                } else if set.bytes().is_none() {
                    warn!(
                        "the schedule files of this clock have more than {MOST_BYTES} bytes together: others of its name can't take what they say, so bring the same files to all"
                    );
                } else if !newest.is_there {
                    lacking = Some(set);
                }
            }
            // What is read at the start is applied by whoever begins to lead.
            if std::mem::replace(&mut has_begun, true) {
                said.send_modify(|changes| *changes += 1);
            }
            loop {
                let Some(set) = &lacking else {
                    match changed.recv().await {
                        Some(()) => break,
                        None => return,
                    }
                };
                match timeout(AGAIN, changed.recv()).await {
                    Ok(Some(())) => break,
                    Ok(None) => return,
                    Err(_) => {
                        let newest = self.noted(set).await;
                        if newest.is_there || newest.digest != set.digest() {
                            lacking = None;
                        }
                    }
                }
            }
        }
    }

    /// Notes them, however long that takes.
    async fn noted(&self, set: &FileSet) -> NewestFiles {
        loop {
            match self.note(set).await {
                Ok(newest) => return newest,
                Err(error) => {
                    debug!(%error, "the files of this clock could not be noted; that is tried again");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    fn is_applied(&self, digest: &str) -> bool {
        let known = self.known();
        known.applied.as_ref().or(known.own.as_ref()).is_some_and(|applied| applied == digest)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the files of another clock say: all of it, or nothing.
fn taken(reader: &FilesReader, digest: &str, bytes: Option<&[u8]>) -> Result<Vec<Packed>, Diagnostics> {
    let not = |why: &str| {
        let what = format!(
            "another clock of this name has newer schedule files, and what they say can't be had: {why}"
        );
        let help = "bring the same files to all clocks of this name";
        Diagnostics::from(Diagnostic::error(what).help(help))
    };
    let bytes = bytes.ok_or_else(|| {
        not("it is not in the tables, for it is too large, or that clock is of an earlier version")
    })?;
    let files = FileSet::read(digest, bytes).map_err(not)?;
    reader.of_another(&files).map_err(|wrong| {
        let mut all = not("it is refused here");
        all.append(wrong);
        all
    })
}

/// What another clock's files say, where this one's are wrong; or all that is wrong.
fn beside_own(
    others: Result<Vec<Packed>, Diagnostics>,
    wrong: Diagnostics,
) -> Result<Vec<Packed>, Diagnostics> {
    match others {
        Ok(list) => {
            warn!("{NEWER}; and these are refused\n{wrong}");
            Ok(list)
        }
        Err(mut all) => {
            all.append(wrong);
            Err(all)
        }
    }
}

fn unknown(error: &StoreError, own: OwnFiles) -> Diagnostics {
    let what = format!(
        "whether another clock of this name has newer schedule files is not known, so these are not applied: {error}"
    );
    let mut all = Diagnostics::from(Diagnostic::error(what));
    if let Err(wrong) = own {
        all.append(wrong);
    }
    all
}

#[cfg(test)]
mod tests;
