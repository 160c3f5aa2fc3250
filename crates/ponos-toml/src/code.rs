//! Kinds of faults, as programs read them.

use serde::{Deserialize, Serialize};

/// What kind of fault it is, for programs: the words stay as they are, while texts for people may be put better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum FaultCode {
    /// The text is not of its language (JSON, TOML) at all.
    Syntax,
    /// A key is given twice.
    DuplicateKey,
    /// It is nested more deeply than is read.
    TooDeep,
    /// It has more bytes than are read.
    TooLarge,
    /// The key is unknown.
    UnknownKey,
    /// A key is needed and missing.
    MissingKey,
    /// A value is of another type than its key's.
    WrongType,
    /// A number would not be kept as it is written.
    InexactNumber,
    /// A value of the right type can't be understood.
    InvalidValue,
    /// A word is not one of those that are allowed.
    UnknownWord,
    /// A value is beyond what is allowed.
    OutOfRange,
    /// An instant is finer than a millisecond.
    TooFine,
    /// A local time is given without a time zone.
    NoTimeZone,
    /// The time zone is unknown.
    UnknownTimeZone,
    /// The calendar is unknown, or can't be used.
    UnknownCalendar,
    /// Keys, or their values, exclude each other.
    Conflict,
    /// It would never be due.
    NeverFires,
    /// It can be used, and is seldom meant.
    SeldomMeant,
}

impl FaultCode {
    /// Whether the text as such is wrong, whatever it says.
    pub fn is_malformed(self) -> bool {
        matches!(self, Self::Syntax | Self::DuplicateKey | Self::TooDeep | Self::TooLarge)
    }

    /// Whether the value is not of its key's form.
    pub fn is_of_the_form(self) -> bool {
        matches!(self, Self::InvalidValue | Self::TooFine | Self::UnknownTimeZone | Self::NoTimeZone)
    }

    /// Whether one value alone is to blame: it is wrong whatever the others are.
    pub fn is_of_one_value(self) -> bool {
        matches!(
            self,
            Self::InvalidValue
                | Self::UnknownWord
                | Self::OutOfRange
                | Self::TooFine
                | Self::UnknownTimeZone
                | Self::UnknownCalendar
        )
    }
}
