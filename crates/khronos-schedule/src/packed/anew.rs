//! The same definition, read by the zone data and the calendars of now.

use super::Packed;
use crate::{
    definition::{Definition, calendars::Calendars, from_definition::Occasion},
    schedule::Schedule,
};

/// What becomes of a definition that is read anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Anew {
    /// It names neither zones nor days, or is not understood; or a calendar that it names is gone, or wrong.
    AsItWas,
    /// It is no schedule any more.
    Faulty,
    /// This. Maybe it is never due: where its calendars leave no day.
    Read(Packed),
}

impl Packed {
    /// The same definition, read by these.
    pub fn read_anew(&self, calendars: &Calendars) -> Anew {
        let names_others = self.rules().is_some() || self.zone_rules().next().is_some();
        if !names_others || !self.is_understood() {
            return Anew::AsItWas;
        }
        let mut definition = Definition { zones: None, calendars: None, ..self.definition() };
        if calendars.pin(&mut definition).is_err() {
            return Anew::AsItWas;
        }
        match Schedule::build_on(Occasion::Anew, &definition, calendars.store()) {
            Ok(schedule) => Anew::Read(Self::new(&definition, &schedule)),
            Err(_) => Anew::Faulty,
        }
    }
}
