//! A batch as its handler gets it, and what the handler says of single items.

use crate::worker::{Context, Failure, HandlerResult, Outcome};
use std::{
    fmt,
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What a [handler of batches](crate::worker::Worker::batch) gets: the payloads of one or more deliveries, in the order in which they
/// came. It is read as a slice.
///
/// What the handler returns is the outcome of each item; [`fail`](Self::fail) and [`dead`](Self::dead) except single ones from it:
///
/// ```
/// use ponos::{prelude::*, testing::Kit};
/// use std::time::Duration;
///
/// async fn insert_all(items: Batch<i64>, _: Context) -> HandlerResult {
///     for (index, count) in items.iter().enumerate() {
///         if *count < 0 {
///             items.dead(index, format!("{count} is less than nothing"));
///         }
///     }
///     Ok(Done)
/// }
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
/// # runtime.block_on(async {
/// let policy = Policy::batch(500, Duration::from_secs(1));
/// let mut kit = Kit::start(Worker::new("stock").batch("stock.item.counted", insert_all.with(policy))).await;
/// let ids = kit.publish_all("stock.item.counted", &[3, -1, 4]).await;
/// kit.settled().await;
/// assert_eq!(kit.ended(&ids[2]), Some(Ended::Done));
/// assert_eq!(kit.dead()[0].reason, "-1 is less than nothing");
/// # });
/// ```
///
/// An error, a panic and a timeout concern all items, whatever was said of single ones. So does it when all of them failed: nothing of
/// such a run counts.
pub struct Batch<T> {
    items: Vec<T>,
    contexts: Vec<Context>,
    marks: Marks,
}

/// What was said of the items of one batch. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Marks(Arc<Mutex<Marked>>);

#[derive(Debug)]
struct Marked {
    ends: Vec<Option<ItemEnd>>,
    /// An item was named that is not there.
    wrong: Option<String>,
    /// The handler returned an outcome: after an error, a panic or a timeout nothing counts that was said of single items.
    has_outcome: bool,
}

/// The end of a single item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ItemEnd {
    Failed(String),
    Dead(String),
}

impl<T> Batch<T> {
    /// Of as many items as contexts.
    pub(crate) fn new(items: Vec<T>, contexts: Vec<Context>, marks: Marks) -> Self {
        Self { items, contexts, marks }
    }

    /// This item failed, by itself: it is tried again alone, by the policy, or goes to the dead letters after its last attempt. An
    /// index that no item has is a failure of the whole run.
    pub fn fail(&self, index: usize, why: impl Into<String>) {
        self.marks.set("fail", index, ItemEnd::Failed(why.into()));
    }

    /// This item goes to the dead letters, for this reason. An index that no item has is a failure of the whole run.
    pub fn dead(&self, index: usize, why: impl Into<String>) {
        self.marks.set("dead", index, ItemEnd::Dead(why.into()));
    }

    /// The context of an item: its event, its id, its attempt. What is published by it follows from that event, and goes out unless
    /// the item fails.
    ///
    /// # Panics
    /// If there is no such item, as a slice does.
    pub fn context(&self, index: usize) -> &Context {
        &self.contexts[index]
    }

    /// Takes the payloads out, for who needs to own them. All else stays as it is: `fail(0, …)` means the first of these.
    pub fn take(&mut self) -> Vec<T> {
        std::mem::take(&mut self.items)
    }
}

impl<T> Deref for Batch<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.items
    }
}

impl<'a, T> IntoIterator for &'a Batch<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.iter()
    }
}

impl<T: fmt::Debug> fmt::Debug for Batch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.items).finish()
    }
}

impl Marks {
    /// Of so many items.
    pub(crate) fn of(count: usize) -> Self {
        Self(Arc::new(Mutex::new(Marked { ends: vec![None; count], wrong: None, has_outcome: false })))
    }

    fn set(&self, verb: &str, index: usize, end: ItemEnd) {
        let mut marked = self.lock();
        let count = marked.ends.len();
        match marked.ends.get_mut(index) {
            Some(mark) => *mark = Some(end),
            None => {
                marked.wrong = Some(format!("items.{verb}({index}): the batch has {count} items, from 0 on"))
            }
        }
    }

    /// What the handler returned, unless it named an item that is not there.
    pub(crate) fn checked(&self, returned: HandlerResult) -> HandlerResult {
        let outcome = returned?;
        let mut marked = self.lock();
        if let Some(wrong) = &marked.wrong {
            return Err(Failure::new(wrong.clone()));
        }
        marked.has_outcome = true;
        Ok(outcome)
    }

    /// What the run of a batch of one means for its item.
    pub(crate) fn of_one(&self, returned: HandlerResult) -> HandlerResult {
        let outcome = self.checked(returned)?;
        match self.lock().ends.first_mut().and_then(Option::take) {
            Some(ItemEnd::Failed(why)) => Err(Failure::new(why)),
            Some(ItemEnd::Dead(why)) => Ok(Outcome::dead(why)),
            None => Ok(outcome),
        }
    }

    /// What excepts each item from the outcome of the run.
    pub(crate) fn ends(&self) -> Vec<Option<ItemEnd>> {
        let marked = self.lock();
        if marked.has_outcome { marked.ends.clone() } else { vec![None; marked.ends.len()] }
    }

    fn lock(&self) -> MutexGuard<'_, Marked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_one_item_is_that_of_a_batch_of_one() {
        let marks = Marks::of(1);
        assert_eq!(marks.of_one(Ok(Outcome::Skip)).unwrap(), Outcome::Skip);
        marks.set("fail", 0, ItemEnd::Failed("no".into()));
        assert_eq!(marks.of_one(Ok(Outcome::Done)).unwrap_err().to_string(), "no");
        marks.set("dead", 0, ItemEnd::Dead("never".into()));
        assert_eq!(marks.of_one(Ok(Outcome::Done)).unwrap(), Outcome::dead("never"));
    }

    #[test]
    fn an_item_that_is_not_there_fails_the_run_and_an_error_stays_what_it_is() {
        let marks = Marks::of(2);
        marks.set("fail", 2, ItemEnd::Failed("no".into()));
        let why = marks.checked(Ok(Outcome::Done)).unwrap_err().to_string();
        assert_eq!(why, "items.fail(2): the batch has 2 items, from 0 on");
        assert_eq!(marks.checked(Err("its own".into())).unwrap_err().to_string(), "its own");
    }

    #[test]
    fn what_was_said_of_single_items_counts_if_there_is_an_outcome() {
        let marks = Marks::of(2);
        marks.set("fail", 1, ItemEnd::Failed("no".into()));
        assert_eq!(marks.ends(), [None, None]);
        assert!(marks.checked(Err("its own".into())).is_err());
        assert_eq!(marks.ends(), [None, None]);
        assert!(marks.checked(Ok(Outcome::Release)).is_ok());
        assert_eq!(marks.ends(), [None, Some(ItemEnd::Failed("no".into()))]);
    }
}
