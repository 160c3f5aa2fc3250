//! The state machine itself: what a step does, in order.

use super::{
    Action, ClockRules, ClockState, Declined, Handover, Input, Notice, Reading, Resends, Row, Span,
    calendars::CreatedCalendars,
    ceilings::Ceilings,
    clock_guard::ClockGuard,
    faults::{Fault, planted},
    going::Going,
    hand_over::{LEAD, MARGIN},
    in_flight::Owner,
    load::{Change, Changes},
    messages::Messages,
    operations::Operations,
    outstanding::Outstanding,
    pausing::Pausing,
    place::Which,
    progress::{Kept, PAUSED, Progress},
    rarely::Rarely,
    resting::Resting,
    schedules::Schedules,
    set_back::SetBack,
    slots::SlotId,
    trigger::Triggers,
    trust::Trust,
};
use khronos_schedule::Demand;
use ponos_event::Timestamp;
use std::sync::Arc;

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
    /// So many parked entries may wait for a person: then some are dropped.
    pub parked: usize,
    /// Rows of confirmed events go down with the progress that passes them, instead of behind it: for the embedded
    /// broker, whose only durable copy is the record.
    pub record_first: bool,
    /// What was created at run time, and has finished, goes so many milliseconds later.
    pub keep_finished: i64,
    /// At most so many schedules, due together at most so often: what is put and would bring them beyond is refused.
    pub demand: Demand,
}

/// The state machine.
#[derive(Debug)]
pub struct Engine {
    pub(super) rules: Rules,
    pub(super) guard: ClockGuard,
    pub(super) schedules: Schedules,
    pub(super) ceilings: Ceilings,
    pub(super) outstanding: Outstanding,
    pub(super) progress: Progress,
    pub(super) resting: Resting,
    pub(super) changes: Changes,
    pub(super) calendars: CreatedCalendars,
    pub(super) pausing: Pausing,
    pub(super) triggers: Triggers,
    pub(super) operations: Operations,
    pub(super) messages: Messages,
    pub(super) going: Going,
    /// What the clock showed at the start, or after it was set back last.
    pub(super) went_on_from: Timestamp,
    /// The write with the revisions that were forgotten last.
    pub(super) forgotten: u64,
    /// Spans and slots that are being taken back, after the clock was set back.
    pub(super) setting_back: Option<SetBack>,
    pub(super) link_up: bool,
    pub(super) trust: Trust,
    /// More is on time, or parked and its turn, than one step hands over, or more of paused schedules is due than it passes over.
    pub(super) more: bool,
    pub(super) draining: bool,
    /// Up to here all rows were given to the record.
    pub(super) complete: Timestamp,
    pub(super) out: Out,
}

/// What a step has to say so far.
#[derive(Debug, Default)]
pub(super) struct Out {
    pub(super) publish: Vec<Handover>,
    pub(super) rows: Vec<Row>,
    pub(super) notices: Vec<Notice>,
    /// Of which there may be very many at once: [`Notice::Parked`], [`Notice::DroppedAtLimit`], [`Notice::Finished`],
    /// [`Notice::ResumedByName`], [`Notice::OutOfDays`].
    pub(super) parked: Rarely,
    pub(super) dropped: Rarely,
    pub(super) finished: Rarely,
    pub(super) resumed: Rarely,
    pub(super) out_of_days: Rarely,
    /// Commands for which there is no room.
    pub(super) too_many: Vec<u64>,
    /// Pauses that do not begin, for too many others are kept: by command, of which names.
    pub(super) too_many_pauses: Vec<(u64, Vec<Arc<str>>)>,
    /// What is not begun, and why.
    pub(super) declined: Vec<(u64, Declined)>,
    /// Messages that are not taken, for the answers to too many others are kept.
    pub(super) too_many_messages: Vec<u64>,
    /// Requests that would create something, before the files were read.
    pub(super) unread: Vec<u64>,
}

impl Out {
    /// How many commands change nothing.
    pub(super) fn refused(&self) -> usize {
        let of_all = self.too_many_pauses.iter().filter(|(_, names)| names.is_empty()).count();
        self.too_many.len() + of_all + self.declined.len()
    }

    /// All that is told now and then only.
    fn rarely(&mut self) -> [&mut Rarely; 5] {
        [&mut self.parked, &mut self.dropped, &mut self.finished, &mut self.resumed, &mut self.out_of_days]
    }
}

impl Engine {
    /// The same with these ceilings, before its first step.
    #[must_use]
    pub fn below(self, ceilings: Ceilings) -> Self {
        Self { ceilings, ..self }
    }

    /// One step. Actions are to be performed in order.
    pub fn step(&mut self, reading: Reading, input: Input) -> Vec<Action> {
        self.ceilings.see(reading.boot);
        self.trust.see(reading.boot);
        let seen = self.guard.see(reading);
        self.out.notices.extend(seen.notice);
        if let Some(now) = seen.resumed_at {
            self.set_back(now);
        }
        self.take_in(input);
        self.take_back();
        if self.is_steady() {
            self.end_pauses_in_time();
        }
        self.take_changes();
        if self.is_steady() && !self.draining {
            self.advance_operations();
        }
        self.dispatch_due();
        if self.may_load() {
            self.load_piece();
            self.dispatch_due();
        }
        if self.may_read_anew() {
            self.read_piece_anew();
            self.dispatch_due();
        }
        self.make_room();
        self.forget_skipped();
        self.note_what_is_seen();
        self.say_what_waits();
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
        let Out { parked, dropped, finished, resumed, out_of_days, .. } = &self.out;
        [parked, dropped, finished, resumed, out_of_days]
            .into_iter()
            .filter_map(Rarely::next)
            .for_each(&mut wish);
        let waits = self.is_steady() && self.changes.is_waiting(self.full());
        if self.may_load() || self.may_read_anew() || self.more || waits || self.setting_back.is_some() {
            wish(now);
        }
        if let Some(at) = self.operations.next().filter(|_| self.is_steady() && !self.draining) {
            wish(at);
        }
        let rests = [self.next_goes(), self.next_forgotten()].into_iter().flatten().min();
        if let Some(at) = rests.filter(|_| self.is_steady() && !self.draining) {
            wish(at.max(now));
        }
        // While the clock is held, its release is what they wait for.
        if let Some(end) = self.pausing.next_end().filter(|end| *end > now || self.is_steady()) {
            wish(end);
        }
        let has_room = self.progress.room_for_pauses(self.rules.piece) > 0;
        let end = self.pausing.next_end_by_name();
        if let Some(end) = end.filter(|end| *end > now || self.is_steady() && has_room) {
            wish(end);
        }
        if self.may_hand_over() {
            if let Some(send) = self.schedules.first_send(Which::Due).filter(|send| *send > now) {
                let ahead = send.plus(-LEAD);
                let unready =
                    self.progress.wanted() < send.plus(MARGIN) || self.schedules.laid_out(0).len() == 0;
                wish(if unready && ahead > now { ahead } else { send });
            }
            let passed_over = self.schedules.first_send(Which::Paused).map(|send| send.plus(PAUSED));
            if let Some(at) = passed_over.filter(|at| *at > now) {
                wish(at);
            }
            if let Some(until) = self.outstanding.next_timer(now) {
                wish(until);
            }
            if let Some(at) = self.next_below_ceilings() {
                wish(at);
            }
        }
        earliest
    }

    /// W as it stands: everything with send time ≤ this is settled or in the set.
    pub fn settled(&self) -> Timestamp {
        let mut mark = self.now();
        if let Some(lowest) = self.outstanding.in_flight.lowest() {
            mark = mark.min(lowest.plus(-1));
        }
        if let Some(lowest) = self.schedules.lowest() {
            mark = mark.min(lowest.plus(-1));
        }
        if let Some(under_way) = &self.setting_back {
            mark = mark.min(under_way.to());
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
        self.outstanding.in_flight.len()
    }

    /// Since when the oldest of them is.
    pub fn unanswered_since(&self) -> Option<Timestamp> {
        self.outstanding.in_flight.oldest()
    }

    /// How many spans are outstanding.
    pub fn outstanding(&self) -> usize {
        self.outstanding.backlogs.len()
    }

    /// The slot of whose handover it is: known for what is on time, else searched by name.
    pub(super) fn slot_of(&self, owner: &Owner, name: &str, creation: u64) -> Option<SlotId> {
        match owner {
            Owner::OnTime(id) => Some(*id),
            Owner::Span(..) | Owner::Parked(_) => self.running_creation(name, creation),
            Owner::Nobody => None,
        }
    }

    /// The slot of the schedule of this name, if it is this creation that runs, and not what was created since.
    pub(super) fn running_creation(&self, name: &str, creation: u64) -> Option<SlotId> {
        let same = |id: &SlotId| {
            self.schedules[*id].definition.creation() == creation
                || planted(Fault::TakeThePredecessorsFigures)
        };
        self.schedules.find(name).filter(same)
    }

    pub(super) fn take_in(&mut self, input: Input) {
        match input {
            Input::Tick => {}
            Input::Link(up) => self.link_up = up,
            Input::Trust(until) => self.trust.set(until),
            Input::Others(live) => self.guard.note_others(live),
            Input::Settled(answers) => self.settle(answers),
            Input::Saved(ticket) => self.saved(ticket),
            Input::Calendars(read) => self.take_calendars(read),
            Input::Load(wanted) => self.changes.load(Some(wanted), Vec::new()),
            Input::LoadKept => self.changes.load(None, Vec::new()),
            Input::Change(request) => self.take_command(request.command, Change::Schedules(request)),
            Input::By(asker, input) => self.take_in_by(asker, *input),
            Input::Pause { .. }
            | Input::Resume { .. }
            | Input::Operate { .. }
            | Input::Cancel { .. }
            | Input::Trigger { .. } => self.take_command_of(None, input),
            Input::Write { command } => self.progress.promise_all(command),
            Input::Reserve(send) => self.reserve_for_delayed(send),
            Input::Release(numbers) => self.release(&numbers),
            Input::Drop(numbers) => self.drop_parked(&numbers),
            Input::Drain => self.draining = true,
            Input::Flush => {
                self.progress.trim();
                self.out.rarely().into_iter().for_each(Rarely::hurry);
            }
        }
    }

    fn saved(&mut self, ticket: u64) {
        self.progress.saved(ticket);
        self.schedules.open(|ticket| self.progress.is_durable(ticket));
        self.outstanding.saved(|ticket| self.progress.is_durable(ticket));
        self.pausing.saved(|ticket| self.progress.is_durable(ticket));
    }

    /// Commands that can be answered; there is room for others then.
    fn answer(&mut self, actions: &mut Vec<Action>) {
        let Kept { mut durable, decided } = self.progress.kept_promises();
        let triggered = self.triggers.answer(&mut durable);
        self.changes.answered(durable.iter());
        self.changes.answered(triggered.iter().map(|(command, _)| command));
        self.changes.answered(decided.iter().map(|(command, _)| command));
        let (changes, out) = (&mut self.changes, &mut self.out);
        let mut refuse = |commands: &mut Vec<u64>, action: fn(Vec<u64>) -> Action| {
            if !commands.is_empty() {
                changes.answered(commands.iter());
                actions.push(action(std::mem::take(commands)));
            }
        };
        refuse(&mut out.too_many, Action::TooMany);
        refuse(&mut out.too_many_messages, Action::TooManyMessages);
        refuse(&mut out.unread, Action::Unread);
        if !self.out.declined.is_empty() {
            self.changes.answered(self.out.declined.iter().map(|(command, _)| command));
            actions.push(Action::Declined(std::mem::take(&mut self.out.declined)));
        }
        if !self.out.too_many_pauses.is_empty() {
            // Those of names are answered where they are durable.
            let whole = self.out.too_many_pauses.iter().filter(|(_, names)| names.is_empty());
            self.changes.answered(whole.map(|(command, _)| command));
            actions.push(Action::TooManyPauses(std::mem::take(&mut self.out.too_many_pauses)));
        }
        if !triggered.is_empty() {
            actions.push(Action::Triggered(triggered));
        }
        if !durable.is_empty() {
            actions.push(Action::Durable(durable));
        }
        if !decided.is_empty() {
            actions.push(Action::Decided(decided));
        }
    }

    fn emit(&mut self) -> Vec<Action> {
        let now = self.now();
        let held_back: Vec<_> =
            self.out.rarely().into_iter().filter_map(|notices| notices.take(now)).collect();
        self.out.notices.extend(held_back);
        let mut actions: Vec<Action> = self.out.notices.drain(..).map(Action::Notice).collect();
        if let Some((named, created)) = self.changed_calendars() {
            actions.push(Action::Calendars { named, created });
        }
        self.answer(&mut actions);
        if !self.out.publish.is_empty() {
            actions.push(Action::Publish(std::mem::take(&mut self.out.publish)));
        }
        let settled = self.settled();
        let save = self.progress.save(now, settled);
        // Also where no row came: else a restart would take the details of that time for lost.
        if !self.out.rows.is_empty() || (save.is_some() && settled > self.complete) {
            self.complete = settled;
            actions.push(Action::Record { rows: std::mem::take(&mut self.out.rows), complete: settled });
        }
        actions.extend(save);
        actions
    }
}

/// As much as can be.
#[cfg(test)]
pub(super) const UNBOUNDED: Demand =
    Demand { schedules: usize::MAX, often: khronos_schedule::ADay(u64::MAX) };

/// A span that nothing has happened to yet.
pub(super) fn new_span(revision: u32, after: Timestamp, through: Timestamp, handed: Timestamp) -> Span {
    Span { revision, after, through, handed, coalesced: None }
}
