//! The one loop: wait for what comes first, make it an [`Input`], step the engine, perform its actions. All waiting and
//! all I/O of the clock's main job is here; what is to be done is decided in `engine`.

mod apart;
mod changes;
mod commands;
mod delayed;
mod figures;
mod handle;
mod lead;
mod link;
mod operations;
mod parts;
mod pauses;
mod publishing;
mod reload;
mod render;
mod shutdown;
mod status;
#[cfg(test)]
pub(crate) mod tests;
mod triggers;

pub use delayed::{DeclareTasks, DelayedParts, DelayedStatus};
pub(crate) use delayed::{DelayedId, delayed_event};
pub use figures::{Degraded, Figures};
pub use handle::{
    CHANGES, CalendarStatus, ChangesAnswer, ChangesAsked, Command, Decided, DecidedAnswer, DelayedAsked,
    EarlierAnswer, Handle, KEPT, NEIGHBOURS, NotDecided, OperationAnswer, OperationStatus, PAGE, PauseAnswer,
    PauseChanged, PauseFor, PauseLength, Status, TriggerAnswer, TriggerAsked, Unchanged, UnparkAsked,
};
pub(crate) use lead::TERM;
pub use lead::{Lead, PROBE, Proof};
pub use parts::{Failure, Late, Loader, NamedCalendars, Parts, Remarks, Report, Wanted};

use crate::{
    clock::{self, Alarm},
    engine::{Action, ClockState, Engine, Handover, Input, Prepared, ReadCalendars},
    schedule::Demand,
    store::{StoreEvent, StoreHandle},
    telemetry::OpenSpans,
};
use commands::{Promise, Writes};
use delayed::{Delayed, Told};
use figures::Counters;
use link::Outage;
use ponos::{
    broker::{Link, Publishing, Settlement},
    event::Timestamp,
    shutdown::{Shutdown, Stage},
};
use reload::{Loaded, Reloads};
use status::Longest;
use std::{collections::VecDeque, fmt, sync::Arc, time::Duration};
use tokio::sync::{mpsc, watch};
use tracing::{debug, error, info};

/// The loop turns at least this often (milliseconds), so that health checks see it alive.
const BEAT: i64 = 1_000;
/// Chunks that may wait for the adapter: what is rendered while it is still in the processor's caches costs least.
const AHEAD: usize = 2;
/// Commands that may wait.
const COMMANDS: usize = 64;

/// The loop and what it holds.
pub struct ClockLoop {
    clock: String,
    engine: Engine,
    store: StoreHandle,
    store_events: mpsc::UnboundedReceiver<StoreEvent>,
    submit: mpsc::Sender<Vec<Publishing>>,
    /// How much of the way to the adapter must be free before more is rendered.
    room: usize,
    settled: mpsc::Receiver<Vec<Settlement>>,
    link: watch::Receiver<Link>,
    exchange: Arc<str>,
    loader: Loader,
    calendars: watch::Receiver<Option<ReadCalendars>>,
    named: watch::Sender<NamedCalendars>,
    remarks: Remarks,
    created: watch::Sender<Demand>,
    /// Schedules that were not read yet at the start.
    late: Option<Late>,
    reload: mpsc::Receiver<()>,
    loaded: (mpsc::Sender<Loaded>, mpsc::Receiver<Loaded>),
    reloads: Reloads,
    commands: mpsc::Receiver<Command>,
    status: watch::Sender<Status>,
    recorded: watch::Sender<u64>,
    /// Handed over and not yet rendered.
    outbox: VecDeque<Handover>,
    /// Rendered and not yet due.
    rendered: Prepared<Publishing>,
    /// Why the last accepted schedules are used instead of the files.
    degraded: Option<String>,
    store_failing: Option<String>,
    ever_up: bool,
    outage: Outage,
    refused_longest: Longest,
    rival: watch::Receiver<Option<String>>,
    spans: OpenSpans,
    show_events: bool,
    grace: Duration,
    counters: Counters,
    /// The wall clock at the step after which the status was shown.
    shown_at: Timestamp,
    /// The wall clock at the last step.
    stepped_at: Timestamp,
    /// The last event was a command: what is due comes before the next one.
    commanded: bool,
    /// Commands to be answered when what they changed is durable.
    promised: Vec<Promise>,
    writes: Writes,
    /// Delayed events, where they are kept.
    delayed: Option<Delayed>,
    /// Where it leads among several clocks.
    lead: Option<Lead>,
    /// How long a leap of the wall clock ahead is held (milliseconds).
    settle: i64,
    failure: Option<Failure>,
}

/// What the loop waits for.
enum Event {
    Store(StoreEvent),
    Delayed(Told),
    Settled(Vec<Settlement>),
    Link,
    Trust(i64),
    Room,
    Reload,
    Loaded(Loaded),
    Command(Command),
    Time,
    Idle,
    Gone(Failure),
}

impl fmt::Debug for ClockLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClockLoop").field("clock", &self.clock).finish_non_exhaustive()
    }
}

impl ClockLoop {
    /// Puts the parts together. Nothing happens before [`ClockLoop::run`].
    pub fn new(parts: Parts) -> (Self, Handle) {
        let reading = clock::reading();
        let last_sequence = parts.snapshot.last_sequence;
        let settle = parts.rules.clock.settle;
        let engine = match parts.warm {
            Some(warm) => Engine::take_over(parts.rules, warm, parts.snapshot, reading),
            None => Engine::start(parts.rules, parts.snapshot, reading),
        };
        let engine = engine.below(parts.ceilings);
        let engine = if parts.lead.is_some() { engine.among_others() } else { engine };
        let (submit, settled, link) = parts.publisher.split();
        let room = submit.max_capacity().saturating_sub(AHEAD - 1).max(1);
        let (commands_in, commands) = mpsc::channel(COMMANDS);
        let (recorded, recorded_out) = watch::channel(last_sequence);
        let state = link.borrow().clone();
        let begun = Status::starting(parts.clock.clone(), reading.wall, state, engine.settled());
        let (status, status_out) = watch::channel(Status { paused: engine.paused().cloned(), ..begun });
        let loaded = mpsc::channel(4);
        let mut this = Self {
            clock: parts.clock,
            engine,
            store: parts.store,
            store_events: parts.store_events,
            submit,
            room,
            settled,
            link,
            exchange: parts.exchange,
            loader: parts.loader,
            calendars: parts.calendars,
            named: parts.named,
            remarks: parts.remarks,
            created: parts.created,
            late: None,
            reload: parts.reload,
            loaded,
            reloads: Reloads::default(),
            commands,
            status,
            recorded,
            outbox: VecDeque::new(),
            rendered: Prepared::default(),
            degraded: None,
            store_failing: None,
            ever_up: false,
            outage: Outage::default(),
            refused_longest: Longest::default(),
            rival: parts.rival,
            spans: OpenSpans::new(parts.tracing),
            show_events: parts.show_events,
            grace: parts.grace,
            counters: Counters::default(),
            shown_at: Timestamp::EPOCH,
            stepped_at: reading.wall,
            commanded: false,
            promised: Vec::new(),
            writes: Writes::default(),
            delayed: parts.delayed.map(Delayed::new),
            lead: parts.lead,
            settle,
            failure: None,
        };
        this.begin_to_lead();
        this.begin_with(parts.schedules);
        this.late = parts.late;
        (this, Handle { commands: commands_in, status: status_out, recorded: recorded_out })
    }

    /// Turns until the shutdown, or until it can't go on.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn run(mut self, shutdown: Shutdown) -> Result<Report, Failure> {
        self.turn_until(shutdown).await
    }

    async fn turn_until(&mut self, shutdown: Shutdown) -> Result<Report, Failure> {
        let alarm = Alarm::new().map_err(Failure::Timer)?;
        let draining = shutdown.reached(Stage::Draining);
        tokio::pin!(draining);
        self.link.mark_changed();
        self.await_late();
        while self.failure.is_none() {
            tokio::select! {
                biased;
                () = &mut draining => break,
                () = self.turn(&alarm) => {}
            }
        }
        self.drain(&alarm, &shutdown).await
    }

    /// Waits for what comes first and does what follows from it.
    async fn turn(&mut self, alarm: &Alarm) {
        let event = self.next_event(alarm).await;
        self.commanded = matches!(event, Event::Command(_));
        match event {
            Event::Store(event) => self.on_store(event),
            Event::Delayed(told) => {
                self.on_delayed(told);
                self.let_others_in();
            }
            Event::Settled(settlements) => self.on_settled(settlements),
            Event::Link => self.on_link(),
            Event::Trust(until) => self.step(Input::Trust(until)),
            Event::Room => self.post(),
            Event::Reload => self.read_schedules(None),
            Event::Loaded(loaded) => self.on_loaded(loaded),
            Event::Command(command) => self.on_command(command),
            Event::Time => self.step(Input::Tick),
            Event::Idle => self.render_ahead(),
            Event::Gone(failure) => self.fail(failure),
        }
    }

    /// Delayed events that are on their way always have something to tell: what is due by schedules, and one command, come between.
    fn let_others_in(&mut self) {
        let now = clock::now();
        if self.wake(now) <= now {
            self.step(Input::Tick);
        }
        if let Ok(command) = self.commands.try_recv() {
            self.on_command(command);
        }
    }

    /// In this order: the disk, for others wait for it; what can go; what came back; what people want, one at a time where
    /// something is due; what is due, which yields to all else that is ready; what could wait.
    async fn next_event(&mut self, alarm: &Alarm) -> Event {
        let now = clock::now();
        let (wake, has_to_post) = (self.wake(now), self.has_to_post());
        tokio::select! {
            biased;
            event = self.store_events.recv() => event.map_or_else(|| Event::Gone(Failure::store_gone()), Event::Store),
            told = Delayed::next(&mut self.delayed) => Event::Delayed(told),
            room = self.submit.reserve_many(self.room), if has_to_post => {
                room.map_or(Event::Gone(Failure::PublisherGone), |_| Event::Room)
            }
            settlements = self.settled.recv() => {
                settlements.map_or(Event::Gone(Failure::PublisherGone), Event::Settled)
            }
            changed = self.link.changed() => {
                changed.map_or(Event::Gone(Failure::PublisherGone), |()| Event::Link)
            }
            until = Lead::changed(&mut self.lead) => Event::Trust(until),
            Some(()) = self.reload.recv() => Event::Reload,
            Some(loaded) = self.loaded.1.recv() => Event::Loaded(loaded),
            Some(command) = self.commands.recv(), if wake > now || !self.commanded => Event::Command(command),
            () = tokio::task::yield_now(), if wake <= now => Event::Time,
            woken = alarm.wait(wake) => {
                woken.map_or_else(|error| Event::Gone(Failure::Timer(error)), |()| Event::Time)
            }
            () = tokio::task::yield_now(), if self.outbox.is_empty() && self.engine.can_prepare() => Event::Idle,
        }
    }

    /// When to step next. The engine wishes by its own time: it may be ahead of the wall clock, and what is wanted at once is
    /// not ahead of itself; or it is held at an instant that the wall clock has left, and nothing later comes.
    fn wake(&self, now: Timestamp) -> Timestamp {
        // Since the last step: whoever keeps asking must not put it off. A clock that was set back shows less than then.
        let beat = self.stepped_at.min(now).plus(BEAT);
        let wish = self.engine.next_wakeup().into_iter().chain(self.wake_delayed()).min();
        match wish {
            Some(wish) if wish <= self.engine.now() => now,
            Some(wish) if !matches!(self.engine.clock(), ClockState::Held { .. }) => wish.min(beat),
            _ => beat,
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.failure.get_or_insert(failure);
    }

    fn step(&mut self, input: Input) {
        let reading = clock::reading();
        self.stepped_at = reading.wall;
        for action in self.engine.step(reading, input) {
            self.perform(action);
        }
        self.keep_promises();
        self.tick_delayed();
        let (_, created) = self.engine.demand();
        self.created.send_if_modified(|last| std::mem::replace(last, created) != created);
        if status::is_outdated(self.shown_at, self.stepped_at) {
            self.show_status();
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Save { ticket, commit } => {
                if self.store.save(ticket, *commit).is_err() {
                    self.fail(Failure::store_gone());
                }
            }
            Action::Publish(handovers) => {
                if self.show_events {
                    handovers.iter().for_each(|handover| render::log_sent(&self.clock, handover));
                }
                self.outbox.extend(handovers);
                self.post();
            }
            Action::Durable(commands) => self.on_durable(&commands),
            Action::Triggered(answers) => self.keep_triggered(answers),
            Action::Declined(all) => self.decline(all),
            Action::Decided(decided) => self.on_decided(decided),
            Action::TooMany(commands) => self.refuse(&commands, changes::TOO_MUCH, NotDecided::TooMany),
            Action::TooManyPauses(commands) => self.refuse_pauses(commands),
            Action::TooManyMessages(commands) => self.refuse_messages(&commands),
            Action::Unread(commands) => self.refuse_unread(&commands),
            Action::Calendars { named, created } => self.tell_calendars(named, created),
            Action::Record { rows, complete } => {
                if let Ok(backlog) = self.store.append(rows, complete)
                    && backlog.dropped > 0
                {
                    let dropped = backlog.dropped;
                    debug!(dropped, "the record lags behind; the details of some events are dropped");
                }
            }
            Action::Notice(notice) => self.on_notice(&notice),
        }
    }

    fn on_store(&mut self, event: StoreEvent) {
        match event {
            StoreEvent::Saved { ticket, last_sequence } => {
                self.recorded
                    .send_if_modified(|last| std::mem::replace(last, last_sequence) != last_sequence);
                self.step(Input::Saved(ticket));
            }
            StoreEvent::Appended { last_sequence } => {
                self.recorded
                    .send_if_modified(|last| std::mem::replace(last, last_sequence) != last_sequence);
            }
            StoreEvent::SaveFailed { error, .. } => self.fail(Failure::Store(error)),
            StoreEvent::Failing { error } => {
                error!(%error, "the store can't be written; publishing continues only as far as was reserved, and the write is retried");
                let why = error.to_string();
                self.writes.fail(&why);
                self.fail_promises(&why);
                self.store_failing = Some(why);
                self.show_status();
            }
            StoreEvent::Reopened => {
                info!("the store can be written again");
                self.store_failing = None;
                self.show_status();
            }
        }
    }
}
