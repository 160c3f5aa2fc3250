//! Whose files count among several clocks. Taking over applies none: what is stored goes on. But each member notes what it read, and when
//! *it* last changed to that; whoever leads applies what a member changed to last: its own files where they say that, else what lies in
//! the tables of those of that member, as if its own said so. So a rolling deployment edits nothing to and fro, and its new files count
//! soon after the first member has them.

use crate::{
    diagnostic::{Diagnostic, Diagnostics},
    postgres::{Door, FilesNote, NewestFiles, files_of, newest_files, note_files},
    reading::{FilesReader, Reader},
    schedule::Packed,
    sources::{FileSet, MOST_BYTES},
    store::StoreError,
};
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
    /// What was given to be applied last; none where a leadership began with this member's files, for there were no others.
    applied: Option<String>,
}

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

    async fn judge(&self, set: &FileSet) -> Result<Judged, StoreError> {
        let newest = self.note(set).await?.digest;
        if newest == set.digest() {
            return Ok(Judged::Own);
        }
        let bytes = files_of(&self.door, &newest).await?;
        Ok(Judged::Others(newest, bytes))
    }

    /// The schedules that are to be applied. It may take a while.
    fn applied(
        &self,
        reader: &FilesReader,
        (list, set): (Vec<Packed>, &FileSet),
        judged: Judged,
    ) -> Result<Vec<Packed>, Diagnostics> {
        let (digest, list) = match judged {
            Judged::Own => (set.digest(), list),
            Judged::Others(digest, bytes) => {
                let list = taken(reader, &digest, bytes.as_deref())?;
                info!(
                    "another clock of this name has newer schedule files: what they say is applied, and not what those of this clock say"
                );
                (digest, list)
            }
        };
        self.known().applied = Some(digest);
        Ok(list)
    }

    /// The same when a leadership begins, where that is found out within a while; else why the stored schedules go on.
    pub(super) async fn applied_in_the_end(&self, reader: FilesReader) -> Result<Vec<Packed>, String> {
        let ended = |error: tokio::task::JoinError| format!("reading the schedules ended early: {error}");
        // Whatever is stored: what that is of is not known.
        self.known().applied = Some(String::new());
        let own = reader.clone();
        let read = spawn_blocking(move || own.own_set()).await.map_err(ended)?;
        let (list, set) = read.map_err(|wrong| wrong.to_string())?;
        let mut attempts = 0;
        let judged = loop {
            attempts += 1;
            match self.judge(&set).await {
                Ok(judged) => break judged,
                Err(error) if attempts == ATTEMPTS => return Err(unknown(&error)),
                Err(error) => {
                    debug!(%error, "whether the files of this clock are the newest is not known; that is tried again");
                    sleep(PAUSE).await;
                }
            }
        };
        let this = self.clone();
        let applied = spawn_blocking(move || this.applied(&reader, (list, &set), judged));
        applied.await.map_err(ended)?.map_err(|wrong| wrong.to_string())
    }

    /// Reads what a member changed to last; where that can't be had, it stands as an error, for people to see.
    pub(super) fn only_the_newest(self, reader: FilesReader) -> Reader {
        let runtime = tokio::runtime::Handle::current();
        Arc::new(move || {
            let (list, set) = reader.own_set()?;
            match runtime.block_on(self.judge(&set)) {
                Ok(judged) => self.applied(&reader, (list, &set), judged),
                Err(error) => Err(Diagnostic::error(unknown(&error)).into()),
            }
        })
    }

    /// Says that the files are to be read again, once another member has changed to something, or what it changed to can be had.
    pub(super) async fn follow_others(self, reload: mpsc::Sender<()>) {
        let mut asked = None;
        loop {
            sleep(LOOK).await;
            let newest = match newest_files(&self.door).await {
                Ok(newest) => newest,
                Err(error) => {
                    debug!(%error, "whether another clock has newer files is not known; that is tried again");
                    continue;
                }
            };
            let Some(newest) = newest else { continue };
            let is_applied = {
                let known = self.known();
                known.applied.as_ref().or(known.own.as_ref()) == Some(&newest.digest)
            };
            if !is_applied && Some(&newest) != asked.as_ref() {
                // One that waits to be noticed is as good as many.
                let _ = reload.try_send(());
                asked = Some(newest);
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

fn unknown(error: &StoreError) -> String {
    format!(
        "whether another clock of this name has newer schedule files is not known, so these are not applied: {error}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{CalendarSource, Config, Request, ScheduleSource},
        postgres::fixture::Tables,
        reading::{Beside, Ends},
        schedule::{CalendarStore, Demand},
        sources::FileLines,
    };
    use std::{fs, path::Path};

    /// A clock that has this schedule in its files.
    struct Machine {
        folder: tempfile::TempDir,
        files: Files,
        reader: FilesReader,
    }

    fn write(folder: &Path, schedule: &str) {
        let text =
            format!("[[schedule]]\nname = \"{schedule}\"\nevent = \"x.day.passed\"\nevery = \"1 day\"\n");
        fs::write(folder.join("a.toml"), text).unwrap();
    }

    impl Machine {
        fn new(tables: &Tables, place: &str, schedule: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            write(folder.path(), schedule);
            fs::create_dir(folder.path().join("none")).unwrap();
            let config = Config {
                schedules: ScheduleSource::Folder(folder.path().to_owned()),
                calendars: CalendarSource::Folder(folder.path().join("none")),
                ..Config::load(&Request::default()).unwrap()
            };
            let beside = Beside {
                had_folder: true,
                demand: watch::channel(Demand::default()).1,
                calendars: watch::channel(Default::default()).1,
            };
            let (store, ends) = (CalendarStore::default(), Ends::default());
            let (named, lines) = (watch::channel(None).0, watch::channel(FileLines::default()).0);
            let reader = FilesReader::new(&config, beside, &store, &ends, named, lines);
            let files = Files::new(tables.of_another_process().door("khronos"), place);
            Self { folder, files, reader }
        }

        /// What it would apply, if it led.
        fn applies(&self) -> Result<Vec<String>, String> {
            let read = self.files.clone().only_the_newest(self.reader.clone())();
            let names = |list: Vec<Packed>| list.iter().map(|one| one.name().to_owned()).collect();
            read.map(names).map_err(|wrong| wrong.to_string())
        }
    }

    #[test]
    fn who_leads_applies_what_a_member_changed_to_last_whoever_has_it() {
        let tables = Tables::new();
        drop(tables.door("khronos").session().unwrap());
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let _in = runtime.enter();
        let (one, two) = (Machine::new(&tables, "one", "old"), Machine::new(&tables, "two", "old"));
        assert_eq!((one.applies(), two.applies()), (Ok(vec!["old".into()]), Ok(vec!["old".into()])));
        // A rolling deployment: one has the new files, two leads, and is started again later.
        write(one.folder.path(), "new");
        assert_eq!((one.applies(), two.applies()), (Ok(vec!["new".into()]), Ok(vec!["new".into()])));
        let again = Machine::new(&tables, "two", "old");
        assert_eq!(again.applies(), Ok(vec!["new".into()]), "nothing is edited to and fro");
        let at_last = runtime.block_on(again.files.applied_in_the_end(again.reader.clone())).unwrap();
        assert_eq!(at_last.len(), 1);
        assert_eq!(at_last[0].name(), "new");
        write(two.folder.path(), "new");
        assert_eq!((two.applies(), one.applies()), (Ok(vec!["new".into()]), Ok(vec!["new".into()])));
    }

    #[test]
    fn what_the_newest_files_say_is_refused_wholly_where_it_is_missing_or_not_what_was_announced() {
        let tables = Tables::new();
        drop(tables.door("khronos").session().unwrap());
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let _in = runtime.enter();
        let (one, two) = (Machine::new(&tables, "one", "new"), Machine::new(&tables, "two", "old"));
        let door = tables.door("khronos");
        let announced = |bytes: Option<&[u8]>, digest: &str| {
            let note = FilesNote { digest, bytes, is_assumed: false };
            runtime.block_on(note_files(&door, "one", note)).unwrap();
        };
        assert!(two.applies().is_ok());
        announced(None, "too large");
        let why = two.applies().unwrap_err();
        assert!(why.contains("newer schedule files") && why.contains("not in the tables"), "{why}");
        announced(Some(b"something else"), "a digest");
        let why = two.applies().unwrap_err();
        assert!(why.contains("does not match its digest"), "{why}");
        // What it says is wrong, by the rules of the clock that would apply it.
        let (_, mut wrong) = one.reader.own_set().unwrap();
        wrong.add_for_test("[[schedule]]\nname = \"x\"\nevery = \"never\"\n");
        announced(wrong.bytes(), &wrong.digest());
        let why = two.applies().unwrap_err();
        assert!(why.contains("it is refused here") && why.contains("never"), "{why}");
        assert_eq!(one.applies(), Ok(vec!["new".into()]), "it is mended");
        assert_eq!(two.applies(), Ok(vec!["new".into()]));
    }
}
