//! The same two tables in each engine: what is due, by time and name, with the data; and the due time by name.
use crate::Outcome;
use fjall::{Database as Fjall, Keyspace, KeyspaceCreateOptions, PersistMode};
use redb::{Database as Redb, Durability, ReadableDatabase as _, TableDefinition};
use rusqlite::{Connection, params};
use std::path::Path;

/// What each may keep in memory beyond what it must.
const CACHE: usize = 16 * 1024 * 1024;

pub struct Event {
    pub name: [u8; 16],
    /// Milliseconds from now.
    pub due: u64,
    pub data: Vec<u8>,
}

impl Event {
    fn place(&self) -> [u8; 24] {
        let mut place = [0; 24];
        place[..8].copy_from_slice(&self.due.to_be_bytes());
        place[8..].copy_from_slice(&self.name);
        place
    }

    fn at(place: &[u8], data: &[u8]) -> Outcome<Self> {
        Ok(Self {
            name: place[8..].try_into()?,
            due: u64::from_be_bytes(place[..8].try_into()?),
            data: data.to_vec(),
        })
    }
}

pub trait Engine {
    /// Durable when it returns.
    fn put(&mut self, events: &[Event]) -> Outcome<()>;
    /// The first ones in the order of time.
    fn due(&mut self, limit: usize) -> Outcome<Vec<Event>>;
    fn take(&mut self, events: &[Event], durable: bool) -> Outcome<()>;
}

pub fn open(engine: &str, folder: &Path) -> Outcome<Box<dyn Engine>> {
    match engine {
        "redb" => Ok(Box::new(Redb::builder().set_cache_size(CACHE).create(folder.join("redb"))?)),
        "fjall" => {
            let database = Fjall::builder(folder.join("fjall")).cache_size(CACHE as u64).open()?;
            let keyspace = |name| database.keyspace(name, KeyspaceCreateOptions::default);
            Ok(Box::new(OnFjall {
                due: keyspace("due")?,
                names: keyspace("names")?,
                database: database.clone(),
            }))
        }
        "sqlite" => {
            let connection = Connection::open(folder.join("sqlite"))?;
            connection.pragma_update(None, "journal_mode", "wal")?;
            connection.pragma_update(None, "cache_size", -(CACHE as i64 / 1024))?;
            connection.execute_batch(
                "create table if not exists due (place blob primary key, data blob not null) without rowid;
                 create table if not exists names (name blob primary key, at integer not null) without rowid;",
            )?;
            Ok(Box::new(connection))
        }
        _ => Err(format!("no engine {engine}").into()),
    }
}

const DUE: TableDefinition<&[u8], &[u8]> = TableDefinition::new("due");
const NAMES: TableDefinition<&[u8], u64> = TableDefinition::new("names");

impl Engine for Redb {
    fn put(&mut self, events: &[Event]) -> Outcome<()> {
        let mut transaction = self.begin_write()?;
        transaction.set_quick_repair(true);
        {
            let (mut due, mut names) = (transaction.open_table(DUE)?, transaction.open_table(NAMES)?);
            for event in events {
                due.insert(&event.place()[..], &event.data[..])?;
                names.insert(&event.name[..], event.due)?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn due(&mut self, limit: usize) -> Outcome<Vec<Event>> {
        let table = self.begin_read()?.open_table(DUE)?;
        table
            .range::<&[u8]>(..)?
            .take(limit)
            .map(|row| {
                row.map_err(Into::into).and_then(|(place, data)| Event::at(place.value(), data.value()))
            })
            .collect()
    }

    fn take(&mut self, events: &[Event], durable: bool) -> Outcome<()> {
        let mut transaction = self.begin_write()?;
        transaction.set_quick_repair(durable);
        transaction.set_durability(if durable { Durability::Immediate } else { Durability::None })?;
        {
            let (mut due, mut names) = (transaction.open_table(DUE)?, transaction.open_table(NAMES)?);
            for event in events {
                due.remove(&event.place()[..])?;
                names.remove(&event.name[..])?;
            }
        }
        Ok(transaction.commit()?)
    }
}

struct OnFjall {
    database: Fjall,
    due: Keyspace,
    names: Keyspace,
}

impl Engine for OnFjall {
    fn put(&mut self, events: &[Event]) -> Outcome<()> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for event in events {
            batch.insert(&self.due, &event.place()[..], &event.data[..]);
            batch.insert(&self.names, &event.name[..], &event.due.to_be_bytes()[..]);
        }
        Ok(batch.commit()?)
    }

    fn due(&mut self, limit: usize) -> Outcome<Vec<Event>> {
        let rows = self.due.iter().take(limit);
        rows.map(|row| {
            row.into_inner().map_err(Into::into).and_then(|(place, data)| Event::at(&place, &data))
        })
        .collect()
    }

    fn take(&mut self, events: &[Event], durable: bool) -> Outcome<()> {
        let mut batch = self.database.batch().durability(durable.then_some(PersistMode::SyncData));
        for event in events {
            batch.remove(&self.due, &event.place()[..]);
            batch.remove(&self.names, &event.name[..]);
        }
        Ok(batch.commit()?)
    }
}

/// In its log ahead of writes, `normal` leaves a commit to the next that is `full`.
fn lasting(connection: &Connection, durable: bool) -> Outcome<()> {
    Ok(connection.pragma_update(None, "synchronous", if durable { "full" } else { "normal" })?)
}

impl Engine for Connection {
    fn put(&mut self, events: &[Event]) -> Outcome<()> {
        lasting(self, true)?;
        let transaction = self.transaction()?;
        {
            let mut due = transaction.prepare("insert into due values (?, ?)")?;
            let mut names = transaction.prepare("insert into names values (?, ?)")?;
            for event in events {
                due.execute(params![&event.place()[..], &event.data[..]])?;
                names.execute(params![&event.name[..], i64::try_from(event.due)?])?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn due(&mut self, limit: usize) -> Outcome<Vec<Event>> {
        let mut statement = self.prepare("select place, data from due order by place limit ?")?;
        let rows = statement.query_map([i64::try_from(limit)?], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?))
        })?;
        rows.map(|row| row.map_err(Into::into).and_then(|(place, data)| Event::at(&place, &data))).collect()
    }

    fn take(&mut self, events: &[Event], durable: bool) -> Outcome<()> {
        lasting(self, durable)?;
        let transaction = self.transaction()?;
        {
            let mut due = transaction.prepare("delete from due where place = ?")?;
            let mut names = transaction.prepare("delete from names where name = ?")?;
            for event in events {
                due.execute([&event.place()[..]])?;
                names.execute([&event.name[..]])?;
            }
        }
        Ok(transaction.commit()?)
    }
}
