//! Keys on disk, in sled, for one replica. A key is synced to the disk before it counts as recorded.
//!
//! Invariant: one thread alone touches sled; what waits for it together is written and synced together. After a failed
//! write the database is closed, and opened again with the next request that comes after a pause.
//!
//! Absent: a proof that nothing was lost (sled opens a file that was cut as if it were empty). What is lost here may
//! run a second time if it is delivered a second time, no more.

mod database;
mod thread;

use super::{InboxError, InboxErrorClass, InboxKey, RETENTION};
use std::{path::PathBuf, time::Duration};
use thread::Request;
use tokio::sync::{mpsc, oneshot};

/// Requests that may wait for the thread; who comes later waits for room.
const WAITING: usize = 1024;
/// How long the thread may take for an answer, and the opening.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks the thread, which ends with the last handle.
#[derive(Debug)]
pub(super) struct Keys {
    requests: mpsc::Sender<Request>,
    folder: PathBuf,
}

impl Keys {
    /// Opens the database in `folder`, or makes one; blocks meanwhile.
    pub(super) fn open(folder: PathBuf) -> Result<Self, InboxError> {
        let (requests, received) = mpsc::channel(WAITING);
        let (ready, opened) = std::sync::mpsc::channel();
        let path = folder.clone();
        let keys = Self { requests, folder };
        std::thread::Builder::new()
            .name("inbox".into())
            .spawn(move || thread::run(&path, received, &ready))
            .map_err(|error| keys.silent(&format!("can't start its thread: {error}")))?;
        match opened.recv_timeout(PATIENCE) {
            Ok(opened) => opened.map(|()| keys),
            Err(_) => Err(keys.silent(&format!("did not open within {PATIENCE:?}"))),
        }
    }

    pub(super) async fn contains(&self, key: &InboxKey) -> Result<bool, InboxError> {
        self.ask(|reply| Request::Contains(encode(key), reply)).await
    }

    /// Durable when this returns.
    pub(super) async fn record(&self, key: &InboxKey) -> Result<(), InboxError> {
        self.ask(|reply| Request::Record(encode(key), reply)).await
    }

    /// Durable when this returns.
    pub(super) async fn forget(&self, key: &InboxKey) -> Result<bool, InboxError> {
        self.ask(|reply| Request::Forget(encode(key), reply)).await
    }

    /// In steps, so that others get their turn between.
    pub(super) async fn prune(&self, older_than: Duration) -> Result<u64, InboxError> {
        let (mut pruned, mut from) = (0, Some(Vec::new()));
        while let Some(start) = from {
            let step = self.ask(|reply| Request::Prune { start, older_than, reply }).await?;
            pruned += step.removed;
            from = step.next;
        }
        Ok(pruned)
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, InboxError>>) -> Request,
    ) -> Result<T, InboxError> {
        let (reply, answer) = oneshot::channel();
        let asking = async {
            match self.requests.send(request(reply)).await {
                Ok(()) => answer.await.ok(),
                Err(_) => None,
            }
        };
        match tokio::time::timeout(PATIENCE, asking).await {
            Ok(Some(answer)) => answer,
            Ok(None) => Err(self.silent("is closed: its thread has ended")),
            Err(_) => Err(self.silent(&format!("did not answer within {PATIENCE:?}"))),
        }
    }

    fn silent(&self, what: &str) -> InboxError {
        InboxError {
            class: InboxErrorClass::Unavailable,
            what: format!("the inbox {} {what}", self.folder.display()),
            remedy: "check whether its disk responds".into(),
        }
    }
}

impl super::Inbox {
    /// Remembers in a folder of its own, on disk, for `retention` (`None` for the default of 7 days). For one replica:
    /// a second process is refused. Blocks while it opens.
    ///
    /// # Errors
    /// [`InboxErrorClass::Unavailable`] when the folder is in use or can't be read or written,
    /// [`InboxErrorClass::Refused`] when what is in it is damaged, or may be another user's.
    pub fn sled(
        folder: impl Into<PathBuf>,
        retention: impl Into<Option<Duration>>,
    ) -> Result<Self, InboxError> {
        let keys = std::sync::Arc::new(Keys::open(folder.into())?);
        let kind = super::Backend::Sled { keys, gate: std::sync::Arc::default() };
        Ok(Self::new(kind).with_retention(retention.into().unwrap_or(RETENTION)))
    }
}

/// Lengths first, so that no two keys meet.
fn encode(key: &InboxKey) -> Vec<u8> {
    let InboxKey { queue, handler, source, id } = key;
    let mut bytes = Vec::with_capacity(16 + queue.len() + handler.len() + source.len() + id.as_str().len());
    for part in [queue.as_ref(), handler.as_ref(), source.as_ref()] {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes()[4..]);
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes.extend_from_slice(id.as_str().as_bytes());
    bytes
}
