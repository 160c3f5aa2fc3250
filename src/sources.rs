//! Where schedules are read from: the folder of schedule files, or the standard ones that are built in; and the
//! calendars that they name, which are read first.
//!
//! Files are read one at a time, in the order of their names; a text is dropped before the next one is opened. A folder
//! whose file system does not answer is given up as a whole. What is absent: watching the folder (the service does), and judging one file's text (`schedule/file/`).

mod calendars;
mod file_lines;
mod file_set;
mod folder;
mod given;
mod kept;
mod limits;
mod origin;
pub mod zones;

use crate::{
    config::{CalendarSource, ScheduleSource},
    diagnostic::{Diagnostic, Diagnostics, Text, counted},
    schedule::{
        CalendarEnd, CalendarStore, Calendars, Definition, FaultCode, Packed, Schedule,
        file::{self, Entry},
        near_miss,
    },
};
use folder::{files, is_named_as_ours};
use kept::Index;
use ponos::{
    event::Timestamp,
    files::{FileReader, ReadError},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
    sync::Arc,
};

pub use calendars::folder as calendar_folder;
pub use file_lines::FileLines;
pub use file_set::{FileKind, FileSet, MOST_BYTES, SetFile, packed_of_set, packed_with_set};
pub use given::{Given, GivenFiles};
pub use kept::Kept;
pub use origin::are_of_a_folder;

/// The standard time events, as the repository's `schedules/standard.toml` has them.
pub const STANDARD: &str = include_str!("../schedules/standard.toml");

/// How a file begins that `khronos export` wrote.
pub const EXPORTED: &str = "# khronos export:";

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
#[derive(Debug)]
pub struct Schedules<K = Source> {
    /// All that are right, in the order of files and lines. No two have one name.
    pub list: Vec<K>,
    /// How many files were read.
    pub files: usize,
    /// How many of these were empty.
    empty: usize,
    /// Errors and warnings.
    pub diagnostics: Diagnostics,
    /// The calendars that there are.
    pub calendars: Calendars,
    /// Where those end that schedules name, and by how many.
    pub ends: BTreeMap<CalendarEnd, usize>,
    advised: Option<Timestamp>,
    /// How many of the list are there for their names alone: nothing is said of them.
    beside: usize,
    /// Of each of the list: which of the texts, and the line of its name.
    places: Vec<(u32, u32)>,
    /// And the line at which its table begins.
    begins: Vec<u32>,
    /// What the files say, where somebody wants it.
    set: Option<FileSet>,
    texts: Vec<Arc<str>>,
    names: Index,
    events: Index,
}

impl<K> Default for Schedules<K> {
    fn default() -> Self {
        Self {
            list: Vec::new(),
            files: 0,
            empty: 0,
            diagnostics: Diagnostics::default(),
            calendars: Calendars::default(),
            ends: BTreeMap::new(),
            advised: None,
            beside: 0,
            places: Vec::new(),
            begins: Vec::new(),
            set: None,
            texts: Vec::new(),
            names: Index::default(),
            events: Index::default(),
        }
    }
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

/// The same, the days of the calendars kept in `store`, whose zone data is used.
pub fn read_in(source: &ScheduleSource, calendars: &CalendarSource, store: &CalendarStore) -> Schedules {
    fill(Schedules::keeping(calendars, source, store), source, Bounds::default())
}

/// The same, in the form in which the clock holds schedules: each is packed before the next one is read. The days of the
/// calendars are kept in `store`; others were `created` at run time, which files can't name.
pub fn packed(
    source: &ScheduleSource,
    calendars: &CalendarSource,
    store: &CalendarStore,
    created: BTreeSet<Arc<str>>,
) -> Schedules<Packed> {
    let mut schedules = Schedules::keeping(calendars, source, store);
    schedules.calendars = std::mem::take(&mut schedules.calendars).beside(created);
    fill(schedules, source, Bounds::default())
}

/// The same, with warnings about what can run and was seldom meant, as seen at `now`.
pub fn advised(
    source: &ScheduleSource,
    calendars: &CalendarSource,
    store: &CalendarStore,
    now: Timestamp,
) -> Schedules {
    let schedules = Schedules { advised: Some(now), ..Schedules::keeping(calendars, source, store) };
    fill(schedules, source, Bounds::default())
}

/// Reads all schedules of a folder, or those of a single file, with the calendars in the folder beside them and the zone
/// data of `store`.
pub fn read_path(path: &Path, store: &CalendarStore) -> Schedules {
    if path.is_file() {
        let folder = ScheduleSource::Folder(path.parent().unwrap_or(Path::new("")).to_owned());
        let mut schedules = Schedules::keeping(&CalendarSource::Beside, &folder, store);
        schedules.add_file(&mut FileReader::default(), path, Bounds::default());
        return schedules;
    }
    read_in(&ScheduleSource::Folder(path.to_owned()), &CalendarSource::Beside, store)
}

/// As [`read_with`], within other bounds.
pub fn read_within(source: &ScheduleSource, calendars: &CalendarSource, bounds: Bounds) -> Schedules {
    fill(Schedules::naming(calendars, source), source, bounds)
}

fn fill<K: Kept>(mut schedules: Schedules<K>, source: &ScheduleSource, bounds: Bounds) -> Schedules<K> {
    match source {
        ScheduleSource::Embedded | ScheduleSource::Unset(_) => {
            schedules.files = 1;
            schedules.note(Path::new("standard.toml"), STANDARD);
            schedules.add(&Text::new("<built-in schedules/standard.toml>", STANDARD), bounds);
        }
        ScheduleSource::Folder(folder) => read_folder(folder, bounds, &mut schedules),
        ScheduleSource::None => {}
    }
    schedules
}

fn read_folder<K: Kept>(folder: &Path, bounds: Bounds, schedules: &mut Schedules<K>) {
    let shown = folder.display().to_string();
    let mut reader = FileReader::default();
    let files = match files(&mut reader, folder, &["toml"], bounds.files) {
        Ok(files) => files,
        Err(error) => {
            let help = "name an existing folder of *.toml files with --schedules or schedules.folder";
            let what = format!("the folder of schedules can't be read: {error}");
            return schedules.diagnostics.push(Diagnostic::error(what).in_file(&shown).help(help));
        }
    };
    for file in &files {
        if !schedules.add_file(&mut reader, file, bounds) {
            break;
        }
    }
    if schedules.list.is_empty() && schedules.diagnostics.errors() == 0 {
        let count = counted(files.len(), "file");
        let what = match files.len() {
            0 => "there is no schedule file (*.toml) in this folder".to_owned(),
            all if all == schedules.empty => {
                format!("there is no schedule in this folder: {count}, all empty")
            }
            _ => format!("there is no schedule in this folder: {count}, and all is commented out"),
        };
        let help = "put a file with a [[schedule]] into it; or remove it and leave schedules.folder out for the standard \
                    time events (which schedules.folder = \"built-in\" asks for too; \"none\" is for no schedules)";
        schedules.diagnostics.push(Diagnostic::error(what).in_file(&shown).help(help));
    }
}

/// What to do about a file that can't be read.
fn remedy(error: &ReadError, too_large: &'static str) -> &'static str {
    match error {
        ReadError::TooLarge(_) => too_large,
        error if error.hangs() => "check whether its mount responds; the rest of the folder was not read",
        _ => "make it a UTF-8 text that the clock's user may read, or remove it",
    }
}

/// What is said of a schedule file that can't be read.
fn unreadable(name: &str, error: &ReadError) -> Diagnostic {
    let remedy = remedy(error, "spread its schedules over several files");
    Diagnostic::error(format!("this schedule file can't be read: {error}")).in_file(name).help(remedy)
}

impl<K: Kept> Schedules<K> {
    /// None yet, which may name these calendars.
    fn naming(calendars: &CalendarSource, source: &ScheduleSource) -> Self {
        Self::keeping(calendars, source, &CalendarStore::default())
    }

    /// The same, the days of the calendars kept in `store`.
    fn keeping(calendars: &CalendarSource, source: &ScheduleSource, store: &CalendarStore) -> Self {
        let calendars::Reading { calendars, faults: diagnostics, .. } =
            calendars::read(calendars, source, (store, None), &BTreeSet::new());
        Self { calendars, diagnostics, ..Self::default() }
    }

    /// Whether it is worth going on with the next one.
    fn add_file(&mut self, reader: &mut FileReader, file: &Path, bounds: Bounds) -> bool {
        let name = file.display().to_string();
        self.files += 1;
        match reader.read_text(file, bounds.bytes) {
            Ok(text) => {
                self.note(file, &text);
                self.add_text(&Text::new(&name, &text), bounds);
            }
            Err(error) => {
                self.diagnostics.push(unreadable(&name, &error));
                return !error.hangs();
            }
        }
        true
    }

    fn note(&mut self, file: &Path, text: &str) {
        if let Some(set) = &mut self.set {
            set.add(FileKind::Schedules, file, text);
        }
    }

    /// Adds the text of a whole file.
    fn add_text(&mut self, text: &Text<'_>, bounds: Bounds) {
        if text.as_str().trim().is_empty() {
            self.empty += 1;
            let help = "put a [[schedule]] into it, or remove it; a file that is being written may be empty for a moment";
            let empty = Diagnostic::error("this schedule file is empty").in_file(&text.file()).help(help);
            self.diagnostics.push(empty.warning());
        }
        if self.advised.is_some() && text.as_str().starts_with(EXPORTED) {
            let what = "these were created at run time, and were exported: as a schedule file they are other schedules, \
                        whose events have other ids";
            let help = "khronos put --file has a clock run them as they were; delete this file's first line if they are to \
                        be schedules of a file, and delete those of the clock first, which have their names";
            let fault = Diagnostic::error(what).in_file(&text.file()).code(FaultCode::SeldomMeant);
            self.diagnostics.push(fault.help(help).warning());
        }
        self.add(text, bounds);
    }

    fn add(&mut self, text: &Text<'_>, bounds: Bounds) {
        let (entries, faults) = file::advised(text, &self.calendars, self.advised);
        self.diagnostics.append(faults);
        self.texts.push(text.file());
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
        let Entry { definition, schedule, begins, name, event } = entry;
        let place = Place { file: text.file(), line: text.position(name.start).0 };
        let (next, list) = (self.list.len(), &self.list);
        if let Some(first) =
            self.names.first(&schedule.name, next, |at| is(list, at, K::name, &schedule.name))
        {
            let (name_of, first) = (&schedule.name, self.place(first));
            let what = format!("two schedules are named '{name_of}': the first is at {first}");
            let help = "give one of them another name; the name is the key of its history";
            let fault = text.error(name, what).code(FaultCode::Conflict);
            return self.diagnostics.push(fault.help(help));
        }
        if let Some((meant, odd)) = near_miss::suspicious(schedule.event.as_str()) {
            let what = format!("the event '{}' looks misspelt ('{odd}')", schedule.event);
            let help = format!("did you mean '{meant}'?");
            let fault = text.error(event.clone(), what).code(FaultCode::SeldomMeant);
            self.diagnostics.push(fault.help(help).warning());
        }
        let sent = schedule.event.as_str();
        if let Some(first) = self.events.first(sent, next, |at| is(list, at, K::event, sent)) {
            let (other, at) = (self.list.get(first).map_or("", K::name), self.place(first));
            let what = format!("the event '{sent}' is also sent by the schedule '{other}' ({at})");
            let help =
                "queues bound to it receive both; give one of them another event if that is not intended";
            let fault = text.error(event, what).code(FaultCode::SeldomMeant);
            self.diagnostics.push(fault.help(help).warning());
        }
        for end in schedule.timing.calendar_ends() {
            *self.ends.entry(end).or_default() += 1;
        }
        let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        self.places.push((number(self.texts.len().saturating_sub(1)), number(place.line)));
        self.begins.push(number(text.position(begins).0));
        self.list.push(K::keep(definition, schedule, place));
    }

    /// Where one of the list stands.
    fn place(&self, at: usize) -> Place {
        let (text, line) = self.places.get(at).copied().unwrap_or_default();
        let file = self.texts.get(text as usize).cloned().unwrap_or_else(|| "".into());
        Place { file, line: line as usize }
    }
}

/// Whether the entry at this place has this text.
fn is<K>(list: &[K], at: usize, text_of: impl Fn(&K) -> &str, text: &str) -> bool {
    list.get(at).is_some_and(|kept| text_of(kept) == text)
}
