//! Commands to the loop. A command that changes something is answered once the change is durable.

use super::{
    ClockLoop, Command, Decided,
    handle::{KEPT, NEIGHBOURS, PAGE, PauseAnswer, PauseChanged, PauseFor, PauseLength, Unchanged},
};
use crate::engine::{ClockState, Engine, Input, Notice, OnResume, Parked, PauseEnd, PauseRequest, Scope};
use ponos::event::Timestamp;
use std::{collections::BTreeMap, ops::Bound};
use tokio::sync::oneshot;
use tracing::warn;

/// An answer that is given once the write with this ticket is durable.
pub(super) struct Promise(u64, Decided, oneshot::Sender<Decided>);

/// Who waits until everything that was decided is written, or a pause is, by the number of their command.
#[derive(Debug, Default)]
pub(super) struct Writes {
    last: u64,
    waiting: BTreeMap<u64, oneshot::Sender<Result<(), String>>>,
    pauses: BTreeMap<u64, PausePromise>,
}

/// Who waits until a pause, or a resume, is durable.
#[derive(Debug)]
struct PausePromise {
    is_resume: bool,
    /// As far as it is known.
    changed: PauseChanged,
    reply: oneshot::Sender<PauseAnswer>,
}

impl Writes {
    /// The disk fails: nobody waits for it.
    pub(super) fn fail(&mut self, why: &str) {
        for (_, reply) in std::mem::take(&mut self.waiting) {
            drop(reply.send(Err(why.to_owned())));
        }
        for (_, PausePromise { is_resume, reply, .. }) in std::mem::take(&mut self.pauses) {
            let what = match is_resume {
                true => {
                    "the pause has ended, but the store can't be written: nothing is sent before it can, and after a restart until then the clock is paused"
                }
                false => "it is in effect, but the store can't be written, and a restart may forget it",
            };
            drop(reply.send(Err(Unchanged::Unavailable(format!("{what}: {why}")))));
        }
    }

    /// A pause that ends was maybe not ended by whoever waits: its own end may come first.
    pub(super) fn notice(&mut self, notice: &Notice) {
        let Notice::Resumed { through, how, .. } = notice else { return };
        for promise in self.pauses.values_mut() {
            promise.changed.ended.get_or_insert(PauseEnd { at: *through, on_resume: *how });
        }
    }

    fn answer_pause(&mut self, command: u64, why: Unchanged) {
        if let Some(promise) = self.pauses.remove(&command) {
            drop(promise.reply.send(Err(why)));
        }
    }
}

/// A change of the present pause.
enum PauseChange {
    Pause(PauseFor),
    Resume(OnResume),
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
            Command::Pause(asked, reply) => self.change_pause(PauseChange::Pause(asked), reply),
            Command::Resume(how, reply) => self.change_pause(PauseChange::Resume(how), reply),
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

    fn change_pause(&mut self, change: PauseChange, reply: oneshot::Sender<PauseAnswer>) {
        if let Some(why) = &self.store_failing {
            let what = format!("nothing changed, for the store can't be written: {why}");
            return drop(reply.send(Err(Unchanged::Unavailable(what))));
        }
        self.writes.last += 1;
        let command = self.writes.last;
        let is_resume = matches!(change, PauseChange::Resume(_));
        let changed = PauseChanged { before: self.engine.paused().cloned(), ..PauseChanged::default() };
        self.writes.pauses.insert(command, PausePromise { is_resume, changed, reply });
        // How the clock is may have changed since the last step.
        self.step(Input::Tick);
        match self.pause_input(command, change) {
            Ok(input) => self.step(input),
            Err(why) => self.writes.answer_pause(command, why),
        }
        self.show_status();
    }

    fn pause_input(&self, command: u64, change: PauseChange) -> Result<Input, Unchanged> {
        if matches!(self.engine.clock(), ClockState::Held { .. }) {
            let what = format!(
                "nothing changed, for the wall clock jumped ahead and is held until it has proved stable; nothing is sent meanwhile: try again once it is believed, {} s after the jump (clock.settle)",
                self.settle as f64 / 1_000.0
            );
            return Err(Unchanged::Unavailable(what));
        }
        let scope = Scope::All;
        Ok(match change {
            PauseChange::Pause(PauseFor { by, note, end }) => {
                let until = end.map(|(length, on_resume)| self.pause_end(length, on_resume)).transpose()?;
                Input::Pause { command, scope, request: PauseRequest { by, note, until } }
            }
            PauseChange::Resume(how) => Input::Resume { command, scope, how },
        })
    }

    /// By the engine's time, which ends the pause: where the wall clock was set back, that is ahead of it.
    fn pause_end(&self, length: PauseLength, on_resume: OnResume) -> Result<PauseEnd, Unchanged> {
        let now = self.engine.now();
        match length {
            PauseLength::For(millis) => Ok(PauseEnd { at: now.plus(millis), on_resume }),
            PauseLength::Until(at) if at > now => Ok(PauseEnd { at, on_resume }),
            PauseLength::Until(at) => Err(Unchanged::Invalid(is_past(at, now, self.stepped_at))),
        }
    }

    /// They changed nothing.
    pub(super) fn refuse(&mut self, commands: &[u64], why: &str) {
        warn!(?commands, "{why}: these commands changed nothing");
        for command in commands {
            let what = format!("nothing changed, for {why}; try again later");
            self.writes.answer_pause(*command, Unchanged::Unavailable(what));
        }
    }

    /// What the engine writes behind was given to the store before: that is waited for apart from the loop.
    pub(super) fn on_durable(&mut self, commands: &[u64]) {
        for promise in commands.iter().filter_map(|command| self.writes.pauses.remove(command)) {
            let after = self.engine.paused().cloned();
            drop(promise.reply.send(Ok(PauseChanged { after, ..promise.changed })));
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

/// Why a pause can't end at this instant.
fn is_past(at: Timestamp, now: Timestamp, wall: Timestamp) -> String {
    match now > wall {
        true => format!(
            "until: {at} is past: the clock had come to {now} before it was set back, and counts from there"
        ),
        false => format!("until: {at} is past; it is {now}"),
    }
}
