//! The zone data that the configuration names, in a store of its own.

use super::{Globals, exit::Exit, report};
use crate::{config::Config, schedule::CalendarStore, sources};

/// That of this configuration. What is wrong with it is said on standard error.
pub(super) fn of(config: &Config) -> Result<CalendarStore, Exit> {
    let store = CalendarStore::default();
    match sources::zones::read(config.clock.time_zones.as_deref()) {
        Ok((zones, warnings)) => {
            if warnings.warnings() > 0 {
                report::to_stderr(&warnings);
            }
            store.zones().use_data(zones);
            Ok(store)
        }
        Err(wrong) => {
            report::to_stderr(&wrong);
            Err(Exit::Configuration)
        }
    }
}

/// That of the configuration, for verbs that want nothing else of it: what else is wrong with it is no matter.
pub(super) fn configured(globals: &Globals) -> Result<CalendarStore, Exit> {
    of(&Config::read(&globals.request(Vec::new())).0)
}
