//! Delayed events at run time: what is asked for is decided, what is due is handed over, what has ended is written. A state machine of
//! its own beside the [engine](crate::Engine), and as pure: it is told where the marks stand, and asks for what it needs read.
//!
//! Only the near future is in memory (`window`). Invariants: nothing is handed over whose row is not durable, nor above the
//! durable H, nor before its send time; what may have been sent (its present send time lies at or below R, or, if it began since the
//! clock was set back, below what was reached since) is neither changed nor deleted; what is being changed or deleted is not handed over meanwhile (`deciding`); what was deleted, once that is answered, never is. What is
//! settled stays in flight, as far as the store goes, until it is written: a crash before that sends the same id again. No more of a
//! domain is handed over than its rate ceiling lets through; what waits for that keeps no other event waiting.
//!
//! Absent: I/O, what is published, and H, which is durable in the other store alone.

mod decide;
mod deciding;
mod faults;
mod hand_over;
mod io;
mod lane;
mod logged;
mod overlay;
mod parked;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
mod window;

pub use io::{
    DelayedAction, DelayedAnswer, DelayedChange, DelayedInput, DelayedRequest, DelayedRules, Marks,
    ParkedHead, PastDue, SinceSetBack, UnparkRequest, Unparked, Unparking,
};
pub use logged::logged_events;

use super::{DelayedBatch, DelayedKey, DelayedSnapshot, DueEvent};
use crate::{CeilingId, Ceilings, Verdict, portions::Portions};
use deciding::Deciding;
use faults::{Fault, planted};
use overlay::Overlay;
use parked::{ParkedEvents, UnparkDecided};
use ponos_event::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use window::Window;

/// Steps that wait for a write under way, beyond which nothing more is handed over.
const UNWRITTEN: usize = 100_000;

/// The state machine.
#[derive(Debug)]
pub struct Sending {
    rules: DelayedRules,
    window: Window,
    /// By token.
    in_flight: BTreeMap<u64, DueEvent>,
    /// What the broker refused, by when it is sent again. After a restart that begins anew.
    refused: BTreeMap<(Timestamp, DelayedKey), DueEvent>,
    parked: ParkedEvents,
    /// When something got no answer last.
    lost_at: Option<Timestamp>,
    /// What the clock showed at the last step.
    now: Option<Timestamp>,
    /// What is asked for and not looked up yet; the first ones may be.
    waiting: VecDeque<DelayedRequest>,
    /// Changes that are asked for and not judged yet, by owners.
    changes: Portions,
    /// What is being looked up, and for how many of those that wait.
    looking: Option<(u64, usize)>,
    /// So many of those that wait are looked up one by one: of one of them it can't be read what is there.
    alone: usize,
    /// What was looked up and is not decided yet.
    deciding: Option<Deciding>,
    /// What was decided, and is not known to be durable by what is being looked up.
    overlay: Overlay,
    /// What goes with the next write.
    next: Pending,
    /// What is being written.
    writing: Option<(u64, Pending)>,
    created: u64,
    /// The highest creation number that was kept at the start.
    kept: u64,
    answers: u64,
    numbers: u64,
    link_up: bool,
    draining: bool,
}

/// One write, and what follows once it is durable.
#[derive(Debug, Default)]
struct Pending {
    batch: DelayedBatch,
    decided: Vec<(u64, Vec<Verdict>)>,
    /// They come into the window if they are due that soon, and nothing else was decided about them since.
    put: BTreeMap<DelayedKey, DueEvent>,
    unparked: Option<UnparkDecided>,
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.batch.steps.is_empty() && self.decided.is_empty() && self.unparked.is_none()
    }
}

impl Sending {
    /// What was kept is sent from here on.
    pub fn new(rules: DelayedRules, kept: &DelayedSnapshot) -> Self {
        Self {
            rules,
            window: Window::new(),
            in_flight: BTreeMap::new(),
            refused: BTreeMap::new(),
            parked: ParkedEvents::new(kept.owners.iter().map(|(_, share)| share.parked).sum()),
            lost_at: None,
            now: None,
            waiting: VecDeque::new(),
            changes: Portions::default(),
            looking: None,
            alone: 0,
            deciding: None,
            overlay: Overlay::default(),
            next: Pending::default(),
            writing: None,
            created: kept.created,
            kept: kept.created,
            answers: 0,
            numbers: 0,
            link_up: false,
            draining: false,
        }
    }

    /// One step. Actions are to be performed in order. The ceilings are those that schedules are held to.
    pub fn step(&mut self, marks: Marks, ceilings: &mut Ceilings, input: DelayedInput) -> Vec<DelayedAction> {
        let mut actions = Vec::new();
        // What was created before the start may be older than what the other store knows of.
        let of_here = |since: SinceSetBack| SinceSetBack { created: since.created.max(self.kept), ..since };
        let marks = Marks { since: marks.since.map(of_here), ..marks };
        self.created = self.created.max(marks.created);
        self.see(marks.now);
        match input {
            DelayedInput::Tick => {}
            DelayedInput::Link(up) => self.link_up = up,
            DelayedInput::Drain => self.draining = true,
            DelayedInput::Change(request) => self.take_in(*request, &mut actions),
            DelayedInput::Found { ticket, found, answered } => self.found(marks, ticket, found, answered),
            DelayedInput::NotFound(ticket) => {
                self.not_found(ticket, &mut actions);
                self.parked_not_found(ticket, &mut actions);
            }
            DelayedInput::Unpark(request) => self.take_unparking(*request, &mut actions),
            DelayedInput::FoundParked { ticket, found } => self.found_parked(marks, ticket, found),
            DelayedInput::Parked { ticket, heads } => self.parked.loaded(ticket, heads, ceilings),
            DelayedInput::Due { ticket, events } => self.window.loaded(ticket, events, &self.rules, ceilings),
            DelayedInput::Written(ticket) => self.written(ticket, ceilings, &mut actions),
            DelayedInput::Settled(answers) => self.settled(marks, ceilings, answers),
        }
        self.decide();
        self.look_up(&mut actions);
        self.look_up_parked(&mut actions);
        self.load(marks, &mut actions);
        self.hand_over(marks, ceilings, &mut actions);
        self.write(marks, &mut actions);
        actions
    }

    /// When to step next even if nothing happens; `None`: no wish of its own.
    pub fn next_wakeup(&self, marks: Marks, ceilings: &Ceilings) -> Option<Timestamp> {
        if self.deciding.is_some() {
            return Some(marks.now);
        }
        let is_free = self.link_up && !self.draining && self.has_room();
        let first = self.first_due().filter(|_| is_free);
        let firsts = || self.firsts().filter(|_| is_free);
        // Where it waits for H, it is stepped when that is durable.
        let is_known = |send: &Timestamp| *send > marks.now || *send <= marks.handed;
        let due = first.filter(is_known);
        let below = firsts().filter(|(_, send)| is_known(send)).filter_map(|(id, send)| {
            let wait = Some(ceilings.wait(id)).filter(|wait| *wait > 0 || ceilings.may_delayed(id));
            wait.map(|wait| send.max(marks.now.plus(wait)))
        });
        let again = self.refused.keys().next().map(|(at, _)| *at).filter(|_| is_free);
        let due = due.into_iter().chain(again).chain(below).min();
        let due = due.map(|at| self.rests_until(marks.now).map_or(at, |rest| at.max(rest)));
        let ahead = first.into_iter().chain(firsts().map(|(_, send)| send));
        let reserve = ahead.map(|send| send.plus(-self.rules.lead)).filter(|at| *at > marks.now).min();
        let load = self.window.next_load(&self.rules).filter(|at| *at > marks.now);
        [due, reserve, load].into_iter().flatten().min()
    }

    /// How many in memory, released ones among them, wait for this ceiling, and since when the first does.
    pub fn waiting(&self, marks: Marks, id: CeilingId) -> Option<(usize, Timestamp)> {
        let lane = self.window.lane(id);
        let first = lane.and_then(|lane| Some(lane.first()?.key.send)).filter(|first| *first <= marks.now);
        let pending = first.map(|first| (lane.map_or(0, |lane| lane.count(marks.now)), first));
        let released = self.parked.waiting(marks.now, id);
        let both = pending.into_iter().chain(released);
        both.reduce(|(some, first), (more, since)| (some + more, first.min(since)))
    }

    /// The highest creation number that was given; no other event may have it.
    pub fn created(&self) -> u64 {
        self.created
    }

    /// Whether something is due that may go by what is reserved and by its ceiling, or is unanswered.
    pub fn has_work(&self, marks: Marks, ceilings: &Ceilings) -> bool {
        let may_go = |id: &CeilingId| ceilings.wait(*id) <= 0 && ceilings.may_delayed(*id);
        let below = self.firsts().filter(|(id, _)| may_go(id)).map(|(_, send)| send);
        let due = |send: Timestamp| send <= marks.now.min(marks.handed);
        !self.in_flight.is_empty() || !self.draining && self.first_due().into_iter().chain(below).any(due)
    }

    /// Whatever was to be sent before this is settled, or parked.
    pub fn settled_before(&self) -> Timestamp {
        let out = self.in_flight.values().chain(self.refused.values()).map(|event| event.key.send);
        out.fold(self.window.waits_from(), Timestamp::min)
    }

    /// Handed over and not answered.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Nothing is handed over any more, nor taken in.
    pub fn is_draining(&self) -> bool {
        self.draining
    }

    /// Whether all that was decided, and is to be written, is.
    pub fn is_written(&self) -> bool {
        self.writing.is_none() && self.next.is_empty() && self.deciding.is_none()
    }

    /// Refused events that wait to be sent again.
    pub fn refused(&self) -> usize {
        self.refused.len()
    }

    /// Parked events, those that are sent again among them.
    pub fn parked(&self) -> u64 {
        self.parked.count()
    }

    /// Parked events that were released, and are sent again.
    pub fn released(&self) -> usize {
        self.parked.released()
    }

    /// Whether it is being written that it is there, or that it has ended.
    #[cfg(test)]
    fn is_being_written(&self, key: &DelayedKey) -> bool {
        let writing = self.writing.iter().map(|(_, pending)| pending);
        self.window.has_gone(key) || writing.chain([&self.next]).any(|pending| pending.put.contains_key(key))
    }

    /// The first that counts for no ceiling.
    fn first_due(&self) -> Option<Timestamp> {
        let next = self.window.first().map(|event| event.key.send);
        next.into_iter().chain(self.parked.first()).min()
    }

    /// The first of each ceiling; of what was released, too.
    fn firsts(&self) -> impl Iterator<Item = (CeilingId, Timestamp)> {
        self.window.firsts().chain(self.parked.firsts())
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// Whether more may be handed over: so much is unanswered, or settled and waits for the disk.
    fn has_room(&self) -> bool {
        self.in_flight.len() < self.rules.in_flight && self.next.batch.steps.len() < UNWRITTEN
    }

    fn take_in(&mut self, request: DelayedRequest, actions: &mut Vec<DelayedAction>) {
        let (owner, more) = (&request.by.owner, request.changes.len());
        if self.draining || !self.changes.has_room(owner, more, self.rules.waiting) {
            actions.push(DelayedAction::TooMany(request.command));
            return;
        }
        self.changes.add(owner, more);
        self.waiting.push_back(request);
    }

    /// Asks what is known of what the next requests are about; one question at a time.
    fn look_up(&mut self, actions: &mut Vec<DelayedAction>) {
        if self.looking.is_some() || self.deciding.is_some() || self.waiting.is_empty() {
            return;
        }
        let (mut names, mut messages, mut count) = (Vec::new(), Vec::new(), 0);
        for request in &self.waiting {
            let is_alone = self.alone > 0 || names.len() + request.changes.len() > self.rules.batch;
            if count > 0 && is_alone {
                break;
            }
            count += 1;
            names.extend(request.changes.iter().map(|change| change.name().clone()));
            messages.extend(request.message_key());
        }
        let ticket = self.number();
        self.looking = Some((ticket, count));
        actions.push(DelayedAction::Find { ticket, names, messages });
    }

    /// Nothing is known of what was looked up: of several requests each is asked for by itself, and of one nothing is changed.
    fn not_found(&mut self, ticket: u64, actions: &mut Vec<DelayedAction>) {
        let Some((_, count)) = self.looking.take_if(|(looking, _)| *looking == ticket) else { return };
        self.overlay.asked();
        if count > 1 {
            self.alone = count;
            return;
        }
        self.alone = self.alone.saturating_sub(1);
        if let Some(request) = self.waiting.pop_front() {
            self.changes.remove(&request.by.owner, request.changes.len());
            actions.push(DelayedAction::NotFound(request.command));
        }
    }

    /// Asks for what is due next, while there is room for it.
    fn load(&mut self, marks: Marks, actions: &mut Vec<DelayedAction>) {
        let ticket = self.numbers + 1;
        let in_flight = self.in_flight.len() + self.refused.len();
        if let Some((range, after)) = self.window.wants(marks.now, &self.rules, in_flight, ticket) {
            self.numbers = ticket;
            actions.push(DelayedAction::Load { ticket, range, after, most: self.rules.page });
        }
    }

    fn write(&mut self, marks: Marks, actions: &mut Vec<DelayedAction>) {
        let waits = self.deciding.is_some() && !planted(Fault::WriteWhatIsHalfDecided);
        if self.writing.is_some() || self.next.is_empty() || waits {
            return;
        }
        let mut pending = std::mem::take(&mut self.next);
        pending.batch.now = marks.now;
        pending.batch.created = self.created;
        let ticket = self.number();
        self.window.writing(ticket);
        self.overlay.writing(ticket);
        if planted(Fault::AnswerBeforeDurable) {
            actions.push(DelayedAction::Decided(std::mem::take(&mut pending.decided)));
        }
        // Of a put what is due soon is kept here, and nothing else.
        let batch = std::mem::take(&mut pending.batch);
        self.writing = Some((ticket, pending));
        actions.push(DelayedAction::Write { ticket, batch: Box::new(batch) });
    }

    /// What was written is durable, or seen by readers where it need not be.
    fn written(&mut self, ticket: u64, ceilings: &Ceilings, actions: &mut Vec<DelayedAction>) {
        let Some((_, mut pending)) = self.writing.take_if(|(writing, _)| *writing == ticket) else { return };
        self.window.written(ticket);
        self.overlay.written(ticket, self.looking.is_some() || self.deciding.is_some());
        self.unparked(&mut pending, ceilings, actions);
        for due in pending.put.into_values() {
            self.window.put(due, &self.rules, ceilings);
        }
        self.window.shorten(&self.rules);
        if !pending.decided.is_empty() {
            actions.push(DelayedAction::Decided(pending.decided));
        }
    }
}
