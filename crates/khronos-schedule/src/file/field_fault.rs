//! What is wrong with a JSON text, each at its pointer: the form in which programs are told.

use crate::{FaultCode, fault::floor};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Faults that are kept; the others are counted.
pub(super) const MOST: usize = 100;
/// Bytes of each text of a fault; of a pointer, some more.
pub(super) const SAID: usize = 1_000;

/// What is wrong at one place of a JSON text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FieldFault {
    /// Where: a JSON pointer (RFC 6901) into the body. Of a key that is missing, where it belongs; empty for the whole.
    pub pointer: String,
    /// What kind of fault it is, for programs.
    pub code: FaultCode,
    /// What was found there, for people.
    pub detail: String,
    /// What is allowed there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What to write instead, where it can be guessed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
}

/// All that is wrong with a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldFaults {
    /// The first hundred that were found; among them always one that makes the text as such wrong, where there is any.
    pub list: Vec<FieldFault>,
    /// How many more there are.
    pub more: usize,
}

impl FieldFaults {
    /// One more.
    pub fn add(&mut self, fault: FieldFault) {
        self.add_with(fault.code, || fault);
    }

    /// The same, not written where it would only be counted.
    pub(super) fn add_with(&mut self, code: FaultCode, fault: impl FnOnce() -> FieldFault) {
        if self.list.len() >= MOST {
            self.more += 1;
            if !code.is_malformed() || self.is_malformed() {
                return;
            }
            self.list.pop();
        }
        let mut fault = fault();
        let said = [Some(&mut fault.detail), fault.expected.as_mut(), fault.suggestion.as_mut()];
        for text in said.into_iter().flatten() {
            let end = floor(text, SAID);
            if end < text.len() {
                text.truncate(end);
                text.push('…');
            }
        }
        self.list.push(fault);
    }

    /// Whether the text as such is wrong, whatever it says.
    pub fn is_malformed(&self) -> bool {
        self.list.iter().any(|fault| fault.code.is_malformed())
    }
}

impl From<FieldFault> for FieldFaults {
    fn from(fault: FieldFault) -> Self {
        let mut faults = Self::default();
        faults.add(fault);
        faults
    }
}

impl fmt::Display for FieldFaults {
    /// The first of them on a line, and how many more there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.list.first() else { return Ok(()) };
        f.write_str(&first.detail)?;
        if let Some(suggestion) = &first.suggestion {
            write!(f, "; {suggestion}")?;
        }
        match self.list.len() - 1 + self.more {
            0 => Ok(()),
            more => write!(f, " (and {more} more)"),
        }
    }
}
