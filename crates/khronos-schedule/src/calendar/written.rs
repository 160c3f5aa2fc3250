//! A calendar as somebody wrote it: the text, and in which form. What it says is read from it by the zone data of the day.

use super::{Calendar, parse_with};
use crate::{
    content_id::content_id,
    diagnostic::{Diagnostics, Text},
    zone::data::ZoneData,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use uuid::Uuid;

/// UUIDv5 of the URL namespace and `urn:khronos:calendar-text`.
const TEXTS: Uuid = Uuid::from_u128(0x899e_80f2_cf2a_5caf_8105_e1d2_dcbd_c8fe);

content_id! {
    /// The id of a calendar's text in its form: of equal ones it is equal.
    CalendarTextId, TEXTS
}

/// The forms in which a calendar is written.
// Lies in the store: what is added goes behind what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CalendarForm {
    /// `dates`, `weekdays` and `yearly`.
    Toml,
    /// iCalendar (RFC 5545).
    Ics,
}

impl CalendarForm {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Toml, Self::Ics];

    /// Its word: how the names of such files end.
    pub fn word(self) -> &'static str {
        match self {
            Self::Toml => "toml",
            Self::Ics => "ics",
        }
    }
}

/// A calendar as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalendarText {
    /// In which form.
    pub form: CalendarForm,
    /// The text.
    pub text: Arc<str>,
}

impl CalendarText {
    /// The most bytes that a calendar may have.
    pub const LONGEST: usize = 4 << 20;

    /// Its id by its content.
    pub fn id(&self) -> CalendarTextId {
        CalendarTextId::of(format!("{}\n{}", self.form.word(), self.text).as_bytes())
    }

    /// What it says, and what was seldom meant, or all that is wrong with it; its places are in a file of this name. The
    /// zones that it names are those of this data.
    ///
    /// # Errors
    /// Every fault, at its place.
    pub fn read(&self, file: &str, zones: &ZoneData) -> Result<(Calendar, Diagnostics), Diagnostics> {
        parse_with(&Text::new(file, &self.text), self.form == CalendarForm::Ics, zones)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_text_is_that_of_its_form_too() {
        let text = |form, text: &str| CalendarText { form, text: text.into() };
        let of = |form, of: &str| text(form, of).id();
        assert_eq!(of(CalendarForm::Toml, "a"), of(CalendarForm::Toml, "a"));
        assert_ne!(of(CalendarForm::Toml, "a"), of(CalendarForm::Ics, "a"));
        assert_ne!(of(CalendarForm::Toml, "a"), of(CalendarForm::Toml, "b"));
    }

    #[test]
    fn a_text_is_read_in_its_own_form() {
        let zones = ZoneData::bundled();
        let toml = CalendarText { form: CalendarForm::Toml, text: "dates = [\"2026-12-25\"]".into() };
        assert!(toml.read("off", &zones).is_ok());
        let ics = CalendarText { form: CalendarForm::Ics, ..toml };
        assert!(ics.read("off", &zones).unwrap_err().to_string().starts_with("off:1:"));
    }
}
