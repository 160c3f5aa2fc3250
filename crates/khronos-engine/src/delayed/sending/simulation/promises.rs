//! What was answered to clients and what arrived, and what must hold of both.

use super::world::World;
use crate::{
    Outcome, Refusal, Verdict,
    delayed::{DelayedEvent, Marks, Unparked, Unparking, logged_events},
};
use ponos_event::Timestamp;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

#[derive(Debug, Default)]
pub(super) struct Promises {
    /// By command, which message it was, and whether it is all or nothing.
    asked: HashMap<u64, (Option<String>, bool)>,
    /// By what an event says, the write that has the request which puts it; and by each request of what such events say.
    written: HashMap<u64, usize>,
    requests: HashMap<u64, u64>,
    writes: usize,
    /// By due times, the creations that were accepted with them.
    due: HashMap<Timestamp, HashSet<u64>>,
    /// The last command before the clock was set back.
    set_back: u64,
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
    /// By command, what was asked for of parked events.
    unparking: HashMap<u64, Unparking>,
    /// Which somebody asked to have dropped.
    to_drop: HashSet<u64>,
    dropped: HashSet<u64>,
    released: usize,
}

impl Promises {
    pub(super) fn did(&self) -> [usize; 6] {
        let repeated = self.arrivals - self.bodies.len();
        [self.arrivals, repeated, self.changed, self.deleted.len(), self.released, self.dropped.len()]
    }

    pub(super) fn asked(&mut self, command: u64, message: Option<String>, atomic: bool, says: &[u64]) {
        self.asked.insert(command, (message, atomic));
        let first = says.first().copied().unwrap_or_default();
        self.requests.extend(says.iter().map(|says| (*says, first)));
    }

    /// What is put is written: all of a request at once.
    pub(super) fn written<'a>(&mut self, put: impl Iterator<Item = &'a DelayedEvent>) -> Result<(), String> {
        self.writes += 1;
        for DelayedEvent { head, content } in put {
            self.due.entry(head.due).or_default().insert(head.creation);
            let says = content.data[..].try_into().map_or(0, u64::from_le_bytes);
            let request = self.requests.get(&says).copied().unwrap_or(says);
            let write = *self.written.entry(request).or_insert(self.writes);
            if write != self.writes {
                return Err(format!("what says {says} is written apart from others of its request"));
            }
        }
        Ok(())
    }

    /// The clock was set back: of what was asked for before, it may have been decided before.
    pub(super) fn set_back(&mut self, commands: u64) {
        self.set_back = commands;
    }

    /// It was not taken.
    pub(super) fn refused(&mut self, command: u64) {
        self.asked.remove(&command);
        self.unparking.remove(&command);
    }

    pub(super) fn asked_about_parked(&mut self, command: u64, what: Unparking, creations: &[u64]) {
        self.unparking.insert(command, what);
        if what == Unparking::Drop {
            self.to_drop.extend(creations);
        }
    }

    pub(super) fn unparked(&mut self, command: u64, unparked: &Unparked) -> Result<(), String> {
        match self.unparking.remove(&command) {
            Some(Unparking::Release) => self.released += unparked.done.len(),
            Some(Unparking::Drop) => self.dropped.extend(&unparked.done),
            None => return Err(format!("{command} is answered unasked")),
        }
        Ok(())
    }

    /// Nobody gets an answer any more.
    pub(super) fn crashed(&mut self) {
        self.asked.clear();
        self.unparking.clear();
        self.written.clear();
    }

    pub(super) fn answered(
        &mut self,
        command: u64,
        verdicts: &[Verdict],
        marks: Marks,
    ) -> Result<(), String> {
        let asked = self.asked.remove(&command);
        let (message, atomic) = asked.ok_or_else(|| format!("{command} is answered unasked"))?;
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
        if command > self.set_back {
            verdicts.iter().try_for_each(|verdict| self.is_old(verdict, marks))?;
        }
        let is_refused = |verdict: &Verdict| matches!(verdict, Verdict::Refused(_));
        if atomic && verdicts.iter().any(is_refused) && !verdicts.iter().all(is_refused) {
            return Err(format!("half of what is all or nothing: {verdicts:?}"));
        }
        verdicts.iter().try_for_each(|verdict| self.verdict(verdict))
    }

    /// Of what was accepted since the clock was set back, what was not reached since can be changed.
    fn is_old(&self, verdict: &Verdict, marks: Marks) -> Result<(), String> {
        let (Verdict::Refused(Refusal::MayHaveBeenSent { due }), Some(since)) = (verdict, marks.since) else {
            return Ok(());
        };
        let of_it = self.due.get(due);
        let is_new = of_it.is_some_and(|all| all.iter().all(|creation| *creation > since.created));
        match is_new && *due > since.reached {
            true => Err(format!("{verdict:?}, and it began since {since:?}")),
            false => Ok(()),
        }
    }

    fn verdict(&mut self, verdict: &Verdict) -> Result<(), String> {
        if let Verdict::Created { creation, since, .. } | Verdict::Changed { creation, since, .. } = verdict {
            self.due.entry(*since).or_default().insert(*creation);
        }
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
        if self.deleted.contains(&creation) || self.dropped.contains(&creation) {
            return Err(format!("{head:?} arrives, and was deleted or dropped"));
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
    let parked = reader.parked(0, usize::MAX).map_err(|error| error.to_string())?;
    if let Some(parked) = parked.iter().find(|parked| parked.released) {
        return Err(format!("{parked:?} is released, and not sent"));
    }
    if parked.len() as u64 != world.counted_as_parked() {
        return Err(format!("{} are parked, and {} counted", parked.len(), world.counted_as_parked()));
    }
    let mut is_parked = HashSet::new();
    let mut ended = HashMap::new();
    for row in page.rows {
        let (creation, outcome) = (row.row.creation, row.row.outcome);
        let arrived = world.promises.arrived.contains_key(&creation);
        if matches!(outcome, Outcome::Confirmed { .. }) && !arrived {
            return Err(format!("creation {creation} stands as confirmed, and did not arrive"));
        }
        let was_dropped = outcome == Outcome::Dropped && world.promises.to_drop.contains(&creation);
        if !was_dropped && !matches!(outcome, Outcome::Confirmed { .. } | Outcome::Parked(_)) {
            return Err(format!("creation {creation} ended as {outcome:?}"));
        }
        // What was parked may end once more.
        let was_parked = is_parked.remove(&creation);
        if matches!(outcome, Outcome::Parked(_)) {
            is_parked.insert(creation);
        }
        if ended.insert(creation, row.row.revision).is_some() && !was_parked {
            return Err(format!("creation {creation} ended twice"));
        }
    }
    let dropped = |creation: &&u64| !ended.contains_key(*creation) || is_parked.contains(*creation);
    if let Some(creation) = world.promises.dropped.iter().find(dropped) {
        return Err(format!("creation {creation} was dropped, and is parked"));
    }
    let changes = reader.changes(0, usize::MAX).map_err(|error| error.to_string())?.changes;
    let deleted = changes.iter().filter(|(_, change)| change.what == crate::ChangeKind::Deleted);
    let mut unheard = deleted.map(|(_, change)| logged_events(change) as usize).sum::<usize>();
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
