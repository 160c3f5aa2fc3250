//! Why an operation has no result.

use crate::{
    authority::Denied,
    engine::audit::TooFragmented,
    schedule::{Fault, FaultCode, file::FieldFaults},
    store::StoreError,
};
use serde::{Deserialize, Serialize};
use std::fmt;

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
    /// The clock does not answer at present.
    #[error("{0}")]
    Unavailable(String),
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
    /// A parameter that can't be used.
    pub(super) fn parameter(name: &'static str, code: FaultCode, what: impl Into<String>) -> Self {
        Self::Parameter(ParameterFault { name, code, what: what.into(), help: None })
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
    /// The rules of a time zone.
    Zone,
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
