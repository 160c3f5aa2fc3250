//! Commands to the loop. A command that changes something is answered once the change is durable.

use super::{
    ClockLoop, Command, Decided,
    handle::{KEPT, NEIGHBOURS, PAGE},
};
use crate::engine::Input;
use std::ops::Bound;
use tokio::sync::oneshot;

/// An answer that is given once the write with this ticket is durable.
pub(super) struct Promise(u64, Decided, oneshot::Sender<Decided>);

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
            Command::Parked(after, reply) => {
                let from = after.map_or(Bound::Unbounded, Bound::Excluded);
                let page = self.engine.parked().range((from, Bound::Unbounded)).take(PAGE);
                drop(reply.send(page.map(|(number, parked)| (*number, parked.clone())).collect()));
            }
            Command::Release(numbers, reply) => self.decide_parked(numbers, Input::Release, reply),
            Command::Drop(numbers, reply) => self.decide_parked(numbers, Input::Drop, reply),
            Command::Reload(reply) => self.read_schedules(Some(reply)),
        }
    }

    fn decide_parked(
        &mut self,
        numbers: Vec<u64>,
        decision: impl Fn(Vec<u64>) -> Input,
        reply: oneshot::Sender<Decided>,
    ) {
        let mut decided = Decided::default();
        for number in numbers {
            match self.engine.parked().get(&number) {
                Some(parked) if parked.released => decided.being_sent.push(number),
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
