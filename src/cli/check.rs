//! `khronos check`: every fault of the configuration and of all schedules (or of some files), all at once.

use super::{
    Globals,
    exit::Exit,
    flag, output, report,
    source_now::{Lost, source_of},
};
use crate::{
    clock,
    config::{Config, ScheduleSource},
    diagnostic::{Diagnostics, counted},
    schedule::{CalendarStore, Demand},
    sources, telemetry,
};
use ponos::terminal::Cleaned;
use std::{io, path::PathBuf, process::ExitCode};

/// Checks the configuration and all schedules, or the files that are named.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files of schedules (.toml) and calendars (.toml, .ics) instead of all; - is standard input
    ///
    /// They are judged as if they lay in the configured folders: which names are taken, and which calendars there are, is
    /// said by the other files there. A file there of the same name is the one that they replace. Of these other files
    /// nothing is said, but that they have errors.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The folder of schedule files, instead of the configured one
    #[arg(long, value_name = "DIR")]
    schedules: Option<String>,
    /// One JSON object a line for each finding: severity, code, file, line, column, message, help, source_line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(globals: &Globals, args: Args) -> ExitCode {
    let flags = flag("schedules.folder", "--schedules", args.schedules.as_deref());
    let (config, mut found) = Config::read(&globals.request(flags.into_iter().collect()));
    let store = CalendarStore::default();
    match sources::zones::read(config.clock.time_zones.as_deref()) {
        Ok((zones, warnings)) => {
            store.zones().use_data(zones);
            found.append(warnings);
        }
        Err(wrong) => found.append(wrong),
    }
    let (checked, can) = if args.files.is_empty() {
        (all(&config, &store, &mut found), "can run")
    } else {
        given(&args.files, &config, &store, &mut found)
    };

    let colours = telemetry::colours(&io::stdout());
    let printed = output::print_styled(|out| {
        if args.json {
            return output::lines(&mut Cleaned::new(out), found.list());
        }
        report::draw(out, &found, colours)?;
        if config.clock.time_zones.is_some() {
            writeln!(out, "time zones: IANA {}", store.zones().data())?;
        }
        let warnings = counted(found.warnings(), "warning");
        match (found.errors(), found.warnings()) {
            (0, 0) => writeln!(out, "the configuration and {checked} are valid"),
            (0, _) => writeln!(out, "{warnings}; {checked} {can}"),
            (errors, _) => writeln!(out, "{}, {warnings}; {checked} {can}", counted(errors, "error")),
        }
    });
    match printed {
        Err(exit) => exit.into(),
        Ok(()) if found.errors() > 0 => Exit::Findings.into(),
        Ok(()) => Exit::Done.into(),
    }
}

/// Checks what the clock would read now, and says what that is.
fn all(config: &Config, store: &CalendarStore, found: &mut Diagnostics) -> String {
    match source_of(config) {
        Ok((source, unknown)) => {
            let mut schedules = sources::advised(&source, &config.calendars, store, clock::now());
            schedules.hold_to(&config.limits, Demand::default());
            schedules.hold_below(&config.ceilings());
            unknown.into_iter().for_each(|unknown| schedules.diagnostics.push(unknown));
            let (count, files) = (counted(schedules.list.len(), "schedule"), schedules.files);
            found.append(schedules.diagnostics);
            match source {
                ScheduleSource::Folder(_) => format!("{count} in {} {source}", counted(files, "file")),
                ScheduleSource::Unset(_) | ScheduleSource::Embedded => format!("{count} ({source})"),
                ScheduleSource::None => format!("no schedules ({source})"),
            }
        }
        Err(Lost { wrong, kept }) => {
            found.append(wrong);
            match kept {
                0 => "no schedules".to_owned(),
                _ => format!("{} (the last accepted ones; not with --strict)", counted(kept, "schedule")),
            }
        }
    }
}

/// Checks these files among the configured ones, and says what they are and what they can do.
fn given(
    files: &[PathBuf],
    config: &Config,
    store: &CalendarStore,
    found: &mut Diagnostics,
) -> (String, &'static str) {
    // A folder that is not there takes no name.
    let source = config.schedules.now(false).unwrap_or(ScheduleSource::None);
    let calendars = sources::calendar_folder(&config.calendars, &source);
    let files = sources::GivenFiles::read(files, io::stdin(), calendars.as_deref());
    let judged = files.judged(&source, &config.calendars, store, &config.limits, clock::now());
    found.append(judged.diagnostics);
    let schedules = format!("{} in {}", counted(judged.schedules, "schedule"), counted(judged.files, "file"));
    let calendars = counted(judged.calendars, "calendar");
    match (judged.files, judged.calendar_files) {
        (_, 0) => (schedules, "can run"),
        (0, _) => (calendars, "can be used"),
        _ => (format!("{schedules} and {calendars}"), "can be used"),
    }
}
