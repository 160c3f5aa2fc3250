//! The clock that operations work on.

use super::{
    Backups, DefinitionCache, OpsError, RecordReader, RoleShown, ScheduleView, StoppedClock,
    delayed::DelayedPart,
};
use crate::{
    clock,
    clock_loop::{Command, Degraded, Handle, NamedCalendars, Status},
    cluster::Trust,
    config::LimitsConfig,
    delayed::DelayedHandle,
    engine::{Asker, ScheduleStatus},
    reports::Observed,
    schedule::{CalendarStore, Calendars, Packed, ZoneData},
    sources::{FileLines, Place},
    telemetry::Counts,
};
use ponos::{broker::Link, event::Timestamp};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, timeout_at},
};

/// A clock: one that runs, or what the store of a stopped one holds.
#[derive(Debug, Clone)]
pub enum Clock {
    /// It runs in this process.
    Running(RunningClock),
    /// It does not run.
    Stopped(StoppedClock),
}

impl Clock {
    /// Its name.
    pub fn name(&self) -> String {
        match self {
            Self::Running(clock) => clock.name(),
            Self::Stopped(clock) => clock.name.clone(),
        }
    }

    /// Where a file has a schedule, as far as that is known: of a clock that does not run nobody has read the files.
    fn place(&self, definition: &Packed) -> Option<Place> {
        match self {
            Self::Running(clock) if !definition.is_created() => clock.place(definition.name()),
            _ => None,
        }
    }

    /// A schedule of it as it is shown.
    pub fn view(&self, status: &ScheduleStatus) -> ScheduleView {
        ScheduleView::new(status, self.place(&status.revision.definition))
    }

    pub(super) fn record(&self) -> &RecordReader {
        match self {
            Self::Running(clock) => &clock.record,
            Self::Stopped(clock) => &clock.record,
        }
    }

    pub(super) fn calendars(&self) -> &CalendarStore {
        match self {
            Self::Running(clock) => &clock.calendars,
            Self::Stopped(clock) => &clock.calendars,
        }
    }
}

impl From<RunningClock> for Clock {
    fn from(clock: RunningClock) -> Self {
        Self::Running(clock)
    }
}

impl From<StoppedClock> for Clock {
    fn from(clock: StoppedClock) -> Self {
        Self::Stopped(clock)
    }
}

/// A clock that runs in this process: its loop, its record and the days of its calendars. Clones share them.
#[derive(Debug, Clone)]
pub struct RunningClock {
    pub(crate) handle: Handle,
    pub(super) record: RecordReader,
    calendars: CalendarStore,
    /// Those that may be named now.
    named: watch::Receiver<NamedCalendars>,
    /// Where those of files are written, as last read and accepted; nothing is known until they were read.
    lines: watch::Receiver<FileLines>,
    /// What new schedules are held to.
    limits: Option<Arc<LimitsConfig>>,
    /// What is wrong with the door of commands.
    door: watch::Receiver<Option<String>>,
    /// What a failover of its store's database may lose.
    replication: watch::Receiver<Option<String>>,
    /// Its delayed events; none are kept without.
    delayed: Option<DelayedPart>,
    /// Its feed has them, too.
    feeds_delayed: bool,
    /// Copies of its state that are made while it runs.
    backups: Option<Backups>,
    /// Where it leads among several: as long as it may.
    trust: Option<Trust>,
    /// What services report, where that is heard.
    observed: Option<Arc<Observed>>,
    pub(super) definitions: Arc<DefinitionCache>,
    pub(crate) counts: Counts,
    pub(super) started: Timestamp,
    answer: Duration,
}

impl RunningClock {
    /// The clock with this loop, which may take as long as `answer` for one question, and this record; its definitions
    /// name calendars by ids under which these are kept, and what is recorded is counted there.
    pub fn new(
        handle: Handle,
        record: RecordReader,
        calendars: CalendarStore,
        counts: Counts,
        answer: Duration,
    ) -> Self {
        // Whoever has no sender keeps what is there.
        let all = Some(Calendars::new(calendars.clone()));
        let (_, named) = watch::channel(NamedCalendars { all, created: Vec::new() });
        let (_, lines) = watch::channel(FileLines::default());
        let (_, door) = watch::channel(None);
        let (_, replication) = watch::channel(None);
        let (definitions, started) = (Arc::default(), clock::now());
        Self {
            handle,
            record,
            calendars,
            named,
            lines,
            limits: None,
            door,
            replication,
            delayed: None,
            feeds_delayed: false,
            backups: None,
            trust: None,
            observed: None,
            definitions,
            counts,
            started,
            answer,
        }
    }

    /// The same, whose calendars have these names from time to time.
    #[must_use]
    pub fn naming(self, named: watch::Receiver<NamedCalendars>) -> Self {
        Self { named, ..self }
    }

    /// The same, whose files have their schedules at these lines from time to time.
    #[must_use]
    pub fn written(self, lines: watch::Receiver<FileLines>) -> Self {
        Self { lines, ..self }
    }

    /// The same, which holds new schedules to these limits.
    #[must_use]
    pub fn within(self, limits: LimitsConfig) -> Self {
        Self { limits: Some(Arc::new(limits)), ..self }
    }

    /// The calendars that a definition may name now; none where that is not known yet.
    pub(super) fn named_calendars(&self) -> Option<Calendars> {
        self.named.borrow().all.clone()
    }

    /// Where a file has the schedule of this name, as far as that is known.
    pub(super) fn place(&self, name: &str) -> Option<Place> {
        self.lines.borrow().place(name)
    }

    /// What new schedules are held to.
    pub(super) fn limits(&self) -> Option<&LimitsConfig> {
        self.limits.as_deref()
    }

    /// The same with a door of commands, of which this is wrong from time to time.
    #[must_use]
    pub fn with_door(self, door: watch::Receiver<Option<String>>) -> Self {
        Self { door, ..self }
    }

    /// The same, of whose store this is to be known from time to time: what a failover of its database may lose.
    #[must_use]
    pub fn replicated(self, replication: watch::Receiver<Option<String>>) -> Self {
        Self { replication, ..self }
    }

    /// The same, which keeps delayed events there.
    #[must_use]
    pub fn with_delayed(self, store: DelayedHandle) -> Self {
        Self { delayed: Some(DelayedPart::new(store)), ..self }
    }

    /// The same, which leads among several as long as it is trusted.
    #[must_use]
    pub(crate) fn leading(self, trust: Trust) -> Self {
        Self { trust: Some(trust), ..self }
    }

    /// The same, beside which what services report is heard, if it is.
    #[must_use]
    pub(crate) fn observing(self, observed: Option<Observed>) -> Self {
        Self { observed: observed.map(Arc::new), ..self }
    }

    /// What services report, where that is heard.
    pub(crate) fn observed(&self) -> Option<&Observed> {
        self.observed.as_deref()
    }

    /// What it is among several; none where it is alone.
    pub(super) fn role(&self) -> Option<RoleShown> {
        let trust = self.trust.as_ref()?;
        Some(if trust.holds() { RoleShown::Leader } else { RoleShown::Lapsed })
    }

    /// Whether it is connected to its broker.
    pub(crate) fn is_connected(&self) -> bool {
        matches!(self.handle.status.borrow().link, Link::Up { .. })
    }

    /// The same, whose feed has delayed events, too: their record keeps what was published.
    #[must_use]
    pub fn feeding_delayed(self, feeds_delayed: bool) -> Self {
        Self { feeds_delayed, ..self }
    }

    /// The same, whose state is copied there when somebody asks for it.
    #[must_use]
    pub(crate) fn with_backups(self, backups: Backups) -> Self {
        Self { backups: Some(backups), ..self }
    }

    /// Copies of its state.
    ///
    /// # Errors
    /// [`OpsError::Unavailable`]: none are made.
    pub(super) fn backups(&self) -> Result<&Backups, OpsError> {
        let none = || OpsError::Unavailable("this clock makes no copies of its state".to_owned());
        self.backups.as_ref().ok_or_else(none)
    }

    /// Where its feed has delayed events from, if it has any.
    pub(super) fn fed_delayed(&self) -> Option<&DelayedPart> {
        self.delayed.as_ref().filter(|_| self.feeds_delayed)
    }

    /// Its delayed events.
    ///
    /// # Errors
    /// [`OpsError::Unavailable`]: it keeps none.
    pub(super) fn delayed(&self) -> Result<&DelayedPart, OpsError> {
        let none = || OpsError::Unavailable("this clock keeps no delayed events".to_owned());
        self.delayed.as_ref().ok_or_else(none)
    }

    /// The time that the clock goes by: a delay begins at it.
    pub(super) fn believed_now(&self) -> Timestamp {
        self.handle.status.borrow().believed_at(clock::now())
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.handle.status.borrow().clock.clone()
    }

    /// The zone data that it uses.
    pub fn zone_data(&self) -> ZoneData {
        self.calendars.zones().data()
    }

    /// How it is.
    pub fn status(&self) -> Status {
        let mut status = self.handle.status.borrow().clone();
        if let Some(warning) = &*self.door.borrow() {
            status.warnings.push(warning.clone());
            status.degraded.push(Degraded::Commands);
        }
        if let Some(warning) = &*self.replication.borrow() {
            status.warnings.push(warning.clone());
            status.degraded.push(Degraded::Replication);
        }
        if let Some(observed) = &self.observed {
            let unheard = observed.unheard();
            status.degraded.extend(unheard.as_ref().map(|_| Degraded::Reports));
            status.warnings.extend(unheard.into_iter().chain(observed.missed()));
        }
        status
    }

    /// Asks the loop something and waits for its answer.
    ///
    /// # Errors
    /// [`OpsError::Unavailable`], [`OpsError::Ending`].
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, OpsError> {
        self.answer_of(question).await.map_err(|why| match why {
            NoAnswer::Stopping | NoAnswer::Stopped => {
                OpsError::Ending { what: why.to_string(), is_known: true }
            }
            NoAnswer::NotTaken(_) | NoAnswer::Late(_) => OpsError::Unavailable(why.to_string()),
        })
    }

    /// The same of what changes something: what the loop did not get changes nothing; what it got may be done, also where no
    /// answer comes.
    ///
    /// # Errors
    /// [`OpsError::Unavailable`]: nothing changed. [`OpsError::Unknown`]: it may have changed. [`OpsError::Ending`].
    pub(super) async fn ask_to_change<T: Send + 'static>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, OpsError> {
        self.answer_of(question).await.map_err(|why| {
            let is_known = matches!(why, NoAnswer::NotTaken(_) | NoAnswer::Stopping);
            let what = match is_known {
                true => format!("nothing changed, for {why}"),
                false => {
                    format!("whether it is done is not known: {why}; see what is there before you ask again")
                }
            };
            match why {
                NoAnswer::Stopping | NoAnswer::Stopped => OpsError::Ending { what, is_known },
                NoAnswer::NotTaken(_) => OpsError::Unavailable(what),
                NoAnswer::Late(_) => OpsError::Unknown(what),
            }
        })
    }

    /// The same in the name of whoever asks.
    ///
    /// # Errors
    /// See [`ask_to_change`](Self::ask_to_change).
    pub(super) async fn ask_for<T: Send + 'static>(
        &self,
        asker: Box<Asker>,
        question: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, OpsError> {
        self.ask_to_change(|reply| Command::By(asker, Box::new(question(reply)))).await
    }

    async fn answer_of<T: Send + 'static>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, NoAnswer> {
        let (sender, answer) = oneshot::channel();
        let (question, commands, limit) = (question(sender), self.handle.commands.clone(), self.answer);
        // On a task of its own: the caller may not be polled for a while (nothing is, of an answer that nobody takes),
        // and must not keep a place in the loop's queue meanwhile.
        let asked = tokio::spawn(async move {
            let end = Instant::now() + limit;
            match timeout_at(end, commands.send(question)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(NoAnswer::Stopping),
                Err(_) => return Err(NoAnswer::NotTaken(limit)),
            }
            match timeout_at(end, answer).await {
                Ok(answer) => answer.map_err(|_| NoAnswer::Stopped),
                Err(_) => Err(NoAnswer::Late(limit)),
            }
        });
        // Cut off with the program.
        asked.await.unwrap_or(Err(NoAnswer::Stopped))
    }
}

/// Why the loop did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum NoAnswer {
    /// It was not asked: too many others wait.
    #[error("the clock's loop did not take it within {} s", .0.as_secs())]
    NotTaken(Duration),
    /// It was not asked: it is gone.
    #[error("the clock is stopping")]
    Stopping,
    /// It was asked.
    #[error("the clock's loop did not answer within {} s", .0.as_secs())]
    Late(Duration),
    /// It was asked, and ended.
    #[error("the clock stopped before it answered")]
    Stopped,
}
