//! The batches of one queue that are still gathered. Pure.

use crate::broker::Delivery;
use std::time::Duration;
use tokio::time::Instant;

/// The most batches that are open at a time.
pub(super) const OPEN: usize = 64;
/// The most bytes of bodies in a batch of more than one.
const BYTES: usize = 8 << 20;

/// A delivery, and when it came, if that is measured.
pub(crate) type Arrived = (Delivery, Option<Instant>);

/// Batches that are gathered, in the order in which they were opened; at most [`OPEN`].
#[derive(Debug, Default)]
pub(crate) struct OpenBatches(Vec<OpenBatch>);

#[derive(Debug)]
struct OpenBatch {
    key: Option<String>,
    /// At least one.
    deliveries: Vec<Arrived>,
    bytes: usize,
    due: Instant,
    /// Nothing joins it any more.
    closed: bool,
}

impl OpenBatches {
    /// Whether a delivery of this key can join now. If not, a batch was closed, and must begin before.
    pub(crate) fn has_room(&mut self, key: Option<&str>, bytes: usize) -> bool {
        let count = self.0.len();
        match self.0.iter_mut().find(|open| open.key.as_deref() == key) {
            Some(open) => {
                open.closed |= open.bytes.saturating_add(bytes) > BYTES;
                !open.closed
            }
            None if count < OPEN => true,
            None => {
                if let Some(oldest) = self.0.first_mut() {
                    oldest.closed = true;
                }
                false
            }
        }
    }

    /// Takes in a delivery for which there [is room](Self::has_room), into a batch of at most `size`.
    pub(crate) fn join(
        &mut self,
        (key, bytes): (Option<String>, usize),
        arrived: Arrived,
        (size, window): (usize, Duration),
    ) {
        let index = self.0.iter().position(|open| open.key == key).unwrap_or_else(|| {
            let due = Instant::now() + window;
            self.0.push(OpenBatch { key, deliveries: Vec::new(), bytes: 0, due, closed: false });
            self.0.len() - 1
        });
        let Some(open) = self.0.get_mut(index) else { return };
        open.deliveries.push(arrived);
        open.bytes = open.bytes.saturating_add(bytes);
        open.closed |= open.deliveries.len() >= size;
    }

    /// Nothing joins any of them.
    pub(crate) fn close(&mut self) {
        self.0.iter_mut().for_each(|open| open.closed = true);
    }

    /// The first that is closed, or whose time has come, with the number of its deliveries.
    pub(crate) fn ready(&self, now: Instant) -> Option<(usize, usize)> {
        let mut all = self.0.iter().enumerate();
        all.find(|(_, open)| open.closed || open.due <= now)
            .map(|(index, open)| (index, open.deliveries.len()))
    }

    /// When the next one is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.0.iter().map(|open| open.due).min()
    }

    /// Takes one out, by its place.
    pub(crate) fn take(&mut self, index: usize) -> Vec<Arrived> {
        if index < self.0.len() { self.0.remove(index).deliveries } else { Vec::new() }
    }

    /// Takes all out, oldest batch first.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = Arrived> {
        std::mem::take(&mut self.0).into_iter().flat_map(|open| open.deliveries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        broker::DeliveryTag,
        event::Message,
        prelude::*,
        worker::{around::Layers, batch::batch_plan},
    };

    fn delivery(bytes: usize) -> Arrived {
        let message = Message { body: vec![b' '; bytes], ..Message::default() };
        let tag = DeliveryTag { generation: 0, tag: 0 };
        (Delivery { message, exchange: String::new(), redelivered: false, tag }, None)
    }

    /// Joins if there is room.
    fn offer(open: &mut OpenBatches, key: Option<&str>, bytes: usize, size: usize) -> bool {
        let room = open.has_room(key, bytes);
        if room {
            open.join((key.map(str::to_owned), bytes), delivery(bytes), (size, Duration::from_secs(1)));
        }
        room
    }

    fn take(open: &mut OpenBatches) -> Option<usize> {
        let (index, count) = open.ready(Instant::now())?;
        assert_eq!(open.take(index).len(), count);
        Some(count)
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_ready_when_it_is_full_or_its_first_has_waited_for_the_window() {
        let mut open = OpenBatches::default();
        assert!(offer(&mut open, None, 1, 3) && offer(&mut open, None, 1, 3));
        assert_eq!(take(&mut open), None);
        assert!(offer(&mut open, None, 1, 3));
        assert!(!offer(&mut open, None, 1, 3), "it is full");
        assert_eq!(take(&mut open), Some(3));
        assert!(offer(&mut open, None, 1, 3));
        tokio::time::advance(Duration::from_millis(900)).await;
        assert!(offer(&mut open, None, 1, 3));
        assert_eq!(take(&mut open), None);
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_eq!(take(&mut open), Some(2));
        assert_eq!((open.due(), open.take_all().count()), (None, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn its_bytes_are_bounded_and_one_that_is_larger_is_there_alone() {
        let mut open = OpenBatches::default();
        assert!(offer(&mut open, None, BYTES - 1, 500) && offer(&mut open, None, 1, 500));
        assert!(!offer(&mut open, None, 1, 500));
        assert_eq!(take(&mut open), Some(2));
        assert!(offer(&mut open, None, BYTES + 1, 500));
        assert!(!offer(&mut open, None, 0, 500));
        assert_eq!(take(&mut open), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn each_key_has_a_batch_and_one_too_many_begins_the_oldest() {
        let mut open = OpenBatches::default();
        for key in 0..OPEN {
            assert!(offer(&mut open, Some(&key.to_string()), 1, 500));
        }
        assert!(offer(&mut open, Some("0"), 1, 500), "of a key that is open");
        assert_eq!(take(&mut open), None);
        assert!(!offer(&mut open, Some("another"), 1, 500));
        assert_eq!(take(&mut open), Some(2), "that of the first key");
        assert!(offer(&mut open, Some("another"), 1, 500));
        assert_eq!(open.take_all().count(), OPEN);
    }

    #[test]
    fn keys_that_may_wait_for_too_many_others_are_refused_with_the_numbers() {
        let by = |timeout: u64, most: u64| {
            let handler = async |_: Batch<u64>, _: Context| Ok(Done);
            let policy = Policy::batch(500, Duration::from_secs(1)).timeout(Duration::from_secs(timeout));
            let worker = Worker::new("shop").batch("a.b.c", handler.by(|item: &u64| *item).with(policy));
            let mut faults = Vec::new();
            let plan =
                batch_plan(&worker.drafts[0], (Duration::from_secs(most), &Layers::default()), &mut faults);
            assert!(plan.unwrap().handler.is_keyed());
            faults
        };
        assert_eq!(by(20, 1_800), Vec::<String>::new());
        let faults = by(30, 1_800);
        assert!(
            faults[0].contains("65 batches of different keys / concurrency 1 × timeout 30s"),
            "{faults:?}"
        );
    }
}
