//! The clock that operations work on.

use super::{DefinitionCache, OpsError, RecordReader, StoppedClock};
use crate::{
    clock,
    clock_loop::{Command, Handle, Status},
    config::LimitsConfig,
    schedule::{CalendarStore, Calendars, ZoneData},
    telemetry::Counts,
};
use ponos::event::Timestamp;
use std::{sync::Arc, time::Duration};
use tokio::sync::{oneshot, watch};

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
    /// Those of the files, as last read and accepted; none until they were read for the first time.
    named: watch::Receiver<Option<Calendars>>,
    /// What new schedules are held to.
    limits: Option<Arc<LimitsConfig>>,
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
        let (_, named) = watch::channel(Some(Calendars::new(calendars.clone())));
        let (definitions, started) = (Arc::default(), clock::now());
        let limits = None;
        Self { handle, record, calendars, named, limits, definitions, counts, started, answer }
    }

    /// The same, whose calendars have these names from time to time.
    #[must_use]
    pub fn naming(self, named: watch::Receiver<Option<Calendars>>) -> Self {
        Self { named, ..self }
    }

    /// The same, which holds new schedules to these limits.
    #[must_use]
    pub fn within(self, limits: LimitsConfig) -> Self {
        Self { limits: Some(Arc::new(limits)), ..self }
    }

    /// The calendars that a definition may name now; none where that is not known yet.
    pub(super) fn named_calendars(&self) -> Option<Calendars> {
        self.named.borrow().clone()
    }

    /// What new schedules are held to.
    pub(super) fn limits(&self) -> Option<&LimitsConfig> {
        self.limits.as_deref()
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
        self.handle.status.borrow().clone()
    }

    /// Asks the loop and waits for its answer.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, OpsError> {
        let (sender, answer) = oneshot::channel();
        let (question, commands, limit) = (question(sender), self.handle.commands.clone(), self.answer);
        // On a task of its own: the caller may not be polled for a while (nothing is, of an answer that nobody takes),
        // and must not keep a place in the loop's queue meanwhile.
        let asked = tokio::spawn(async move {
            let asked = async {
                commands.send(question).await.ok()?;
                answer.await.ok()
            };
            tokio::time::timeout(limit, asked).await
        });
        match asked.await {
            Ok(Ok(Some(answer))) => Ok(answer),
            Ok(Ok(None)) | Err(_) => Err(OpsError::Unavailable("the clock is stopping".into())),
            Ok(Err(_)) => {
                let seconds = limit.as_secs();
                Err(OpsError::Unavailable(format!("the clock's loop did not answer within {seconds} s")))
            }
        }
    }
}
