//! What was answered to clients and what arrived, and what must hold of both.

use super::world::World;
use crate::{Outcome, Refusal, Verdict, delayed::DelayedEvent};
use ponos_event::Timestamp;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

#[derive(Debug, Default)]
pub(super) struct Promises {
    /// By command, which message it was.
    asked: HashMap<u64, Option<String>>,
    /// What each message was answered first.
    messages: HashMap<String, Vec<Verdict>>,
    /// Which creations clients know of, and the revision that they know of.
    known: BTreeMap<u64, u32>,
    deleted: HashSet<u64>,
    /// By id, what was published.
    bodies: HashMap<(u64, Timestamp), Arc<[u8]>>,
    /// Of each creation, the revisions that arrived.
    arrived: BTreeMap<u64, u32>,
    arrivals: usize,
    changed: usize,
}

impl Promises {
    pub(super) fn did(&self) -> [usize; 4] {
        [self.arrivals, self.arrivals - self.bodies.len(), self.changed, self.deleted.len()]
    }

    pub(super) fn asked(&mut self, command: u64, message: Option<String>) {
        self.asked.insert(command, message);
    }

    /// It was not taken.
    pub(super) fn refused(&mut self, command: u64) {
        self.asked.remove(&command);
    }

    /// Nobody gets an answer any more.
    pub(super) fn crashed(&mut self) {
        self.asked.clear();
    }

    pub(super) fn answered(&mut self, command: u64, verdicts: &[Verdict]) -> Result<(), String> {
        let message = self.asked.remove(&command).ok_or_else(|| format!("{command} is answered unasked"))?;
        if let Some(message) = message {
            if let Some(before) = self.messages.get(&message) {
                // What is repeated says nothing new.
                return match before == verdicts {
                    true => Ok(()),
                    false => Err(format!("{message} is answered {verdicts:?}, and before {before:?}")),
                };
            }
            self.messages.insert(message, verdicts.to_vec());
        }
        verdicts.iter().try_for_each(|verdict| self.verdict(verdict))
    }

    fn verdict(&mut self, verdict: &Verdict) -> Result<(), String> {
        match *verdict {
            // A message may be answered only once it comes again: by then more may be known.
            Verdict::Created { creation, revision, .. } => {
                let known = self.known.entry(creation).or_insert(revision);
                *known = (*known).max(revision);
            }
            Verdict::Changed { creation, revision, .. } => {
                self.changed += 1;
                if self.arrived.get(&creation).is_some_and(|arrived| *arrived < revision) {
                    return Err(format!("creation {creation} was changed after it had arrived"));
                }
                let known = self.known.entry(creation).or_insert(revision);
                *known = (*known).max(revision);
            }
            Verdict::Deleted { creation, .. } => {
                self.deleted.insert(creation);
                if self.arrived.contains_key(&creation) {
                    return Err(format!("creation {creation} was deleted after it had arrived"));
                }
            }
            Verdict::Unchanged { .. } | Verdict::Settled { .. } | Verdict::GoneAlready => {}
            Verdict::Refused(
                Refusal::MayHaveBeenSent { .. }
                | Refusal::AlreadySettled { .. }
                | Refusal::Twice
                | Refusal::Another,
            ) => {}
            ref other => return Err(format!("{other:?} has no reason")),
        }
        Ok(())
    }

    pub(super) fn arrived(&mut self, event: &DelayedEvent, now: Timestamp) -> Result<(), String> {
        let head = &event.head;
        let creation = head.creation;
        if head.key.send > now {
            return Err(format!("{head:?} arrives early, at {now}"));
        }
        if self.deleted.contains(&creation) {
            return Err(format!("{head:?} arrives, and was deleted"));
        }
        if self.known.get(&creation).is_some_and(|known| head.revision < *known) {
            return Err(format!("{head:?} arrives, and was changed"));
        }
        self.arrivals += 1;
        let before = self.bodies.insert((creation, head.due), event.content.data.clone());
        if before.is_some_and(|before| before != event.content.data) {
            return Err(format!("{head:?} arrives with another body"));
        }
        if self.arrived.insert(creation, head.revision).is_some_and(|before| before != head.revision) {
            return Err(format!("{head:?} arrives in two revisions"));
        }
        Ok(())
    }
}

/// Once all has come to rest: each that a client knows of has arrived, stands in the record, or was deleted.
pub(super) fn at_the_end(world: &World) -> Result<(), String> {
    let reader = world.reader();
    let all = Timestamp::from_millis(i64::MIN)..Timestamp::from_millis(i64::MAX);
    let left = reader.due(all, None, usize::MAX).map_err(|error| error.to_string())?;
    if let Some(left) = left.first() {
        return Err(format!("{left:?} is left"));
    }
    let page = reader.read(0, usize::MAX).map_err(|error| error.to_string())?;
    let mut ended = HashMap::new();
    for row in page.rows {
        let (creation, outcome) = (row.row.creation, row.row.outcome);
        let arrived = world.promises.arrived.contains_key(&creation);
        if matches!(outcome, Outcome::Confirmed { .. }) && !arrived {
            return Err(format!("creation {creation} stands as confirmed, and did not arrive"));
        }
        if !matches!(outcome, Outcome::Confirmed { .. } | Outcome::Parked(_)) {
            return Err(format!("creation {creation} ended as {outcome:?}"));
        }
        if ended.insert(creation, row.row.revision).is_some() {
            return Err(format!("creation {creation} ended twice"));
        }
    }
    let changes = reader.changes(0, usize::MAX).map_err(|error| error.to_string())?.changes;
    let deleted = changes.iter().filter(|(_, change)| change.what == crate::ChangeKind::Deleted);
    let mut unheard: usize = deleted.map(|(_, change)| 1 + change.others.len()).sum();
    unheard = unheard.saturating_sub(world.promises.deleted.len());
    for (creation, revision) in &world.promises.known {
        match ended.get(creation) {
            Some(ended) if ended < revision => {
                return Err(format!("creation {creation} ended at revision {ended}, and had {revision}"));
            }
            Some(_) => {}
            None if world.promises.deleted.contains(creation) => {}
            // A deletion that a crash came before the answer of.
            None if unheard > 0 => unheard -= 1,
            None => return Err(format!("creation {creation} was accepted and is nowhere")),
        }
    }
    Ok(())
}
