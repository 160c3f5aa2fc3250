//! A copy of the state of a clock that runs, in a folder: it is made beside everything else, one at a time.
//!
//! Invariant: whatever becomes of the disk that it is written to, the clock goes on. What writes there is a thread of its own; it is
//! watched, and where nothing comes of it for `SILENCE` the backup has failed, what it reads of the clock is taken back, and no other
//! is begun as long as that thread is there.

use super::{OpsError, RunningClock, permit::permit};
use crate::{
    apart::yield_to_publishing,
    authority::{Caller, Role},
    clock,
    copying::{CopyError, LookedUp, backup, look_up},
    delayed::DelayedHandle,
    store::StoreHandle,
};
use ponos::event::Timestamp;
use serde::{Deserialize, Serialize};
use std::{path::PathBuf, sync::Arc, thread, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch},
    task::spawn_blocking,
    time::timeout,
};
use tracing::{error, info, warn};

/// How long a portion may take.
const SILENCE: Duration = Duration::from_secs(60);
/// How long whoever asks waits for what is found at once: that something is there already, or that nothing can be written.
const AT_ONCE: Duration = Duration::from_secs(5);

/// A backup that is asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupAsked {
    /// An absolute path: nothing may be there yet.
    pub folder: PathBuf,
}

/// How far a backup has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupView {
    /// Where.
    pub folder: PathBuf,
    /// The instant whose state it is.
    pub made_at: Timestamp,
    /// Entries that are there.
    pub entries: u64,
    /// It has ended.
    pub done: bool,
    /// Why it was not made, where it has ended so: what is there may not be whole.
    pub error: Option<String>,
}

impl BackupView {
    /// Whether both are of one backup.
    pub fn is_of(&self, other: &Self) -> bool {
        (&self.folder, self.made_at) == (&other.folder, other.made_at)
    }
}

/// The stores that are copied, and the last backup. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Backups {
    store: StoreHandle,
    delayed: DelayedHandle,
    making: Making,
}

impl Backups {
    pub(crate) fn new(store: StoreHandle, delayed: DelayedHandle) -> Self {
        Self { store, delayed, making: Making::default() }
    }

    async fn look_up(&self, made_at: Timestamp) -> Result<Arc<LookedUp>, OpsError> {
        let found = look_up(&self.store, Some(&self.delayed), made_at).await.map_err(OpsError::Record)?;
        found.map(Arc::new).ok_or_else(|| OpsError::Invalid(NO_FOLDER.into()))
    }
}

const NO_FOLDER: &str = "this clock has its state in no folder: what is in a Postgres is backed up by its own means (pg_dump, or a base backup)";

/// Begins a backup: what it holds is of this moment.
///
/// # Errors
/// [`OpsError::Denied`], [`OpsError::Invalid`] (something is there already, too), [`OpsError::Record`], [`OpsError::Unavailable`]: none is
/// made. What else keeps it from being made stands in the view, then or later.
pub async fn begin(
    clock: &RunningClock,
    caller: &Caller,
    asked: BackupAsked,
) -> Result<BackupView, OpsError> {
    permit(caller, Role::Admin, "copy the store")?;
    let BackupAsked { folder } = asked;
    if !folder.is_absolute() {
        return Err(OpsError::Invalid("folder: give an absolute path".into()));
    }
    let backups = clock.backups()?;
    let place = backups.making.place()?;
    let made_at = clock::now();
    let found = backups.look_up(made_at).await?;
    info!("{caller} has the store copied into {}", folder.display());
    let (lent, into) = (found.clone(), folder.clone());
    let work = move |told: &dyn Fn(u64)| {
        backup(&lent, &into, told).map(|copied| copied.sums.values().map(|sum| sum.count).sum())
    };
    let view = BackupView { folder, made_at, entries: 0, done: false, error: None };
    backups.making.make(view, place, work, move || found.take_back()).await
}

/// How far the last backup has come.
///
/// # Errors
/// [`OpsError::Denied`]; [`OpsError::Unavailable`]: none was begun.
pub fn last(clock: &RunningClock, caller: &Caller) -> Result<BackupView, OpsError> {
    permit(caller, Role::Admin, "look at the copies of the store")?;
    let none = || OpsError::Unavailable("no backup was begun since the clock started".into());
    let last = clock.backups()?.making.last.borrow().as_ref().map(|last| last.view.clone());
    last.ok_or_else(none)
}

/// The last backup.
#[derive(Debug, Clone)]
struct Last {
    view: BackupView,
    /// It was given up, and its thread has the place still, or has not been followed by another one.
    is_given_up: bool,
    /// Something is there already: it was for whoever asked to look.
    is_refused: bool,
}

/// Makes one at a time. Clones share it.
#[derive(Debug, Clone)]
struct Making {
    /// Of the thread that makes one: it has it until it ends, hang as it may.
    place: Arc<Semaphore>,
    /// How far the last one has come. Each change, and each word that nothing has changed, is a sign of its thread.
    last: Arc<watch::Sender<Option<Last>>>,
}

impl Default for Making {
    fn default() -> Self {
        Self { place: Arc::new(Semaphore::new(1)), last: Arc::new(watch::Sender::new(None)) }
    }
}

/// Of a thread: how many entries it wrote; and its place, which goes before anybody hears of it.
type Ended = (Result<u64, CopyError>, OwnedSemaphorePermit);

impl Making {
    fn place(&self) -> Result<OwnedSemaphorePermit, OpsError> {
        let Ok(place) = self.place.clone().try_acquire_owned() else {
            return Err(OpsError::Unavailable(match &*self.last.borrow() {
                Some(Last { view: BackupView { folder, done: false, .. }, .. }) => {
                    format!("a backup into {} is being made; ask again when it has ended", folder.display())
                }
                Some(Last { view: BackupView { folder, .. }, is_given_up: true, .. }) => format!(
                    "the backup into {} has failed, and still waits for that disk: see to it (a network file system may have to be mounted anew), then ask again",
                    folder.display()
                ),
                _ => "a backup is being begun; ask again".to_owned(),
            }));
        };
        // Whatever it waited for, it does no more.
        self.last.send_modify(|last| {
            if let Some(last) = last {
                last.is_given_up = false;
            }
        });
        Ok(place)
    }

    /// Changes what is known of this backup, where it is the last one.
    fn change(&self, of: &BackupView, change: impl FnOnce(&mut Last)) {
        self.last.send_if_modified(|last| {
            let last = last.as_mut().filter(|last| last.view.is_of(of));
            last.map(change).is_some()
        });
    }

    /// Has the work done on a thread of its own, which tells how many entries are there; and `give_up`, where nothing comes of it.
    async fn make(
        &self,
        view: BackupView,
        place: OwnedSemaphorePermit,
        work: impl FnOnce(&dyn Fn(u64)) -> Result<u64, CopyError> + Send + 'static,
        give_up: impl FnOnce() + Send + 'static,
    ) -> Result<BackupView, OpsError> {
        let begun = Last { view: view.clone(), is_given_up: false, is_refused: false };
        self.last.send_replace(Some(begun.clone()));
        let mut signs = self.last.subscribe();
        let (ended_in, ended) = oneshot::channel::<Ended>();
        let (ours, of) = (self.clone(), view.clone());
        let work = move || {
            yield_to_publishing();
            let ended = work(&|entries| ours.change(&of, |last| last.view.entries = entries));
            if let Err((late, _place)) = ended_in.send((ended, place)) {
                let folder = of.folder.display();
                match late {
                    Ok(_) => warn!(
                        "the store was copied into {folder} after all, though the copy had been given up: it is whole"
                    ),
                    Err(error) => info!("the copy into {folder} that was given up has ended: {error}"),
                }
            }
        };
        if let Err(error) = thread::Builder::new().name("backup".into()).spawn(work) {
            self.last.send_replace(None);
            return Err(OpsError::Unavailable(format!("its thread could not be started: {error}")));
        }
        tokio::spawn(self.clone().watch(view.clone(), ended, give_up));
        // Whoever asked may go: it is watched. If nothing is known by then, that is found out later.
        drop(timeout(AT_ONCE, signs.changed()).await);
        let last = self.last.borrow().clone().filter(|last| last.view.is_of(&view)).unwrap_or(begun);
        match last.view.error {
            Some(error) if last.is_refused => Err(OpsError::Invalid(error)),
            _ => Ok(last.view),
        }
    }

    async fn watch(
        self,
        view: BackupView,
        mut ended: oneshot::Receiver<Ended>,
        give_up: impl FnOnce() + Send + 'static,
    ) {
        let folder = view.folder.display();
        let mut signs = self.last.subscribe();
        let (mut is_given_up, mut is_refused) = (false, false);
        let ended = loop {
            tokio::select! {
                ended = &mut ended => break match ended {
                    Ok((ended, _place)) => ended.map_err(|error| {
                        is_refused = matches!(error, CopyError::NotEmpty(_));
                        error.to_string()
                    }),
                    Err(_) => Err("its thread ended unexpectedly".to_owned()),
                },
                sign = timeout(SILENCE, signs.changed()) => if sign.is_err() {
                    is_given_up = true;
                    // What it ends with is its own to say.
                    ended.close();
                    // It may wait for a portion that is being read.
                    drop(spawn_blocking(give_up));
                    break Err(format!(
                        "{folder} did not answer for {} s, and the copy was given up; see to that disk; what is there may not be whole: remove it before you ask again",
                        SILENCE.as_secs()
                    ));
                },
            }
        };
        match &ended {
            Ok(_) => info!("the store was copied into {folder}"),
            Err(error) if is_refused => info!("the store was not copied into {folder}: {error}"),
            Err(error) => error!("the store was not copied into {folder}: {error}"),
        }
        self.change(&view, |last| {
            (last.is_given_up, last.is_refused, last.view.done) = (is_given_up, is_refused, true);
            match ended {
                Ok(entries) => last.view.entries = entries,
                Err(error) => last.view.error = Some(error),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::copying::CopyPlace;
    use std::sync::mpsc;

    fn view(folder: &str) -> BackupView {
        let (folder, made_at) = (folder.into(), Timestamp::from_millis(7));
        BackupView { folder, made_at, entries: 0, done: false, error: None }
    }

    async fn ended(making: &Making) -> BackupView {
        let mut last = making.last.subscribe();
        let is_done = |last: &Option<Last>| last.as_ref().is_some_and(|last| last.view.done);
        last.wait_for(is_done).await.unwrap().clone().unwrap().view
    }

    #[tokio::test(start_paused = true)]
    async fn one_whose_disk_hangs_is_given_up_and_none_is_begun_beside_it() {
        let making = Making::default();
        let (let_go, hangs) = mpsc::channel::<()>();
        let (given_up, taken_back) = oneshot::channel();
        let work = move |told: &dyn Fn(u64)| {
            told(7);
            hangs.recv().unwrap_err();
            Ok(7)
        };
        let place = making.place().unwrap();
        let begun =
            making.make(view("there"), place, work, move || given_up.send(()).unwrap()).await.unwrap();
        assert!(!begun.done && begun.is_of(&view("there")));
        let refused = making.place().unwrap_err().to_string();
        assert!(refused.contains("into there is being made"), "{refused}");

        let error = ended(&making).await.error.unwrap();
        assert!(error.starts_with("there did not answer for 60 s") && error.contains("remove it"), "{error}");
        taken_back.await.unwrap();
        let refused = making.place().unwrap_err().to_string();
        assert!(refused.contains("still waits for that disk"), "{refused}");
        drop(let_go);
        drop(making.place.acquire().await.unwrap());
        assert!(ended(&making).await.error.is_some(), "what came of it in the end is nothing");
    }

    #[tokio::test]
    async fn what_is_found_at_once_is_the_answer_and_the_next_one_may_begin() {
        let making = Making::default();
        let full = |_: &dyn Fn(u64)| Err(CopyError::NotEmpty(CopyPlace::Folder("there".into())));
        let place = making.place().unwrap();
        let refused = making.make(view("there"), place, full, || ()).await.unwrap_err();
        assert!(matches!(&refused, OpsError::Invalid(what) if what.contains("is at there")), "{refused}");
        let place = making.place().unwrap();
        let begun = making.make(view("elsewhere"), place, |_| Ok(9), || ()).await.unwrap();
        assert!(begun.is_of(&view("elsewhere")) && !begun.is_of(&view("there")));
        assert_eq!(ended(&making).await.entries, 9);
    }

    #[tokio::test]
    async fn one_whose_thread_panics_has_failed() {
        let making = Making::default();
        let place = making.place().unwrap();
        drop(making.make(view("there"), place, |_| panic!("it panics"), || ()).await);
        assert!(ended(&making).await.error.unwrap().contains("ended unexpectedly"));
    }

    #[tokio::test]
    async fn what_fails_at_once_otherwise_is_no_fault_of_whoever_asked() {
        let making = Making::default();
        let full = |_: &dyn Fn(u64)| Err(CopyError::Store(crate::store::failure("no room")));
        let place = making.place().unwrap();
        let begun = making.make(view("there"), place, full, || ()).await.unwrap();
        assert!(begun.is_of(&view("there")));
        assert!(ended(&making).await.error.unwrap().contains("no room"));
        // The next one has the place, and is looking up what to copy: no disk is waited for.
        let looking_up = making.place().unwrap();
        let refused = making.place().unwrap_err().to_string();
        assert!(refused.contains("is being begun"), "{refused}");
        drop(looking_up);
    }

    #[tokio::test]
    async fn what_becomes_of_one_backup_is_not_said_of_the_next() {
        let making = Making::default();
        let place = making.place().unwrap();
        drop(making.make(view("one"), place, |_| panic!("it panics"), || ()).await);
        let next = Last { view: view("two"), is_given_up: false, is_refused: false };
        // It has begun before the end of the one before was noted.
        making.last.send_replace(Some(next));
        making.change(&view("one"), |last| last.view.done = true);
        let two = making.last.borrow().clone().unwrap().view;
        assert!(two.is_of(&view("two")) && !two.done && two.error.is_none());
        making.change(&view("two"), |last| last.view.done = true);
        assert!(ended(&making).await.is_of(&view("two")));
    }
}
