//! A clock's whole state, copied from one place to another while no clock runs on either: both stores, by the portion, with their
//! ids, marks and numbers, so that a clock goes on there as if nothing had been.
//!
//! Invariant: nothing is written to a place in which something is, and the source stays as it is. Until all of it was read back and
//! compared, each store of the target says that it is not finished; the store of the progress, which a clock opens first, does so
//! longest. So whatever interrupts a copy leaves nothing that a clock would start on.
//!
//! A clock that goes on is copied into a folder, and that copy is held until somebody says what becomes of what it does not know of
//! (`backup.rs`, `accept.rs`).
//!
//! Absent: the forms of what is copied, which are the stores'.

mod accept;
mod backup;
#[cfg(test)]
mod tests;

pub(crate) use accept::{AcceptAsked, Acceptance, Accepted, Holding, HoldingOptions};
pub(crate) use backup::{LookedUp, backup, look_up};

use crate::{
    delayed::{self, PostgresDelayedSource, PostgresDelayedTarget, RedbOptions, RedbSource, RedbTarget},
    postgres::Door,
    store::{
        self, PostgresSource, PostgresTarget, SledOptions, SledSource, SledTarget, StoreError,
        copying::{Entry, Mark, Marked, Source, Sums, Target, count},
    },
};
use std::{
    fmt,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// Where a clock's state is, or is to be.
#[derive(Debug, Clone)]
pub(crate) enum CopyPlace {
    Folder(PathBuf),
    Postgres(Door),
    /// In a clock that goes on; only its [`backup`] is.
    Running,
}

/// What was copied, and found to be the same there.
#[derive(Debug)]
pub(crate) struct Copied {
    /// What both say of themselves.
    pub(crate) marks: Vec<Mark>,
    /// What both hold.
    pub(crate) sums: Sums,
}

/// Why a state was not copied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CopyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "there is no store at {0}; name the folder of a clock's state, or the Postgres and the schema that it has"
    )]
    NoStore(CopyPlace),
    #[error(
        "something is at {0} already, and nothing was changed there: copy into a folder that is missing or empty, or into a schema of Postgres in which no clock has been"
    )]
    NotEmpty(CopyPlace),
    #[error(
        "{error}; what is at {to} may not be whole: remove it (delete the folder, or drop the schema), then copy again"
    )]
    Broken { to: CopyPlace, error: StoreError },
    #[error(
        "the copy at {to} is not what is at {from}: {what}; no clock starts on it: remove it, and check disk, memory and database before you copy again"
    )]
    Differs { from: CopyPlace, to: CopyPlace, what: String },
}

/// The folder of delayed events, within that of the store.
pub(crate) const DELAYED: &str = "delayed";

type Progress<'a> = Box<dyn Source<store::Meta> + 'a>;
type Delayed<'a> = Box<dyn Source<delayed::Meta> + 'a>;

/// Copies the state of the clock of this name; `cache`: bytes that each store on a disk keeps in memory. `told` is called with each
/// portion that was written or read back: how many entries are there.
///
/// # Errors
/// [`CopyError`]; no clock starts on what is at the target then.
pub(crate) fn copy(
    from: &CopyPlace,
    to: &CopyPlace,
    (clock, cache): (&str, u64),
    mut told: impl FnMut(u64),
) -> Result<Copied, CopyError> {
    to.check_nothing_is_there()?;
    let (mut progress, mut delayed) = from.open(clock, cache)?;
    let delayed: Option<&mut dyn Source<delayed::Meta>> = match &mut delayed {
        Some(delayed) => Some(&mut **delayed),
        None => None,
    };
    fill((&mut *progress, delayed), cache, (from, to), &mut told)
}

/// What is copied; that of delayed events where there is one.
type Both<'a> = (&'a mut dyn Source<store::Meta>, Option<&'a mut dyn Source<delayed::Meta>>);

/// Makes both stores of a place in which nothing is, and fills them.
fn fill(
    from_both: Both<'_>,
    cache: u64,
    (from, to): (&CopyPlace, &CopyPlace),
    told: &mut dyn FnMut(u64),
) -> Result<Copied, CopyError> {
    to.check_room()?;
    let progress_to = to.progress(from_both.0.meta(), cache).map_err(|error| to.broken_if_begun(error))?;
    fill_made(from_both, progress_to, (from, to), Telling { told, entries: 0 }).map_err(|error| match error {
        CopyError::Store(error) => CopyError::Broken { to: to.clone(), error },
        other => other,
    })
}

fn fill_made(
    (progress, mut delayed): Both<'_>,
    mut progress_to: Box<dyn Target<store::Meta>>,
    both: (&CopyPlace, &CopyPlace),
    mut telling: Telling<'_>,
) -> Result<Copied, CopyError> {
    let mut delayed_to = delayed.as_ref().map(|delayed| both.1.delayed(delayed.meta())).transpose()?;
    telling.note(0);
    let mut copied = Copied { marks: Vec::new(), sums: Sums::new() };
    transfer(progress, &mut *progress_to, both, &mut copied, &mut telling)?;
    if let (Some(delayed), Some(delayed_to)) = (&mut delayed, &mut delayed_to) {
        transfer(&mut **delayed, &mut **delayed_to, both, &mut copied, &mut telling)?;
        delayed_to.finish()?;
    }
    // Nothing is left to be read; but a clock that began there meanwhile is seen.
    progress.next()?;
    progress_to.finish()?;
    Ok(copied)
}

/// Says with each portion how many entries are there.
struct Telling<'a> {
    told: &'a mut dyn FnMut(u64),
    entries: u64,
}

impl Telling<'_> {
    fn note(&mut self, more: usize) {
        self.entries += more as u64;
        (self.told)(self.entries);
    }
}

/// Copies one store, reads it back and compares.
fn transfer<M: Marked>(
    source: &mut dyn Source<M>,
    target: &mut dyn Target<M>,
    (from, to): (&CopyPlace, &CopyPlace),
    copied: &mut Copied,
    telling: &mut Telling<'_>,
) -> Result<(), CopyError> {
    let mut sums = Sums::new();
    each(source, |entries| {
        count(&mut sums, &entries);
        to.check_room()?;
        let count = entries.len();
        target.add(entries)?;
        telling.note(count);
        Ok(())
    })?;
    let mut there = Sums::new();
    let mut back = target.read_back()?;
    each(&mut *back, |entries| {
        count(&mut there, &entries);
        telling.note(0);
        Ok(())
    })?;
    let (marks, said) = (source.meta().marks(), back.meta().marks());
    if let Some(what) = difference(&sums, &there).or_else(|| other_mark(&marks, &said)) {
        return Err(CopyError::Differs { from: from.clone(), to: to.clone(), what });
    }
    copied.marks.extend(marks);
    copied.sums.extend(sums);
    Ok(())
}

fn each<M>(
    source: &mut dyn Source<M>,
    mut take: impl FnMut(Vec<Entry>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    loop {
        let entries = source.next()?;
        if entries.is_empty() {
            return Ok(());
        }
        take(entries)?;
    }
}

fn difference(here: &Sums, there: &Sums) -> Option<String> {
    let mut kinds = here.keys().chain(there.keys());
    let of = |sums: &Sums, what: &str| sums.get(what).copied().unwrap_or_default();
    let what = kinds.find(|what| of(here, what) != of(there, what))?;
    let (one, other) = (of(here, what), of(there, what));
    Some(format!(
        "{what}: {} with the sum {:016x}, and there {} with {:016x}",
        one.count, one.digest, other.count, other.digest
    ))
}

fn other_mark(here: &[Mark], there: &[Mark]) -> Option<String> {
    let (one, other) = here.iter().zip(there).find(|(one, other)| one != other)?;
    Some(format!("{}: {}, and there {}", one.what, one.value, other.value))
}

/// Where a clock's delayed events are, if it ever had any. A folder that can't be read is not taken for one that is not there.
fn delayed_folder(store: &Path) -> Result<Option<PathBuf>, StoreError> {
    let folder = store.join(DELAYED);
    // A link is there, wherever it leads: the disk may not be mounted.
    match folder.symlink_metadata() {
        Ok(_) => Ok(Some(folder)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(store::io_error(&folder, "looking for the delayed events", &error)),
    }
}

impl CopyPlace {
    /// A first look, so that nothing is changed where something is; whoever has the lock looks again.
    fn check_nothing_is_there(&self) -> Result<(), CopyError> {
        let Self::Folder(path) = self else { return Ok(()) };
        if store::is_empty(path)? {
            return Ok(());
        }
        // What an earlier copy left is named as such.
        match store::seems_held(path) {
            Err(error @ StoreError::Unfinished { .. }) => Err(error.into()),
            _ => Err(CopyError::NotEmpty(self.clone())),
        }
    }

    /// Leaves of a disk what a clock leaves of it: others write there, too, and a clock that starts on the copy wants to.
    fn check_room(&self) -> Result<(), StoreError> {
        let Self::Folder(path) = self else { return Ok(()) };
        let reserve = RedbOptions::default().reserve;
        // It may not be there yet, nor what it is to be in.
        let there = std::path::absolute(path).unwrap_or_default();
        let what = match there.ancestors().find_map(delayed::room) {
            Some(free) if free < reserve => format!(
                "its disk has {free} bytes left, and a copy leaves {reserve} of them to whoever else writes there; make room, or choose another disk"
            ),
            _ => return Ok(()),
        };
        Err(StoreError::Io { path: path.clone(), what: what.into() })
    }

    /// Names what a copy left that failed while its first store was made. What another one makes there is none of its.
    fn broken_if_begun(&self, error: CopyError) -> CopyError {
        let Self::Folder(path) = self else { return error };
        match error {
            CopyError::Store(error) if !matches!(error, StoreError::Locked { .. }) => {
                match store::seems_held(path) {
                    Err(StoreError::Unfinished { .. }) => CopyError::Broken { to: self.clone(), error },
                    _ => CopyError::Store(error),
                }
            }
            other => other,
        }
    }

    /// What is there of a clock. One without delayed events may never have had a store of them.
    fn open(
        &self,
        clock: &str,
        cache: u64,
    ) -> Result<(Progress<'static>, Option<Delayed<'static>>), CopyError> {
        let none = || CopyError::NoStore(self.clone());
        match self {
            Self::Folder(path) => {
                // Else one would be made there.
                if store::seems_held(path)?.is_none() {
                    return Err(none());
                }
                let options = SledOptions { cache, ..SledOptions::default() };
                let progress = SledSource::open(path, clock, &options)?;
                let delayed = match delayed_folder(path)? {
                    Some(delayed) => Some(RedbSource::open(&delayed, clock, &RedbOptions::default())?),
                    None => None,
                };
                Ok((Box::new(progress), delayed.map(|delayed| Box::new(delayed) as Delayed<'_>)))
            }
            Self::Postgres(door) => {
                let progress = PostgresSource::open(door)?.ok_or_else(none)?;
                let delayed = PostgresDelayedSource::open(door)?;
                Ok((Box::new(progress), delayed.map(|delayed| Box::new(delayed) as Delayed<'_>)))
            }
            Self::Running => Err(none()),
        }
    }

    fn progress(&self, of: &store::Meta, cache: u64) -> Result<Box<dyn Target<store::Meta>>, CopyError> {
        let taken = || CopyError::NotEmpty(self.clone());
        Ok(match self {
            Self::Folder(path) => {
                let options = SledOptions { cache, ..SledOptions::default() };
                Box::new(SledTarget::create(path, &options, of)?.ok_or_else(taken)?)
            }
            Self::Postgres(door) => Box::new(PostgresTarget::create(door, of)?.ok_or_else(taken)?),
            Self::Running => return Err(taken()),
        })
    }

    fn delayed(&self, of: &delayed::Meta) -> Result<Box<dyn Target<delayed::Meta>>, CopyError> {
        Ok(match self {
            Self::Folder(path) => {
                Box::new(RedbTarget::create(&path.join(DELAYED), &RedbOptions::default(), of)?)
            }
            Self::Postgres(door) => Box::new(PostgresDelayedTarget::create(door, of)?),
            Self::Running => return Err(CopyError::NotEmpty(self.clone())),
        })
    }

    fn shown(&self) -> &Path {
        match self {
            Self::Folder(path) => path,
            Self::Postgres(door) => door.address().shown(),
            Self::Running => Path::new("the running clock"),
        }
    }
}

impl fmt::Display for CopyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown().display().fmt(f)
    }
}
