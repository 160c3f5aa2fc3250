//! An inbox in memory: the last `limit` keys, gone with the process.

use super::{InboxError, InboxKey};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct Memory {
    limit: usize,
    /// How many records are still to fail, for tests.
    #[cfg(test)]
    faults: std::sync::atomic::AtomicU32,
    rows: Mutex<Rows>,
}

#[derive(Debug, Default)]
struct Rows {
    /// Each key with the number of its row in `order`.
    numbers: HashMap<Arc<InboxKey>, u64>,
    /// Oldest first. A row whose number is not its key's any more was forgotten; it still counts towards the limit.
    order: VecDeque<(Instant, u64, Arc<InboxKey>)>,
    next: u64,
}

impl Memory {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            #[cfg(test)]
            faults: Default::default(),
            rows: Mutex::default(),
        }
    }

    /// Makes the next `records` records fail, as on a full disk.
    #[cfg(test)]
    pub(super) fn fail(self, records: u32) -> Self {
        self.faults.store(records, std::sync::atomic::Ordering::SeqCst);
        self
    }

    #[cfg(test)]
    fn fault(&self) -> Result<(), InboxError> {
        use std::sync::atomic::Ordering::SeqCst;
        let left = self.faults.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        left.map_or(Ok(()), |_| {
            let (what, remedy) = ("the inbox has no space left".into(), "free memory".into());
            Err(InboxError { class: super::InboxErrorClass::Unavailable, what, remedy })
        })
    }

    pub(super) fn contains(&self, key: &InboxKey) -> bool {
        self.rows().numbers.contains_key(key)
    }

    pub(super) fn record(&self, key: &Arc<InboxKey>) -> Result<(), InboxError> {
        #[cfg(test)]
        self.fault()?;
        let mut rows = self.rows();
        let number = rows.next;
        rows.next += 1;
        rows.numbers.insert(key.clone(), number);
        rows.order.push_back((Instant::now(), number, key.clone()));
        while rows.order.len() > self.limit {
            rows.remove_oldest();
        }
        Ok(())
    }

    pub(super) fn forget(&self, key: &InboxKey) -> bool {
        self.rows().numbers.remove(key).is_some()
    }

    pub(super) fn prune(&self, older_than: Duration) -> u64 {
        let mut rows = self.rows();
        let mut pruned = 0;
        while rows.order.front().is_some_and(|(at, ..)| at.elapsed() > older_than) {
            pruned += u64::from(rows.remove_oldest());
        }
        pruned
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows {
    /// Removes the oldest row; returns whether its key was still remembered by it.
    fn remove_oldest(&mut self) -> bool {
        let Some((_, number, key)) = self.order.pop_front() else { return false };
        let known = self.numbers.get(&key) == Some(&number);
        if known {
            self.numbers.remove(&key);
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: u32) -> Arc<InboxKey> {
        let id = id.to_string().parse().unwrap();
        Arc::new(InboxKey { queue: "q".into(), handler: "h".into(), source: "/s".into(), id })
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_go_first_when_there_are_too_many() {
        let memory = Memory::new(3);
        (0..5).for_each(|id| memory.record(&key(id)).unwrap());
        let known: Vec<bool> = (0..5).map(|id| memory.contains(&key(id))).collect();
        assert_eq!(known, [false, false, true, true, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn forgetting_and_recording_for_ever_stays_within_the_limit() {
        let memory = Memory::new(3);
        for _ in 0..100 {
            memory.record(&key(1)).unwrap();
            assert!(memory.forget(&key(1)));
        }
        memory.record(&key(1)).unwrap();
        assert!(memory.contains(&key(1)));
        assert!(memory.rows().order.len() <= 3);
        // The rows of the times before do not take the newest with them.
        memory.record(&key(2)).unwrap();
        memory.record(&key(3)).unwrap();
        assert!(memory.contains(&key(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_older_is_pruned_and_what_is_younger_stays() {
        let memory = Memory::new(10);
        memory.record(&key(1)).unwrap();
        tokio::time::advance(Duration::from_secs(60)).await;
        memory.record(&key(2)).unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(memory.prune(Duration::from_secs(30)), 1);
        assert!(!memory.contains(&key(1)) && memory.contains(&key(2)));
    }
}
