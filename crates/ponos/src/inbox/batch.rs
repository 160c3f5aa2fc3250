//! The inbox for a batch: several keys begin together, and what is recorded of them is recorded together.

#[cfg(feature = "inbox-sled")]
use super::sled::Keys;
use super::{
    Backend, Entry, EntryBackend, Inbox, InboxError, InboxKey, gate::Gate, gate::Pass, memory::Memory,
};
#[cfg(feature = "inbox-sled")]
use futures_util::future::try_join_all;
use std::{collections::HashSet, sync::Arc};
use tokio::time::Instant;

/// The answer of [`Inbox::begin_all`].
#[derive(Debug)]
pub struct BegunAll {
    /// Of each key, in their order: whether it was handled before.
    pub handled: Vec<bool>,
    /// The entry under which the others run; `None` if there are none.
    pub entry: Option<Entry>,
}

impl Inbox {
    /// Begins one run of several keys, each of which is there once: see [`Self::begin`]. Those that were handled before are not part
    /// of it.
    ///
    /// # Errors
    /// As [`Self::begin`]; then none of them has begun.
    pub async fn begin_all(&self, keys: &[InboxKey]) -> Result<BegunAll, InboxError> {
        match &self.kind {
            Backend::None => Ok(BegunAll { handled: vec![false; keys.len()], entry: Some(Entry::none()) }),
            Backend::Memory { rows, gate } => {
                let passes = self.enter_all(gate, keys).await?;
                let handled: Vec<bool> = keys.iter().map(|key| rows.contains(key)).collect();
                let mut passes = passing(passes, &handled);
                let entry = passes.pop().map(|pass| Entry::of_memory(rows, pass, passes));
                Ok(BegunAll { handled, entry })
            }
            #[cfg(feature = "inbox-sled")]
            Backend::Sled { keys: known, gate } => {
                let passes = self.enter_all(gate, keys).await?;
                let handled = try_join_all(keys.iter().map(|key| known.contains(key))).await?;
                let mut passes = passing(passes, &handled);
                let entry = passes.pop().map(|pass| Entry::of_sled(known, pass, passes));
                Ok(BegunAll { handled, entry })
            }
            #[cfg(feature = "postgres")]
            Backend::Postgres(store) => store.begin_all(keys, self.patience).await,
        }
    }

    /// Waits until no other run has any of the keys; in one order, so that no two wait for each other.
    async fn enter_all(&self, gate: &Arc<Gate>, keys: &[InboxKey]) -> Result<Vec<Option<Pass>>, InboxError> {
        let until = Instant::now() + self.patience;
        let mut order: Vec<usize> = (0..keys.len()).collect();
        order.sort_unstable_by(|one, other| parts(&keys[*one]).cmp(&parts(&keys[*other])));
        let mut passes: Vec<Option<Pass>> = keys.iter().map(|_| None).collect();
        for index in order {
            let left = until.saturating_duration_since(Instant::now());
            passes[index] = Some(gate.enter(&keys[index], left).await?);
        }
        Ok(passes)
    }
}

/// Of what was not handled.
fn passing(passes: Vec<Option<Pass>>, handled: &[bool]) -> Vec<Pass> {
    passes.into_iter().zip(handled).filter(|(_, handled)| !**handled).filter_map(|(pass, _)| pass).collect()
}

/// By which keys are sorted.
fn parts(key: &InboxKey) -> (&str, &str, &str, &str) {
    let InboxKey { queue, handler, source, id } = key;
    (queue, handler, source, id.as_str())
}

/// Records all of them at once, which costs as much as one.
#[cfg(feature = "inbox-sled")]
pub(super) async fn record_all(keys: &Keys, pass: &Pass, others: &[Pass]) -> Result<(), InboxError> {
    let each = std::iter::once(pass).chain(others).map(|pass| keys.record(pass.key()));
    try_join_all(each).await.map(drop)
}

impl Entry {
    pub(super) fn of_memory(rows: &Arc<Memory>, pass: Pass, others: Vec<Pass>) -> Self {
        Self(EntryBackend::Memory { rows: rows.clone(), pass, others })
    }

    #[cfg(feature = "inbox-sled")]
    pub(super) fn of_sled(keys: &Arc<Keys>, pass: Pass, others: Vec<Pass>) -> Self {
        Self(EntryBackend::Sled { keys: keys.clone(), pass, others })
    }

    /// Takes keys out of a run of several: they are not recorded with the others, and can run again after it. Without any key left,
    /// nothing is recorded.
    pub fn leave_out(&mut self, keys: &HashSet<InboxKey>) {
        let left = match &mut self.0 {
            EntryBackend::None => true,
            EntryBackend::Memory { pass, others, .. } => drop_passes(pass, others, keys),
            #[cfg(feature = "inbox-sled")]
            EntryBackend::Sled { pass, others, .. } => drop_passes(pass, others, keys),
            #[cfg(feature = "postgres")]
            EntryBackend::Postgres(run) => {
                run.leave_out(keys);
                true
            }
        };
        if !left {
            *self = Self::none();
        }
    }
}

/// Whether any is left.
fn drop_passes(pass: &mut Pass, others: &mut Vec<Pass>, keys: &HashSet<InboxKey>) -> bool {
    others.retain(|other| !keys.contains(&**other.key()));
    if keys.contains(&**pass.key()) {
        match others.pop() {
            Some(other) => *pass = other,
            None => return false,
        }
    }
    true
}
