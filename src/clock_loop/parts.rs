//! What the loop is made of, and how it ends.

use super::{DelayedParts, Lead};
use crate::{
    engine::{Ceilings, CreatedCalendar, ReadCalendars, Rules, Snapshot, Warm},
    schedule::{Calendars, Demand, Packed},
    store::{StoreError, StoreEvent, StoreHandle},
    telemetry::Tracing,
};
use ponos::{
    broker::{LinkError, Publisher},
    event::Timestamp,
};
use std::{fmt, pin::Pin, sync::Arc, time::Duration};
use tokio::sync::{mpsc, watch};

/// Reads the schedules again; the error is for people.
pub type Loader = Arc<dyn Fn() -> Result<Vec<Packed>, String> + Send + Sync>;

/// Warnings about the schedules at an instant, though the clock is ready.
pub type Remarks = Arc<dyn Fn(Timestamp) -> Vec<String> + Send + Sync>;

/// Which calendars there are.
#[derive(Debug, Clone, Default)]
pub struct NamedCalendars {
    /// Those that a schedule may name that is created at run time, those of the files included; none until these were read for
    /// the first time.
    pub all: Option<Calendars>,
    /// Those that were created at run time.
    pub created: Vec<Arc<CreatedCalendar>>,
}

/// What the files want.
#[derive(Debug)]
pub enum Wanted {
    /// These, all of them.
    Files(Vec<Packed>),
    /// What they wanted last, as it is kept; and why what is wanted now is not known, if it is not.
    Kept(Option<String>),
}

/// Schedules whose reading did not end before the start.
pub type Late = Pin<Box<dyn Future<Output = Result<Wanted, String>> + Send>>;

/// What the loop is made of.
pub struct Parts {
    /// The clock's name.
    pub clock: String,
    /// The engine's limits.
    pub rules: Rules,
    /// How many events of some domains are handed over in a second at most.
    pub ceilings: Ceilings,
    /// Where progress and record are kept.
    pub store: StoreHandle,
    /// The state that the store held.
    pub snapshot: Snapshot,
    /// What was made of it ahead; then it is without that.
    pub warm: Option<Warm>,
    /// The store's answers.
    pub store_events: mpsc::UnboundedReceiver<StoreEvent>,
    /// The broker.
    pub publisher: Publisher,
    /// Where events go.
    pub exchange: Arc<str>,
    /// The schedules to start with, or why the last accepted ones are to be used; `None`: these are used until `late`
    /// has the schedules.
    pub schedules: Option<Result<Wanted, String>>,
    /// Schedules still being read at the start; they are taken in like a reload.
    pub late: Option<Late>,
    /// Reads them again.
    pub loader: Loader,
    /// Zone data and calendars, by which they were read last.
    pub calendars: watch::Receiver<Option<ReadCalendars>>,
    /// Is told which calendars there are.
    pub named: watch::Sender<NamedCalendars>,
    /// Warnings about the schedules read.
    pub remarks: Remarks,
    /// Told what those schedules demand that were created at run time.
    pub created: watch::Sender<Demand>,
    /// Says that it is time to read them again.
    pub reload: mpsc::Receiver<()>,
    /// A warning about a second clock of the same name.
    pub rival: watch::Receiver<Option<String>>,
    /// Delayed events, where they are kept.
    pub delayed: Option<DelayedParts>,
    /// Where it leads among several clocks, and follows otherwise.
    pub lead: Option<Lead>,
    /// Where traces are recorded, and which.
    pub tracing: Tracing,
    /// Log each event as it is confirmed.
    pub show_events: bool,
    /// How long unanswered publishings are waited for at the end.
    pub grace: Duration,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("clock", &self.clock).finish_non_exhaustive()
    }
}

/// Why the loop ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// At the first start a person must change something about the broker.
    #[error("{0}")]
    Broker(LinkError),
    /// The store can't be written any more, for a reason that stays.
    #[error("{0}")]
    Store(StoreError),
    /// The adapter's task ended.
    #[error("the broker's task ended unexpectedly; this is a defect, please report it")]
    PublisherGone,
    /// The loop's thread could not be started.
    #[error("the clock's thread could not be started: {0}")]
    Start(std::io::Error),
    /// The loop panicked.
    #[error("the clock's thread panicked; this is a defect, please report it")]
    Panicked,
    /// The system's timer failed.
    #[error("the system's timer failed: {0}")]
    Timer(std::io::Error),
}

impl Failure {
    pub(super) fn store_gone() -> Self {
        let (path, what) = (std::path::PathBuf::new(), "its thread accepts no more work".into());
        Self::Store(StoreError::Io { path, what })
    }
}

/// What was left at the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Events confirmed since the start.
    pub confirmed: u64,
    /// Publishings without an answer: they will be sent again, under the same ids.
    pub unanswered: usize,
    /// Schedules with something outstanding.
    pub outstanding: usize,
}
