//! What the processes do: the part of the adapter. It performs what the member and the engine ask for.

use super::{
    super::serving::{rendered, send_time},
    database::Job,
    faults::ClusterFault,
    node::{DRAIN, Draining, Leader, Mishap, START, id_of},
    world::{Event, Sent, World},
};
use crate::{
    Action, Answer, Engine, Handover, Input, Snapshot,
    lease::{LeaseAction, LeaseCall, LeaseInput, LeaseNotice, LeaseReply, Why},
    simulation::evidence::Arrival,
};
use std::collections::{BTreeMap, VecDeque};

/// What one of the two state machines of a process is told next.
pub(super) enum Todo {
    Member(LeaseInput),
    Engine(Input),
}

type Todos = VecDeque<Todo>;

impl World {
    /// Something is told to a process, and to it what follows from that.
    pub(super) fn tell(&mut self, at: usize, first: Todo) {
        let mut todos = Todos::from([first]);
        while let Some(todo) = todos.pop_front() {
            match todo {
                Todo::Member(input) => self.step_member(at, input, &mut todos),
                Todo::Engine(input) => self.step_engine(at, input, &mut todos),
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
            LeaseAction::Lead { term } => {
                let unanswered = BTreeMap::new();
                let (trusted_until, engine, draining, has_work) = (0, None, None, false);
                process.leader = Some(Leader { term, trusted_until, engine, unanswered, draining, has_work });
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
                _ => {}
            },
            LeaseAction::Full { job } => self.watch.fail(format!("there is no room for the job {job}")),
            LeaseAction::Drain => self.drain(at, todos),
            LeaseAction::Follow => {
                process.leader = None;
                process.jobs.clear();
                self.clients.leave((at, life));
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
            LeaseNotice::Promoted { to, .. } => self.database.unreported.retain(|timeline| *timeline > to),
            LeaseNotice::Lapsed => self.watch.lapsed += 1,
            LeaseNotice::Ended(Why::Unproven) => self.watch.unproven += 1,
            LeaseNotice::Ended(Why::Wanted) => self.watch.wanted_at = self.now,
            LeaseNotice::Ended(Why::Fenced) => self.watch.fenced += 1,
            _ => {}
        }
    }

    fn trust_told(&self, until: i64) -> i64 {
        if self.fault == Some(ClusterFault::SendAfterTheDeadline) { i64::MAX } else { until }
    }

    fn call(&mut self, at: usize, number: u64, fresh: bool, call: LeaseCall) {
        let (now, life, ahead) = (self.now, self.nodes[at].life, self.nodes[at].ahead);
        let mishap = self.nodes[at].mishaps.pop_front();
        let generation = self.database.generation;
        let Some(process) = &mut self.nodes[at].process else { return };
        if fresh || process.line.0 == 0 {
            process.line = (process.line.0 + 1, generation);
        }
        let job = match call {
            LeaseCall::Save { job: Some(job), .. } => process.jobs.get(&job).cloned(),
            _ => None,
        };
        let line = process.line;
        let takes = 1 + self.random.below(4);
        let takes = if let Some(Mishap::SlowThere(by)) = mishap { takes + by } else { takes };
        let clock = START + now + ahead;
        let sent = Sent { by: (at, life), line, number, call, job, clock, at: now, mishap };
        self.after(takes, Event::Arrives(Box::new(sent)));
    }

    /// A call reaches the database.
    pub(super) fn arrives(&mut self, sent: Sent) {
        let Sent { by, line, number, call, job, clock, at, mishap } = sent;
        let now = self.now;
        let silent = self.nodes[by.0].database_silent_until > now || mishap == Some(Mishap::LostThere);
        if silent {
            return;
        }
        let reaches = line.1 == self.database.generation && self.database.down_until <= now;
        let id = id_of(by);
        let reply = if reaches {
            self.database.execute((id, self.times.ttl), (call, job), (now, clock))
        } else {
            LeaseReply::Failed
        };
        self.granted(by, at, reply);
        if reply == LeaseReply::Resigned {
            self.resigned(by);
        }
        let takes = 1 + self.random.below(4);
        let (takes, reply) = match mishap {
            Some(Mishap::SlowBack(more)) => (takes + more, reply),
            Some(Mishap::LostBack) => return,
            Some(Mishap::CutBack) => (takes, LeaseReply::Failed),
            _ => (takes, reply),
        };
        self.after(takes, Event::Replied { to: by, line: line.0, number, reply });
    }

    /// What is in flight has ended; whoever follows may be told.
    fn resigned(&mut self, by: (usize, u32)) {
        if let Some(engine) = self.nodes[by.0].engine().filter(|_| self.nodes[by.0].life == by.1)
            && engine.in_flight() > 0
        {
            let in_flight = engine.in_flight();
            self.watch.fail(format!("node {} resigned with {in_flight} in flight", by.0));
        }
        if self.is_lossy && !self.calm && self.random.chance(20) {
            let after = 100 + self.random.below(500);
            self.after(after, Event::Promotes);
        }
        for at in (0..self.nodes.len()).filter(|at| *at != by.0) {
            if self.nodes[at].stopped_until <= self.now && self.random.chance(50) {
                self.tell(at, Todo::Member(LeaseInput::Hint));
            }
        }
    }

    /// Everything was read: the engine starts from it.
    fn begin(&mut self, at: usize, job: u64, todos: &mut Todos) {
        let reading = self.nodes[at].reading(self.now);
        let rules = self.rules;
        let Some(process) = &mut self.nodes[at].process else { return };
        let Some(read) = self.database.loaded(process.id, job) else { return };
        let has_link = process.link.is_some();
        let Some(leader) = &mut process.leader else { return };
        let files = if read.revisions.is_empty() { self.files.clone() } else { read.of_files() };
        let read = match self.fault {
            Some(ClusterFault::CoalesceWhatMayHaveBeenSent) => {
                Snapshot { handed: read.settled, reached: read.settled, ..read }
            }
            Some(ClusterFault::SettleWhatMayHaveBeenSent) => Snapshot { settled: read.handed, ..read },
            _ => read,
        };
        leader.engine = Some(Box::new(Engine::start(rules, read, reading)));
        let until = leader.trusted_until;
        if leader.draining.is_some() {
            todos.push_back(Todo::Engine(Input::Drain));
        }
        todos.push_back(Todo::Engine(Input::Trust(self.trust_told(until))));
        todos.push_back(Todo::Engine(Input::Link(has_link)));
        todos.push_back(Todo::Engine(Input::Load(files)));
    }

    fn step_engine(&mut self, at: usize, input: Input, todos: &mut Todos) {
        let (reading, by) = (self.nodes[at].reading(self.now), (at, self.nodes[at].life));
        let Some(process) = &mut self.nodes[at].process else { return };
        let Some(leader) = &mut process.leader else { return };
        let Some(engine) = &mut leader.engine else { return };
        let term = leader.term;
        let actions = engine.step(reading, input);
        let has_work = engine.has_work();
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
        self.go_on_draining(at, todos);
    }

    /// What was handed over is given to the broker's connection, if there is one, and the time has not run out.
    pub(super) fn give(&mut self, by: (usize, u32), term: u64, handovers: &[Handover]) {
        let (at, _) = by;
        let trusts =
            self.nodes[at].trusts(self.now) || self.fault == Some(ClusterFault::SendAfterTheDeadline);
        let mut lost = Vec::new();
        for handover in handovers {
            let Some(process) = &mut self.nodes[at].process else { return };
            let link = process.link.filter(|_| trusts);
            let Some(leader) = process.leader.as_mut().filter(|leader| leader.term == term) else { return };
            if !leader.unanswered.contains_key(&handover.token) {
                continue;
            }
            match link {
                Some(link) => {
                    self.handed_over(by, term, handover);
                    self.send_frame(by, link, term, Some(Box::new(handover.clone())));
                }
                None => {
                    leader.unanswered.remove(&handover.token);
                    lost.push((handover.token, Answer::Lost));
                }
            }
        }
        if !lost.is_empty() {
            self.tell(at, Todo::Engine(Input::Settled(lost)));
        }
    }

    fn send_frame(&mut self, by: (usize, u32), link: u64, term: u64, handover: Option<Box<Handover>>) {
        // What lies in the kernel comes whenever that is.
        let takes = if !self.calm && self.random.chance(3) { 100 + self.random.below(3_000) } else { 0 };
        let takes = takes + 1 + self.random.below(5);
        self.after(takes, Event::Frame { by, link, term, handover });
    }

    /// A frame reaches the broker.
    pub(super) fn frame(&mut self, by: (usize, u32), link: u64, term: u64, handover: Option<&Handover>) {
        if !self.broker_is_up || self.nodes[by.0].broker_silent_until > self.now {
            return;
        }
        let token = handover.map(|handover| handover.token);
        if let Some(handover) = handover {
            if !self.has_lost() {
                self.clients.arrived(handover);
            }
            let (id, body) = rendered(handover);
            self.arrivals.push(Arrival {
                id,
                body,
                schedule: handover.schedule.name.clone(),
                creation: handover.schedule.creation,
                revision: handover.era.number,
                stands_for: handover.stands_for,
                send_time: send_time(handover),
                highest: self.watch.highest,
                era: 0,
            });
        }
        let takes = 1 + self.random.below(10);
        self.after(takes, Event::Confirmed { to: by, link, term, token });
    }

    /// The broker confirms something.
    pub(super) fn confirmed(&mut self, at: usize, link: u64, term: u64, token: Option<u64>) {
        let Some(process) = &mut self.nodes[at].process else { return };
        if process.link != Some(link) {
            return;
        }
        let leader = process.leader.as_mut().filter(|leader| leader.term == term);
        let token = token.filter(|token| leader.is_some_and(|one| one.unanswered.remove(token).is_some()));
        self.tell(at, Todo::Member(LeaseInput::Confirmed));
        if let Some(token) = token {
            let answers = vec![(token, Answer::Confirmed { returned: false })];
            self.tell(at, Todo::Engine(Input::Settled(answers)));
        }
    }

    /// The connection to the broker ends: nobody knows of what is unanswered.
    pub(super) fn unlink(&mut self, at: usize) {
        let Some(process) = &mut self.nodes[at].process else { return };
        if process.link.take().is_none() {
            return;
        }
        let unanswered = process.leader.as_mut().map(|leader| std::mem::take(&mut leader.unanswered));
        let lost = unanswered.unwrap_or_default().into_keys().map(|token| (token, Answer::Lost)).collect();
        self.tell(at, Todo::Engine(Input::Link(false)));
        self.tell(at, Todo::Engine(Input::Settled(lost)));
        let (after, life) = (100 + self.random.below(200), self.nodes[at].life);
        self.after(after, Event::Links(at, life));
    }

    pub(super) fn link(&mut self, at: usize) {
        let life = self.nodes[at].life;
        if !self.broker_is_up || self.nodes[at].broker_silent_until > self.now {
            return self.after(200, Event::Links(at, life));
        }
        self.last_link += 1;
        let link = self.last_link;
        let Some(process) = &mut self.nodes[at].process else { return };
        process.link = Some(link);
        self.tell(at, Todo::Engine(Input::Link(true)));
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
    }

    fn go_on_draining(&mut self, at: usize, todos: &mut Todos) {
        let now = self.now;
        let Some(process) = &mut self.nodes[at].process else { return };
        let Some(leader) = &mut process.leader else { return };
        let (Some(engine), Some(draining)) = (&leader.engine, &mut leader.draining) else { return };
        let is_over = engine.in_flight() == 0 || now >= draining.since + DRAIN;
        if !draining.is_flushed && is_over {
            draining.is_flushed = true;
            let lost = std::mem::take(&mut leader.unanswered).into_keys().map(|token| (token, Answer::Lost));
            todos.push_back(Todo::Engine(Input::Settled(lost.collect())));
            todos.push_back(Todo::Engine(Input::Flush));
        } else if draining.is_flushed && !draining.is_told && todos.is_empty() && engine.is_written() {
            draining.is_told = true;
            todos.push_back(Todo::Member(LeaseInput::Drained));
        }
    }
}
