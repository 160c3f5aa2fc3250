//! A copy of a clock that goes on, in a folder: held, and another store once it is accepted.
//!
//! What the copy holds is of one moment: the delayed events are looked up first, and the progress right after. So its H covers all
//! that these delayed events may have been handed over by, as after a crash; what was settled in between is pending in the copy, and
//! goes again under its id. The other way round an event could have been sent above the H of the copy, and be changed there.

use super::{Copied, CopyError, CopyPlace, fill};
use crate::{
    delayed::{self, DelayedHandle, DelayedWholeSource},
    store::{
        self, SledOptions, StoreError, StoreHandle, WholeSource,
        copying::{Entry, Source},
    },
};
use ponos::event::Timestamp;
use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

/// What was looked up of a clock that goes on, and is lent to the one who copies it. As long as it is there, the clock keeps it: redb lets
/// go of no page.
pub(crate) struct LookedUp {
    progress: Lent<store::Meta, WholeSource>,
    delayed: Option<Lent<delayed::Meta, DelayedWholeSource>>,
}

/// Looks up what is to be copied, as of this instant; `None` where the clock has its state in no folder.
///
/// # Errors
/// [`StoreError`].
pub(crate) async fn look_up(
    store: &StoreHandle,
    delayed: Option<&DelayedHandle>,
    made_at: Timestamp,
) -> Result<Option<LookedUp>, StoreError> {
    let delayed = match delayed {
        Some(delayed) => delayed.read_by(|reader| reader.whole()).await?,
        None => None,
    };
    let Some(progress) = store.whole().await? else { return Ok(None) };
    let progress = WholeSource::new(progress, |meta| meta.of_a_copy(made_at))?;
    let id = progress.delayed_id();
    let delayed = delayed.zip(id).map(|(delayed, id)| DelayedWholeSource::new(delayed, id)).transpose()?;
    Ok(Some(LookedUp { progress: Lent::new(progress), delayed: delayed.map(Lent::new) }))
}

/// Writes it into a folder in which nothing is, and compares; `told` as for [`copy`](super::copy). Blocks.
///
/// # Errors
/// [`CopyError`]; no clock starts on what is there then.
pub(crate) fn backup(
    found: &LookedUp,
    folder: &Path,
    mut told: impl FnMut(u64),
) -> Result<Copied, CopyError> {
    let to = CopyPlace::Folder(folder.to_owned());
    to.check_nothing_is_there()?;
    let mut progress = &found.progress;
    let mut delayed = found.delayed.as_ref();
    let delayed = delayed.as_mut().map(|delayed| delayed as &mut dyn Source<delayed::Meta>);
    let cache = SledOptions::default().cache;
    fill((&mut progress, delayed), cache, (&CopyPlace::Running, &to), &mut told)
}

impl LookedUp {
    /// Takes it back, whatever the one who copies it waits for: what he reads next fails.
    pub(crate) fn take_back(&self) {
        self.progress.take_back();
        if let Some(delayed) = &self.delayed {
            delayed.take_back();
        }
    }
}

/// A source that can be taken back while somebody reads it. It is locked for a portion at a time, and never while that is written.
struct Lent<M, S> {
    meta: M,
    source: Mutex<Option<S>>,
}

impl<M: Clone, S: Source<M>> Lent<M, S> {
    fn new(source: S) -> Self {
        Self { meta: source.meta().clone(), source: Mutex::new(Some(source)) }
    }

    fn take_back(&self) {
        drop(self.source.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl<M, S: Source<M>> Source<M> for &Lent<M, S> {
    fn meta(&self) -> &M {
        &self.meta
    }

    fn next(&mut self) -> Result<Vec<Entry>, StoreError> {
        match &mut *self.source.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(source) => source.next(),
            None => Err(store::failure("the copy of it was given up")),
        }
    }
}
