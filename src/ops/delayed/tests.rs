//! Delayed events are put, changed, listed and sent, by a machine that runs over a store in memory.

mod asked;
mod bounds;
mod logs;
mod parked;
mod seen;

use super::*;
use crate::{
    authority::{Caller, Domains, Quota, Role},
    clock_loop::{Command, Decided, DelayedAsked, Handle, Status, UnparkAsked},
    config::MetricsConfig,
    delayed::{
        DelayedAction, DelayedContent, DelayedHandle, DelayedInput, DelayedLimits, DelayedMemory,
        DelayedRequest, DelayedRules, DelayedStep, DelayedStore, DelayedTuning, Marks, MemoryDelayed,
        ParkedHead, Sending, UnparkRequest, Unparked, open_memory,
    },
    engine::{Ceilings, Outcome, Verdict},
    ops::{RecordReader, RunningClock},
    schedule::CalendarStore,
    store::Page,
    telemetry::Counts,
};
use ponos::{broker::Link, event::Timestamp};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{mpsc, watch};

/// What the clock believes the time to be.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// The machine of delayed events, over a store in memory: it decides and writes at once, and sends nothing.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    pub(crate) disk: DelayedMemory,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    store: MemoryDelayed,
    sending: Sending,
    marks: Marks,
    commands: u64,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let disk = DelayedMemory::default();
        let mut store = disk.open("khronos", DelayedLimits::default()).unwrap();
        let sending = Sending::new(DelayedRules::default(), &store.load().unwrap());
        let marks = Marks { now: NOW, handed: NOW, reached: NOW, created: 0, since: None };
        Self { disk, state: Arc::new(Mutex::new(State { store, sending, marks, commands: 0 })) }
    }

    /// What reads its store, as the service does.
    pub(crate) async fn handle(&self) -> DelayedHandle {
        let (limits, tuning) = (DelayedLimits::default(), DelayedTuning::default());
        open_memory(self.disk.clone(), "khronos".into(), limits, tuning).await.unwrap().0
    }

    /// What becomes of a request.
    pub(crate) fn decide(&self, asked: DelayedAsked) -> Vec<Verdict> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.commands += 1;
        let DelayedAsked { by, message, atomic, changes, .. } = asked;
        let request = DelayedRequest { command: state.commands, by, message, atomic, changes };
        state.play(DelayedInput::Change(Box::new(request))).0.expect("each request is decided")
    }

    /// What becomes of a request about parked events.
    pub(crate) fn unpark(&self, UnparkAsked { by, what, creations }: UnparkAsked) -> Decided {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.commands += 1;
        let request = UnparkRequest { command: state.commands, by, what, creations };
        let unparked = state.play(DelayedInput::Unpark(Box::new(request))).1;
        let Unparked { done, being_sent } = unparked.expect("each request is decided");
        Decided { done, being_sent }
    }

    /// Up to this instant something may have been sent.
    pub(crate) fn reach(&self, reached: Timestamp) {
        self.state.lock().unwrap().marks.reached = reached;
    }

    /// What of the pending event of this name is published.
    pub(crate) fn content(&self, name: &str) -> DelayedContent {
        let state = self.state.lock().unwrap();
        let reader = state.store.reader();
        let found = reader.find(&[name.into()]).unwrap().pop();
        let Some(crate::delayed::Found::Pending(head)) = found else { panic!("{name}: {found:?}") };
        reader.events(&[head.key]).unwrap().pop().flatten().expect("it is pending").content
    }

    /// The event of this name is sent.
    pub(crate) fn settle(&self, name: &str) {
        self.end(name, Outcome::Confirmed { sent_at: NOW, lateness: 0, returned: false });
    }

    /// The same, and its row keeps what was published.
    pub(crate) fn publish(&self, name: &str) {
        self.end_with(name, Outcome::Confirmed { sent_at: NOW.plus(3), lateness: 3, returned: false }, true);
    }

    /// The event of this name has ended so.
    pub(crate) fn end(&self, name: &str, outcome: Outcome) {
        self.end_with(name, outcome, false);
    }

    fn end_with(&self, name: &str, outcome: Outcome, keeps_content: bool) {
        let mut state = self.state.lock().unwrap();
        let found = state.store.reader().find(&[name.into()]).unwrap().pop();
        let Some(crate::delayed::Found::Pending(head)) = found else { panic!("{name}: {found:?}") };
        let settle = DelayedStep::Settle { key: head.key, outcome, keeps_content };
        let batch = crate::delayed::DelayedBatch { now: NOW, steps: vec![settle], ..Default::default() };
        state.store.write(0, &batch).unwrap();
    }

    /// Answers what is asked of the loop about delayed events.
    pub(crate) async fn play(self, mut asked: mpsc::Receiver<Command>) {
        while let Some(command) = asked.recv().await {
            match command {
                Command::ChangeDelayed(asked, reply) => drop(reply.send(Ok(self.decide(asked)))),
                Command::UnparkDelayed(asked, reply) => drop(reply.send(Ok(self.unpark(asked)))),
                _ => {}
            }
        }
    }
}

impl State {
    /// Decides and writes at once.
    fn play(&mut self, first: DelayedInput) -> (Option<Vec<Verdict>>, Option<Unparked>) {
        let mut inputs = vec![first];
        let (mut verdicts, mut unparked) = (None, None);
        // Very many are decided in several steps.
        let wait = |is_answered: bool| (!is_answered).then_some(DelayedInput::Tick);
        while let Some(input) = inputs.pop().or_else(|| wait(verdicts.is_some() || unparked.is_some())) {
            let marks = self.marks;
            for action in self.sending.step(marks, &mut Ceilings::default(), input) {
                match action {
                    DelayedAction::Find { ticket, names, messages } => {
                        let reader = self.store.reader();
                        let (found, answered) = (reader.find(&names), reader.answers(&messages));
                        let (found, answered) = (found.unwrap(), answered.unwrap());
                        inputs.push(DelayedInput::Found { ticket, found, answered });
                    }
                    DelayedAction::Write { ticket, batch } => {
                        self.store.write(0, &batch).unwrap();
                        inputs.push(DelayedInput::Written(ticket));
                    }
                    DelayedAction::FindParked { ticket, creations } => {
                        let reader = self.store.reader();
                        let find = |one| reader.parked_as(one).unwrap().as_ref().map(ParkedHead::from);
                        let found = creations.into_iter().map(find).collect();
                        inputs.push(DelayedInput::FoundParked { ticket, found });
                    }
                    DelayedAction::LoadParked { ticket, after, most } => {
                        let parked = self.store.reader().parked(after, most).unwrap();
                        let heads = parked.iter().map(ParkedHead::from).collect();
                        inputs.push(DelayedInput::Parked { ticket, heads });
                    }
                    DelayedAction::Unparked(_, all) => unparked = Some(all),
                    DelayedAction::Decided(all) => verdicts = all.into_iter().next().map(|(_, all)| all),
                    DelayedAction::TooMany(_) | DelayedAction::NotFound(_) => panic!("they are taken"),
                    _ => {}
                }
            }
        }
        (verdicts, unparked)
    }
}

/// A clock that believes it is [`NOW`].
pub(crate) fn status() -> Status {
    let link = Link::Down { attempts: 0, error: None };
    // The wall clock never comes to this, and is not believed.
    let status = Status::starting("khronos".into(), Timestamp::HORIZON, link, NOW);
    Status { believed: NOW, reasons: vec![], ..status }
}

/// A clock with delayed events, and its machine.
pub(in crate::ops) async fn clock() -> (RunningClock, Machine) {
    let machine = Machine::new();
    let (commands, asked) = mpsc::channel(8);
    let (_, status) = watch::channel(status());
    let (_, recorded) = watch::channel(0);
    tokio::spawn(machine.clone().play(asked));
    let record = RecordReader::new(|_, _| async { Ok(Page { rows: vec![], first: 1, last: 0, record: 1 }) });
    let counts = Counts::new("khronos", &MetricsConfig::default());
    let handle = Handle { commands, status, recorded };
    let clock = RunningClock::new(handle, record, CalendarStore::default(), counts, Duration::from_secs(60));
    (clock.with_delayed(machine.handle().await), machine)
}

/// Who may put events of `billing`, and send tasks to `docker.*`.
fn ann() -> Caller {
    owner("ann", "billing")
}

pub(super) fn owner(name: &str, domain: &str) -> Caller {
    let domains = |one: &str| Domains::new(vec![one.to_owned()]).unwrap();
    let caller = Caller::holder("1f2e3d4c".parse().unwrap(), name, Role::Write, domains(domain));
    caller.sending(Some(domains("docker.*")))
}

fn within(caller: Caller, delayed_events: u64) -> Caller {
    caller.within(Quota { delayed_events: Some(delayed_events), ..Quota::USUAL })
}

/// An item of `billing`.
pub(super) fn item(name: &str, more: &str) -> Vec<u8> {
    format!(r#"{{"name":"{name}","event":"billing.reminder.due",{more}}}"#).into_bytes()
}

const IN: &str = r#""in":"10m""#;

pub(super) fn batch(items: Vec<Vec<u8>>) -> EventBatch {
    let put = |json| WantedEvent::Put { name: None, json, expect: crate::engine::Expect::Any };
    let wanted = WantedEvents::Each(items.into_iter().map(put).collect());
    EventBatch { wanted, atomic: false, message: None, names: NamesOf::random().unwrap() }
}
