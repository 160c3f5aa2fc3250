//! The folder of calendars: one file each, `*.toml` or `*.ics`, whose name without the ending is the calendar's.

use super::{
    file_set::{FileKind, FileSet},
    files, remedy,
};
use crate::{
    config::{CalendarSource, ScheduleSource},
    diagnostic::{Diagnostic, Diagnostics, Text},
    schedule::{Calendar, CalendarStore, Calendars, ZoneData, calendar, is_name},
};
use ponos::files::{FileReader, ReadError};
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

/// Calendar files in the folder.
const FILES: usize = 10_000;
/// Bytes of one file.
pub(super) const BYTES: u64 = 4 << 20;
/// How the names of these files end.
pub(super) const ENDINGS: [&str; 2] = ["toml", "ics"];

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

/// Reads all calendars, whose days are kept in `store`, into the set where there is one; what is wrong stands in the diagnostics.
/// Files of the names in `but` are left out.
pub(super) fn read(
    source: &CalendarSource,
    schedules: &ScheduleSource,
    (store, set): (&CalendarStore, Option<FileSet>),
    but: &BTreeSet<OsString>,
) -> Reading {
    let mut reading = Reading::new(store, set);
    // Beside a folder that is not there, nothing is ours yet.
    let beside_nothing = *source == CalendarSource::Beside && matches!(schedules, ScheduleSource::Unset(_));
    let Some(folder) = folder(source, schedules).filter(|_| !beside_nothing) else {
        return reading;
    };
    let mut reader = FileReader::default();
    let files = match files(&mut reader, &folder, &ENDINGS, FILES) {
        Ok(files) => files,
        Err(ReadError::Io(error))
            if error.kind() == io::ErrorKind::NotFound && *source == CalendarSource::Beside =>
        {
            return reading;
        }
        Err(error) => {
            let what = format!("the folder of calendars can't be read: {error}");
            let help = "name an existing folder of *.toml and *.ics files with calendars.folder";
            let shown = folder.display().to_string();
            reading.faults.push(Diagnostic::error(what).in_file(&shown).help(help));
            return reading;
        }
    };
    for file in files.iter().filter(|file| !file.file_name().is_some_and(|name| but.contains(name))) {
        let is_ics = is_ics(file);
        let text = if is_ics {
            reader.read(file, BYTES).map(calendar::ics::decoded)
        } else {
            reader.read_text(file, BYTES)
        };
        if !reading.add(file, text.map(|text| (text, is_ics))) {
            break;
        }
    }
    reading
}

/// Whether a file's ending says that it is in the iCalendar form.
pub(super) fn is_ics(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "ics")
}

/// The calendars read so far, and what is wrong with them.
pub(super) struct Reading {
    pub(super) calendars: Calendars,
    pub(super) faults: Diagnostics,
    /// What the files say, where somebody wants it.
    pub(super) set: Option<FileSet>,
    zones: ZoneData,
    /// The files of the calendars, by their names.
    seen: BTreeMap<String, String>,
}

impl Reading {
    pub(super) fn new(store: &CalendarStore, set: Option<FileSet>) -> Self {
        let (calendars, faults) = (Calendars::new(store.clone()), Diagnostics::default());
        Self { calendars, faults, set, zones: store.zones().data(), seen: BTreeMap::new() }
    }

    /// Adds the calendar of a file, from its text and whether that is in the iCalendar form. Whether it is worth going on
    /// with the next one.
    pub(super) fn add(&mut self, file: &Path, text: Result<(String, bool), ReadError>) -> bool {
        self.add_as(file, &file.display().to_string(), text)
    }

    /// The same of a file that people know as this.
    pub(super) fn add_as(
        &mut self,
        file: &Path,
        shown: &str,
        text: Result<(String, bool), ReadError>,
    ) -> bool {
        let Some(name) = name(file) else {
            let help = "1 to 128 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit, then .toml or .ics";
            let what = "this file's name is not a valid calendar name";
            self.faults.push(Diagnostic::error(what).in_file(shown).help(help));
            return true;
        };
        if let Some(first) = self.seen.insert(name.clone(), shown.to_owned()) {
            let what = format!("two calendars are named '{name}': the other one is {first}");
            self.faults.push(Diagnostic::error(what).in_file(shown).help("rename one of the files"));
            return true;
        }
        let calendar = match text {
            Ok((text, is_ics)) => {
                if let Some(set) = &mut self.set {
                    set.add(if is_ics { FileKind::Ics } else { FileKind::Calendar }, file, &text);
                }
                self.understood(&Text::new(shown, &text), is_ics)
            }
            Err(error) => {
                let what = format!("this calendar can't be read: {error}");
                self.faults.push(
                    Diagnostic::error(what)
                        .in_file(shown)
                        .help(remedy(&error, "split it into several calendars")),
                );
                if error.hangs() {
                    return false;
                }
                None
            }
        };
        self.calendars.insert(&name, calendar);
        true
    }

    /// What a text says, which need not be a file's.
    pub(super) fn understood(&mut self, text: &Text<'_>, is_ics: bool) -> Option<Calendar> {
        match calendar::parse_with(text, is_ics, &self.zones) {
            Ok((calendar, warnings)) => {
                self.faults.append(warnings);
                Some(calendar)
            }
            Err(found) => {
                self.faults.append(found);
                None
            }
        }
    }
}

/// The calendar's name, from its file's name; `None` if that is not a valid calendar name.
fn name(file: &Path) -> Option<String> {
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    is_name(stem).then(|| stem.to_owned())
}
