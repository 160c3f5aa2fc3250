//! Files that somebody names, judged as if they lay in the configured folders: a file there of the same name is the one
//! that they replace; all others say which names are taken and which calendars there are, and nothing is said of them.

use super::{Bounds, Schedules, calendars, files, is_named_as_ours, unreadable};
use crate::{
    config::{CalendarSource, LimitsConfig, ScheduleSource},
    diagnostic::{Diagnostic, Diagnostics, Severity, Text, counted},
    schedule::{CalendarStore, Demand, calendar},
};
use ponos::{
    event::Timestamp,
    files::{FileReader, ReadError},
};
use serde::{Deserialize, de::IgnoredAny};
use std::{
    collections::BTreeSet,
    ffi::OsString,
    io::Read,
    path::{Path, PathBuf},
};

/// What a text that has no file is called.
const STANDARD_INPUT: &str = "<standard input>";

/// What was found in such files.
#[derive(Debug)]
pub struct Given {
    /// How many schedules are right.
    pub schedules: usize,
    /// How many files (or texts) of schedules there are.
    pub files: usize,
    /// The calendars that are right.
    pub calendars: usize,
    /// How many files (or texts) are calendars.
    pub calendar_files: usize,
    /// Errors and warnings.
    pub diagnostics: Diagnostics,
}

/// The texts of such files.
#[derive(Debug, Default)]
pub struct GivenFiles {
    schedules: Vec<File>,
    calendars: Vec<File>,
    diagnostics: Diagnostics,
}

#[derive(Debug)]
struct File {
    /// `None` of standard input, which has no name.
    path: Option<PathBuf>,
    text: Result<String, ReadError>,
    is_ics: bool,
}

impl GivenFiles {
    /// Reads them, each once; `-` is `input`. A calendar is known by its ending, its keys or the folder in which it lies.
    pub fn read(paths: &[PathBuf], mut input: impl Read, calendar_folder: Option<&Path>) -> Self {
        let (mut all, mut reader, mut seen) = (Self::default(), FileReader::default(), BTreeSet::new());
        let calendar_folder = calendar_folder.map(whole);
        for path in paths {
            let is_input = path.as_os_str() == "-";
            let place = if is_input { path.clone() } else { place(path) };
            let in_folder = calendar_folder.as_deref().is_some_and(|folder| place.parent() == Some(folder));
            if !seen.insert(place) {
                continue;
            }
            if is_input {
                all.add_input(&mut input);
                continue;
            }
            if !is_named_as_ours(path, &calendars::ENDINGS) {
                let text = reader.read_text(path, Bounds::default().bytes);
                if text.is_ok_and(|text| is_json_export(&text)) {
                    all.diagnostics.push(exported_as_json(&path.display().to_string()));
                    continue;
                }
                let help = "files of schedules end in .toml, calendars in .toml or .ics, and none begins with a dot; \
                            '-' reads standard input";
                let what = "the clock does not read files of this name";
                all.diagnostics.push(Diagnostic::error(what).in_file(&path.display().to_string()).help(help));
                continue;
            }
            let is_ics = calendars::is_ics(path);
            let text = if is_ics {
                reader.read(path, calendars::BYTES).map(calendar::ics::decoded)
            } else {
                reader.read_text(path, Bounds::default().bytes)
            };
            all.add(File { path: Some(path.clone()), text, is_ics }, in_folder);
        }
        all
    }

    fn add_input(&mut self, input: &mut impl Read) {
        let most = Bounds::default().bytes;
        let mut bytes = Vec::new();
        let read = match input.take(most + 1).read_to_end(&mut bytes) {
            Ok(length) if length as u64 > most => Err(ReadError::TooLarge(most)),
            Ok(_) => Ok(bytes),
            Err(error) => Err(error.into()),
        };
        let is_ics = read.as_ref().is_ok_and(|bytes| is_calendar_object(bytes));
        let text = read.and_then(|bytes| match is_ics {
            true => Ok(calendar::ics::decoded(bytes)),
            false => String::from_utf8(bytes).map_err(|_| ReadError::NotText),
        });
        if text.as_ref().is_ok_and(|text| is_json_export(text)) {
            return self.diagnostics.push(exported_as_json(STANDARD_INPUT));
        }
        self.add(File { path: None, text, is_ics }, false);
    }

    fn add(&mut self, mut file: File, in_calendar_folder: bool) {
        let names_days = |text: &String| calendar::table::names_days(&Text::new("", text));
        let is_calendar = file.is_ics || in_calendar_folder || file.text.as_ref().is_ok_and(names_days);
        if !is_calendar {
            return self.schedules.push(file);
        }
        if file.text.as_ref().is_ok_and(|text| text.len() as u64 > calendars::BYTES) {
            file.text = Err(ReadError::TooLarge(calendars::BYTES));
        }
        self.calendars.push(file);
    }

    /// Judges them as seen at `now`, among the other files of these folders and with the zone data of `store`.
    pub fn judged(
        self,
        source: &ScheduleSource,
        calendars: &CalendarSource,
        store: &CalendarStore,
        limits: &LimitsConfig,
        now: Timestamp,
    ) -> Given {
        let names = |files: &[File]| -> BTreeSet<OsString> {
            files.iter().filter_map(|file| Some(file.path.as_ref()?.file_name()?.to_owned())).collect()
        };
        let (calendar_files, files) = (self.calendars.len(), self.schedules.len());
        let mut found = self.diagnostics;
        let mut reading = calendars::read(calendars, source, (store, None), &names(&self.calendars));
        let mut elsewhere = std::mem::take(&mut reading.faults);
        let mut right = 0;
        for file in self.calendars {
            let before = reading.faults.errors();
            match (&file.path, file.text) {
                (Some(path), text) => {
                    reading.add(path, text.map(|text| (text, file.is_ics)));
                }
                // It has no name by which a schedule could mean it.
                (None, Ok(text)) => {
                    reading.understood(&Text::new(STANDARD_INPUT, &text), file.is_ics);
                }
                (None, Err(error)) => reading.faults.push(unreadable(STANDARD_INPUT, &error)),
            }
            right += usize::from(reading.faults.errors() == before);
        }
        found.append(reading.faults);

        let mut schedules = Schedules { calendars: reading.calendars, ..Schedules::default() };
        if let ScheduleSource::Folder(folder) = source {
            schedules.add_others(folder, &names(&self.schedules));
        }
        elsewhere.append(std::mem::take(&mut schedules.diagnostics));
        schedules.beside = schedules.list.len();
        schedules.advised = Some(now);
        for file in self.schedules {
            let shown = file.path.map_or(STANDARD_INPUT.to_owned(), |path| path.display().to_string());
            match file.text {
                Ok(text) => schedules.add_text(&Text::new(&shown, &text), Bounds::default()),
                Err(error) => schedules.diagnostics.push(unreadable(&shown, &error)),
            }
        }
        schedules.hold_to(limits, Demand::default());
        let count = schedules.list.len().saturating_sub(schedules.beside);
        found.append(schedules.diagnostics);
        if let Some(first) = elsewhere.list().iter().find(|one| one.severity == Severity::Error) {
            let (errors, what) =
                (counted(elsewhere.errors(), "error"), "so that not all of their names are known");
            let what =
                format!("{errors} in other files of the configured folders, {what}; the first: {first}");
            found.push(Diagnostic::error(what).help("khronos check shows all").warning());
        }
        Given { schedules: count, files, calendars: right, calendar_files, diagnostics: found }
    }
}

impl Schedules {
    /// Adds those of a folder, but of the files of these names.
    fn add_others(&mut self, folder: &Path, but: &BTreeSet<OsString>) {
        let (mut reader, bounds) = (FileReader::default(), Bounds::default());
        let files = match files(&mut reader, folder, &["toml"], bounds.files) {
            Ok(files) => files,
            Err(error) => {
                let what = format!("the folder of schedules can't be read: {error}");
                return self.diagnostics.push(Diagnostic::error(what).in_file(&folder.display().to_string()));
            }
        };
        for file in files.iter().filter(|file| !file.file_name().is_some_and(|name| but.contains(name))) {
            if !self.add_file(&mut reader, file, bounds) {
                break;
            }
        }
    }
}

/// Where a file lies, however it is written. A link is where it lies itself: of its name are the days.
fn place(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    whole(folder).join(path.file_name().unwrap_or_default())
}

/// A folder without links and the like, if it is there.
fn whole(folder: &Path) -> PathBuf {
    folder.canonicalize().unwrap_or_else(|_| folder.to_owned())
}

/// Whether a text is what `khronos export --json` writes. No TOML begins so.
fn is_json_export(text: &str) -> bool {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "their keys are what it is known by")]
    struct Exported {
        #[serde(default)]
        calendars: Vec<IgnoredAny>,
        schedules: Vec<IgnoredAny>,
    }
    text.trim_start().starts_with('{') && serde_json::from_str::<Exported>(text).is_ok()
}

fn exported_as_json(file: &str) -> Diagnostic {
    let what = "these were created at run time, and were exported: the clock reads no JSON files, and as a schedule file they \
                would be other schedules, whose events have other ids";
    Diagnostic::error(what).in_file(file).help("khronos put --file has a clock run them as they were")
}

/// Whether a text is in the iCalendar form, in whatever encoding.
fn is_calendar_object(bytes: &[u8]) -> bool {
    let begin: Vec<u8> = bytes.iter().copied().filter(u8::is_ascii_graphic).take(6).collect();
    begin.eq_ignore_ascii_case(b"BEGIN:")
}
