//! The state machine itself: what a step does, in order.

use super::{
    Action, ClockRules, ClockState, Handover, Input, Notice, Reading, Resends, Revision, Row, Span,
    backlog::{Backlogs, State},
    clock_guard::ClockGuard,
    due_queue::DueQueue,
    faults::{Fault, planted},
    flights::{Flights, Owner},
    foresight::Foresight,
    hand_over::{LEAD, MARGIN},
    load::Load,
    parked::ParkedSet,
    progress::{PAUSED, Progress, SpanKey},
    refusals::Refusals,
    slot::Slot,
};
use crate::schedule::Packed;
use ponos::event::Timestamp;
use std::collections::BTreeMap;

/// Limits, from the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Which readings are believed.
    pub clock: ClockRules,
    /// When refused events are sent again.
    pub resends: Resends,
    /// At most this many handovers are unanswered; catch-up takes at most half of them.
    pub in_flight: usize,
    /// At most about this many schedules change in one write, or are caught up with; more goes down in pieces.
    pub piece: usize,
    /// So many parked entries are kept at most: then the oldest are dropped.
    pub parked: usize,
    /// Rows of confirmed events go down with the progress that passes them, instead of behind it: for the embedded
    /// broker, whose only durable copy is the record.
    pub record_first: bool,
}

/// The state machine.
#[derive(Debug)]
pub struct Engine {
    pub(super) rules: Rules,
    pub(super) guard: ClockGuard,
    pub(super) slots: Vec<Slot>,
    pub(super) queue: DueQueue,
    /// The same of paused schedules: nothing need be ready for them, and nobody need wake up in time.
    pub(super) paused: DueQueue,
    /// What is behind and not in the set yet, because the next write is full. Never looked ahead at, and nothing is removed.
    pub(super) aside: DueQueue,
    pub(super) foresight: Foresight,
    pub(super) flights: Flights,
    pub(super) backlogs: Backlogs,
    pub(super) progress: Progress,
    /// Revisions that are kept and do not run: ended ones, and what this version does not understand.
    pub(super) resting: BTreeMap<SpanKey, Revision>,
    pub(super) parked: ParkedSet,
    pub(super) refusals: Refusals,
    /// Schedules to load once the clock is believed.
    pub(super) waiting_load: Option<Vec<Packed>>,
    /// The load under way.
    pub(super) load: Option<Load>,
    /// The write that makes the latest piece of a load durable. Until then nothing new is handed over on time: after a crash the
    /// old definitions would call for the same ids with other bodies.
    pub(super) loading: u64,
    pub(super) link_up: bool,
    /// More is on time than one step hands over.
    pub(super) more: bool,
    pub(super) draining: bool,
    /// Up to here all rows were given to the record.
    pub(super) complete: Timestamp,
    /// The highest send time ever handed over.
    pub(super) highest_handed: Timestamp,
    pub(super) out: Out,
}

/// What a step has to say so far.
#[derive(Debug, Default)]
pub(super) struct Out {
    pub(super) publish: Vec<Handover>,
    pub(super) rows: Vec<Row>,
    pub(super) notices: Vec<Notice>,
}

impl Engine {
    /// One step. Actions are to be performed in order.
    pub fn step(&mut self, reading: Reading, input: Input) -> Vec<Action> {
        let seen = self.guard.see(reading);
        self.out.notices.extend(seen.notice);
        if let Some(now) = seen.resumed_at {
            self.set_back(now);
        }
        self.take_in(input);
        if self.is_steady()
            && let Some(wanted) = self.waiting_load.take()
        {
            self.begin_load(wanted);
        }
        self.pump();
        if self.may_load() {
            self.load_piece();
            self.pump();
        }
        self.emit()
    }

    /// The effective now: the highest reading believed so far.
    pub fn now(&self) -> Timestamp {
        self.guard.now()
    }

    /// When to step next even if nothing happens; `None`: no wish of its own.
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        let now = self.now();
        let mut earliest = self.progress.next_save(now, self.settled());
        let mut wish = |at: Timestamp| earliest = Some(earliest.map_or(at, |e| e.min(at)));
        if self.may_load() || self.more {
            wish(now);
        }
        if self.may_hand_over() {
            if let Some((send, _)) = self.queue.first().filter(|(send, _)| *send > now) {
                let ahead = send.plus(-LEAD);
                let unready = self.progress.wanted() < send.plus(MARGIN) || self.queue.laid_out(0).len() == 0;
                wish(if unready && ahead > now { ahead } else { send });
            }
            let passed_over = self.paused.first().map(|(send, _)| send.plus(PAUSED));
            if let Some(at) = passed_over.filter(|at| *at > now) {
                wish(at);
            }
            for timer in [self.backlogs.next_timer(), self.parked.next_release()] {
                if let Some(until) = timer.filter(|until| *until > now) {
                    wish(until);
                }
            }
        }
        earliest
    }

    /// W as it stands: everything with send time ≤ this is settled or in the set.
    pub fn settled(&self) -> Timestamp {
        let mut mark = self.now();
        if let Some(lowest) = self.flights.lowest().filter(|_| !planted(Fault::SettleWhatIsInFlight)) {
            mark = mark.min(lowest.plus(-1));
        }
        let aside = Some(&self.aside).filter(|_| !planted(Fault::SettleWhatIsSetAside));
        for (send, _) in [&self.queue, &self.paused].into_iter().chain(aside).filter_map(DueQueue::first) {
            mark = mark.min(send.plus(-1));
        }
        mark.max(self.progress.settled())
    }

    /// How the wall clock is.
    pub fn clock(&self) -> ClockState {
        self.guard.state()
    }

    /// Whether everything decided so far is durable.
    pub fn is_written(&self) -> bool {
        self.progress.is_written()
    }

    /// The write with which goes down what is decided next.
    pub fn next_write(&self) -> u64 {
        self.progress.next_ticket()
    }

    /// Whether the write with this ticket is durable.
    pub fn is_durable(&self, ticket: u64) -> bool {
        self.progress.is_durable(ticket)
    }

    /// How many handovers are unanswered.
    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// Since when the oldest of them is.
    pub fn unanswered_since(&self) -> Option<Timestamp> {
        self.flights.oldest()
    }

    /// How many spans are outstanding.
    pub fn outstanding(&self) -> usize {
        self.backlogs.len()
    }

    pub(super) fn rank(&self, name: &str) -> Option<usize> {
        self.place(name).ok().filter(|rank| self.slots[*rank].runs())
    }

    /// Where a name stands, or would stand, in the order of names.
    pub(super) fn place(&self, name: &str) -> Result<usize, usize> {
        self.slots.binary_search_by(|slot| slot.definition.name_bytes().cmp(name.as_bytes()))
    }

    /// The rank of whose handover it is: known for what is on time, else searched by name.
    pub(super) fn rank_of(&self, owner: &Owner, name: &str) -> Option<usize> {
        match owner {
            Owner::OnTime(rank) => Some(*rank as usize),
            Owner::Span(..) | Owner::Parked(_) => self.rank(name),
        }
    }

    pub(super) fn is_steady(&self) -> bool {
        !matches!(self.guard.state(), ClockState::Held { .. })
    }

    fn take_in(&mut self, input: Input) {
        match input {
            Input::Tick => {}
            Input::Link(up) => self.link_up = up,
            Input::Settled(answers) => self.settle(answers),
            Input::Saved(ticket) => self.saved(ticket),
            Input::Load(wanted) => self.waiting_load = Some(wanted),
            Input::Release(numbers) => self.release(&numbers),
            Input::Drop(numbers) => self.drop_parked(&numbers),
            Input::Drain => self.draining = true,
            Input::Flush => self.progress.trim(self.highest_handed),
        }
    }

    fn saved(&mut self, ticket: u64) {
        self.progress.saved(ticket);
        while let Some(key) = self.backlogs.next_saved(|ticket| self.progress.is_durable(ticket)) {
            match self.backlogs.get_mut(&key).map(|backlog| backlog.state) {
                Some(State::Closing(_)) => self.backlogs.remove(&key),
                _ => self.backlogs.set(&key, State::Ready),
            }
        }
    }

    /// Queues the schedule's first occurrence after `due`.
    pub(super) fn queue_after(&mut self, rank: u32, due: Timestamp) {
        let slot = &self.slots[rank as usize];
        let next = slot.timing().after(due);
        self.queue_up(rank as usize, next);
    }

    /// Queues a due time, if there is one.
    pub(super) fn queue_up(&mut self, rank: usize, next: Option<Timestamp>) {
        self.slots[rank].wait_for(next);
        self.enqueue(rank);
    }

    /// Puts what the slot waits for into its queue.
    pub(super) fn enqueue(&mut self, rank: usize) {
        let slot = &self.slots[rank];
        let Some(due) = slot.next() else { return };
        let (send, rank) = (slot.send_time(due), u32::try_from(rank).unwrap_or(u32::MAX));
        let paused = slot.definition.is_paused();
        self.queue_of(paused).push(send, due, rank);
    }

    /// Takes what the slot of this rank, which is about to go, waits for out of its queue.
    pub(super) fn dequeue(&mut self, rank: u32, slot: &Slot) {
        if let Some(due) = slot.next() {
            self.queue.take_over(&mut self.aside);
            self.queue_of(slot.definition.is_paused()).remove(slot.send_time(due), due, rank);
            self.foresight.forget();
        }
    }

    fn queue_of(&mut self, paused: bool) -> &mut DueQueue {
        if paused { &mut self.paused } else { &mut self.queue }
    }

    /// Queues for the slots that there are, with nothing in them.
    pub(super) fn empty_queues(&mut self) {
        self.foresight.forget();
        self.queue = DueQueue::with_capacity(self.slots.len());
        self.paused = DueQueue::default();
        self.aside = DueQueue::default();
    }

    fn emit(&mut self) -> Vec<Action> {
        let mut actions: Vec<Action> = self.out.notices.drain(..).map(Action::Notice).collect();
        if !self.out.publish.is_empty() {
            actions.push(Action::Publish(std::mem::take(&mut self.out.publish)));
        }
        let settled = self.settled();
        let save = self.progress.save(self.now(), settled);
        // Also where no row came: else a restart would take the details of that time for lost.
        if !self.out.rows.is_empty() || (save.is_some() && settled > self.complete) {
            self.complete = settled;
            let complete = if planted(Fault::CompleteWhatIsInFlight) { self.now() } else { settled };
            actions.push(Action::Record { rows: std::mem::take(&mut self.out.rows), complete });
        }
        actions.extend(save);
        actions
    }
}

/// A span that nothing has happened to yet.
pub(super) fn new_span(revision: u32, after: Timestamp, through: Timestamp, handed: Timestamp) -> Span {
    Span { revision, after, through, handed, coalesced: None, attempts: 0, retry_at: Timestamp::EPOCH }
}
