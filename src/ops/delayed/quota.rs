//! How much an owner may have: events that are pending, and answers to messages. What is under way counts, so that requests at one
//! time are not each as good as alone.

use crate::{
    authority::Caller,
    delayed::{DelayedHandle, NotNow, Room},
    engine::{
        Refusal,
        delayed::{DelayedChange, DelayedReader, Found},
    },
    ops::OpsError,
    store::StoreError,
};
use std::{
    collections::{HashMap, HashSet},
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
    pub(super) store: DelayedHandle,
    under_way: UnderWay,
}

/// What is asked for and not decided yet, by owner.
#[derive(Debug, Clone, Default)]
struct UnderWay(Arc<Mutex<HashMap<Arc<str>, Asked>>>);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Asked {
    puts: u64,
    answers: u64,
}

/// What one request asks for; it counts until this is dropped.
#[derive(Debug)]
pub(super) struct Counted {
    under_way: UnderWay,
    owner: Arc<str>,
    asked: Asked,
    /// What others had asked for before.
    before: Asked,
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
        let puts = changes.iter().filter(|change| matches!(change, DelayedChange::Put { .. })).count() as u64;
        let answers = if is_message { 1 + changes.len() as u64 } else { 0 };
        let counted = self.under_way.count(caller.owner(), Asked { puts, answers });
        if is_message {
            self.check_answers(&counted).await?;
        }
        if let Some(most) = caller.most_delayed_events().filter(|_| puts > 0) {
            self.hold_to(most, &counted, changes).await?;
        }
        let bytes = changes.iter().map(|change| match change {
            DelayedChange::Put { event, .. } => event.bytes(),
            _ => 0,
        });
        let bytes: usize = bytes.sum();
        let count = usize::try_from(puts).unwrap_or(usize::MAX);
        if count == 0 {
            return Ok(LetIn { _counted: counted, _room: None });
        }
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
        let all = share.answers + counted.before.answers + counted.asked.answers;
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
        counted: &Counted,
        changes: &mut [DelayedChange],
    ) -> Result<(), OpsError> {
        let names = changes.iter().filter_map(|change| match change {
            DelayedChange::Put { event, .. } => Some(event.head.key.name.clone()),
            _ => None,
        });
        let names: Vec<Arc<str>> = names.collect();
        let (owner, under_way) = (counted.owner.clone(), counted.before.puts);
        let puts = counted.asked.puts;
        let there = self.read(move |reader| {
            let there = reader.owner(&owner)?.pending.saturating_add(under_way);
            // Where all of them have room it does not matter which are new.
            if there.saturating_add(puts) <= most {
                return Ok(None);
            }
            let found = reader.find(&names)?;
            let is_pending = |found: &Found| matches!(found, Found::Pending(_));
            let known = names.into_iter().zip(found).filter(|(_, found)| is_pending(found));
            Ok(Some((there, known.map(|(name, _)| name).collect::<HashSet<_>>())))
        });
        let Some((there, mut known)) = there.await? else { return Ok(()) };
        let mut room = most.saturating_sub(there);
        for change in changes {
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
        Ok(())
    }
}

impl UnderWay {
    fn count(&self, owner: &Arc<str>, asked: Asked) -> Counted {
        let mut all = self.lock();
        let of = all.entry(owner.clone()).or_default();
        let before = *of;
        *of = Asked { puts: before.puts + asked.puts, answers: before.answers + asked.answers };
        Counted { under_way: self.clone(), owner: owner.clone(), asked, before }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Asked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut all = self.under_way.lock();
        let Some(of) = all.get_mut(&self.owner) else { return };
        of.puts = of.puts.saturating_sub(self.asked.puts);
        of.answers = of.answers.saturating_sub(self.asked.answers);
        // Nobody is known who asks for nothing.
        if *of == Asked::default() {
            all.remove(&self.owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_way_counts_until_it_is_decided() {
        let under_way = UnderWay::default();
        let asked = |puts| Asked { puts, answers: 1 };
        let first = under_way.count(&"ann".into(), asked(3));
        let second = under_way.count(&"ann".into(), asked(4));
        let other = under_way.count(&"bob".into(), asked(5));
        assert_eq!((first.before.puts, second.before, other.before.puts), (0, asked(3), 0));
        drop(first);
        assert_eq!(under_way.count(&"ann".into(), Asked::default()).before.puts, 4);
        drop((second, other));
        assert!(under_way.lock().is_empty());
    }
}
