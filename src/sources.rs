//! Where schedules are read from: the folder of schedule files, or the standard ones that are built in; and the
//! calendars that they name, which are read first.
//!
//! Files are read one at a time, in the order of their names; a text is dropped before the next one is opened. What is
//! absent: watching the folder (the service does), and judging one file's text (`schedule/file.rs`).

mod calendars;

pub use calendars::folder as calendar_folder;
mod limits;

use crate::{
    config::{CalendarSource, ScheduleSource},
    diagnostic::{Diagnostic, Diagnostics, Text},
    schedule::{
        Calendars, Definition, Schedule,
        file::{self, Entry},
        near_miss,
    },
};
use ponos::event::Timestamp;
use std::{
    collections::{HashMap, hash_map},
    fmt,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

/// The standard time events, as the repository's `schedules/standard.toml` has them.
pub const STANDARD: &str = include_str!("../schedules/standard.toml");

/// The bounds of what is read.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Schedule files in the folder.
    pub files: usize,
    /// Bytes of one file: its text and what it means are in memory together.
    pub bytes: u64,
    /// Schedules in all.
    pub schedules: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { files: 100_000, bytes: 16 << 20, schedules: 2_000_000 }
    }
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as the person knows it.
    pub file: Arc<str>,
    /// Counted from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A schedule, and where it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// What is written.
    pub definition: Definition,
    /// What it means.
    pub schedule: Schedule,
    /// Where.
    pub place: Place,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Schedules {
    /// All that are right, in the order of files and lines. No two have one name.
    pub list: Vec<Source>,
    /// How many files were read.
    pub files: usize,
    /// What is wrong (errors) or odd (warnings).
    pub diagnostics: Diagnostics,
    /// The calendars that there are.
    pub calendars: Calendars,
    advised: Option<Timestamp>,
    names: HashMap<Arc<str>, Place>,
    events: HashMap<Arc<str>, (Arc<str>, Place)>,
}

/// Reads all schedules of a source, with the calendars in the folder beside it. Never fails as a whole: what is wrong
/// stands in the diagnostics.
pub fn read(source: &ScheduleSource) -> Schedules {
    read_with(source, &CalendarSource::Beside)
}

/// The same with these calendars.
pub fn read_with(source: &ScheduleSource, calendars: &CalendarSource) -> Schedules {
    read_within(source, calendars, Bounds::default())
}

/// The same, with warnings about what can run and was seldom meant, as seen at `now`.
pub fn advised(source: &ScheduleSource, calendars: &CalendarSource, now: Timestamp) -> Schedules {
    let schedules = Schedules { advised: Some(now), ..Schedules::naming(calendars, source) };
    fill(schedules, source, Bounds::default())
}

/// Reads all schedules of a folder, or those of a single file, with the calendars in the folder beside them.
pub fn read_path(path: &Path) -> Schedules {
    if path.is_file() {
        let folder = ScheduleSource::Folder(path.parent().unwrap_or(Path::new("")).to_owned());
        let mut schedules = Schedules::naming(&CalendarSource::Beside, &folder);
        schedules.add_file(path, Bounds::default());
        return schedules;
    }
    read(&ScheduleSource::Folder(path.to_owned()))
}

/// As [`read_with`], within other bounds.
pub fn read_within(source: &ScheduleSource, calendars: &CalendarSource, bounds: Bounds) -> Schedules {
    fill(Schedules::naming(calendars, source), source, bounds)
}

fn fill(mut schedules: Schedules, source: &ScheduleSource, bounds: Bounds) -> Schedules {
    match source {
        ScheduleSource::Embedded => {
            schedules.files = 1;
            schedules.add(&Text::new("<built-in schedules/standard.toml>", STANDARD), bounds);
        }
        ScheduleSource::Folder(folder) => read_folder(folder, bounds, &mut schedules),
    }
    schedules
}

fn read_folder(folder: &Path, bounds: Bounds, schedules: &mut Schedules) {
    let shown = folder.display().to_string();
    let files = match files(folder, bounds.files) {
        Ok(files) => files,
        Err(error) => {
            let help = "name an existing folder of *.toml files with --schedules or schedules.folder";
            let what = format!("the folder of schedules can't be read: {error}");
            return schedules.diagnostics.push(Diagnostic::error(what).in_file(&shown).help(help));
        }
    };
    for file in &files {
        schedules.add_file(file, bounds);
    }
    if schedules.list.is_empty() && schedules.diagnostics.errors() == 0 {
        let what = match files.len() {
            0 => "there is no schedule file (*.toml) in this folder".to_owned(),
            count => format!("there is no schedule in this folder: {count} files, and all is commented out"),
        };
        let help = "put a file with a [[schedule]] into it, or leave schedules.folder out for the standard time events";
        schedules.diagnostics.push(Diagnostic::error(what).in_file(&shown).help(help));
    }
}

/// The folder's `*.toml` files by name; hidden ones (editors' copies) are left out.
fn files(folder: &Path, most: usize) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if hidden || path.extension().is_none_or(|extension| extension != "toml") || path.is_dir() {
            continue;
        }
        if files.len() == most {
            return Err(io::Error::other(format!("it has more than {most} schedule files")));
        }
        files.push(path);
    }
    files.sort();
    Ok(files)
}

fn read_file(file: &Path, most: u64) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(most + 1).read_to_string(&mut text)?;
    if text.len() as u64 > most {
        return Err(io::Error::other(format!(
            "it is larger than {most} bytes; spread its schedules over several files"
        )));
    }
    Ok(text)
}

impl Schedules {
    /// None yet, which may name these calendars.
    fn naming(calendars: &CalendarSource, source: &ScheduleSource) -> Self {
        let (calendars, diagnostics) = calendars::read(calendars, source);
        Self { calendars, diagnostics, ..Self::default() }
    }

    fn add_file(&mut self, file: &Path, bounds: Bounds) {
        let name = file.display().to_string();
        match read_file(file, bounds.bytes) {
            Ok(text) => self.add(&Text::new(&name, &text), bounds),
            Err(error) => self.diagnostics.push(
                Diagnostic::error(format!("this schedule file can't be read: {error}"))
                    .in_file(&name)
                    .help("make it a UTF-8 text that the clock's user may read, or remove it"),
            ),
        }
        self.files += 1;
    }

    fn add(&mut self, text: &Text<'_>, bounds: Bounds) {
        let (entries, faults) = file::advised(text, &mut self.calendars, self.advised);
        self.diagnostics.append(faults);
        for entry in entries {
            if self.list.len() == bounds.schedules {
                let what = format!("there are more than {} schedules", bounds.schedules);
                self.diagnostics.push(text.error(entry.name, what).help("run a second clock for the rest"));
                return;
            }
            self.add_entry(text, entry);
        }
    }

    fn add_entry(&mut self, text: &Text<'_>, entry: Entry) {
        let Entry { definition, schedule, name, event } = entry;
        let place = Place { file: text.file(), line: text.position(name.start).0 };
        match self.names.entry(Arc::clone(&schedule.name)) {
            hash_map::Entry::Occupied(first) => {
                let what = format!(
                    "there are two schedules '{}': the first stands at {}",
                    schedule.name,
                    first.get()
                );
                let help = "give one of them another name; the name is the key of its history";
                return self.diagnostics.push(text.error(name, what).help(help));
            }
            hash_map::Entry::Vacant(free) => free.insert(place.clone()),
        };
        if let Some((meant, odd)) = near_miss::suspicious(schedule.event.as_str()) {
            let what = format!("the event '{}' looks misspelt ('{odd}')", schedule.event);
            let help = format!("did you mean '{meant}'?");
            self.diagnostics.push(text.error(event.clone(), what).help(help).warning());
        }
        match self.events.entry(schedule.event.as_str().into()) {
            hash_map::Entry::Occupied(first) => {
                let (other, at) = first.get();
                let what =
                    format!("the event '{}' is also sent by the schedule '{other}' ({at})", schedule.event);
                let help =
                    "whoever is bound to it gets both; give one of them another event if that is not meant";
                self.diagnostics.push(text.error(event, what).help(help).warning());
            }
            hash_map::Entry::Vacant(free) => {
                free.insert((Arc::clone(&schedule.name), place.clone()));
            }
        }
        self.list.push(Source { definition, schedule, place });
    }
}
