//! Parked events: a person has them sent again, or drops them.
//!
//! One request after the other is looked up, decided and written; so each is decided by what the store says, with all in it that was
//! decided before. What the broker answers meanwhile only ever takes something off what is being sent. What was released and waits to be
//! handed over can be dropped: it is taken off as that is decided, so that it does not go out before it is written. Those that were released before
//! a restart are read at the start, before anything is decided: so none is ever sent twice at a time.

#[cfg(test)]
mod tests;

use super::{
    Pending, Sending,
    faults::{Fault, planted},
    io::{DelayedAction, Marks, ParkedHead, UnparkRequest, Unparked, Unparking},
    logged::{NAMED, counted},
};
use crate::{
    CeilingId, Ceilings, ChangeEntry, ChangeKind, Outcome,
    delayed::{DelayedStep, DueEvent},
};
use ponos_event::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    sync::Arc,
};

/// So many are asked for and not decided, at most; and so many are released and not settled, with those that are asked for.
const MOST: usize = 10_000;
/// So many are read at once: with their content, which may be large, and what is due is read in between.
const PAGE: usize = 64;

/// What is known of parked events.
#[derive(Debug)]
pub(super) struct ParkedEvents {
    phase: Phase,
    waiting: VecDeque<UnparkRequest>,
    /// Creations that all of these name.
    asked: usize,
    /// Released ones that are to be handed over, by the ceiling they count for and by send time.
    due: BTreeMap<Option<CeilingId>, BTreeMap<(Timestamp, u64), DueEvent>>,
    /// The creations of all that are released and not settled.
    released: BTreeSet<u64>,
    /// All of them.
    count: u64,
}

#[derive(Debug)]
enum Phase {
    /// Those of before are read: what is behind this creation, by this question once it is asked.
    Starting(u64, Option<u64>),
    Idle,
    Looking(Looking),
    /// One was decided, and is not durable yet.
    Deciding,
}

/// A request that is looked up.
#[derive(Debug)]
struct Looking {
    request: UnparkRequest,
    /// Its first ones.
    found: Vec<Option<ParkedHead>>,
    /// By which question the next ones are, once it is asked.
    ticket: Option<u64>,
}

/// What follows once a decision is durable.
#[derive(Debug)]
pub(super) struct UnparkDecided {
    command: u64,
    answer: Unparked,
    released: Vec<DueEvent>,
}

impl ParkedEvents {
    /// So many there were before.
    pub(super) fn new(count: u64) -> Self {
        Self {
            phase: Phase::Starting(0, None),
            waiting: VecDeque::new(),
            asked: 0,
            due: BTreeMap::new(),
            released: BTreeSet::new(),
            count,
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn released(&self) -> usize {
        self.released.len()
    }

    /// When the first released one that counts for no ceiling is to be sent.
    pub(super) fn first(&self) -> Option<Timestamp> {
        self.due.get(&None)?.keys().next().map(|(send, _)| *send)
    }

    /// The same for each ceiling.
    pub(super) fn firsts(&self) -> impl Iterator<Item = (CeilingId, Timestamp)> {
        self.due.iter().filter_map(|(id, events)| Some(((*id)?, events.keys().next()?.0)))
    }

    /// How many of them wait for this ceiling, and since when the first does.
    pub(super) fn waiting(&self, now: Timestamp, id: CeilingId) -> Option<(usize, Timestamp)> {
        let events = self.due.get(&Some(id))?;
        let count = events.keys().take_while(|(send, _)| *send <= now).count();
        let (first, _) = events.keys().next().filter(|_| count > 0)?;
        Some((count, *first))
    }

    /// When the first released one is to be sent of those that their ceilings let through, if it is due by then: since the clock was
    /// set back it may not be.
    pub(super) fn first_due(&self, until: Timestamp, ceilings: &Ceilings) -> Option<Timestamp> {
        self.next_due(until, ceilings).map(|(_, (send, _))| send)
    }

    fn next_due(
        &self,
        until: Timestamp,
        ceilings: &Ceilings,
    ) -> Option<(Option<CeilingId>, (Timestamp, u64))> {
        let may = |id: &Option<CeilingId>| id.is_none_or(|id| ceilings.may_delayed(id));
        let open = self.due.iter().filter(|(id, _)| may(id));
        let firsts = open.filter_map(|(id, events)| Some((*id, *events.keys().next()?)));
        firsts.filter(|(_, (send, _))| *send <= until).min_by_key(|(_, place)| *place)
    }

    /// That one is handed over.
    pub(super) fn pop_due(&mut self, until: Timestamp, ceilings: &mut Ceilings) -> Option<DueEvent> {
        let (id, place) = self.next_due(until, ceilings)?;
        let event = self.due.get_mut(&id)?.remove(&place)?;
        if let Some(id) = id {
            ceilings.take_delayed(id);
        }
        self.due.retain(|_, events| !events.is_empty());
        Some(event)
    }

    /// A person has it dropped: it is not handed over any more. False if it is in flight, or was never released.
    fn take_back(&mut self, event: &DueEvent) -> bool {
        let place = (event.key.send, event.creation);
        if planted(Fault::HandOverWhatIsBeingDropped) {
            return self.due.values().any(|events| events.contains_key(&place));
        }
        let is_taken = self.due.values_mut().any(|events| events.remove(&place).is_some());
        self.due.retain(|_, events| !events.is_empty());
        if is_taken {
            self.released.remove(&event.creation);
        }
        is_taken
    }

    /// It is to be handed over: for the first time since it was released, or once more.
    pub(super) fn again(&mut self, event: DueEvent, ceilings: &Ceilings) {
        let id = event.topic.as_deref().and_then(|topic| ceilings.of(topic));
        self.due.entry(id).or_default().insert((event.key.send, event.creation), event);
    }

    /// A pending event was given up on.
    pub(super) fn parked(&mut self) {
        self.count += 1;
    }

    /// A released one was answered: it is gone, or stays parked.
    pub(super) fn settled(&mut self, creation: u64, outcome: &Outcome) {
        self.released.remove(&creation);
        if !matches!(outcome, Outcome::Parked(_)) {
            self.count = self.count.saturating_sub(1);
        }
    }

    /// A page of those of before.
    pub(super) fn loaded(&mut self, ticket: u64, heads: Vec<ParkedHead>, ceilings: &Ceilings) {
        if !matches!(self.phase, Phase::Starting(_, Some(asked)) if asked == ticket) {
            return;
        }
        self.phase = match heads.last().filter(|_| heads.len() >= PAGE) {
            Some(last) => Phase::Starting(last.event.creation, None),
            None => Phase::Idle,
        };
        let released = heads.into_iter().filter(|head| head.is_released);
        for ParkedHead { event, .. } in released.filter(|_| !planted(Fault::ForgetWhatWasReleased)) {
            self.released.insert(event.creation);
            self.again(event, ceilings);
        }
    }

    /// Decides what was looked up: what is done to which, and the answer.
    fn decide(
        &mut self,
        request: &UnparkRequest,
        found: Vec<Option<ParkedHead>>,
    ) -> (Vec<DueEvent>, Unparked) {
        let (mut events, mut answer) = (Vec::new(), Unparked::default());
        let mut seen = HashSet::new();
        for ParkedHead { event, is_released } in found.into_iter().flatten() {
            let creation = event.creation;
            if !seen.insert(creation) {
                continue;
            }
            let is_sent = is_released || self.released.contains(&creation);
            let is_taken_back = is_sent && request.what == Unparking::Drop && self.take_back(&event);
            if is_sent && !is_taken_back && !planted(Fault::ReleaseWhatIsBeingSent) {
                answer.being_sent.push(creation);
                continue;
            }
            match request.what {
                Unparking::Release => self.released.extend([creation]),
                Unparking::Drop => self.count = self.count.saturating_sub(1),
            }
            answer.done.push(creation);
            events.push(event);
        }
        (events, answer)
    }
}

impl Sending {
    pub(super) fn take_unparking(&mut self, request: UnparkRequest, actions: &mut Vec<DelayedAction>) {
        let parked = &mut self.parked;
        let more = request.creations.len();
        let released = if request.what == Unparking::Release { parked.released.len() } else { 0 };
        let all = released.saturating_add(parked.asked).saturating_add(more);
        if self.draining || all > MOST {
            actions.push(DelayedAction::TooMany(request.command));
            return;
        }
        parked.asked += more;
        parked.waiting.push_back(request);
    }

    /// Asks for what is to be known next.
    pub(super) fn look_up_parked(&mut self, actions: &mut Vec<DelayedAction>) {
        let (ticket, draining) = (self.numbers + 1, self.draining);
        let parked = &mut self.parked;
        if matches!(parked.phase, Phase::Idle)
            && let Some(request) = parked.waiting.pop_front()
        {
            parked.asked -= request.creations.len();
            parked.phase = Phase::Looking(Looking { request, found: Vec::new(), ticket: None });
        }
        match &mut parked.phase {
            Phase::Starting(after, asked @ None) if !draining => {
                *asked = Some(ticket);
                actions.push(DelayedAction::LoadParked { ticket, after: *after, most: PAGE });
            }
            Phase::Looking(Looking { request, found, ticket: asked @ None }) => {
                *asked = Some(ticket);
                let creations = request.creations.iter().skip(found.len()).take(PAGE).copied().collect();
                actions.push(DelayedAction::FindParked { ticket, creations });
            }
            _ => return,
        }
        self.numbers = ticket;
    }

    pub(super) fn found_parked(&mut self, marks: Marks, ticket: u64, found: Vec<Option<ParkedHead>>) {
        let phase = std::mem::replace(&mut self.parked.phase, Phase::Deciding);
        let (request, found) = match phase {
            Phase::Looking(mut looking) if looking.ticket == Some(ticket) => {
                looking.found.extend(found);
                if looking.found.len() < looking.request.creations.len() {
                    looking.ticket = None;
                    self.parked.phase = Phase::Looking(looking);
                    return;
                }
                (looking.request, looking.found)
            }
            other => {
                self.parked.phase = other;
                return;
            }
        };
        let (events, answer) = self.parked.decide(&request, found);
        self.next.batch.changes.extend(logged(marks.now, &request, &events));
        let keeps_content = self.rules.keeps_content;
        self.next.batch.steps.extend(answer.done.iter().map(|creation| match request.what {
            Unparking::Release => DelayedStep::Release(*creation),
            Unparking::Drop => {
                DelayedStep::Unpark { creation: *creation, outcome: Outcome::Dropped, keeps_content }
            }
        }));
        let released = if request.what == Unparking::Release { events } else { Vec::new() };
        self.next.unparked = Some(UnparkDecided { command: request.command, answer, released });
    }

    /// Nothing is known of what was looked up: that request changes nothing. Of those of before, what comes behind the place that can't
    /// be read is not sent before the next start if it was released; what is asked about it is decided by what the store says of it alone.
    pub(super) fn parked_not_found(&mut self, ticket: u64, actions: &mut Vec<DelayedAction>) {
        let parked = &mut self.parked;
        match std::mem::replace(&mut parked.phase, Phase::Idle) {
            Phase::Looking(looking) if looking.ticket == Some(ticket) => {
                actions.push(DelayedAction::NotFound(looking.request.command));
            }
            Phase::Starting(_, Some(asked)) if asked == ticket => {}
            other => parked.phase = other,
        }
    }

    /// What was decided is durable.
    pub(super) fn unparked(
        &mut self,
        pending: &mut Pending,
        ceilings: &Ceilings,
        actions: &mut Vec<DelayedAction>,
    ) {
        let Some(UnparkDecided { command, answer, released }) = pending.unparked.take() else { return };
        self.parked.phase = Phase::Idle;
        for event in released {
            self.parked.again(event, ceilings);
        }
        actions.push(DelayedAction::Unparked(command, answer));
    }
}

/// What the log says of it: one entry, and with it the write is durable before it is answered.
fn logged(now: Timestamp, request: &UnparkRequest, events: &[DueEvent]) -> Option<ChangeEntry> {
    let (first, others) = events.split_first()?;
    let name = |event: &DueEvent| -> Arc<str> { event.key.name.clone() };
    let entry = ChangeEntry {
        at: now,
        by: request.by.owner.clone(),
        door: request.by.door.clone(),
        what: match request.what {
            Unparking::Release => ChangeKind::Released,
            Unparking::Drop => ChangeKind::Dropped,
        },
        name: name(first),
        others: others.iter().take(NAMED).map(name).collect(),
        creation: first.creation,
        before: None,
        after: None,
        command: None,
        note: "".into(),
    };
    Some(counted(entry, events.len()))
}
