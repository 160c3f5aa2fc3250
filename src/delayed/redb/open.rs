//! Opening: lock, seal, database, comparison. The seal is written before the database is created and names generation 0 then,
//! so that a database without a seal, or a seal of a later generation without a database, can only be damage. What an
//! interrupted creation left has a name of its own, and is made anew.

use super::{
    RedbDelayed, RedbOptions, encoding,
    files::{self, Files},
    guard::{self, Failed, damaged, guarded},
    meta::{FORM, Meta},
    pages::Pages,
    point,
    reader::RedbReader,
    seal::{self, Broken, Said, Seal},
    tables,
    upgrade::{self, Counted},
};
use crate::store::{StoreError, copying::not_understood, io_error};
use ::redb::{
    Builder, Database, Durability, ReadableDatabase as _, ReadableTableMetadata as _, StorageBackend as _,
};
use std::{path::Path, sync::Arc};
use tracing::warn;

pub(super) fn open(path: &Path, clock: &str, options: &RedbOptions) -> Result<RedbDelayed, StoreError> {
    let lock = files::lock(path)?;
    let has_database = files::has_database(path)?;
    let (seal, said) = sealed(path, clock, has_database)?;
    if !has_database {
        create(path, &Meta { store: said.store, ..Meta::new(clock) }, options.cache)?;
    }
    let (db, meta) = opened(path, options.cache, read)?;
    let meta = meta.map_err(|form| not_understood(path, form, FORM))?;
    let mut store = of(path, (db, meta), options, Files::new(path, seal, lock));
    accept(&mut store, said, clock, options.held)?;
    if store.meta.form < FORM {
        bring_up(&mut store)?;
    }
    Ok(store)
}

/// A new store in a folder, which says this of itself: nothing else may be there.
pub(super) fn begin(path: &Path, meta: Meta, options: &RedbOptions) -> Result<RedbDelayed, StoreError> {
    let lock = files::lock(path)?;
    let in_creation = Meta { generation: 0, ..meta.clone() };
    let seal = seal::create(path, &in_creation).map_err(|error| io_error(path, "creating it", &error))?;
    create(path, &meta, options.cache)?;
    let (db, ()) = opened(path, options.cache, |_| Ok(()))?;
    Ok(of(path, (db, meta), options, Files::new(path, seal, lock)))
}

/// The database that is there, and what is read of it first.
fn opened<T>(
    path: &Path,
    cache: usize,
    read: impl FnOnce(&Database) -> Result<T, Failed>,
) -> Result<(Arc<Database>, T), StoreError> {
    let pages = files::open(path)?;
    if pages.len().map_err(|error| io_error(path, "opening the database", &error))? == 0 {
        return Err(damaged(path, "its database is empty"));
    }
    guarded(path, || {
        let db = database(pages, cache)?;
        let read = read(&db)?;
        Ok((Arc::new(db), read))
    })
}

fn of(path: &Path, (db, meta): (Arc<Database>, Meta), options: &RedbOptions, files: Files) -> RedbDelayed {
    RedbDelayed {
        path: path.to_owned(),
        reader: Arc::new(RedbReader::new(path, db.clone(), meta.store)),
        db: Some(db),
        meta,
        is_durable: true,
        reserve: options.reserve,
        limits: options.limits,
        broken: None,
        files,
    }
}

/// Brings a store of an earlier form up to date. What can't be read of single entries is left as it is.
fn bring_up(store: &mut RedbDelayed) -> Result<(), StoreError> {
    let path = store.path.clone();
    let db = store.db.clone().ok_or_else(|| guard::closed(&path))?;
    let mut counted = Counted::default();
    guarded(&path, || upgrade::count(&db, &mut counted))?;
    if counted.unread > 0 {
        warn!(
            "the store of delayed events in {} is damaged: {} of its parked events and entries of its log of changes can't be read; they are not counted, all else goes on",
            path.display(),
            counted.unread
        );
    }
    store.meta = guarded(&path, || upgrade::upgrade(&db, &store.meta, &counted))?;
    Ok(())
}

/// The seal; written now if the folder holds no store yet.
fn sealed(path: &Path, clock: &str, has_database: bool) -> Result<(Seal, Said), StoreError> {
    let sealed = seal::open(path).map_err(|broken| match broken {
        Broken::Io(error) => io_error(path, "reading the seal", &error),
        Broken::Content => damaged(path, "its seal can't be trusted"),
    })?;
    match sealed {
        None if has_database => Err(damaged(path, "a database is there, but its seal is missing")),
        None => {
            let meta = Meta::new(clock);
            let seal = seal::create(path, &meta).map_err(|error| io_error(path, "creating it", &error))?;
            point("seal");
            Ok((seal, Said { generation: 0, store: meta.store }))
        }
        Some((_, said)) if said.generation > 0 && !has_database => Err(damaged(
            path,
            format!("its database is missing; the seal knows of {} writes", said.generation),
        )),
        Some(sealed) => Ok(sealed),
    }
}

fn create(path: &Path, meta: &Meta, cache: usize) -> Result<(), StoreError> {
    let pages = files::create(path)?;
    guarded(path, || {
        let db = database(pages, cache)?;
        let mut transaction = db.begin_write()?;
        transaction.set_quick_repair(true);
        transaction.set_durability(Durability::Immediate)?;
        for table in tables::ALL {
            tables::written(&transaction, table)?;
        }
        let mut entry = tables::written(&transaction, tables::META)?;
        entry.insert(encoding::META, &encoding::value(meta)?[..])?;
        drop(entry);
        transaction.commit()?;
        Ok(())
    })?;
    point("unfinished");
    files::finish(path)?;
    point("finished");
    Ok(())
}

fn database(pages: Pages, cache: usize) -> Result<Database, Failed> {
    Ok(Builder::new().set_cache_size(cache).create_with_backend(pages)?)
}

/// What the database says of itself, held against its tables; a newer form by its number.
fn read(db: &Database) -> Result<Result<Meta, u32>, Failed> {
    let transaction = db.begin_read()?;
    let entry = tables::read(&transaction, tables::META)?;
    let entry = entry.get(encoding::META)?;
    let entry = entry.ok_or_else(|| Failed::Unreadable("its database does not say what it is".into()))?;
    let meta = match encoding::read_meta(entry.value())? {
        Ok(meta) => meta,
        newer => return Ok(newer),
    };
    let pending = tables::read(&transaction, tables::PENDING)?.len()?;
    let names = tables::read(&transaction, tables::NAMES)?.len()?;
    let rows = tables::read(&transaction, tables::RECORD)?.len()?;
    let fits = meta.balance.is_right()
        && pending == meta.balance.pending
        && names == pending
        && meta.first_row.checked_add(rows) == meta.last_row.checked_add(1);
    if fits { Ok(Ok(meta)) } else { Err(Failed::Unreadable("its balance is wrong".into())) }
}

/// Compares database and seal: equal, or the database ahead. Writes that were not sealed are ahead, too.
fn accept(store: &mut RedbDelayed, said: Said, clock: &str, held: Option<u64>) -> Result<(), StoreError> {
    match held {
        None if store.meta.store != said.store => {
            return Err(damaged(&store.path, "the seal belongs to another database"));
        }
        Some(id) if !store.is_of_copy(id, said)? => {
            let what = "it, or its seal, is not of the copy that the progress beside it is of";
            return Err(damaged(&store.path, what));
        }
        _ => {}
    }
    let meta = &mut store.meta;
    if meta.generation < said.generation {
        let what = format!(
            "the database has {} writes and the seal knows of {}: the database lost some, or is an old one",
            meta.generation, said.generation
        );
        return Err(damaged(&store.path, what));
    }
    if meta.clock != clock {
        if meta.generation > 0 {
            return Err(StoreError::OtherClock {
                path: store.path.clone(),
                kept: meta.clock.clone(),
                configured: clock.to_owned(),
            });
        }
        clock.clone_into(&mut meta.clock);
    }
    Ok(())
}
