//! A reader of the record, by pages.

use crate::store::{Page, StoreError};
use std::{fmt, future::Future, pin::Pin, sync::Arc};
use tokio::sync::Semaphore;

type Reading = Pin<Box<dyn Future<Output = Result<Page, StoreError>> + Send>>;

/// Reads the record; what stands behind it is the caller's affair. Clones read the same, in turns: a store that is asked
/// for one page at a time has time for what is to be written, however many want to read.
#[derive(Clone)]
pub struct Record {
    read: Arc<dyn Fn(u64, usize) -> Reading + Send + Sync>,
    turn: Arc<Semaphore>,
}

impl Record {
    /// A reader by way of a function with the meaning of [`Store::read`](crate::store::Store::read).
    pub fn new<R>(read: impl Fn(u64, usize) -> R + Send + Sync + 'static) -> Self
    where
        R: Future<Output = Result<Page, StoreError>> + Send + 'static,
    {
        let read = Arc::new(move |after, most| Box::pin(read(after, most)) as Reading);
        Self { read, turn: Arc::new(Semaphore::new(1)) }
    }

    /// Rows with a number above `after`, oldest first, at most `most`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn read(&self, after: u64, most: usize) -> Result<Page, StoreError> {
        // Never closed.
        let _turn = self.turn.acquire().await;
        (self.read)(after, most).await
    }
}

impl From<crate::store::StoreHandle> for Record {
    fn from(store: crate::store::StoreHandle) -> Self {
        Self::new(move |after, most| {
            let store = store.clone();
            async move { store.read(after, most).await }
        })
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Record")
    }
}
