//! How much an owner may have: events that are pending or parked, for both take room, and answers to messages. What is under way
//! counts, so that requests at one time are not each as good as alone.

use crate::{
    authority::Caller,
    delayed::{DelayedHandle, NotNow, Room},
    engine::{
        Refusal, Verdict,
        delayed::{DelayedChange, DelayedReader, Found},
    },
    ops::OpsError,
    store::StoreError,
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Answers to an owner's messages of a day, with a verdict for each change: a million messages of one change, or two million changes
/// in large ones. They lie on the disk alone.
pub(super) const ANSWERS: u64 = 2_000_000;
/// After how long it is worth asking again where there is no room for an answer: some may be a day old by then.
const ANSWERS_WAIT: Duration = Duration::from_secs(600);

/// The delayed events of a clock that runs, and what is under way of them. Clones share both.
#[derive(Debug, Clone)]
pub(in crate::ops) struct DelayedPart {
    /// Its store.
    pub(in crate::ops) store: DelayedHandle,
    under_way: UnderWay,
}

/// What is asked for and not decided yet, by owner.
#[derive(Debug, Clone, Default)]
struct UnderWay(Arc<Mutex<AllAsked>>);

#[derive(Debug, Default)]
struct AllAsked {
    /// The number of the last request.
    last: u64,
    of: HashMap<Arc<str>, Asked>,
}

/// What one owner asks for.
#[derive(Debug, Default)]
struct Asked {
    /// By number of the request, the names that it puts.
    names: BTreeMap<u64, Names>,
    sum: Sum,
}

type Names = Arc<[Arc<str>]>;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sum {
    puts: u64,
    answers: u64,
}

/// What one request asks for; it counts until this is dropped.
#[derive(Debug)]
pub(super) struct Counted {
    under_way: UnderWay,
    owner: Arc<str>,
    number: u64,
    names: Names,
    answers: u64,
    /// What others had asked for before.
    before: Sum,
}

/// What was let in, and counts until it is decided.
#[derive(Debug)]
pub(super) struct LetIn {
    _counted: Counted,
    _room: Option<Room>,
}

impl DelayedPart {
    /// Of this store.
    pub(in crate::ops) fn new(store: DelayedHandle) -> Self {
        Self { store, under_way: UnderWay::default() }
    }

    /// Reads its store.
    ///
    /// # Errors
    /// [`OpsError::Unavailable`].
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn DelayedReader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, OpsError> {
        self.store.read_by(read).await.map_err(|error| {
            OpsError::Unavailable(format!("delayed events can't be read at present: {error}"))
        })
    }

    /// Lets changes in that this caller asks for, as a message or not. Puts of new names beyond what its owner may have are refused, each
    /// at its place.
    ///
    /// # Errors
    /// [`OpsError::OutOfDisk`], [`OpsError::TooMany`], [`OpsError::NoRoom`], [`OpsError::Unavailable`]: nothing is let in.
    pub(super) async fn let_in(
        &self,
        caller: &Caller,
        changes: &mut [DelayedChange],
        is_message: bool,
    ) -> Result<LetIn, OpsError> {
        let puts = put_names(changes);
        let count = puts.len();
        let answers = if is_message { 1 + changes.len() as u64 } else { 0 };
        let mut counted = self.under_way.count(caller.owner(), puts, answers);
        if is_message {
            self.check_answers(&counted).await?;
        }
        if let Some(most) = caller.most_delayed_events().filter(|_| count > 0) {
            self.hold_to(most, &mut counted, changes).await?;
        }
        let count = counted.names.len();
        // What is deleted over HTTP leaves no answer, and needs no more room than is kept for it.
        if count == 0 && !is_message {
            return Ok(LetIn { _counted: counted, _room: None });
        }
        let bytes = changes.iter().map(|change| bytes_of(change, is_message)).sum();
        // It asks the disk how much is free.
        let store = self.store.clone();
        let room = super::super::run_blocking(move || store.room_for(bytes, count)).await?;
        let room = room.map_err(|why| match why {
            NotNow::Full(error) => OpsError::OutOfDisk(format!("nothing changed: {error}")),
            NotNow::TooMany { .. } => OpsError::TooMany(format!("nothing changed: {why}")),
        })?;
        Ok(LetIn { _counted: counted, _room: Some(room) })
    }

    async fn check_answers(&self, counted: &Counted) -> Result<(), OpsError> {
        let owner = counted.owner.clone();
        let share = self.read(move |reader| reader.owner(&owner)).await?;
        let all = share.answers + counted.before.answers + counted.answers;
        if all <= ANSWERS {
            return Ok(());
        }
        let what = format!(
            "nothing changed: the answers to messages of '{}' of the last 24 hours, {} with their changes, leave no room for more; put events over HTTP, or fewer of them",
            counted.owner, share.answers
        );
        Err(OpsError::NoRoom { what, wait: ANSWERS_WAIT })
    }

    /// Refuses puts of new names beyond so many of the owner.
    async fn hold_to(
        &self,
        most: u64,
        counted: &mut Counted,
        changes: &mut [DelayedChange],
    ) -> Result<(), OpsError> {
        let (owner, number, names) = (counted.owner.clone(), counted.number, counted.names.clone());
        let asked = counted.before.puts.saturating_add(names.len() as u64);
        let under_way = counted.under_way.clone();
        let there = self.read(move |reader| {
            // Where all of them have room it does not matter which are new.
            if reader.owner(&owner)?.events().saturating_add(asked) <= most {
                return Ok(None);
            }
            let mut known = under_way.before(&owner, number);
            let under_way = known.clone();
            let names: Vec<Arc<str>> = names.iter().chain(&under_way).cloned().collect();
            let found = reader.find(&names)?;
            let is_pending = |found: &Found| matches!(found, Found::Pending(_));
            let pending = names.into_iter().zip(found).filter(|(_, found)| is_pending(found));
            let pending: HashSet<_> = pending.map(|(name, _)| name).collect();
            let new = under_way.difference(&pending).count() as u64;
            known.extend(pending);
            // Counted after the look-up: what is written in between counts twice for a moment, and never not at all.
            Ok(Some((reader.owner(&owner)?.events().saturating_add(new), known)))
        });
        let Some((there, mut known)) = there.await? else { return Ok(()) };
        let mut room = most.saturating_sub(there);
        for change in changes.iter_mut() {
            let DelayedChange::Put { event, .. } = change else { continue };
            let name = event.head.key.name.clone();
            if known.contains(&name) {
                continue;
            }
            if room == 0 {
                *change = DelayedChange::Refused { name, refusal: Refusal::TooManyDelayedEvents { most } };
            } else {
                room -= 1;
                known.insert(name);
            }
        }
        // Those that were refused take nobody's place.
        counted.only(put_names(changes));
        Ok(())
    }
}

/// About how many bytes it takes: the event, its name in the log, and what a message is answered.
fn bytes_of(change: &DelayedChange, is_message: bool) -> usize {
    let event = match change {
        DelayedChange::Put { event, .. } => event.bytes(),
        _ => 0,
    };
    let answer = match change {
        _ if !is_message => 0,
        DelayedChange::Refused { refusal, .. } => Verdict::Refused(refusal.clone()).bytes(),
        _ => Verdict::GoneAlready.bytes(),
    };
    event + answer + change.name().len()
}

fn put_names(changes: &[DelayedChange]) -> Names {
    let names = changes.iter().filter_map(|change| match change {
        DelayedChange::Put { event, .. } => Some(event.head.key.name.clone()),
        _ => None,
    });
    names.collect()
}

impl UnderWay {
    fn count(&self, owner: &Arc<str>, names: Names, answers: u64) -> Counted {
        let mut all = self.lock();
        all.last += 1;
        let number = all.last;
        let of = all.of.entry(owner.clone()).or_default();
        let before = of.sum;
        of.sum.puts += names.len() as u64;
        of.sum.answers += answers;
        of.names.insert(number, names.clone());
        Counted { under_way: self.clone(), owner: owner.clone(), number, names, answers, before }
    }

    /// The names that requests of this owner put which were counted before, and are under way still.
    fn before(&self, owner: &str, number: u64) -> HashSet<Arc<str>> {
        let all = self.lock();
        let before = all.of.get(owner).into_iter().flat_map(|of| of.names.range(..number));
        before.flat_map(|(_, names)| names.iter().cloned()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, AllAsked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    /// It puts these names alone.
    fn only(&mut self, names: Names) {
        let mut all = self.under_way.lock();
        let Some(of) = all.of.get_mut(&self.owner) else { return };
        of.sum.puts = of.sum.puts.saturating_sub(self.names.len() as u64) + names.len() as u64;
        of.names.insert(self.number, names.clone());
        self.names = names;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut all = self.under_way.lock();
        let Some(of) = all.of.get_mut(&self.owner) else { return };
        of.sum.puts = of.sum.puts.saturating_sub(self.names.len() as u64);
        of.sum.answers = of.sum.answers.saturating_sub(self.answers);
        of.names.remove(&self.number);
        // Nobody is known who asks for nothing.
        if of.names.is_empty() {
            all.of.remove(&self.owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Names {
        names.iter().map(|name| Arc::from(*name)).collect()
    }

    #[test]
    fn what_is_under_way_counts_until_it_is_decided() {
        let under_way = UnderWay::default();
        let count = |owner: &str, of: &[&str]| under_way.count(&owner.into(), names(of), 1);
        let mut first = count("ann", &["a", "b", "c"]);
        let second = count("ann", &["d"]);
        let other = count("bob", &["e"]);
        assert_eq!((first.before.puts, second.before.puts, other.before.puts), (0, 3, 0));
        assert_eq!(second.before.answers, 1);
        assert_eq!(under_way.before("ann", second.number).len(), 3);
        assert!(under_way.before("ann", first.number).is_empty(), "what came later does not count");
        first.only(names(&["b"]));
        assert_eq!(under_way.before("ann", second.number), HashSet::from(["b".into()]));
        assert_eq!(count("ann", &[]).before.puts, 2);
        drop(first);
        assert_eq!(count("ann", &[]).before, Sum { puts: 1, answers: 1 });
        drop((second, other));
        assert!(under_way.lock().of.is_empty());
    }
}
