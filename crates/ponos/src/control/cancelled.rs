//! Messages that are cancelled, by their ids.
//!
//! Nothing takes a cancellation back; it ends by itself. So the set of them only grows until then: in whatever order its records are
//! read or written anew, and however often, the same is cancelled. Many ids that were cancelled until the same hour, by the same
//! person and for the same reason, are written anew as few records.

use crate::{
    clock::millis,
    event::{Timestamp, control::Cancellation},
};
use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;

/// How long a message stays cancelled: longer than the longest wait for a retry.
const LASTS: Duration = Duration::from_secs(8 * 86_400);
const HOUR: i64 = 3_600_000;
/// The most messages kept, …
const KEPT: usize = 100_000;
/// … and the most bytes of the records by which they are written anew.
const BYTES: usize = 5 << 20;
/// What such a record has beside ids and texts, its headers included.
const RECORD: usize = 1_000;
/// The most bytes of ids in a record: with all else it is shorter than the longest that is read.
pub(crate) const IDS: usize = 10 << 10;

/// When something ends that is cancelled now: at the end of an hour, so that many have the same end.
pub(crate) fn end(now: Timestamp) -> Timestamp {
    let end = now.plus(millis(LASTS)).millis();
    Timestamp::from_millis(end.div_euclid(HOUR).saturating_add(1).saturating_mul(HOUR))
}

/// What was said of some messages. `Display` is the reason for which they ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Said {
    // the first: what is over first is the first of all
    pub(crate) until: Timestamp,
    pub(crate) service: String,
    pub(crate) queue: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) by: String,
    pub(crate) why: String,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { by, why, .. } = self;
        write!(f, "cancelled by {by}")?;
        if why.is_empty() { Ok(()) } else { write!(f, ": {why}") }
    }
}

impl Said {
    fn holds(&self, (queue, name): (&str, &str), now: Timestamp) -> bool {
        let of_service = queue.split_once('.').is_some_and(|(service, _)| service == self.service);
        self.until > now
            && of_service
            && self.queue.as_deref().is_none_or(|only| only == queue)
            && self.name.as_deref().is_none_or(|only| only == name)
    }

    /// Whether it is about the same messages if the ids are the same.
    fn is_about(&self, other: &Self) -> bool {
        (&self.service, &self.queue, &self.name) == (&other.service, &other.queue, &other.name)
    }

    fn weight(&self) -> usize {
        let Self { until: _, service, queue, name, by, why } = self;
        let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        RECORD + service.len() + optional(queue) + optional(name) + by.len() + why.len()
    }
}

/// The bytes of an id in a record: escapes make it longer.
pub(crate) fn weight(id: &str) -> usize {
    let escaped = |c: char| if c.is_control() || matches!(c, '"' | '\\') { 6 } else { c.len_utf8() };
    3 + id.chars().map(escaped).sum::<usize>()
}

/// What a record of the stream says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CancelledIds {
    pub(crate) ids: Vec<Arc<str>>,
    pub(crate) said: Arc<Said>,
}

/// All that are cancelled, with their bounds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cancellations {
    /// What was said of each id. Of those that are about the same messages it is the one that holds longest.
    ids: BTreeMap<Arc<str>, Vec<Arc<Said>>>,
    /// How many messages each is about.
    said: BTreeMap<Arc<Said>, usize>,
    kept: usize,
    bytes: usize,
}

impl Cancellations {
    /// Takes them in, as far as there is room; whether there was.
    pub(crate) fn add(&mut self, cancelled: &CancelledIds, now: Timestamp) -> bool {
        self.forget_over(now);
        let CancelledIds { ids, said } = cancelled;
        let latest = end(now);
        let said = match said.until > latest {
            // whoever wrote it
            true => Arc::new(Said { until: latest, ..Said::clone(said) }),
            false => Arc::clone(said),
        };
        if said.until <= now {
            return true;
        }
        let said = self.said.get_key_value(&said).map_or(said, |(known, _)| Arc::clone(known));
        ids.iter().all(|id| self.add_one(id, &said))
    }

    fn add_one(&mut self, id: &Arc<str>, said: &Arc<Said>) -> bool {
        let all = self.ids.get(id).into_iter().flatten();
        let known = all.filter(|known| known.is_about(said)).max().cloned();
        if known.as_ref().is_some_and(|known| known >= said) {
            return true;
        }
        let more = weight(id) + if self.said.contains_key(said) { 0 } else { said.weight() };
        if known.is_none() && self.kept >= KEPT || self.bytes + more > BYTES {
            // one that is cancelled already stays so for as long as it was
            return known.is_some();
        }
        if let Some(known) = known {
            self.remove(id, &known);
        }
        self.insert(id, said);
        true
    }

    fn insert(&mut self, id: &Arc<str>, said: &Arc<Said>) {
        if let Some(ids) = self.said.get_mut(said) {
            *ids += 1;
        } else {
            self.bytes += said.weight();
            self.said.insert(Arc::clone(said), 1);
        }
        self.kept += 1;
        self.bytes += weight(id);
        self.ids.entry(Arc::clone(id)).or_default().push(Arc::clone(said));
    }

    fn remove(&mut self, id: &Arc<str>, said: &Arc<Said>) {
        if let Some(all) = self.ids.get_mut(id) {
            all.retain(|known| known != said);
        }
        self.kept -= 1;
        self.bytes -= weight(id);
        let Some(ids) = self.said.get_mut(said) else { return };
        *ids -= 1;
        if *ids == 0 {
            self.said.remove(said);
            self.bytes -= said.weight();
        }
    }

    /// Forgets those that are over, if there are any.
    fn forget_over(&mut self, now: Timestamp) {
        if self.has_over(now) {
            *self = self.holding(now);
        }
    }

    fn has_over(&self, now: Timestamp) -> bool {
        self.said.first_key_value().is_some_and(|(first, _)| first.until <= now)
    }

    /// Those that hold now.
    fn holding(&self, now: Timestamp) -> Self {
        let mut holding = Self::default();
        for (id, all) in &self.ids {
            all.iter().filter(|said| said.until > now).for_each(|said| holding.insert(id, said));
        }
        holding
    }

    fn find(&self, id: &str, place: (&str, &str), now: Timestamp) -> Option<&Arc<Said>> {
        self.ids.get(id)?.iter().filter(|said| said.holds(place, now)).max()
    }

    /// When the first of them is over.
    pub(crate) fn next_end(&self, now: Timestamp) -> Option<Timestamp> {
        self.said.keys().map(|said| said.until).find(|until| *until > now)
    }

    /// The records by which they are written anew.
    pub(crate) fn to_write(&self, now: Timestamp) -> Vec<Cancellation> {
        let mut of_said: BTreeMap<&Arc<Said>, Vec<&Arc<str>>> = BTreeMap::new();
        for (id, all) in &self.ids {
            for said in all.iter().filter(|said| said.until > now) {
                of_said.entry(said).or_default().push(id);
            }
        }
        let mut records = Vec::new();
        for (said, ids) in of_said {
            let mut left = IDS;
            let mut record: Option<Cancellation> = None;
            for id in ids {
                if weight(id) > left {
                    records.extend(record.take());
                }
                let of_it = record.get_or_insert_with(|| {
                    left = IDS;
                    repeated(said)
                });
                left = left.saturating_sub(weight(id));
                of_it.ids.push(id.to_string());
            }
            records.extend(record);
        }
        records
    }
}

fn repeated(said: &Said) -> Cancellation {
    let Said { until, service, queue, name, by, why } = said.clone();
    Cancellation { service, queue, name, ids: Vec::new(), until, by, why, folded: true }
}

/// What is cancelled, for whoever works. Who has nothing cancelled pays one look at a flag for each task.
#[derive(Debug, Default)]
pub(crate) struct Cancelled {
    any: AtomicBool,
    all: RwLock<Cancellations>,
    changed: watch::Sender<()>,
}

impl Cancelled {
    /// What was said of that message, which came to this queue under this name; the time is asked for where something is cancelled.
    pub(crate) fn find(
        &self,
        id: &str,
        place: (&str, &str),
        now: impl FnOnce() -> Timestamp,
    ) -> Option<Arc<Said>> {
        // whoever is at work is woken once it is raised, and looks again
        if !self.any.load(Ordering::Relaxed) {
            return None;
        }
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        all.find(id, place, now()).cloned()
    }

    /// Takes them in beside the others.
    pub(super) fn add(&self, cancelled: &CancelledIds, now: Timestamp) {
        self.change(|all| {
            all.add(cancelled, now);
        });
    }

    /// Takes these instead of all before, if they are others.
    pub(super) fn replace(&self, with: &Cancellations, now: Timestamp) {
        let with = match with.has_over(now) {
            true => Cow::Owned(with.holding(now)),
            false => Cow::Borrowed(with),
        };
        let is_same = *self.all.read().unwrap_or_else(PoisonError::into_inner) == *with;
        if !is_same {
            self.change(|all| *all = with.into_owned());
        }
    }

    fn change(&self, change: impl FnOnce(&mut Cancellations)) {
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut all);
        self.any.store(all.kept > 0, Ordering::Relaxed);
        drop(all);
        self.changed.send_replace(());
    }

    /// Sees each change from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

#[cfg(test)]
mod tests;
