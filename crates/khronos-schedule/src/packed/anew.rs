//! The same definition, read by the zone data and the calendars of now.

use super::Packed;
use crate::definition::{Definition, calendars::Calendars};

impl Packed {
    /// The same definition, read by these. `None` where it names neither zones nor days, and where it can't be read so any more: a
    /// calendar that it names is gone, say.
    pub fn read_anew(&self, calendars: &Calendars) -> Option<Self> {
        let names_others = self.rules().is_some() || self.zone_rules().next().is_some();
        if !names_others || !self.is_understood() {
            return None;
        }
        let mut definition = Definition { zones: None, calendars: None, ..self.definition() };
        calendars.pin(&mut definition).ok()?;
        Self::build_with(&definition, calendars.store()).ok()
    }
}
