//! Clients, who put, change and delete delayed events at whoever leads, and what must have become of that.

use super::{super::random::Random, node::START};
use crate::{
    Author, Expect, Outcome, Refusal, Verdict,
    delayed::{
        DelayedChange, DelayedContent, DelayedEvent, DelayedHead, DelayedKey, DelayedReader, DelayedRequest,
        PastDue,
    },
    lease::MemberId,
};
use ponos_event::Timestamp;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

pub(super) struct LaterClients {
    random: Random,
    last: u64,
    /// Commands that are not answered: who was asked, and whether it deletes.
    asked: HashMap<u64, (MemberId, bool)>,
    /// Deletions of which no answer came: each of them may have been done.
    unheard: usize,
    /// By creation, the revision that a client knows of.
    known: BTreeMap<u64, u32>,
    deleted: HashSet<u64>,
    /// By creation, what arrived: revision and content.
    arrived: BTreeMap<u64, (u32, Arc<[u8]>)>,
    /// How much arrived, was deleted, and was refused for it may have been sent.
    pub(super) arrivals: usize,
    pub(super) refused: usize,
    pub(super) broken: Option<String>,
}

impl LaterClients {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed ^ 0x1A7E_1A7E),
            last: 0,
            asked: HashMap::new(),
            unheard: 0,
            known: BTreeMap::new(),
            deleted: HashSet::new(),
            arrived: BTreeMap::new(),
            arrivals: 0,
            refused: 0,
            broken: None,
        }
    }

    pub(super) fn deleted(&self) -> usize {
        self.deleted.len()
    }

    /// What a client wants next.
    pub(super) fn request(&mut self, of: MemberId, now: i64) -> DelayedRequest {
        self.last += 1;
        let name: Arc<str> = format!("later{}", self.random.below(8)).into();
        let goes = self.random.chance(35);
        self.asked.insert(self.last, (of, goes));
        let change = if goes {
            DelayedChange::Delete { name, expect: Expect::Any }
        } else {
            // Some of them are due while somebody else takes over.
            let ahead = *self.random.pick(&[50, 500, 2_000, 6_000]);
            let send = Timestamp::from_millis(START + now + self.random.below(ahead));
            let event = Box::new(event(name, send, self.random.next()));
            DelayedChange::Put { event, expect: Expect::Any, past: PastDue::Send }
        };
        let by = Author::owner("billing", "a test");
        DelayedRequest { command: self.last, by, message: None, atomic: false, changes: vec![change] }
    }

    /// Nothing was changed.
    pub(super) fn refuse(&mut self, command: u64) {
        self.asked.remove(&command);
    }

    /// A process leads no more: what was asked of it and not answered was done or not.
    pub(super) fn leave(&mut self, member: MemberId) {
        let unheard = self.asked.values().filter(|(of, goes)| *of == member && *goes).count();
        self.unheard += unheard;
        self.asked.retain(|_, (of, _)| *of != member);
    }

    pub(super) fn answer(&mut self, answers: Vec<(u64, Vec<Verdict>)>) {
        for (command, verdicts) in answers {
            if self.asked.remove(&command).is_none() {
                self.fail(format!("{command} is answered unasked"));
            }
            verdicts.iter().for_each(|verdict| self.verdict(verdict));
        }
    }

    fn verdict(&mut self, verdict: &Verdict) {
        match *verdict {
            Verdict::Created { creation, revision, .. } => drop(self.known.insert(creation, revision)),
            Verdict::Changed { creation, revision, .. } => {
                if self.arrived.get(&creation).is_some_and(|(arrived, _)| *arrived < revision) {
                    self.fail(format!("creation {creation} was changed after it had arrived"));
                }
                self.known.insert(creation, revision);
            }
            Verdict::Deleted { creation, .. } => {
                if self.arrived.contains_key(&creation) {
                    self.fail(format!("creation {creation} was deleted after it had arrived"));
                }
                self.deleted.insert(creation);
            }
            Verdict::Refused(Refusal::MayHaveBeenSent { .. }) => self.refused += 1,
            _ => {}
        }
    }

    /// An event reached the broker, when no leader had seen more than this.
    pub(super) fn arrived(&mut self, event: &DelayedEvent, highest: Timestamp) {
        let (head, says) = (&event.head, event.content.data.clone());
        self.arrivals += 1;
        if head.key.send > highest {
            self.fail(format!("{head:?} arrives early, at {highest}"));
        }
        if self.deleted.contains(&head.creation) {
            self.fail(format!("{head:?} was deleted, and comes all the same"));
        }
        if self.known.get(&head.creation).is_some_and(|known| head.revision < *known) {
            self.fail(format!("{head:?} was changed, and comes as it was"));
        }
        let before = self.arrived.insert(head.creation, (head.revision, says.clone()));
        if before.is_some_and(|before| before != (head.revision, says)) {
            self.fail(format!("{head:?} comes with two bodies"));
        }
    }

    /// What was answered is there: it arrived and stands in the record, or is still to come, or was deleted.
    pub(super) fn are_kept(&self, reader: &dyn DelayedReader) -> Result<(), String> {
        let of = |error: crate::store::StoreError| error.to_string();
        let all = Timestamp::from_millis(i64::MIN)..Timestamp::from_millis(i64::MAX);
        let pending = reader.due(all, None, usize::MAX).map_err(of)?;
        let pending: HashSet<u64> = pending.iter().map(|event| event.creation).collect();
        let mut ended = HashMap::new();
        for row in reader.read(0, usize::MAX).map_err(of)?.rows {
            let creation = row.row.creation;
            let confirmed = matches!(row.row.outcome, Outcome::Confirmed { .. });
            if !confirmed || !self.arrived.contains_key(&creation) {
                return Err(format!("creation {creation} ended as {:?} and did not arrive", row.row.outcome));
            }
            if ended.insert(creation, row.row.revision).is_some() {
                return Err(format!("creation {creation} ended twice"));
            }
        }
        let asked = self.asked.values().filter(|(_, goes)| *goes).count();
        let mut unheard = self.unheard + asked;
        for (creation, revision) in &self.known {
            match ended.get(creation) {
                Some(ended) if ended < revision => {
                    return Err(format!("creation {creation} ended at {ended}, and had revision {revision}"));
                }
                Some(_) => {}
                None if pending.contains(creation) || self.deleted.contains(creation) => {}
                None if unheard > 0 => unheard -= 1,
                None => return Err(format!("delayed creation {creation} was accepted and is nowhere")),
            }
        }
        match self.deleted.iter().find(|creation| pending.contains(creation)) {
            Some(creation) => Err(format!("delayed creation {creation} was deleted and is there")),
            None => Ok(()),
        }
    }

    fn fail(&mut self, broken: String) {
        self.broken.get_or_insert(broken);
    }
}

fn event(name: Arc<str>, send: Timestamp, says: u64) -> DelayedEvent {
    let mut digest = [0; 16];
    digest[..8].copy_from_slice(&says.to_le_bytes());
    let head = DelayedHead {
        key: DelayedKey { send, name },
        due: send,
        creation: 0,
        revision: 0,
        owner: "billing".into(),
        event: "order.reminder.due".into(),
        queue: None,
        is_named: true,
        refused: 0,
        at: send,
        digest,
    };
    let content = DelayedContent { data: says.to_le_bytes().into(), ..DelayedContent::default() };
    DelayedEvent { head, content }
}
