//! The operations on a clock, one function each: what the HTTP interface and the command line offer is done here.
//!
//! A function that takes a [`Clock`] works on one that runs (its loop is asked, in bounded pages, and its record is
//! read) and on one that is stopped (its store is read) alike; one that takes a [`RunningClock`] needs its loop.
//! One that changes something takes the [`Caller`](crate::authority::Caller) and asks first whether he may; who reads was
//! let in. `views.rs` has the forms in which results are shown, `error.rs` why there is none. Absent: how a request came, how
//! many may be answered at a time, and how an answer is written. That is the interface's.

pub mod audit;
pub mod calendars;
mod clock;
mod error;
mod events;
pub mod feed;
pub mod history;
pub mod judge;
pub mod metrics;
pub mod next;
mod pages;
pub mod parked;
pub mod pause;
mod permit;
mod record;
pub mod schedules;
pub mod self_audit;
pub mod status;
mod stopped;
#[cfg(test)]
mod tests;
mod views;
pub mod zones;

pub use clock::{Clock, RunningClock};
pub use error::{Missing, MissingKind, OpsError, ParameterFault};
use events::DefinitionCache;
pub(crate) use events::structured;
pub(crate) use pages::run_blocking;
pub use pages::{Pages, collect};
pub use record::RecordReader;
pub use stopped::StoppedClock;
pub use views::{
    Alive, BrokerLink, CalendarView, FinishedView, GapView, History, OUTCOMES, ParkedDecision, ParkedIds,
    ParkedList, ParkedView, PauseAsked, PauseDecision, PauseView, Readiness, RefusedView, Reloaded,
    ResumeAsked, ResumeDecision, RowView, STATES, ScheduleList, ScheduleView, ZoneView,
};
