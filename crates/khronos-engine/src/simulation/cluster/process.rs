//! What the processes do: the part of the adapter. It performs what the member and the engine ask for.

use super::{
    database::Job,
    faults::ClusterFault,
    later::Later,
    node::{DRAIN, Draining, Leader},
    world::{Event, World},
};
use crate::{
    Action, Answer, Input, Reading, Snapshot,
    delayed::{DelayedInput, Sending},
    lease::{LeaseAction, LeaseInput, LeaseNotice, Why},
};
use std::collections::{BTreeMap, VecDeque};

/// What one of the state machines of a process is told next.
pub(super) enum Todo {
    Member(LeaseInput),
    Engine(Input),
    Later(DelayedInput),
}

pub(super) type Todos = VecDeque<Todo>;

impl World {
    /// Something is told to a process, and to it what follows from that.
    pub(super) fn tell(&mut self, at: usize, first: Todo) {
        let mut todos = Todos::from([first]);
        while let Some(todo) = todos.pop_front() {
            match todo {
                Todo::Member(input) => self.step_member(at, input, &mut todos),
                Todo::Engine(input) => self.step_engine(at, input, &mut todos),
                Todo::Later(input) => self.step_later(at, input, &mut todos),
            }
        }
        self.schedule(at);
    }

    fn schedule(&mut self, at: usize) {
        let (now, life) = (self.now, self.nodes[at].life);
        let Some(next) = self.nodes[at].next_wakeup().map(|next| next.max(now + 1)) else { return };
        let Some(process) = &mut self.nodes[at].process else { return };
        if process.wakes_at.is_none_or(|known| known <= now || next < known) {
            process.wakes_at = Some(next);
            self.after(next - now, Event::Wakes(at, life));
        }
    }

    fn step_member(&mut self, at: usize, input: LeaseInput, todos: &mut Todos) {
        let reading = self.nodes[at].reading(self.now);
        let Some(process) = &mut self.nodes[at].process else { return };
        for action in process.member.step(reading, input) {
            self.perform(at, action, todos);
        }
    }

    fn perform(&mut self, at: usize, action: LeaseAction, todos: &mut Todos) {
        let (now, life) = (self.now, self.nodes[at].life);
        if let LeaseAction::Call { number, fresh, call } = action {
            return self.call(at, number, fresh, call);
        }
        let Some(process) = &mut self.nodes[at].process else { return };
        match action {
            LeaseAction::Lead { term, .. } => {
                let unanswered = BTreeMap::new();
                let (trusted_until, engine, later, draining, has_work) = (0, None, None, None, false);
                process.leader =
                    Some(Leader { term, trusted_until, engine, later, unanswered, draining, has_work });
                todos.push_back(Todo::Member(LeaseInput::Write { job: process.job(Job::Load) }));
                self.watch.led += 1;
            }
            LeaseAction::Trust { until } => {
                if let Some(leader) = &mut process.leader {
                    leader.trusted_until = until;
                }
                todos.push_back(Todo::Engine(Input::Trust(self.trust_told(until))));
                if self.nodes[at].trusts(now) {
                    self.trusted(at);
                }
            }
            LeaseAction::Written { job } => match process.jobs.remove(&job) {
                Some(Job::Load) => self.begin(at, job, todos),
                Some(Job::Commit(ticket, _)) if self.fault != Some(ClusterFault::RaiseHAfterTheHandOver) => {
                    todos.push_back(Todo::Engine(Input::Saved(ticket)));
                }
                Some(Job::Later(ticket, _)) => todos.push_back(Todo::Later(DelayedInput::Written(ticket))),
                _ => {}
            },
            LeaseAction::Full { job } => self.watch.fail(format!("there is no room for the job {job}")),
            LeaseAction::Drain => self.drain(at, todos),
            LeaseAction::Follow => {
                process.leader = None;
                process.jobs.clear();
                let id = process.id;
                self.clients.leave((at, life));
                self.later_clients.leave(id);
            }
            LeaseAction::Probe => {
                if let Some(link) = process.link {
                    self.send_frame((at, life), link, 0, None);
                }
            }
            LeaseAction::End => {
                let comes_back = !process.is_ending;
                self.nodes[at].process = None;
                if comes_back {
                    let down = 50 + self.random.below(1_000);
                    self.after(down, Event::Starts(at));
                }
            }
            LeaseAction::Notice(notice) => self.note(notice),
            LeaseAction::Call { .. } => {}
        }
    }

    fn note(&mut self, notice: LeaseNotice) {
        match notice {
            LeaseNotice::Promoted { .. } if self.fault == Some(ClusterFault::KeepSilentOfThePromotion) => {}
            LeaseNotice::Promoted { to, .. } => self.database.unreported.retain(|timeline| *timeline > to),
            LeaseNotice::Lapsed => {
                self.watch.lapsed += 1;
                self.watch.nobody_is_in_vain();
            }
            LeaseNotice::Ended(Why::Unproven | Why::Skewed) => self.watch.unproven += 1,
            LeaseNotice::Ended(Why::Wanted) => self.watch.wanted_at = self.now,
            LeaseNotice::Ended(Why::Fenced) => self.watch.fenced += 1,
            _ => {}
        }
    }

    fn trust_told(&self, until: i64) -> i64 {
        if self.fault == Some(ClusterFault::SendAfterTheDeadline) { i64::MAX } else { until }
    }

    /// Everything was read: the engine starts from it.
    fn begin(&mut self, at: usize, job: u64, todos: &mut Todos) {
        let reading = self.nodes[at].reading(self.now);
        let rules = self.rules;
        let Some(process) = &mut self.nodes[at].process else { return };
        let Some((read, later)) = self.database.loaded(process.id, job) else { return };
        let has_link = process.link.is_some();
        let Some(leader) = &mut process.leader else { return };
        let is_new = read.revisions.is_empty();
        let files = match self.fault {
            Some(ClusterFault::ApplyOwnFiles) => {
                Input::Load(self.files.iter().skip(at % 2).cloned().collect())
            }
            _ if is_new => Input::Load(self.files.clone()),
            _ => Input::LoadKept,
        };
        if let Err(broken) = self.clients.are_kept(&read)
            && self.database.lost == 0
        {
            self.watch.fail(format!("as the leader begins: {broken}"));
        }
        let read = match self.fault {
            Some(ClusterFault::CoalesceWhatMayHaveBeenSent) => {
                Snapshot { handed: read.settled, reached: read.settled, ..read }
            }
            Some(ClusterFault::SettleWhatMayHaveBeenSent) => Snapshot { settled: read.handed, ..read },
            _ => read,
        };
        leader.engine = Some(Box::new(self.followed.start(rules, read, reading).among_others()));
        leader.later = Some(Later::new(&later));
        let until = leader.trusted_until;
        if leader.draining.is_some() {
            todos.push_back(Todo::Engine(Input::Drain));
            todos.push_back(Todo::Later(DelayedInput::Drain));
        }
        todos.push_back(Todo::Engine(Input::Trust(self.trust_told(until))));
        todos.push_back(Todo::Engine(Input::Link(has_link)));
        todos.push_back(Todo::Engine(files));
    }

    fn step_engine(&mut self, at: usize, input: Input, todos: &mut Todos) {
        let (reading, by) = (self.nodes[at].reading(self.now), (at, self.nodes[at].life));
        let Some(process) = &mut self.nodes[at].process else { return };
        let Some(leader) = &mut process.leader else { return };
        let Some(engine) = &mut leader.engine else { return };
        let term = leader.term;
        let ahead = if self.fault == Some(ClusterFault::ReadAhead) { 300 } else { 0 };
        let actions = engine.step(Reading { wall: reading.wall.plus(ahead), ..reading }, input);
        let has_work =
            engine.has_work() || leader.later.as_ref().is_some_and(|later| later.sending.in_flight() > 0);
        if has_work != leader.has_work {
            leader.has_work = has_work;
            todos.push_back(Todo::Member(LeaseInput::Work { due: has_work }));
        }
        for action in actions {
            let Some(process) = &mut self.nodes[at].process else { return };
            match action {
                Action::Save { ticket, commit } => {
                    let job = process.job(Job::Commit(ticket, commit));
                    todos.push_back(Todo::Member(LeaseInput::Write { job }));
                    if self.fault == Some(ClusterFault::RaiseHAfterTheHandOver) {
                        todos.push_back(Todo::Engine(Input::Saved(ticket)));
                    }
                }
                Action::Record { rows, complete } => {
                    let job = process.job(Job::Append(rows, complete));
                    todos.push_back(Todo::Member(LeaseInput::Write { job }));
                }
                Action::Publish(handovers) => {
                    let Some(leader) = &mut process.leader else { return };
                    leader.unanswered.extend(handovers.iter().map(|one| (one.token, one.clone())));
                    // Somebody else may have the machine before it gets there.
                    let lag = if self.random.chance(4) { self.random.below(300) } else { 0 };
                    process.performs_at = process.performs_at.max(self.now + lag);
                    let after = process.performs_at - self.now;
                    self.after(after, Event::Performs { by, term, handovers });
                }
                Action::Decided(decided) => self.clients.answer(decided),
                Action::TooMany(commands) | Action::TooManyMessages(commands) | Action::Unread(commands) => {
                    self.clients.refuse(&commands);
                }
                _ => {}
            }
        }
        self.shown(reading.wall);
        self.look_at_marks(at, todos);
        self.go_on_draining(at, todos);
    }

    fn drain(&mut self, at: usize, todos: &mut Todos) {
        let now = self.now;
        let Some(process) = &mut self.nodes[at].process else { return };
        let Some(leader) = &mut process.leader else { return };
        let early = self.fault == Some(ClusterFault::ResignBeforeTheEnd);
        leader.draining = Some(Draining { since: now, is_flushed: early, is_told: early });
        if early || leader.engine.is_none() {
            return todos.push_back(Todo::Member(LeaseInput::Drained));
        }
        todos.push_back(Todo::Engine(Input::Drain));
        todos.push_back(Todo::Later(DelayedInput::Drain));
    }

    pub(super) fn go_on_draining(&mut self, at: usize, todos: &mut Todos) {
        let now = self.now;
        let Some(process) = &mut self.nodes[at].process else { return };
        let Some(leader) = &mut process.leader else { return };
        let in_flight = leader.in_flight();
        let (Some(engine), Some(draining)) = (&leader.engine, &mut leader.draining) else { return };
        // Until they were told so they may hand something over.
        let later = leader.later.as_ref().map(|later| &later.sending);
        let are_told = engine.draining && later.is_none_or(Sending::is_draining);
        let is_over = are_told && in_flight == 0 || now >= draining.since + DRAIN;
        let is_written = engine.is_written() && later.is_none_or(Sending::is_written);
        if !draining.is_flushed && is_over {
            draining.is_flushed = true;
            let lost = std::mem::take(&mut leader.unanswered).into_keys().map(|token| (token, Answer::Lost));
            todos.push_back(Todo::Engine(Input::Settled(lost.collect())));
            if let Some(later) = &mut leader.later {
                todos.push_back(Todo::Later(DelayedInput::Settled(later.lost())));
            }
            todos.push_back(Todo::Engine(Input::Flush));
        } else if draining.is_flushed && !draining.is_told && todos.is_empty() && is_written {
            draining.is_told = true;
            todos.push_back(Todo::Member(LeaseInput::Drained));
        }
    }
}
