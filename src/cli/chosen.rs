//! The schedules of the files that a verb is about: all, or those named.

use super::{
    Globals, clock_side, error::wait, exit::Exit, flag, output, reach::CredentialArgs, report,
    source::ClockSource, source_now::source_of, zone_data,
};
use crate::{
    clock,
    config::{Config, ScheduleSource},
    diagnostic::did_you_mean,
    schedule::Schedule,
    sources::{self, Schedules, Source},
};
use std::collections::HashSet;

/// All of the configured folder (or `folder`) that are not paused, or else those of these names. What is wrong was said
/// on standard error, and for people where they are from, if that was not said by a flag.
pub(super) fn chosen(
    globals: &Globals,
    folder: Option<&str>,
    names: &[String],
    for_people: bool,
) -> Result<Vec<Source>, Exit> {
    let (config, source, schedules) = read(globals, folder)?;
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
    if for_people && folder.is_none() {
        name_source(&source);
    }
    let wanted = |source: &Source| match wanted.is_empty() {
        true => !source.schedule.paused,
        false => wanted.contains(&*source.schedule.name),
    };
    let keep: Vec<bool> = schedules.iter().map(wanted).collect();
    let chosen = schedules.into_iter().zip(keep).filter(|(_, keep)| *keep).map(|(source, _)| source);
    Ok(counted(&config, chosen.collect()))
}

/// All of the configured folder (or `folder`), paused ones included, with the configuration. Otherwise as [`chosen`].
pub(super) fn all(globals: &Globals, folder: Option<&str>) -> Result<(Config, Vec<Source>), Exit> {
    let (config, source, schedules) = read(globals, folder)?;
    if folder.is_none() {
        name_source(&source);
    }
    let schedules = counted(&config, schedules);
    Ok((config, schedules))
}

fn read(globals: &Globals, folder: Option<&str>) -> Result<(Config, ScheduleSource, Vec<Source>), Exit> {
    let flags = flag("schedules.folder", "--schedules", folder);
    let config = globals.load(flags.into_iter().collect())?;
    let (source, unknown) = source_of(&config).map_err(|lost| {
        report::to_stderr(&lost.wrong);
        Exit::Configuration
    })?;
    if let Some(unknown) = unknown {
        report::to_stderr(&unknown.into());
    }
    let store = zone_data::of(&config)?;
    let schedules = usable(sources::read_in(&source, &config.calendars, &store))?;
    Ok((config, source, schedules))
}

fn name_source(source: &ScheduleSource) {
    output::complain(&format!("note: the schedules are those {source}"));
}

/// Limits without `from` count on from where the clock has them; where none knows the schedule with this timing, from
/// now.
fn counted(config: &Config, mut sources: Vec<Source>) -> Vec<Source> {
    if !sources.iter().any(|source| source.schedule.timing.is_counted_since_creation()) {
        return sources;
    }
    // A clock that can't be asked is no reason not to answer.
    let asked = wait(async {
        clock_side::of(ClockSource::of(config, false, &CredentialArgs::default()).await?).await
    });
    let running = asked.unwrap_or_default();
    for source in &mut sources {
        if !source.schedule.timing.is_counted_since_creation() {
            continue;
        }
        let name = &*source.schedule.name;
        let since = running.schedules.iter().find(|view| view.name == name).and_then(|view| {
            let schedule = Schedule::build_with(&view.definition, &running.calendars).ok()?;
            // As the clock has it: other rules of its zone are no reason to count anew.
            let now = source.schedule.timing.clone().with_rules_of(&schedule.timing);
            schedule.timing.is_due_as(&now).then_some(view.counts_from)
        });
        if since.is_none() {
            output::complain(&format!(
                "note: the limit of '{name}' is counted from now, as if it were new (it has no 'from', and no clock knows it)"
            ));
        }
        source.schedule = source.schedule.clone().counting_since(since.unwrap_or_else(clock::now));
    }
    sources
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
