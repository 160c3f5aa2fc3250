//! The schedules of the files that a verb is about: all, or those named.

use super::{Globals, exit::Exit, flag, output, report};
use crate::{
    clock,
    diagnostic::did_you_mean,
    sources::{self, Schedules, Source},
};
use ponos::event::Timestamp;
use std::collections::HashSet;

/// All of the configured folder (or `folder`) that are not paused, or else those of these names. What is wrong was said
/// on standard error.
pub(super) fn chosen(globals: &Globals, folder: Option<&str>, names: &[String]) -> Result<Vec<Source>, Exit> {
    let flags = flag("schedules.folder", "--schedules", folder);
    let config = globals.load(flags.into_iter().collect())?;
    let schedules = usable(sources::read_with(&config.schedules, &config.calendars))?;
    let wanted: HashSet<&str> = names.iter().map(String::as_str).collect();
    let known: HashSet<&str> = schedules.iter().map(|source| &*source.schedule.name).collect();
    let mut unknown: Vec<_> = wanted.difference(&known).collect();
    unknown.sort();
    for name in &unknown {
        // A list of a million names helps nobody.
        let help = match known.len() {
            0..=30 => did_you_mean(name, sorted(&known)),
            _ => crate::diagnostic::nearest(name, known.iter().copied()).map_or_else(
                || "khronos list shows all".to_owned(),
                |near| format!("did you mean '{near}'?"),
            ),
        };
        output::complain(&format!("error: there is no schedule '{name}'; {help}"));
    }
    if !unknown.is_empty() {
        return Err(Exit::Usage);
    }
    let wanted = |source: &Source| match wanted.is_empty() {
        true => !source.schedule.paused,
        false => wanted.contains(&*source.schedule.name),
    };
    let keep: Vec<bool> = schedules.iter().map(wanted).collect();
    let chosen = schedules.into_iter().zip(keep).filter(|(_, keep)| *keep).map(|(source, _)| source);
    Ok(chosen.map(|source| counted(source, clock::now())).collect())
}

/// With a limit that has no beginning of its own counted from now.
fn counted(mut source: Source, now: Timestamp) -> Source {
    if source.schedule.timing.is_counted_since_creation() {
        source.schedule = source.schedule.counting_since(now);
        output::complain(&format!(
            "note: the limit of '{}' is counted from now, as if it were new (no 'from')",
            source.schedule.name
        ));
    }
    source
}

/// What was read, if all of it is right.
pub(super) fn usable(schedules: Schedules) -> Result<Vec<Source>, Exit> {
    if schedules.diagnostics.errors() > 0 {
        report::to_stderr(&schedules.diagnostics);
        return Err(Exit::Configuration);
    }
    Ok(schedules.list)
}

fn sorted<'a>(names: &HashSet<&'a str>) -> Vec<&'a str> {
    let mut names: Vec<_> = names.iter().copied().collect();
    names.sort_unstable();
    names
}
