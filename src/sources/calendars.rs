//! The folder of calendars: one file each, `*.toml` or `*.ics`, whose name without the ending is the calendar's.

use super::{files, remedy};
use crate::{
    config::{CalendarSource, ScheduleSource},
    diagnostic::{Diagnostic, Diagnostics, Text},
    schedule::{CalendarStore, Calendars, calendar, is_name},
};
use ponos::files::{FileReader, ReadError};
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

/// Calendar files in the folder.
const FILES: usize = 10_000;
/// Bytes of one file.
const BYTES: u64 = 4 << 20;

/// The folder from which calendars are read for these schedules; it need not exist where it is not configured.
pub fn folder(calendars: &CalendarSource, schedules: &ScheduleSource) -> Option<PathBuf> {
    match (calendars, schedules) {
        (CalendarSource::Folder(folder), _) => Some(folder.clone()),
        (CalendarSource::Beside, ScheduleSource::Embedded | ScheduleSource::None) => None,
        (CalendarSource::Beside, ScheduleSource::Folder(folder) | ScheduleSource::Unset(folder)) => {
            Some(match folder.file_name() {
                Some(_) => folder.with_file_name("calendars"),
                None => folder.join("..").join("calendars"),
            })
        }
    }
}

/// Reads all calendars, whose days are kept in `store`; what is wrong stands in the diagnostics.
pub(super) fn read(
    source: &CalendarSource,
    schedules: &ScheduleSource,
    store: &CalendarStore,
) -> (Calendars, Diagnostics) {
    let (mut calendars, mut faults) = (Calendars::new(store.clone()), Diagnostics::default());
    // Beside a folder that is not there, nothing is ours yet.
    let beside_nothing = *source == CalendarSource::Beside && matches!(schedules, ScheduleSource::Unset(_));
    let Some(folder) = folder(source, schedules).filter(|_| !beside_nothing) else {
        return (calendars, faults);
    };
    let mut reader = FileReader::default();
    let files = match files(&mut reader, &folder, &["toml", "ics"], FILES) {
        Ok(files) => files,
        Err(ReadError::Io(error))
            if error.kind() == io::ErrorKind::NotFound && *source == CalendarSource::Beside =>
        {
            return (calendars, faults);
        }
        Err(error) => {
            let what = format!("the folder of calendars can't be read: {error}");
            let help = "name an existing folder of *.toml and *.ics files with calendars.folder";
            faults.push(Diagnostic::error(what).in_file(&folder.display().to_string()).help(help));
            return (calendars, faults);
        }
    };
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for file in &files {
        let shown = file.display().to_string();
        let Some(name) = name(file) else {
            let help = "1 to 128 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit, then .toml or .ics";
            let what = "this file's name is not a valid calendar name";
            faults.push(Diagnostic::error(what).in_file(&shown).help(help));
            continue;
        };
        if let Some(first) = seen.insert(name.clone(), shown.clone()) {
            let what = format!("two calendars are named '{name}': the other one is {first}");
            faults.push(Diagnostic::error(what).in_file(&shown).help("rename one of the files"));
            continue;
        }
        let is_ics = file.extension().is_some_and(|extension| extension == "ics");
        let text = if is_ics {
            reader.read(file, BYTES).map(calendar::ics::decoded)
        } else {
            reader.read_text(file, BYTES)
        };
        let calendar = match text.map(|text| calendar::parse(&Text::new(&shown, &text), is_ics)) {
            Ok(Ok((calendar, warnings))) => {
                faults.append(warnings);
                Some(calendar)
            }
            Ok(Err(found)) => {
                faults.append(found);
                None
            }
            Err(error) => {
                let what = format!("this calendar can't be read: {error}");
                faults.push(
                    Diagnostic::error(what)
                        .in_file(&shown)
                        .help(remedy(&error, "split it into several calendars")),
                );
                if error.hangs() {
                    return (calendars, faults);
                }
                None
            }
        };
        calendars.insert(&name, calendar);
    }
    (calendars, faults)
}

/// The calendar's name, from its file's name; `None` if that is not a valid calendar name.
fn name(file: &Path) -> Option<String> {
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    is_name(stem).then(|| stem.to_owned())
}
