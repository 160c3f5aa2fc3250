//! Errors of an inbox, in classes by which the runtime decides.

use std::fmt;

/// Why the inbox could not answer. `Display` says what happened, to what, and what to do, without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxError {
    /// The class, by which callers decide.
    pub class: InboxErrorClass,
    /// What happened, and to what.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// Classes of [`InboxError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InboxErrorClass {
    /// The inbox's storage can't be reached or written now: release the message after a pause.
    Unavailable,
    /// Another run of the same key did not end in time, or a lock of the database was not free: try again after a pause.
    Conflict,
    /// Waiting does not help: damage, missing permission, statements that the database refuses.
    Refused,
}

impl InboxError {
    pub(super) fn refused(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { class: InboxErrorClass::Refused, what: what.into(), remedy: remedy.into() }
    }

    pub(super) fn conflict(what: impl Into<String>) -> Self {
        let remedy = "it is tried again after a pause".into();
        Self { class: InboxErrorClass::Conflict, what: what.into(), remedy }
    }
}

impl fmt::Display for InboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

impl std::error::Error for InboxError {}
