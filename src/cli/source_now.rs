//! Where a clock of this configuration would read its schedules from now. Of a usual folder that is not there, what the
//! clock runs (or its store holds) tells whether it is lost: then the clock reads nothing, and goes on with those.

use super::{
    clock_side::{self, ClockSide},
    error::{CliError, wait},
    reach::CredentialArgs,
    source::ClockSource,
};
use crate::{
    config::{Config, ScheduleSource, StorePath},
    diagnostic::{Diagnostic, Diagnostics, counted},
    schedule::{Definition, Packed},
    sources,
};

/// The clock would read nothing.
pub(super) struct Lost {
    /// Why, and what it goes on with.
    pub(super) wrong: Diagnostics,
    /// How many schedules it goes on with.
    pub(super) kept: usize,
}

/// Where they are read from, for a clock that has these.
pub(super) fn source_now<'a>(
    source: &ScheduleSource,
    accepted: impl IntoIterator<Item = &'a Definition>,
) -> Result<ScheduleSource, Lost> {
    let accepted: Vec<Packed> = accepted.into_iter().map(Packed::kept).collect();
    source.now(sources::are_of_a_folder(&accepted)).map_err(|wrong| {
        let kept = accepted.len();
        let goes_on = |message: &str| match kept {
            0 => message.to_owned(),
            _ => format!(
                "{message}; the clock continues with the last accepted ones ({})",
                counted(kept, "schedule")
            ),
        };
        let mut told = Diagnostics::default();
        for one in wrong.list() {
            told.push(Diagnostic { message: goes_on(&one.message), ..one.clone() });
        }
        Lost { wrong: told, kept }
    })
}

/// The same for the clock of this configuration, which is asked only where that matters. A warning where it can't be:
/// then it is taken for a new one.
pub(super) fn source_of(config: &Config) -> Result<(ScheduleSource, Option<Diagnostic>), Lost> {
    if let Ok(whatever_it_has) = config.schedules.now(true) {
        return Ok((whatever_it_has, None));
    }
    if config.store.path == StorePath::Memory {
        return source_now(&config.schedules, []).map(|now| (now, None));
    }
    let asked = wait(async {
        match ClockSource::of(config, true, &CredentialArgs::default()).await {
            Ok(source) => Ok(clock_side::of(source).await?),
            Err(CliError::NoStore(_)) => Ok(ClockSide::default()),
            Err(error) => Err(error),
        }
    });
    match asked {
        Ok(clock) => source_now(&config.schedules, clock.schedules.iter().map(|view| &view.definition))
            .map(|now| (now, None)),
        Err(error) => {
            let what = format!("can't tell whether this clock has run the schedules of a folder: {error}");
            let help = "if it has, it continues with those and does not read the built-in ones";
            let unknown = Diagnostic::error(what).help(help).warning();
            source_now(&config.schedules, []).map(|now| (now, Some(unknown)))
        }
    }
}
