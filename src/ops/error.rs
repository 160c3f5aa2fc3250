//! Why an operation has no result.

use super::{change_calendar::said_of_calendar, delayed::said_of_event};
use crate::{
    authority::Denied,
    clock_loop::{NotDecided, Unchanged},
    diagnostic::counted,
    engine::{Refusal, audit::TooFragmented},
    schedule::{ADay, Fault, FaultCode, file::FieldFaults},
    sources::Place,
    store::StoreError,
};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// Why an operation has no result. `Display` says what happened, to what, and what to do; only [`OpsError::NotFound`]
/// leaves to the interface where to look instead.
#[derive(Debug, thiserror::Error)]
pub enum OpsError {
    /// The request contradicts itself, or asks for what can't be known.
    #[error("{0}")]
    Invalid(String),
    /// The caller may not do this.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// A parameter of the request can't be used.
    #[error("{0}")]
    Parameter(ParameterFault),
    /// A definition in the request is malformed, or can't be used.
    #[error("{0}")]
    Definition(FieldFaults),
    /// The clock has no such thing.
    #[error("{}", .0.what)]
    NotFound(Missing),
    /// The clock refused the change.
    #[error("{0}")]
    Refused(String),
    /// Something else stands in the way.
    #[error("{0}")]
    Conflict(String),
    /// The clock refused to change this schedule.
    #[error("the schedule '{name}' is as it was: {}", said(.refusal, .place.as_ref()))]
    Unchanged {
        /// The schedule.
        name: String,
        /// Why.
        refusal: Refusal,
        /// Where a file has it, where that is why.
        place: Option<Place>,
    },
    /// The clock refused to change this calendar.
    #[error("the calendar '{name}' is as it was: {}", said_of_calendar(.refusal))]
    CalendarUnchanged {
        /// The calendar.
        name: String,
        /// Why.
        refusal: Refusal,
    },
    /// The clock refused to change this delayed event.
    #[error("the delayed event '{name}' is as it was: {}", said_of_event(.refusal))]
    EventUnchanged {
        /// The event; empty where not even that is known.
        name: String,
        /// Why.
        refusal: Refusal,
    },
    /// The schedule would never be due.
    #[error("the schedule '{name}' is as it was: {faults}")]
    NeverDue {
        /// The schedule.
        name: String,
        /// What in its definition says so.
        faults: FieldFaults,
    },
    /// Another number is found than was expected: of schedules that pass a filter, or of events of a backfill.
    #[error(
        "nothing changed: {found} are found, and {expected} were expected; look at what it finds (dry_run)"
    )]
    OtherCount {
        /// How many do.
        found: usize,
        /// How many were to.
        expected: usize,
    },
    /// It is done to some of those that it was asked for, and no further.
    #[error("{done} of {of} are done, and then: {why}; asked again, it is done to the others")]
    Partly {
        /// To how many.
        done: usize,
        /// Of how many.
        of: usize,
        /// Why not to more.
        why: Box<OpsError>,
    },
    /// Nothing changed: too many others wait for their changes.
    #[error("{0}")]
    TooMany(String),
    /// Nothing changed: there is no room for it, and for so long there will be none.
    #[error("{what}")]
    NoRoom {
        /// What there is no room for, and why.
        what: String,
        /// For how long at least.
        wait: Duration,
    },
    /// Nothing changed: the disk has no room for it.
    #[error("{0}")]
    OutOfDisk(String),
    /// Whether it was done is not known at present; or it is done, and may be forgotten.
    #[error("{0}")]
    Unknown(String),
    /// The clock does not answer at present.
    #[error("{0}")]
    Unavailable(String),
    /// The clock has ended, or ends, and does not answer any more.
    #[error("{what}")]
    Ending {
        /// What is known.
        what: String,
        /// It changed nothing; else it may be done.
        is_known: bool,
    },
    /// The record can't be read.
    #[error("the record can't be read: {0}")]
    Record(#[from] StoreError),
    /// The record can't be audited in one go.
    #[error(transparent)]
    TooFragmented(#[from] TooFragmented),
    /// The work panicked.
    #[error("the answer could not be made; this is a defect, please report it")]
    Defect,
}

/// What is wrong with a parameter of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterFault {
    /// Which one.
    pub name: &'static str,
    /// What kind of fault it is.
    pub code: FaultCode,
    /// What was found, and what is allowed.
    pub what: String,
    /// What to write instead, where it can be guessed.
    pub help: Option<String>,
}

impl fmt::Display for ParameterFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.what)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl OpsError {
    /// The same, where what is wrong with a text stands below this pointer.
    #[must_use]
    pub fn below(mut self, pointer: &str) -> Self {
        if let Self::Definition(faults) = &mut self {
            faults.list.iter_mut().for_each(|fault| fault.pointer.insert_str(0, pointer));
        }
        self
    }

    /// A parameter that can't be used.
    pub(super) fn parameter(name: &'static str, code: FaultCode, what: impl Into<String>) -> Self {
        Self::Parameter(ParameterFault { name, code, what: what.into(), help: None })
    }
}

/// Why a schedule was not changed, and what to do.
pub(super) fn said(refusal: &Refusal, place: Option<&Place>) -> String {
    match refusal {
        Refusal::FileOwned => {
            let place = place.map_or(String::new(), |place| format!(" ({place})"));
            format!("it comes from a schedule file{place}, and is changed there; or take another name")
        }
        Refusal::NotOwner { owner } => format!("it belongs to '{owner}', who created it; take another name"),
        Refusal::OutsideDomains { event } => {
            format!("its event '{event}' is none of those that you may change something about")
        }
        Refusal::ReservedEvent { event } => {
            format!(
                "its event '{event}' is one of the clock's own: take a name that does not begin with 'time.'"
            )
        }
        Refusal::Exists { revision } => format!("it exists, as revision {revision}, and was not to"),
        Refusal::Stale { revision: Some(revision) } => {
            format!("it is at revision {revision}, another one than expected: look at it again")
        }
        Refusal::Stale { revision: None } => "it does not exist, and a revision of it was expected".into(),
        Refusal::MayHaveBeenSent { due } => {
            format!("it is due at {due} alone, and its event may have been sent already")
        }
        Refusal::AlreadySettled { due } => {
            format!(
                "it was due at {due} alone, and that is settled: its event was sent, or given up; take another name for another event"
            )
        }
        Refusal::NeverDue => "it would never be due: what it says is past".into(),
        Refusal::Invalid { .. } => "its definition can't be used".into(),
        Refusal::Twice => "its name occurs twice in a request that is all or nothing".into(),
        Refusal::Another => "another change of the request, which is all or nothing, was refused".into(),
        Refusal::TooMany { most } => {
            format!(
                "{most} schedules of its owner are there, which is what his token allows (schedules); delete some"
            )
        }
        Refusal::TooManyInAll { most } => format!(
            "the clock may have {}, all together (limits.schedules in its configuration), and has as many; delete some",
            counted(*most, "schedule")
        ),
        Refusal::TooOftenInAll { a_day, most } => format!(
            "all schedules of the clock together would be due {} times a second, averaged over a day on which each is due, and {} are allowed (limits.rate in its configuration); make it less frequent",
            ADay(*a_day),
            ADay(*most)
        ),
        Refusal::TooManyDelayedEvents { .. } => said_of_event(refusal),
        Refusal::NoSuchSchedule { name } => format!("there is no schedule '{name}'"),
        Refusal::NotAsCounted { name } => {
            format!(
                "'{name}' is not as it was when they were counted, and all of them were meant: count again"
            )
        }
        Refusal::NoSuchCalendar { name } => format!("there is no calendar '{name}' any more"),
        Refusal::InUse { .. }
        | Refusal::LeavesNothingDue { .. }
        | Refusal::TooManyCalendars { .. }
        | Refusal::TooManyCalendarBytes { .. } => said_of_calendar(refusal),
        Refusal::MessageIdUsed => {
            "something else was asked for under this message id before: take a new id for a new request"
                .into()
        }
    }
}

impl From<Unchanged> for OpsError {
    fn from(why: Unchanged) -> Self {
        match why {
            Unchanged::Invalid(what) => Self::Invalid(what),
            // Who knows the caller says it better.
            Unchanged::Refused(refusal) => Self::Refused(said(&refusal, None)),
            Unchanged::Conflict(what) => Self::Conflict(what),
            Unchanged::TooMany(what) => Self::TooMany(what),
            Unchanged::NoRoom(what, wait) => Self::NoRoom { what, wait },
            Unchanged::Unavailable(what) => Self::Unavailable(what),
            Unchanged::Unknown(what) => Self::Unknown(what),
        }
    }
}

impl From<NotDecided> for OpsError {
    fn from(why: NotDecided) -> Self {
        match why {
            NotDecided::TooMany(what) => Self::TooMany(what),
            NotDecided::NoRoom(what, wait) => Self::NoRoom { what, wait },
            NotDecided::Unavailable(what) => Self::Unavailable(what),
            NotDecided::Unknown(what) => Self::Unknown(what),
        }
    }
}

impl From<Fault> for OpsError {
    /// Of a parameter that was read as the value of a key is.
    fn from(fault: Fault) -> Self {
        let Fault { code, key, what, help, .. } = fault;
        Self::Parameter(ParameterFault { name: key, code, what, help })
    }
}

/// What a clock does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Missing {
    /// A schedule, or something else.
    pub kind: MissingKind,
    /// What was looked for, in words.
    pub what: String,
    /// What may have been meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
}

/// The kind of something that is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MissingKind {
    /// A schedule.
    Schedule,
    /// A schedule that was there and does not run any more; a definition of it is kept, and maybe rows are.
    FormerSchedule,
    /// The days of a calendar.
    Calendar,
    /// A calendar, by its name.
    NamedCalendar,
    /// The rules of a time zone.
    Zone,
    /// An operation.
    Operation,
    /// A delayed event.
    DelayedEvent,
    /// An event, a task or a trace, of which neither the record nor what services report knows anything.
    Event,
    /// What services report: the clock does not listen to it.
    Reports,
}

impl Missing {
    /// What is missing, with what may have been meant, else with where all are listed.
    pub fn message(&self, listed: &str) -> String {
        let Self { what, suggestion, .. } = self;
        match suggestion {
            Some(near) => format!("{what}; did you mean '{near}'?"),
            None => format!("{what}; {listed}"),
        }
    }
}
