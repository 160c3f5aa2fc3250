//! A reader of the record and of the log of changes, by pages.

use crate::store::{ChangePage, Leader, Page, StoreError};
use ponos::event::Timestamp;
use std::{fmt, future::Future, path::PathBuf, pin::Pin, sync::Arc};

type Reading<T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send>>;
type Reader<T> = Arc<dyn Fn(u64, usize) -> Reading<T> + Send + Sync>;
type Leaders = Arc<dyn Fn(u64) -> Reading<Option<Leader>> + Send + Sync>;

/// Reads the record; what stands behind it is the caller's affair: a store reads one page at a time. Clones read the same.
#[derive(Clone)]
pub struct RecordReader {
    read: Reader<Page>,
    changes: Reader<ChangePage>,
    leaders: Leaders,
}

impl RecordReader {
    /// A reader by way of a function with the meaning of [`Store::read`](crate::store::Store::read).
    pub fn new<R>(read: impl Fn(u64, usize) -> R + Send + Sync + 'static) -> Self
    where
        R: Future<Output = Result<Page, StoreError>> + Send + 'static,
    {
        let none = |_, _| Box::pin(async { Ok(ChangePage { first: 1, ..ChangePage::default() }) });
        Self {
            read: Arc::new(move |after, most| Box::pin(read(after, most)) as Reading<Page>),
            changes: Arc::new(move |after, most| none(after, most) as Reading<ChangePage>),
            leaders: Arc::new(|_| Box::pin(async { Ok(None) }) as Reading<Option<Leader>>),
        }
    }

    /// The same, with a log of changes: by way of a function with the meaning of
    /// [`Store::changes`](crate::store::Store::changes).
    #[must_use]
    pub fn with_changes<R>(self, read: impl Fn(u64, usize) -> R + Send + Sync + 'static) -> Self
    where
        R: Future<Output = Result<ChangePage, StoreError>> + Send + 'static,
    {
        let changes = Arc::new(move |after, most| Box::pin(read(after, most)) as Reading<ChangePage>);
        Self { changes, ..self }
    }

    /// The same, which knows who led when a row was written: by way of a function with the meaning of
    /// [`PageReader::leader`](crate::store::PageReader::leader).
    #[must_use]
    pub fn with_leaders<R>(self, read: impl Fn(u64) -> R + Send + Sync + 'static) -> Self
    where
        R: Future<Output = Result<Option<Leader>, StoreError>> + Send + 'static,
    {
        let leaders = Arc::new(move |number| Box::pin(read(number)) as Reading<Option<Leader>>);
        Self { leaders, ..self }
    }

    /// Who led when the row of this number was written, where several clocks write and that is kept.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn leader(&self, number: u64) -> Result<Option<Leader>, StoreError> {
        in_its_own_turn((self.leaders)(number)).await
    }

    /// Changes with a number above `after`, oldest first, at most `most`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn changes(&self, after: u64, most: usize) -> Result<ChangePage, StoreError> {
        in_its_own_turn((self.changes)(after, most)).await
    }

    /// Rows with a number above `after`, oldest first, at most `most`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn read(&self, after: u64, most: usize) -> Result<Page, StoreError> {
        in_its_own_turn((self.read)(after, most)).await
    }

    /// The first row that was decided after this instant, or the number of the next one, in a record of these bounds: found in as many
    /// steps as its length has digits in the binary system.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn decided_after(&self, bounds: &Page, instant: Timestamp) -> Result<u64, StoreError> {
        let (mut low, mut high) = (bounds.first, bounds.last.saturating_add(1));
        while low < high {
            let middle = low.midpoint(high);
            let page = self.read(middle.saturating_sub(1), 1).await?;
            match page.rows.first() {
                Some(row) if row.row.at <= instant => low = middle + 1,
                _ => high = middle,
            }
        }
        Ok(high)
    }
}

/// How much earlier than a row that stands before it a row may have been decided, in milliseconds: what was confirmed is written a
/// little later than the rest.
pub(super) const DISORDER: i64 = 60_000;

/// On a task of its own: who asks may not be polled for a while (nothing is, of an answer that nobody takes), and must not
/// keep its turn meanwhile.
async fn in_its_own_turn<T: Send + 'static>(reading: Reading<T>) -> Result<T, StoreError> {
    let ended = |_| StoreError::Io { path: PathBuf::new(), what: "reading ended unexpectedly".into() };
    tokio::spawn(reading).await.map_err(ended)?
}

impl From<crate::store::StoreHandle> for RecordReader {
    fn from(store: crate::store::StoreHandle) -> Self {
        let (log, leaders) = (store.clone(), store.clone());
        let record = Self::new(move |after, most| {
            let store = store.clone();
            async move { store.read(after, most).await }
        });
        let record = record.with_changes(move |after, most| {
            let store = log.clone();
            async move { store.changes(after, most).await }
        });
        record.with_leaders(move |number| {
            let store = leaders.clone();
            async move { store.leader(number).await }
        })
    }
}

impl fmt::Debug for RecordReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordReader")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::poll_fn, task::Poll, time::Duration};
    use tokio::sync::Semaphore;

    #[tokio::test]
    async fn who_asks_and_does_not_look_keeps_nobody_from_reading() {
        // As a store: one page at a time.
        let turn = Arc::new(Semaphore::new(1));
        let record = RecordReader::new(move |_, _| {
            let turn = turn.clone();
            async move {
                let _turn = turn.acquire().await;
                tokio::task::yield_now().await;
                Ok(Page { rows: vec![], first: 1, last: 0, record: 1 })
            }
        });
        let mut unwatched: Vec<_> = (0..3).map(|_| Box::pin(record.read(0, 1))).collect();
        for reading in &mut unwatched {
            let looked = poll_fn(|context| Poll::Ready(reading.as_mut().poll(context))).await;
            assert!(looked.is_pending());
        }
        let read = tokio::time::timeout(Duration::from_secs(60), record.read(0, 1)).await;
        read.expect("it gets its turn").unwrap();
    }
}
