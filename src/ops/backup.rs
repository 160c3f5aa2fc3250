//! A copy of the state of a clock that runs, in a folder: it is made beside everything else, one at a time.

use super::{OpsError, RunningClock, permit::permit};
use crate::{
    apart::yield_to_publishing,
    authority::{Caller, Role},
    clock,
    copying::{backup, check_nothing_is_at, look_up},
    delayed::DelayedHandle,
    store::StoreHandle,
};
use ponos::event::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};
use tracing::{error, info};

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
    /// Why it was not made, where it has ended so: no clock starts on what is there.
    pub error: Option<String>,
}

/// The stores that are copied, and the last backup. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Backups {
    store: StoreHandle,
    delayed: DelayedHandle,
    last: Arc<Mutex<Option<BackupView>>>,
}

impl Backups {
    pub(crate) fn new(store: StoreHandle, delayed: DelayedHandle) -> Self {
        Self { store, delayed, last: Arc::default() }
    }

    fn last(&self) -> MutexGuard<'_, Option<BackupView>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut BackupView)) {
        if let Some(last) = &mut *self.last() {
            change(last);
        }
    }
}

/// Begins a backup: what it holds is of this moment.
///
/// # Errors
/// [`OpsError::Denied`], [`OpsError::Invalid`], [`OpsError::Unavailable`]: nothing was made.
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
    let view =
        BackupView { folder: folder.clone(), made_at: clock::now(), entries: 0, done: false, error: None };
    {
        let mut last = backups.last();
        if let Some(BackupView { folder, done: false, .. }) = &*last {
            let what =
                format!("a backup into {} is being made; ask again when it has ended", folder.display());
            return Err(OpsError::Unavailable(what));
        }
        *last = Some(view.clone());
    }
    // Whoever asked may go before it is begun.
    let mut beginning = Beginning { backups: backups.clone(), has_begun: false };
    let begun = async {
        check_nothing_is_at(&folder).map_err(|error| OpsError::Invalid(error.to_string()))?;
        let found = look_up(&backups.store, Some(&backups.delayed)).await.map_err(OpsError::Record)?;
        found.ok_or_else(|| OpsError::Invalid(NO_FOLDER.into()))
    };
    let found = begun.await?;
    info!("{caller} has the store copied into {}", folder.display());
    let (made_at, ours) = (view.made_at, backups.clone());
    let work = move || {
        yield_to_publishing();
        let told = |entries| ours.change(|last| last.entries = entries);
        let ended = backup(found, &folder, made_at, told);
        match &ended {
            Ok(_) => info!("the store was copied into {}", folder.display()),
            Err(error) => error!(%error, "the store was not copied into {}", folder.display()),
        }
        ours.change(|last| {
            last.done = true;
            match ended {
                Ok(copied) => last.entries = copied.sums.values().map(|sum| sum.count).sum(),
                Err(error) => last.error = Some(error.to_string()),
            }
        });
    };
    if let Err(error) = thread::Builder::new().name("backup".into()).spawn(work) {
        return Err(OpsError::Unavailable(format!("its thread could not be started: {error}")));
    }
    beginning.has_begun = true;
    Ok(view)
}

/// Where it is given up before that, there was none.
struct Beginning {
    backups: Backups,
    has_begun: bool,
}

impl Drop for Beginning {
    fn drop(&mut self) {
        if !self.has_begun {
            *self.backups.last() = None;
        }
    }
}

const NO_FOLDER: &str = "this clock has its state in no folder: what is in a Postgres is backed up by its own means (pg_dump, or a base backup)";

/// How far the last backup has come.
///
/// # Errors
/// [`OpsError::Denied`]; [`OpsError::Unavailable`]: none was begun.
pub fn last(clock: &RunningClock, caller: &Caller) -> Result<BackupView, OpsError> {
    permit(caller, Role::Admin, "look at the copies of the store")?;
    let none = || OpsError::Unavailable("no backup was begun since the clock started".into());
    clock.backups()?.last().clone().ok_or_else(none)
}
