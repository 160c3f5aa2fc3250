//! Commands to the loop. A command that changes something is answered once the change is durable.

use super::{
    ClockLoop, Command, Decided, DecidedAnswer,
    changes::TOO_MANY_MESSAGES,
    handle::{
        CalendarStatus, ChangesAnswer, EarlierAnswer, KEPT, NEIGHBOURS, NotDecided, PAGE, PauseChanged,
        Unchanged,
    },
    operations::OperationPromises,
    pauses::{PauseChange, PausePromises},
    triggers::TriggerPromises,
};
use crate::engine::{Asker, CreatedCalendar, Engine, Input, Message, Parked, PauseEnd, Triggered, Verdict};
use std::{collections::BTreeMap, ops::Bound, sync::Arc, time::Duration};
use tokio::sync::oneshot;
use tracing::warn;

/// An answer that is given once the write with this ticket is durable.
pub(super) struct Promise(pub(super) u64, pub(super) Decided, pub(super) oneshot::Sender<DecidedAnswer>);

/// Who waits until everything that was decided is written, or a pause is, or changes are, by the number of their command.
#[derive(Debug, Default)]
pub(super) struct Writes {
    last: u64,
    waiting: BTreeMap<u64, oneshot::Sender<Result<(), String>>>,
    pub(super) pauses: PausePromises,
    pub(super) triggers: TriggerPromises,
    pub(super) operations: OperationPromises,
    pub(super) requests: BTreeMap<u64, oneshot::Sender<ChangesAnswer>>,
    answers: BTreeMap<u64, (Vec<Verdict>, oneshot::Sender<EarlierAnswer>)>,
}

/// In the name of whoever asks.
pub(super) fn by(asker: Option<Box<Asker>>, input: Input) -> Input {
    match asker {
        Some(asker) => Input::By(asker, Box::new(input)),
        None => input,
    }
}

impl Writes {
    /// The disk fails: nobody waits for it.
    pub(super) fn fail(&mut self, why: &str) {
        for (_, reply) in std::mem::take(&mut self.waiting) {
            drop(reply.send(Err(why.to_owned())));
        }
        self.pauses.fail(why);
        self.triggers.fail(why);
        self.operations.fail(why);
        for (_, (_, reply)) in std::mem::take(&mut self.answers) {
            drop(reply.send(Err(why.to_owned())));
        }
        for (_, reply) in std::mem::take(&mut self.requests) {
            let what = format!(
                "whether it is done is not known before the store can be written again, for that fails: {why}; ask again then, what was done is not done twice"
            );
            drop(reply.send(Err(NotDecided::Unknown(what))));
        }
    }

    pub(super) fn next_command(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// What was decided about a command that asks for no change of schedules: it is refused, or is answered as before.
    pub(super) fn decided(&mut self, command: u64, verdict: Verdict) {
        match verdict {
            Verdict::Paused { pause, was_paused } => {
                let before = was_paused.then(|| pause.clone());
                let changed =
                    PauseChanged { before, ended: None, after: Some(pause), count: 1, left_out: Vec::new() };
                self.pauses.keep_again(command, changed);
            }
            Verdict::Resumed { pause, through, how } => {
                let ended = pause.as_ref().map(|_| PauseEnd { at: through, on_resume: how });
                let count = usize::from(pause.is_some());
                let changed = PauseChanged { before: pause, ended, after: None, count, left_out: Vec::new() };
                self.pauses.keep_again(command, changed);
            }
            Verdict::Triggered { due, creation } => {
                self.triggers.keep_one(command, Triggered { due, creation });
            }
            Verdict::Refused(refusal) => {
                self.triggers.refuse(command, Unchanged::Refused(refusal.clone()));
                self.operations.refuse(command, Unchanged::Refused(refusal.clone()));
                self.pauses.refuse(command, Unchanged::Refused(refusal));
            }
            Verdict::Created { .. }
            | Verdict::Changed { .. }
            | Verdict::Unchanged { .. }
            | Verdict::Deleted { .. }
            | Verdict::Settled { .. }
            | Verdict::GoneAlready => {}
        }
    }
}

impl ClockLoop {
    /// A reply that nobody waits for any more is dropped.
    pub(super) fn on_command(&mut self, command: Command) {
        match command {
            Command::By(asker, command) => self.on_command_of(Some(asker), *command),
            command => self.on_command_of(None, command),
        }
    }

    fn on_command_of(&mut self, asker: Option<Box<Asker>>, command: Command) {
        match command {
            Command::By(_, command) => self.on_command_of(asker, *command),
            Command::Schedules(after, reply) => {
                let page = self.engine.running_after(after.as_deref()).take(PAGE);
                drop(reply.send(page.collect()));
            }
            Command::Soonest(most, reply) => drop(reply.send(self.engine.soonest(most.min(PAGE)).collect())),
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
                self.decide_parked(asker, numbers, (Input::Release, is_free), reply);
            }
            Command::Drop(numbers, reply) => {
                self.decide_parked(asker, numbers, (Input::Drop, Engine::is_droppable), reply);
            }
            Command::Pause(asked, reply) => self.change_pause(asker, PauseChange::Pause(asked), reply),
            Command::Resume(scope, how, reply) => {
                self.change_pause(asker, PauseChange::Resume(scope, how), reply)
            }
            Command::Trigger(name, asked, reply) => self.trigger(asker, (name, asked), reply),
            Command::Covered(name, queue, reply) => {
                drop(reply.send(self.engine.covered(&name, queue.as_deref())));
            }
            Command::Operate(id, operation, reply) => {
                let begin = |id| move |command| Input::Operate { command, id, operation };
                self.operate(asker, (id.clone(), begin(id)), reply);
            }
            Command::Cancel(id, reply) => {
                let cancel = |id| move |command| Input::Cancel { command, id };
                self.operate(asker, (id.clone(), cancel(id)), reply);
            }
            Command::Operation(id, reply) => drop(reply.send(self.operation(&id))),
            Command::Operations(after, reply) => drop(reply.send(self.operations(after.as_ref()))),
            Command::Calendars(from, reply) => {
                let page = self.engine.created_calendars(&from).take(PAGE);
                drop(reply.send(page.map(|one| self.calendar_status(one)).collect()));
            }
            Command::Calendar(name, reply) => {
                let found = self.engine.created_calendar(&name);
                drop(reply.send(found.map(|one| self.calendar_status(one))));
            }
            Command::Change(asked, reply) => self.change_schedules(asked, reply),
            Command::ChangeDelayed(asked, reply) => self.change_delayed(asked, reply),
            Command::UnparkDelayed(asked, reply) => self.unpark_delayed(asked, reply),
            Command::Answered(owner, message, changes, reply) => {
                self.tell_again((owner, message, changes), reply);
            }
            Command::Reload(reply) => self.read_schedules(Some((reply, asker))),
        }
    }

    /// A number for the engine's answer.
    pub(super) fn next_command(&mut self) -> u64 {
        self.writes.next_command()
    }

    fn calendar_status(&self, calendar: &Arc<CreatedCalendar>) -> CalendarStatus {
        CalendarStatus { calendar: calendar.clone(), users: self.engine.users_of(&calendar.name) }
    }

    fn tell_again(
        &mut self,
        (owner, message, changes): (Arc<str>, Message, usize),
        reply: oneshot::Sender<EarlierAnswer>,
    ) {
        let Some(verdicts) = self.engine.answer_again(&owner, &message, changes) else {
            return drop(reply.send(Ok(None)));
        };
        if self.engine.is_written() {
            return drop(reply.send(Ok(Some(verdicts))));
        }
        let command = self.next_command();
        self.writes.answers.insert(command, (verdicts, reply));
        self.step(Input::Write { command });
    }

    fn write(&mut self, reply: oneshot::Sender<Result<(), String>>) {
        if let Some(why) = &self.store_failing {
            return drop(reply.send(Err(why.clone())));
        }
        let command = self.next_command();
        self.writes.waiting.retain(|_, waiting| !waiting.is_closed());
        self.writes.waiting.insert(command, reply);
        self.step(Input::Write { command });
    }

    /// They changed nothing, as `refused` says.
    pub(super) fn refuse(&mut self, commands: &[u64], why: &str, refused: impl Fn(String) -> NotDecided) {
        warn!(?commands, "{why}: these commands changed nothing");
        let refused = refused(format!("nothing changed, for {why}; try again later"));
        let unchanged = Unchanged::from(refused.clone());
        for command in commands {
            if let Some(reply) = self.writes.requests.remove(command) {
                drop(reply.send(Err(refused.clone())));
                continue;
            }
            self.writes.triggers.refuse(*command, unchanged.clone());
            self.writes.operations.refuse(*command, unchanged.clone());
            self.writes.pauses.refuse(*command, unchanged.clone());
        }
    }

    /// There is no room for the answers to these messages before the oldest of those that are kept is a day old.
    pub(super) fn refuse_messages(&mut self, commands: &[u64]) {
        let millis = self.engine.message_room_in().unwrap_or_default();
        let wait = Duration::from_millis(u64::try_from(millis).unwrap_or_default());
        self.refuse(commands, TOO_MANY_MESSAGES, |what| NotDecided::NoRoom(what, wait));
    }

    /// What the engine writes behind was given to the store before: that is waited for apart from the loop.
    pub(super) fn on_durable(&mut self, commands: &[u64]) {
        commands.iter().for_each(|command| self.writes.pauses.keep(*command, &self.engine));
        commands.iter().for_each(|command| self.writes.operations.keep(*command, &self.engine));
        for (verdicts, reply) in commands.iter().filter_map(|command| self.writes.answers.remove(command)) {
            drop(reply.send(Ok(Some(verdicts))));
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
        asker: Option<Box<Asker>>,
        numbers: Vec<u64>,
        (decision, is_free): (impl Fn(Vec<u64>) -> Input, impl Fn(&Engine, u64) -> bool),
        reply: oneshot::Sender<DecidedAnswer>,
    ) {
        if let Some(why) = &self.store_failing {
            let what = format!("nothing changed, for the store can't be written: {why}");
            return drop(reply.send(Err(NotDecided::Unavailable(what))));
        }
        let mut decided = Decided::default();
        for number in numbers {
            match self.engine.parked().get(&number) {
                Some(parked) if !self.is_his(asker.as_deref(), parked) => {}
                Some(_) if !is_free(&self.engine, number) => decided.being_sent.push(number),
                Some(_) => decided.done.push(number),
                None => {}
            }
        }
        // Where nothing changes, there may be no further write.
        let ticket = if decided.done.is_empty() { 0 } else { self.engine.next_write() };
        let decision = decision(decided.done.clone());
        self.promised.push(Promise(ticket, decided, reply));
        self.step(by(asker, decision));
    }

    /// Whether a parked event is of his domains, whoever had its number when he looked.
    fn is_his(&self, asker: Option<&Asker>, parked: &Parked) -> bool {
        let Some(Asker { by, .. }) = asker.filter(|asker| !asker.by.is_of_everything) else { return true };
        let revision = self.engine.revision(&(parked.schedule.clone(), parked.revision));
        revision.is_some_and(|revision| (by.covers)(revision.definition.event()))
    }

    /// Answers commands once what they changed is durable.
    pub(super) fn keep_promises(&mut self) {
        let kept = |promise: &mut Promise| self.engine.is_durable(promise.0);
        for Promise(_, decided, reply) in self.promised.extract_if(.., kept) {
            drop(reply.send(Ok(decided)));
        }
    }

    /// The disk fails: nobody waits for it.
    pub(super) fn fail_promises(&mut self, why: &str) {
        for Promise(_, _, reply) in self.promised.drain(..) {
            let what =
                format!("it is done, but the store can't be written, and a restart may forget it: {why}");
            drop(reply.send(Err(NotDecided::Unknown(what))));
        }
    }
}
