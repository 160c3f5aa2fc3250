//! Commands to the loop. A command that changes something is answered once the change is durable.

use super::{
    ClockLoop, Command, Decided,
    handle::{KEPT, NEIGHBOURS, PAGE, PauseChanged},
};
use crate::engine::{ClockState, Engine, Input, Parked, Pause, Scope};
use std::{collections::BTreeMap, ops::Bound};
use tokio::sync::oneshot;

/// An answer that is given once the write with this ticket is durable.
pub(super) struct Promise(u64, Decided, oneshot::Sender<Decided>);

/// Who waits until everything that was decided is written, or a pause is, by the number of their command.
#[derive(Debug, Default)]
pub(super) struct Writes {
    last: u64,
    waiting: BTreeMap<u64, oneshot::Sender<Result<(), String>>>,
    /// With the pause as it was before.
    pauses: BTreeMap<u64, (Option<Pause>, oneshot::Sender<PauseChanged>)>,
}

impl Writes {
    /// The disk fails: nobody waits for it.
    pub(super) fn fail(&mut self, why: &str) {
        for (_, reply) in std::mem::take(&mut self.waiting) {
            drop(reply.send(Err(why.to_owned())));
        }
        for (_, (_, reply)) in std::mem::take(&mut self.pauses) {
            let what = format!(
                "it is in effect, but the store can't be written, and a restart may forget it: {why}"
            );
            drop(reply.send(Err(what)));
        }
    }
}

impl ClockLoop {
    /// A reply that nobody waits for any more is dropped.
    pub(super) fn on_command(&mut self, command: Command) {
        match command {
            Command::Schedules(after, reply) => {
                let page = self.engine.running_after(after.as_deref()).take(PAGE);
                drop(reply.send(page.collect()));
            }
            Command::Schedule(name, reply) => drop(reply.send(self.engine.running(&name))),
            Command::Neighbours(name, reply) => {
                drop(reply.send(self.engine.neighbours(&name, NEIGHBOURS).cloned().collect()));
            }
            Command::Revision(name, number, reply) => {
                drop(reply.send(self.engine.revision(&(name, number))));
            }
            Command::Kept(after, reply) => drop(reply.send(self.engine.kept_after(after.as_ref(), KEPT))),
            Command::Oldest(after, reply) => drop(reply.send(self.engine.oldest_after(after.as_ref(), KEPT))),
            Command::Parked(after, reply) => {
                let from = after.map_or(Bound::Unbounded, Bound::Excluded);
                let page = self.engine.parked().range((from, Bound::Unbounded)).take(PAGE);
                let entry = |(number, parked): (&u64, &Parked)| {
                    (*number, parked.clone(), self.engine.is_being_sent(*number))
                };
                drop(reply.send(page.map(entry).collect()));
            }
            Command::Write(reply) => self.write(reply),
            Command::Release(numbers, reply) => {
                let is_free = |engine: &Engine, number| !engine.is_being_sent(number);
                self.decide_parked(numbers, Input::Release, is_free, reply);
            }
            Command::Drop(numbers, reply) => {
                self.decide_parked(numbers, Input::Drop, Engine::is_droppable, reply);
            }
            Command::Pause(request, reply) => {
                self.change_pause(reply, |command| Input::Pause { command, scope: Scope::All, request });
            }
            Command::Resume(how, reply) => {
                self.change_pause(reply, |command| Input::Resume { command, scope: Scope::All, how });
            }
            Command::Reload(reply) => self.read_schedules(Some(reply)),
        }
    }

    fn write(&mut self, reply: oneshot::Sender<Result<(), String>>) {
        if let Some(why) = &self.store_failing {
            return drop(reply.send(Err(why.clone())));
        }
        self.writes.last += 1;
        self.writes.waiting.retain(|_, waiting| !waiting.is_closed());
        self.writes.waiting.insert(self.writes.last, reply);
        self.step(Input::Write { command: self.writes.last });
    }

    fn change_pause(&mut self, reply: oneshot::Sender<PauseChanged>, change: impl FnOnce(u64) -> Input) {
        if let Some(why) = &self.store_failing {
            return drop(reply.send(Err(format!("nothing changed, for the store can't be written: {why}"))));
        }
        if matches!(self.engine.clock(), ClockState::Held { .. }) {
            let held = "nothing changed, for the wall clock jumped ahead and is held until it has proved stable; nothing is sent meanwhile: try again in a minute";
            return drop(reply.send(Err(held.to_owned())));
        }
        self.writes.last += 1;
        let before = self.engine.paused().cloned();
        self.writes.pauses.insert(self.writes.last, (before, reply));
        self.step(change(self.writes.last));
        self.show_status();
    }

    /// They changed nothing.
    pub(super) fn on_too_many(&mut self, commands: &[u64]) {
        for (_, reply) in commands.iter().filter_map(|command| self.writes.pauses.remove(command)) {
            let what = "nothing changed, for too much else waits to be written, or what is skipped of many earlier pauses is not settled yet; try again later";
            drop(reply.send(Err(what.to_owned())));
        }
    }

    /// What the engine writes behind was given to the store before: that is waited for apart from the loop.
    pub(super) fn on_durable(&mut self, commands: &[u64]) {
        for (before, reply) in commands.iter().filter_map(|command| self.writes.pauses.remove(command)) {
            drop(reply.send(Ok((before, self.engine.paused().cloned()))));
        }
        for mut reply in commands.iter().filter_map(|command| self.writes.waiting.remove(command)) {
            let store = self.store.clone();
            tokio::spawn(async move {
                tokio::select! {
                    flushed = store.flush() => drop(reply.send(flushed.map_err(|error| error.to_string()))),
                    () = reply.closed() => {}
                }
            });
        }
    }

    fn decide_parked(
        &mut self,
        numbers: Vec<u64>,
        decision: impl Fn(Vec<u64>) -> Input,
        is_free: impl Fn(&Engine, u64) -> bool,
        reply: oneshot::Sender<Decided>,
    ) {
        let mut decided = Decided::default();
        for number in numbers {
            match self.engine.parked().get(&number) {
                Some(_) if !is_free(&self.engine, number) => decided.being_sent.push(number),
                Some(_) => decided.done.push(number),
                None => {}
            }
        }
        // Where nothing changes, there may be no further write.
        let ticket = if decided.done.is_empty() { 0 } else { self.engine.next_write() };
        let decision = decision(decided.done.clone());
        self.promised.push(Promise(ticket, decided, reply));
        self.step(decision);
    }

    /// Answers commands once what they changed is durable.
    pub(super) fn keep_promises(&mut self) {
        let kept = |promise: &mut Promise| self.engine.is_durable(promise.0);
        for Promise(_, decided, reply) in self.promised.extract_if(.., kept) {
            drop(reply.send(decided));
        }
    }
}
