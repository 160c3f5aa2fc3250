//! Delayed events in the loop: what [`Sending`] asks for is done here, beside what the engine does. Both go by the same marks, and
//! what is on time by a schedule is handed to the adapter first.
//!
//! Content is read when it is to go out, a few events at a time, so that what is in memory stays bounded in bytes however large events are.

mod out;
mod render;
mod requests;
mod tasks;

pub(crate) use render::{DelayedId, event as delayed_event};
pub use tasks::DeclareTasks;

use super::{ClockLoop, Failure, Input, publishing::CHUNK};
use crate::{
    delayed::{
        Balance, Closed, DelayedAction, DelayedAnswer, DelayedHandle, DelayedInput, DelayedRules,
        DelayedSnapshot, DelayedStoreEvent, DueEvent, Sending,
    },
    engine::{Answer, CeilingUse, Engine},
    schedule::Unrouted,
    store::StoreError,
};
use ponos::{broker::Publishing, event::Timestamp, text::counted};
use requests::Waiting;
use std::collections::{HashMap, VecDeque};
use tasks::Tasks;
use tokio::sync::mpsc;
use tracing::{error, info};

/// Marks the tokens of delayed events: the engine counts its own from 1.
const OURS: u64 = 1 << 63;
/// Events whose content is read at once, …
const READ: usize = 64;
/// … and that are being read at most.
const READING: usize = 4 * READ;
/// Bytes that are rendered and not answered, beyond which nothing more is read.
const BYTES: usize = 32 << 20;

/// What delayed events are made of.
#[derive(Debug)]
pub struct DelayedParts {
    /// Where they are kept.
    pub store: DelayedHandle,
    /// What that held, in figures.
    pub snapshot: DelayedSnapshot,
    /// Its answers.
    pub events: mpsc::UnboundedReceiver<DelayedStoreEvent>,
    /// Declares the exchange of tasks.
    pub declare_tasks: DeclareTasks,
    /// Limits.
    pub rules: DelayedRules,
}

/// How they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DelayedStatus {
    /// What became of all of them so far, as of the latest write.
    pub balance: Balance,
    /// Handed over, and not answered.
    pub in_flight: usize,
    /// Refused, and to be sent again.
    pub refused: usize,
    /// Parked, those that are sent again among them.
    pub parked: u64,
    /// Whatever was to be sent before this is settled, or parked.
    pub settled_before: Timestamp,
}

/// Delayed events, and what of them is on its way.
pub(super) struct Delayed {
    sending: Sending,
    store: DelayedHandle,
    events: mpsc::UnboundedReceiver<DelayedStoreEvent>,
    tasks: Tasks,
    /// As they were at the last step.
    is_free: bool,
    handed: Timestamp,
    /// When they wished to be stepped next, then.
    wish: Option<Timestamp>,
    /// To be read.
    due: VecDeque<(u64, DueEvent)>,
    reading: usize,
    /// Rendered, and not with the adapter yet.
    ready: VecDeque<Publishing>,
    /// Rendered, and not answered.
    out: HashMap<u64, Out>,
    bytes: usize,
    requests: HashMap<u64, Waiting>,
    failing: Option<String>,
}

/// What is told.
pub(super) enum Told {
    /// By the store; nothing: its threads are gone.
    Store(Option<DelayedStoreEvent>),
    /// Whether the exchange of tasks is there.
    Tasks(Result<(), String>),
}

/// What is remembered of one that is rendered.
struct Out {
    sent_at: Timestamp,
    bytes: usize,
    unrouted: Unrouted,
    is_task: bool,
    /// The span in which it was asked for.
    parent: Option<u64>,
}

impl Delayed {
    pub(super) fn new(parts: DelayedParts) -> Self {
        let DelayedParts { store, snapshot, events, declare_tasks, rules } = parts;
        Self {
            sending: Sending::new(rules, &snapshot),
            store,
            events,
            tasks: Tasks::new(declare_tasks),
            is_free: false,
            handed: Timestamp::EPOCH,
            wish: None,
            due: VecDeque::new(),
            reading: 0,
            ready: VecDeque::new(),
            out: HashMap::new(),
            bytes: 0,
            requests: HashMap::new(),
            failing: None,
        }
    }

    /// What is told next.
    pub(super) async fn next(this: &mut Option<Self>) -> Told {
        let Some(Self { events, failing, tasks, .. }) = this else { return std::future::pending().await };
        let is_gone = failing.as_deref() == Some(GONE) && events.is_closed() && events.is_empty();
        tokio::select! {
            biased;
            event = events.recv(), if !is_gone => Told::Store(event),
            declared = tasks.declared() => Told::Tasks(declared),
        }
    }

    /// Whether something is rendered and may go.
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// What goes to the adapter next.
    pub(super) fn chunk(&mut self) -> Vec<Publishing> {
        let count = self.ready.len().min(CHUNK);
        self.ready.drain(..count).collect()
    }

    /// The span in which the event of this token was asked for.
    pub(super) fn parent(&self, token: u64) -> Option<u64> {
        self.out.get(&(token & !OURS))?.parent
    }

    /// With the adapter, and not answered.
    pub(super) fn unanswered(&self) -> usize {
        self.out.len()
    }

    /// Whether something is to be sent now, or is not answered.
    pub(super) fn has_work(&self, engine: &Engine) -> bool {
        self.unanswered() > 0
            || engine.would_hand_over() && self.sending.has_work(engine.marks(), engine.rate_ceilings())
    }

    pub(super) fn is_written(&self) -> bool {
        self.sending.is_written()
    }

    pub(super) fn store(&self) -> &DelayedHandle {
        &self.store
    }

    pub(super) fn status(&self) -> DelayedStatus {
        DelayedStatus {
            balance: self.store.balance(),
            in_flight: self.sending.in_flight(),
            refused: self.sending.refused(),
            parked: self.sending.parked(),
            settled_before: self.sending.settled_before(),
        }
    }

    /// Said while some are parked.
    pub(super) fn parked_warning(&self) -> Option<String> {
        let parked = usize::try_from(self.sending.parked()).unwrap_or(usize::MAX);
        (parked > 0)
            .then(|| format!("{} parked: see `khronos delayed parked`", counted(parked, "delayed event")))
    }

    /// Why nothing can be written, while that is so.
    pub(super) fn failing(&self) -> Option<&str> {
        self.failing.as_deref()
    }

    /// Has the next ones read, as far as there is room for them.
    fn read(&mut self) -> Result<(), Closed> {
        while !self.sending.is_draining()
            && !self.due.is_empty()
            && self.reading < READING
            && self.bytes < BYTES
        {
            let next: Vec<_> = self.due.drain(..self.due.len().min(READ)).collect();
            self.reading += next.len();
            self.store.contents(next)?;
        }
        Ok(())
    }

    /// What is answered to a handover, with what is remembered of it.
    fn answer(&mut self, token: u64, answer: Answer, now: Timestamp) -> DelayedAnswer {
        let out = self.out.remove(&token);
        self.bytes -= out.as_ref().map_or(0, |out| out.bytes);
        let (sent_at, unrouted) = out.map_or((now, Unrouted::Ignore), |out| (out.sent_at, out.unrouted));
        DelayedAnswer { token, answer, sent_at, unrouted }
    }
}

/// Said of a store that comes back no more.
const GONE: &str = "it was given up on, and the log says why: mend that and start the clock again";

/// Whose answer it is: the token that a delayed event was given, if it is one.
pub(super) fn token(token: u64) -> Option<u64> {
    (token & OURS != 0).then_some(token & !OURS)
}

impl ClockLoop {
    /// Steps them where something has come about since the last time: H, the link, a pause, or their time.
    pub(super) fn tick_delayed(&mut self) {
        let Some(delayed) = &mut self.delayed else { return };
        let marks = self.engine.marks();
        let is_free = self.engine.may_hand_over();
        if std::mem::replace(&mut delayed.is_free, is_free) != is_free {
            return self.step_delayed(DelayedInput::Link(is_free));
        }
        let has_more = delayed.handed != marks.handed;
        if has_more || self.wake_delayed().is_some_and(|at| at <= marks.now) {
            self.step_delayed(DelayedInput::Tick);
        }
    }

    /// When to step next for them: as they wished at their last step, or sooner, for schedules that have the same rate ceilings may
    /// have let them have their turn since.
    pub(super) fn wake_delayed(&self) -> Option<Timestamp> {
        let delayed = self.delayed.as_ref()?;
        let by_now = delayed.sending.next_wakeup(self.engine.marks(), self.engine.rate_ceilings());
        delayed.wish.into_iter().chain(by_now).min()
    }

    /// How each rate ceiling is used, by schedules and by delayed events.
    pub(super) fn ceilings(&self) -> Vec<CeilingUse> {
        let mut all = self.engine.ceilings();
        let Some(delayed) = &self.delayed else { return all };
        let marks = self.engine.marks();
        for (one, id) in all.iter_mut().zip(self.engine.rate_ceilings().ids()) {
            if let Some((waiting, since)) = delayed.sending.waiting(marks, id) {
                one.delayed = waiting;
                one.since = Some(one.since.map_or(since, |first| first.min(since)));
            }
        }
        all
    }

    pub(super) fn step_delayed(&mut self, input: DelayedInput) {
        let Some(delayed) = &mut self.delayed else { return };
        let marks = self.engine.marks();
        delayed.handed = marks.handed;
        let ceilings = self.engine.rate_ceilings_mut();
        let actions = delayed.sending.step(marks, ceilings, input);
        delayed.wish = delayed.sending.next_wakeup(marks, ceilings);
        self.engine.created_delayed(delayed.sending.created());
        let mut asked = Ok(());
        let mut reserve = None;
        for action in actions {
            match action {
                DelayedAction::Find { ticket, names, messages } => {
                    asked = asked.and(delayed.store.find(ticket, names, messages));
                }
                DelayedAction::Load { ticket, range, after, most } => {
                    asked = asked.and(delayed.store.due(ticket, range, after, most));
                }
                DelayedAction::Write { ticket, batch } => {
                    asked = asked.and(delayed.store.write(ticket, *batch));
                }
                DelayedAction::Decided(answers) => {
                    answers.into_iter().for_each(|(command, verdicts)| delayed.decided(command, verdicts));
                }
                DelayedAction::TooMany(command) => delayed.too_many(command),
                DelayedAction::NotFound(command) => delayed.not_found(command),
                DelayedAction::Unparked(command, unparked) => delayed.unparked(command, unparked),
                DelayedAction::FindParked { ticket, creations } => {
                    asked = asked.and(delayed.store.find_parked(ticket, creations));
                }
                DelayedAction::LoadParked { ticket, after, most } => {
                    asked = asked.and(delayed.store.parked(ticket, after, most));
                }
                DelayedAction::Reserve(send) => reserve = Some(send),
                DelayedAction::Publish(events) => {
                    for (_, event) in &events {
                        self.engine.hands_over_delayed(event.key.send);
                    }
                    delayed.due.extend(events);
                }
            }
        }
        if asked.and_then(|()| delayed.read()).is_err() {
            self.delayed_gone();
        }
        if let Some(send) = reserve.filter(|send| !self.engine.is_reserved_beside(*send)) {
            self.step(Input::Reserve(send));
        }
    }

    pub(super) fn on_delayed(&mut self, told: Told) {
        let Some(delayed) = &mut self.delayed else { return };
        let event = match told {
            Told::Store(event) => event,
            Told::Tasks(declared) => return self.on_tasks_declared(declared),
        };
        // Why it is gone may be told after that was noticed; nothing else counts any more.
        if delayed.failing() == Some(GONE) && !matches!(event, Some(DelayedStoreEvent::Gone { .. })) {
            return;
        }
        match event {
            Some(DelayedStoreEvent::Written { ticket, .. }) => {
                self.step_delayed(DelayedInput::Written(ticket));
            }
            Some(DelayedStoreEvent::Found { ticket, found, answered }) => {
                self.step_delayed(DelayedInput::Found { ticket, found, answered });
            }
            Some(DelayedStoreEvent::NotFound { ticket, error }) => {
                error!(%error, "what is known of some delayed events can't be read; what is asked of them is refused, parked ones that were released before wait for the next start, all others go on");
                self.step_delayed(DelayedInput::NotFound(ticket));
            }
            Some(DelayedStoreEvent::Due { ticket, events }) => {
                self.step_delayed(DelayedInput::Due { ticket, events });
            }
            Some(DelayedStoreEvent::FoundParked { ticket, found }) => {
                self.step_delayed(DelayedInput::FoundParked { ticket, found });
            }
            Some(DelayedStoreEvent::Parked { ticket, heads }) => {
                self.step_delayed(DelayedInput::Parked { ticket, heads });
            }
            Some(DelayedStoreEvent::Contents(events)) => self.render_delayed(events),
            Some(DelayedStoreEvent::Failing { error }) => {
                error!(%error, "the store of delayed events can't be used; what is due of them waits, and it is tried again");
                let why = error.to_string();
                delayed.fail_requests(&why);
                delayed.failing = Some(why);
                self.show_status();
            }
            Some(DelayedStoreEvent::Reopened) => {
                info!("the store of delayed events can be used again");
                delayed.failing = None;
                self.show_status();
            }
            Some(DelayedStoreEvent::Gone { error }) => {
                self.delayed_gone();
                // Another clock may send them, or this one when it has begun again: of those that are damaged nobody.
                match error {
                    error if self.lead.is_none() || matches!(error, StoreError::Damaged { .. }) => {
                        error!(%error, "the store of delayed events can't be used any more; schedules go on");
                    }
                    error => self.fail(Failure::Store(error)),
                }
            }
            None => self.delayed_gone(),
        }
    }

    /// Nothing comes of them any more before the next start.
    fn delayed_gone(&mut self) {
        let Some(delayed) = &mut self.delayed else { return };
        delayed.fail_requests(GONE);
        delayed.failing = Some(GONE.to_owned());
        self.show_status();
    }
}
