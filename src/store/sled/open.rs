//! Opening: lock, seal, database, comparison. The seal is written before the database is created and names
//! generation 0 then, so that a database without a seal, or a seal of a later generation without a database, can only
//! be damage.

use super::{
    Failed, SledOptions, SledStore,
    encoding::{self, Unreadable},
    files::{self, Files},
    guard::{damaged, guarded, io_error},
    meta::{FORM, Meta, is_understood},
    reader::SledReader,
    scan::Scan,
    seal,
};
use crate::{
    schedule::CalendarStore,
    store::{StoreError, copying::not_understood},
};
use ponos::file_lock;
use std::{fs::File, path::Path, sync::Arc};

pub(super) fn open(path: &Path, clock: &str, options: &SledOptions) -> Result<SledStore, StoreError> {
    let lock = files::lock(path)?;
    let sealed = sealed(path, clock)?;
    let mut store = opened(path, lock, sealed, options)?;
    match store.db().and_then(|db| scan(path, db, &options.calendars)) {
        Ok(scan) => accept(store, scan, clock).and_then(|store| held_or_not(store, options)),
        Err(error) => {
            // What panicked once is not asked to close properly.
            if !matches!(error, StoreError::Newer { .. } | StoreError::Unfinished { .. }) {
                store.abandon();
            }
            Err(error)
        }
    }
}

/// A new store in a folder, which says this of itself; none where something is.
pub(super) fn begin(path: &Path, meta: Meta, options: &SledOptions) -> Result<Option<SledStore>, StoreError> {
    let lock = files::lock(path)?;
    if !files::is_empty(path)? {
        return Ok(None);
    }
    seal::write(path, &meta).map_err(|error| io_error(path, "creating it", &error))?;
    opened(path, lock, meta, options).map(Some)
}

/// What the seal speaks of; not read yet.
fn opened(path: &Path, lock: File, sealed: Meta, options: &SledOptions) -> Result<SledStore, StoreError> {
    files::remove_unfinished_snapshots(path)?;
    let config = ::sled::Config::new()
        .path(path)
        .cache_capacity(options.cache)
        .mode(::sled::Mode::LowSpace)
        // No thread of sled's own writes: each write is flushed by itself, and cleans up while it is made.
        .flush_every_ms(None);
    let db = database(path, &config)?;
    files::close(path)?;
    Ok(SledStore {
        path: path.to_owned(),
        files: Files::open(path, lock)?,
        reader: Arc::new(SledReader::new(path, db.clone())),
        db: Some(db),
        meta: sealed,
        record: Default::default(),
        limits: options.limits,
        calendars: options.calendars.clone(),
        loaded: None,
        unused: Vec::new(),
        without_rules: Vec::new(),
        broken: None,
    })
}

/// Reads everything, and holds it against what the database says of itself.
pub(super) fn scan(path: &Path, db: &::sled::Db, calendars: &CalendarStore) -> Result<Scan, StoreError> {
    if let Some(meta) = guarded(path, || db.get(encoding::META))? {
        let unreadable = |Unreadable(what)| damaged(path, what);
        check_form(path, encoding::read_form(&meta).map_err(unreadable)?)?;
    }
    let mut scan = Scan::default();
    let mut entries = db.iter();
    let read = scan.fill(calendars, || guarded(path, || entries.next().transpose()).map_err(Failed::Store));
    read.and_then(|()| Ok(scan.verify()?)).map_err(|failed| match failed {
        Failed::Store(error) => error,
        Failed::Unreadable(Unreadable(what)) => damaged(path, what),
    })?;
    Ok(scan)
}

/// A copy that nobody has accepted is for who asks for such a one.
fn held_or_not(store: SledStore, options: &SledOptions) -> Result<SledStore, StoreError> {
    match store.meta.is_held() && !options.held {
        true => Err(StoreError::Held { path: store.path.clone() }),
        false => Ok(store),
    }
}

/// What the seal in a folder says; `None` where there is none. Nothing is locked or created for it.
///
/// # Errors
/// [`StoreError::Unfinished`], [`StoreError::Newer`], [`StoreError::Damaged`], or [`StoreError::Io`].
fn read_seal(path: &Path) -> Result<Option<Meta>, StoreError> {
    seal::read(path).map_err(|broken| match broken {
        seal::Broken::Io(error) => io_error(path, "reading the seal", &error),
        seal::Broken::Content(what) => damaged(path, format!("its seal can't be trusted: {what}")),
        seal::Broken::Newer(form) => newer(path, form),
    })
}

/// Whether the seal in a folder says that its store is held; `None` where there is none. Who opens it sees whether that is still so.
///
/// # Errors
/// As of [`read_seal`].
pub(crate) fn seems_held(path: &Path) -> Result<Option<bool>, StoreError> {
    Ok(read_seal(path)?.map(|sealed| sealed.is_held()))
}

/// The id of the delayed events of a copy that is held, as the seal in its folder says; `None` where none is.
///
/// # Errors
/// As of [`read_seal`].
pub(crate) fn held_delayed_id(path: &Path) -> Result<Option<u64>, StoreError> {
    Ok(read_seal(path)?.and_then(|sealed| sealed.delayed_id()))
}

/// The seal; written now if the folder holds no store yet.
fn sealed(path: &Path, clock: &str) -> Result<Meta, StoreError> {
    let has_database = files::has_database(path)?;
    match read_seal(path)? {
        None if has_database => Err(damaged(path, "a database is there, but its seal is missing")),
        None => create(path, clock),
        Some(meta) if meta.generation > 0 && !has_database => Err(damaged(
            path,
            format!("its database is missing; the seal knows of {} writes", meta.generation),
        )),
        Some(meta) => Ok(meta),
    }
}

fn check_form(path: &Path, form: u32) -> Result<(), StoreError> {
    if is_understood(form) { Ok(()) } else { Err(newer(path, form)) }
}

fn newer(path: &Path, form: u32) -> StoreError {
    not_understood(path, form, FORM)
}

fn create(path: &Path, clock: &str) -> Result<Meta, StoreError> {
    let meta = Meta::new(clock);
    seal::write(path, &meta).map_err(|error| io_error(path, "creating it", &error))?;
    Ok(meta)
}

/// Compares database and seal: equal, or the database one write ahead.
fn accept(mut store: SledStore, scan: Scan, clock: &str) -> Result<SledStore, StoreError> {
    let sealed = &store.meta;
    let found = match scan.meta {
        Some(meta) => meta,
        None if sealed.generation == 0 => sealed.clone(),
        None => {
            let what = format!("its database is empty; the seal knows of {} writes", sealed.generation);
            return Err(damaged(&store.path, what));
        }
    };
    let refuse = |what: String| Err(damaged(&store.path, what));
    // A copy becomes another store in the write that accepts it.
    let accepted = sealed.is_held() && !found.is_held();
    if found.store != sealed.store && !accepted {
        return refuse("the seal belongs to another database".into());
    }
    match found.generation.checked_sub(sealed.generation) {
        Some(0) if found == *sealed => {}
        Some(0) => return refuse("database and seal differ".into()),
        Some(1) => {}
        Some(ahead) => {
            return refuse(format!(
                "the database is {ahead} writes ahead of its seal: the seal is an old one"
            ));
        }
        None => {
            return refuse(format!(
                "the database has {} writes and the seal knows of {}: the database lost some, or is an old one",
                found.generation, sealed.generation
            ));
        }
    }
    let behind = found.generation > sealed.generation;
    store.meta = found;
    let renamed = store.meta.clock != clock;
    if renamed && store.meta.generation > 0 {
        return Err(StoreError::OtherClock {
            path: store.path.clone(),
            kept: store.meta.clock.clone(),
            configured: clock.to_owned(),
        });
    }
    store.meta.clock = clock.to_owned();
    if behind || renamed {
        store.files.sync()?;
        store.files.seal(&store.meta)?;
    }
    store.reader.written(&store.meta);
    store.record = scan.record;
    store.unused = scan.unused.into_iter().collect();
    store.without_rules = scan.without_rules;
    store.loaded = Some(scan.snapshot);
    Ok(store)
}

/// Sled's own lock is waited for, too. Ours is held, so it is this process that may still have it: a thread of sled's pool lets
/// go of a database that was closed some moments after the call that closed it has returned. Whatever else opened the file
/// without asking for our lock may have it as well, and for good.
fn database(path: &Path, config: &::sled::Config) -> Result<::sled::Db, StoreError> {
    let opened = file_lock::when_free(|| match guarded(path, || config.open()) {
        Err(StoreError::Io { what, .. }) if what.contains("could not acquire lock") => Ok(None),
        opened => opened.map(Some),
    })?;
    opened.ok_or_else(|| StoreError::Io {
        path: path.to_owned(),
        what: "the database was not released yet, or another program has it open".into(),
    })
}
