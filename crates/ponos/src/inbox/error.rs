//! What can go wrong with an inbox, in classes that the runtime decides by.

use std::fmt;

/// Why the inbox could not answer. `Display` says what happened, to what, and what to do; no secret in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxError {
    /// Which kind, by which callers decide.
    pub class: InboxErrorClass,
    /// What happened, to what.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// Kinds of [`InboxError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InboxErrorClass {
    /// The place it is kept can't be reached or written now: release the message, after a pause.
    Unavailable,
    /// Another run of the same key did not end in time, or a lock of the database's was not to be had: release the
    /// message.
    Conflict,
    /// It won't get better by waiting: damage, missing rights, statements that the database refuses.
    Refused,
}

impl InboxError {
    pub(super) fn refused(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { class: InboxErrorClass::Refused, what: what.into(), remedy: remedy.into() }
    }

    pub(super) fn conflict(what: impl Into<String>) -> Self {
        let remedy = "the delivery is released and delivered again".into();
        Self { class: InboxErrorClass::Conflict, what: what.into(), remedy }
    }
}

impl fmt::Display for InboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

impl std::error::Error for InboxError {}
