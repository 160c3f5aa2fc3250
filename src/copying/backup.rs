//! A copy of a clock that goes on, in a folder: held, and another store once it is accepted.
//!
//! What the copy holds is of one moment: the delayed events are looked up first, and the progress right after. So its H covers all
//! that these delayed events may have been handed over by, as after a crash; what was settled in between is pending in the copy, and
//! goes again under its id. The other way round an event could have been sent above the H of the copy, and be changed there.

use super::{Copied, CopyError, CopyPlace, DELAYED, Telling, transfer};
use crate::{
    delayed::{DelayedHandle, DelayedWhole, DelayedWholeSource, RedbOptions, RedbTarget},
    store::{
        SledOptions, SledTarget, StoreError, StoreHandle, Whole, WholeSource,
        copying::{Source as _, Sums, Target as _},
    },
};
use ponos::event::Timestamp;
use std::path::Path;

/// What was looked up of a clock that goes on.
#[derive(Debug)]
pub(crate) struct LookedUp {
    progress: Whole,
    delayed: Option<WholeOfDelayed>,
}

struct WholeOfDelayed(DelayedWhole);

impl std::fmt::Debug for WholeOfDelayed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("WholeOfDelayed").finish_non_exhaustive()
    }
}

/// Looks up what is to be copied; `None` where the clock has its state in no folder.
///
/// # Errors
/// [`StoreError`].
pub(crate) async fn look_up(
    store: &StoreHandle,
    delayed: Option<&DelayedHandle>,
) -> Result<Option<LookedUp>, StoreError> {
    let delayed = match delayed {
        Some(delayed) => delayed.read_by(|reader| reader.whole()).await?.map(WholeOfDelayed),
        None => None,
    };
    Ok(store.whole().await?.map(|progress| LookedUp { progress, delayed }))
}

/// Writes it into a folder in which nothing is, and compares. Blocks.
///
/// # Errors
/// [`CopyError`]; no clock starts on what is there then.
pub(crate) fn backup(
    found: LookedUp,
    folder: &Path,
    made_at: Timestamp,
    mut told: impl FnMut(u64),
) -> Result<Copied, CopyError> {
    let to = CopyPlace::Folder(folder.to_owned());
    to.check_nothing_is_there()?;
    let LookedUp { progress, delayed } = found;
    let mut progress = WholeSource::new(progress, |meta| meta.of_a_copy(made_at))?;
    let mut delayed = delayed.map(|WholeOfDelayed(whole)| DelayedWholeSource::new(whole)).transpose()?;
    let mut progress_to = SledTarget::create(folder, &SledOptions::default(), progress.meta())?;
    let path = folder.join(DELAYED);
    let created =
        delayed.as_ref().map(|delayed| RedbTarget::create(&path, &RedbOptions::default(), delayed.meta()));
    let mut delayed_to = created.transpose()?;

    let running = CopyPlace::Running;
    let mut copied = Copied { marks: Vec::new(), sums: Sums::new() };
    let mut telling = Telling::new(&mut told);
    transfer(&mut progress, &mut progress_to, (&running, &to), &mut copied, &mut telling)?;
    if let (Some(delayed), Some(delayed_to)) = (&mut delayed, &mut delayed_to) {
        transfer(delayed, delayed_to, (&running, &to), &mut copied, &mut telling)?;
        delayed_to.finish()?;
    }
    progress_to.finish()?;
    Ok(copied)
}
