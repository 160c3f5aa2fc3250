//! The thread that owns the database: takes what waits, reads, writes all changes as one batch, then answers.

use super::database::Database;
use crate::{
    clock::{Clock, millis},
    event::Timestamp,
    inbox::{InboxError, InboxErrorClass},
};
use std::{path::Path, time::Duration};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

/// Changes in one write; sled is slow above that.
const BATCH: usize = 1000;
/// Keys looked at in one step of pruning.
const STEP: usize = 1000;
/// How long after a failure the database is opened again: doubling, up to the second.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

pub(super) type Reply<T> = oneshot::Sender<Result<T, InboxError>>;

#[derive(Debug)]
pub(super) enum Request {
    Contains(Vec<u8>, Reply<bool>),
    Record(Vec<u8>, Reply<()>),
    Forget(Vec<u8>, Reply<bool>),
    Prune { start: Vec<u8>, older_than: Duration, reply: Reply<Pruned> },
}

/// One step of pruning.
#[derive(Debug)]
pub(super) struct Pruned {
    pub(super) removed: u64,
    /// Where the next step starts; `None` after the last one.
    pub(super) next: Option<Vec<u8>>,
}

/// Runs until nobody can ask any more. Tells `ready` how the first opening went, and ends there if it failed.
pub(super) fn run(
    path: &Path,
    mut requests: mpsc::Receiver<Request>,
    ready: &std::sync::mpsc::Sender<Result<(), InboxError>>,
) {
    let mut keeper = match Database::open(path) {
        Ok(database) => {
            Keeper { database: Ok(database), failures: 0, retry_at: Instant::now(), gave_up: false }
        }
        Err(error) => return drop(ready.send(Err(error))),
    };
    // A caller that gave up is seen below: it has dropped its handle.
    let _ = ready.send(Ok(()));
    let mut waiting = Vec::new();
    while requests.blocking_recv_many(&mut waiting, BATCH) > 0 {
        keeper.serve(path, waiting.drain(..));
    }
}

/// The database, or why it is not open at the moment.
struct Keeper {
    database: Result<Database, InboxError>,
    failures: u32,
    retry_at: Instant,
    /// Sled broke, and keeps its lock: what it said first is what there is to say.
    gave_up: bool,
}

/// An answer that is given once all is written.
type Answer = Box<dyn FnOnce(Result<(), InboxError>)>;

impl Keeper {
    fn serve(&mut self, path: &Path, requests: impl Iterator<Item = Request>) {
        if self.database.is_err() && !self.gave_up && Instant::now() >= self.retry_at {
            let opened = Database::open(path);
            self.keep(opened);
        }
        let mut batch = ::sled::Batch::default();
        let (mut answers, mut changes) = (Vec::new(), 0);
        let now = Clock::system().now();
        for request in requests {
            let prepared = match &mut self.database {
                Ok(database) => prepare(database, request, now, &mut batch, &mut changes),
                Err(error) => Err((request, error.clone())),
            };
            match prepared {
                Ok(answer) => answers.push(answer),
                Err((request, error)) => {
                    request.refuse(error.clone());
                    if self.database.is_ok() {
                        self.keep(Err(error));
                    }
                }
            }
        }
        let written = match &mut self.database {
            Ok(database) if changes > 0 => database.write(batch),
            Ok(_) => Ok(()),
            Err(error) => Err(error.clone()),
        };
        for answer in answers {
            answer(written.clone());
        }
        if let (Err(error), true) = (written, self.database.is_ok()) {
            self.keep(Err(error));
        }
    }

    /// Takes a database that was opened, or closes the one there is.
    fn keep(&mut self, database: Result<Database, InboxError>) {
        match &database {
            Ok(_) => {
                tracing::info!("the inbox works again");
                self.failures = 0;
            }
            Err(error) => {
                self.gave_up = self.database.is_ok() && error.class == InboxErrorClass::Refused;
                if self.failures == 0 {
                    tracing::error!(%error, "the inbox can't be used; opening it is tried again");
                }
                let (first, longest) = PAUSES;
                let pause = first.saturating_mul(1 << self.failures.min(10)).min(longest);
                self.retry_at = Instant::now() + pause;
                self.failures += 1;
            }
        }
        self.database = database;
    }
}

impl Request {
    fn refuse(self, error: InboxError) {
        // the caller may have gone, by a handler's timeout
        match self {
            Self::Contains(_, reply) | Self::Forget(_, reply) => drop(reply.send(Err(error))),
            Self::Record(_, reply) => drop(reply.send(Err(error))),
            Self::Prune { reply, .. } => drop(reply.send(Err(error))),
        }
    }
}

fn answer<T: 'static>(reply: Reply<T>, value: T) -> Answer {
    Box::new(move |written| drop(reply.send(written.map(|()| value))))
}

/// Reads what a request needs and adds its changes to the batch.
fn prepare(
    database: &mut Database,
    request: Request,
    now: Timestamp,
    batch: &mut ::sled::Batch,
    changes: &mut usize,
) -> Result<Answer, (Request, InboxError)> {
    match request {
        Request::Contains(key, reply) => match database.get(&key) {
            Ok(found) => Ok(answer(reply, found.is_some())),
            Err(error) => Err((Request::Contains(key, reply), error)),
        },
        Request::Record(key, reply) => {
            batch.insert(key, &now.millis().to_be_bytes());
            *changes += 1;
            Ok(answer(reply, ()))
        }
        Request::Forget(key, reply) => match database.get(&key) {
            Ok(found) => {
                batch.remove(key);
                *changes += 1;
                Ok(answer(reply, found.is_some()))
            }
            Err(error) => Err((Request::Forget(key, reply), error)),
        },
        Request::Prune { start, older_than, reply } => match database.scan(&start, STEP) {
            Ok(entries) => {
                let before = now.plus(-millis(older_than));
                // The key after the last one begins with it.
                let next = (entries.len() == STEP).then(|| entries.last()).flatten();
                let next = next.map(|(key, _)| [key.as_ref(), &[0]].concat());
                let old = entries.into_iter().filter(|(_, at)| recorded(at) < before);
                let removed = old.map(|(key, _)| batch.remove(key)).count();
                *changes += removed;
                Ok(answer(reply, Pruned { removed: removed as u64, next }))
            }
            Err(error) => Err((Request::Prune { start, older_than, reply }, error)),
        },
    }
}

/// When a key was recorded. What can't be read counts as oldest: it goes.
fn recorded(value: &[u8]) -> Timestamp {
    Timestamp::from_millis(value.try_into().map_or(i64::MIN, i64::from_be_bytes))
}
