//! Why an iCalendar text, or a part of it, can't be used: where, what, and what to do.

use super::component::Component;
use std::ops::Range;

/// A fault at its place in the file.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) at: Range<usize>,
    pub(super) what: String,
    pub(super) help: Option<String>,
}

impl Refusal {
    pub(super) fn new(at: Range<usize>, what: impl Into<String>) -> Self {
        Self { at, what: what.into(), help: None }
    }

    /// The component as a whole is to blame.
    pub(super) fn of(component: &Component<'_>, what: impl Into<String>) -> Self {
        Self::new(component.place(), what)
    }

    /// What to do.
    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}
