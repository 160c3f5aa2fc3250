//! The operations on a clock, one function each: what the HTTP interface and the command line offer is done here.
//!
//! A function that takes a [`Clock`] works on one that runs (its loop is asked, in bounded pages, and its record is
//! read) and on one that is stopped (its store is read) alike; one that takes a [`RunningClock`] needs its loop.
//! One that changes something takes the [`Caller`](crate::authority::Caller) and asks first whether he may; who reads was
//! let in. `views.rs` has the forms in which results are shown, `error.rs` why there is none. Absent: how a request came, how
//! many may be answered at a time, and how an answer is written. That is the interface's.

pub mod asyncapi;
pub mod audit;
pub mod backfill;
pub mod backup;
pub mod calendars;
pub mod change;
pub mod change_calendar;
pub mod changes;
mod clock;
pub mod cluster;
pub mod coverage;
pub mod delayed;
pub mod delete;
pub mod delete_some;
mod error;
mod events;
pub mod export;
pub mod feed;
pub mod forecast;
pub mod history;
pub mod judge;
mod message;
pub mod metrics;
pub mod next;
pub mod operations;
mod pages;
pub mod parked;
pub mod pause;
mod permit;
pub mod put;
mod put_view;
mod record;
pub mod schedules;
pub mod self_audit;
pub mod status;
mod stopped;
mod tag;
#[cfg(test)]
mod tests;
pub mod timeline;
pub mod trigger;
mod views;
pub mod watermark;
pub mod why;
pub mod zones;

pub(crate) use backup::Backups;
pub use clock::{Clock, RunningClock};
pub use error::{Missing, MissingKind, OpsError, ParameterFault};
use events::DefinitionCache;
pub(crate) use events::structured;
pub(crate) use pages::run_blocking;
pub use pages::{Pages, collect};
pub use put_view::{Coming, put_view};
pub use record::RecordReader;
pub use stopped::StoppedClock;
pub use tag::{NoTag, Tag};
pub use views::{
    Alive, BackfillAsked, BackfillDecision, BrokerLink, CalendarList, CalendarView, CallerView,
    ChosenDecision, DELAYED_STATES, DelayedChangeList, DelayedChangeView, DelayedEventList, DelayedEventView,
    DelayedHistory, DelayedRowView, EventOutcomeView, FilterDecision, FinishedView, FoundCalendar, GapView,
    History, NamedCalendarView, ORIGINS, OUTCOMES, OperationList, OperationView, OutcomeView,
    ParkedCreations, ParkedDecision, ParkedEventList, ParkedEventView, ParkedIds, ParkedList, ParkedView,
    PauseAsked, PauseDecision, PauseOneAsked, PauseSomeAsked, PauseView, PutView, Readiness, RefusalView,
    RefusedView, Reloaded, ResumeAsked, ResumeDecision, ResumeOneAsked, ResumeSomeAsked, RoleShown, RowView,
    STATES, ScheduleFilter, ScheduleList, ScheduleView, TaskAddress, TriggerDecision, ZoneView,
};
