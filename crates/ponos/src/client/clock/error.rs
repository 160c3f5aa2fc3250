//! Why a command was not done.

use super::super::ClientError;
use serde::Deserialize;
use std::{fmt, time::Duration};

/// Why a command to the clock was not done, or is not known to be. `Display` says what happened, to what, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClockError {
    /// What was to be sent is not declared by the client, breaks its contract, or there is no connection.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// What was asked for can't be written. Nothing was sent.
    #[error("nothing was asked of the clock: {0}")]
    Unwritable(String),
    /// The clock did not do it, and says why.
    #[error("the clock refused {kind}: {problem}")]
    Problem {
        /// The command.
        kind: &'static str,
        /// What it says.
        problem: Box<Problem>,
    },
    /// No clock takes commands on this vhost.
    #[error("no clock takes {kind}: {why}; start one with [commands] enabled on this vhost")]
    NoClock {
        /// The command.
        kind: &'static str,
        /// What the broker says.
        why: String,
    },
    /// The broker did not take the command.
    #[error("{kind} was not sent: {why}")]
    Refused {
        /// The command.
        kind: &'static str,
        /// Why.
        why: String,
    },
    /// No answer came in time: it may be done, or will be. Ask again under this id, and it is done once.
    #[error("{kind} ({id}) was not answered within {} s: {why}; it may be done all the same: ask again under this id", limit.as_secs_f64())]
    NoAnswer {
        /// The command.
        kind: &'static str,
        /// Its id.
        id: String,
        /// The time limit.
        limit: Duration,
        /// Why.
        why: String,
    },
    /// The answer can't be read: the clock is of another version than this framework.
    #[error("the answer to {kind} can't be read: {why}; whether it is done stands in the clock")]
    Unreadable {
        /// The command.
        kind: &'static str,
        /// Why.
        why: String,
    },
}

/// Why the clock did not do it ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Problem {
    /// The status, of HTTP.
    pub status: u16,
    /// What happened, in a word, for programs.
    pub code: String,
    /// What happened, to what, and what to do.
    pub detail: String,
    /// All that is wrong with the command, each by its place.
    #[serde(default)]
    pub errors: Vec<ProblemError>,
    /// How many more there are.
    #[serde(default)]
    pub more_errors: u64,
    /// When it is worth asking again, where it was refused for now.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
}

/// What is wrong at one place.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ProblemError {
    /// Where in the body: a JSON pointer.
    #[serde(default)]
    pub pointer: Option<String>,
    /// Which property of the message.
    #[serde(default)]
    pub parameter: Option<String>,
    /// What kind of fault it is, for programs.
    pub code: String,
    /// What was found there.
    pub detail: String,
}

impl Problem {
    /// Whether it is refused for now, and may be done when it is asked for again under the same id.
    pub fn is_for_now(&self) -> bool {
        matches!(self.status, 429 | 500 | 503 | 507)
    }
}

impl ClockError {
    /// What the clock says, if it is that.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem { problem, .. } => Some(problem),
            _ => None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status, self.code, self.detail)?;
        for error in &self.errors {
            let place = error.pointer.as_ref().or(error.parameter.as_ref()).map_or("", String::as_str);
            write!(f, "; {place}: {}", error.detail)?;
        }
        Ok(())
    }
}
