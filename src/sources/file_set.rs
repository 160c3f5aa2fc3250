//! What the schedule files and the calendars of a clock say, as text: so that another clock of its name, which has older ones, can read
//! the same. A set is known by a digest of all of it.
//!
//! Absent: where it lies meanwhile, and which of several sets counts.

use super::{Bounds, Schedules, calendars};
use crate::{
    config::{CalendarSource, ScheduleSource},
    diagnostic::Text,
    schedule::{CalendarStore, Packed},
};
use ponos::files::ReadError;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{collections::BTreeSet, fmt, path::Path, sync::Arc};

/// Bytes of a set that are kept at most; of a larger one there is the digest alone.
pub const MOST_BYTES: usize = 32 << 20;
/// Files of a set at most: as many as a clock reads.
const MOST_FILES: usize = 110_000;

/// What a file of a set has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileKind {
    /// Schedules.
    Schedules,
    /// A calendar.
    Calendar,
    /// A calendar in the iCalendar form.
    Ics,
}

/// One file of a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetFile {
    kind: FileKind,
    /// Without its folder.
    name: String,
    text: String,
}

/// All files that were read: calendars first, each kind in the order of names.
#[derive(Clone)]
pub struct FileSet {
    hash: Sha256,
    files: usize,
    /// File by file; none where it is too large.
    bytes: Option<Vec<u8>>,
    /// There are no files: it is what is built in.
    pub is_assumed: bool,
}

impl Default for FileSet {
    fn default() -> Self {
        Self { hash: Sha256::new(), files: 0, bytes: Some(Vec::new()), is_assumed: false }
    }
}

impl fmt::Debug for FileSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSet")
            .field("digest", &self.digest())
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl FileSet {
    pub(super) fn add(&mut self, kind: FileKind, file: &Path, text: &str) {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let file = SetFile { kind, name, text: text.to_owned() };
        self.files += 1;
        // Into a vector nothing fails to be written.
        let file = postcard::to_stdvec(&file).unwrap_or_default();
        self.hash.update(&file);
        match &mut self.bytes {
            Some(bytes) if bytes.len() + file.len() <= MOST_BYTES && self.files <= MOST_FILES => {
                bytes.extend_from_slice(&file);
            }
            _ => self.bytes = None,
        }
    }

    #[cfg(test)]
    pub(crate) fn add_for_test(&mut self, text: &str) {
        self.add(FileKind::Schedules, Path::new("test.toml"), text);
    }

    /// SHA-256, in hexadecimal digits.
    pub fn digest(&self) -> String {
        digits(self.hash.clone())
    }

    /// All of it, to be [read](Self::read) elsewhere; none where it is too large.
    pub fn bytes(&self) -> Option<&[u8]> {
        self.bytes.as_deref()
    }

    /// The files of a set that is known by this digest.
    ///
    /// # Errors
    /// What does not fit, in words: then nothing of it is read.
    pub fn read(digest: &str, mut bytes: &[u8]) -> Result<Vec<SetFile>, &'static str> {
        if bytes.len() > MOST_BYTES {
            return Err("it is too large");
        }
        if digits(Sha256::new_with_prefix(bytes)) != digest {
            return Err("it does not match its digest");
        }
        let mut files = Vec::new();
        while !bytes.is_empty() {
            let (file, rest) = postcard::take_from_bytes(bytes).map_err(|_| "it is of an unknown form")?;
            let SetFile { name, .. } = &file;
            // They are shown to people.
            if name.len() > 255 || name.chars().any(|sign| sign.is_control() || sign == '/') {
                return Err("it has a file whose name is not valid");
            }
            if files.len() == MOST_FILES {
                return Err("it has too many files");
            }
            files.push(file);
            bytes = rest;
        }
        Ok(files)
    }
}

fn digits(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As [`packed`](super::packed), with what is read as a set.
pub fn packed_with_set(
    source: &ScheduleSource,
    calendars: &CalendarSource,
    store: &CalendarStore,
    created: BTreeSet<Arc<str>>,
) -> (Schedules<Packed>, FileSet) {
    let reading = calendars::read(calendars, source, (store, Some(FileSet::default())), &BTreeSet::new());
    let mut schedules = super::fill(Schedules::beside(reading, created), source, Bounds::default());
    let mut set = schedules.set.take().unwrap_or_default();
    set.is_assumed = matches!(source, ScheduleSource::Unset(_));
    (schedules, set)
}

/// The same of the files of another clock, wherever they lie there.
pub fn packed_of_set(
    files: &[SetFile],
    store: &CalendarStore,
    created: BTreeSet<Arc<str>>,
) -> Schedules<Packed> {
    let of = |is_wanted: fn(FileKind) -> bool| files.iter().filter(move |file| is_wanted(file.kind));
    let mut reading = calendars::Reading::new(store, None);
    for SetFile { kind, name, text } in of(|kind| kind != FileKind::Schedules) {
        let is_ics = *kind == FileKind::Ics;
        // Of these the text is what was made of the file: a letter of one byte may have three there.
        let most = if is_ics { calendars::BYTES.saturating_mul(3) } else { calendars::BYTES };
        let text = within(most, text).map(|text| (text.to_owned(), is_ics));
        reading.add_as(Path::new(name), &shown(name), text);
    }
    let mut schedules = Schedules::beside(reading, created);
    for SetFile { name, text, .. } in of(|kind| kind == FileKind::Schedules) {
        schedules.files += 1;
        let bounds = Bounds::default();
        match within(bounds.bytes, text) {
            Ok(text) => schedules.add_text(&Text::new(&shown(name), text), bounds),
            Err(too_large) => schedules.diagnostics.push(super::unreadable(&shown(name), &too_large)),
        }
    }
    schedules
}

/// A file of another clock, as people are told of it: here there may be another one of that name.
fn shown(name: &str) -> String {
    format!("<another clock's {name}>")
}

/// What is no larger than a file that is read here.
fn within(bytes: u64, text: &str) -> Result<&str, ReadError> {
    if text.len() as u64 > bytes { Err(ReadError::TooLarge(bytes)) } else { Ok(text) }
}

impl Schedules<Packed> {
    /// None yet, beside these calendars and those of the names that were created at run time.
    fn beside(reading: calendars::Reading, created: BTreeSet<Arc<str>>) -> Self {
        let calendars::Reading { calendars, faults: diagnostics, set, .. } = reading;
        Self { calendars: calendars.beside(created), diagnostics, set, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const HOLIDAYS: &str = "dates = [\"2026-12-25\"]\n";
    const DAILY: &str = "[[schedule]]\nname = \"daily\"\nevent = \"x.day.passed\"\nevery = \"1 day\"\nexclude = [\"holidays\"]\n";

    fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, ScheduleSource) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let source = ScheduleSource::Folder(folder.path().join("schedules"));
        (folder, source)
    }

    fn read(source: &ScheduleSource) -> (Schedules<Packed>, FileSet) {
        packed_with_set(source, &CalendarSource::Beside, &CalendarStore::default(), BTreeSet::new())
    }

    #[test]
    fn what_one_clock_has_read_another_one_reads_the_same() {
        let files = [("schedules/a.toml", DAILY), ("calendars/holidays.toml", HOLIDAYS)];
        let (_kept, source) = folder(&files);
        let (own, set) = read(&source);
        assert_eq!((own.list.len(), own.diagnostics.errors()), (1, 0), "{}", own.diagnostics);
        let taken = FileSet::read(&set.digest(), set.bytes().unwrap()).unwrap();
        let there = packed_of_set(&taken, &CalendarStore::default(), BTreeSet::new());
        assert_eq!((there.list, there.diagnostics.errors()), (own.list, 0));
        assert!(there.calendars.has("holidays"), "also for those that name it at run time");
        // In another folder the same files are the same set.
        let (_elsewhere, source) = folder(&files);
        assert_eq!(read(&source).1.digest(), set.digest());
        for changed in [
            [("schedules/a.toml", DAILY), ("calendars/holidays.toml", "dates = []\n")],
            [("schedules/b.toml", DAILY), ("calendars/holidays.toml", HOLIDAYS)],
        ] {
            let (_other, source) = folder(&changed);
            assert_ne!(read(&source).1.digest(), set.digest(), "{changed:?}");
        }
    }

    #[test]
    fn a_set_that_is_not_what_its_digest_says_is_refused_wholly() {
        let mut set = FileSet::default();
        set.add(FileKind::Schedules, Path::new("a.toml"), DAILY);
        let (digest, bytes) = (set.digest(), set.bytes().unwrap());
        assert_eq!(FileSet::read(&digest, bytes).unwrap().len(), 1);
        let mut flipped = bytes.to_vec();
        *flipped.last_mut().unwrap() ^= 1;
        for other in
            [&flipped[..], &bytes[1..], &bytes[..bytes.len() - 1], &[bytes, bytes].concat()[..], &[][..]]
        {
            assert_eq!(FileSet::read(&digest, other), Err("it does not match its digest"));
        }
        let mut named = FileSet::default();
        named.add(FileKind::Schedules, Path::new("a\u{1b}[2J.toml"), DAILY);
        let refused = FileSet::read(&named.digest(), named.bytes().unwrap());
        assert_eq!(refused, Err("it has a file whose name is not valid"));
        let cut = &bytes[..9];
        let digest = digits(Sha256::new_with_prefix(cut));
        assert_eq!(FileSet::read(&digest, cut), Err("it is of an unknown form"));
    }

    #[test]
    fn of_a_set_that_is_too_large_there_is_the_digest_alone() {
        let mut set = FileSet::default();
        set.add(FileKind::Schedules, Path::new("a.toml"), &"#".repeat(MOST_BYTES / 2));
        assert!(set.bytes().is_some());
        let before = set.digest();
        set.add(FileKind::Schedules, Path::new("b.toml"), &"#".repeat(MOST_BYTES / 2));
        assert!(set.bytes().is_none() && set.digest() != before);
        let many = vec![0; MOST_BYTES + 1];
        assert_eq!(FileSet::read(&digits(Sha256::new_with_prefix(&many)), &many), Err("it is too large"));
    }

    #[test]
    fn what_is_built_in_is_a_set_that_is_only_assumed_where_a_folder_is_missing() {
        let (_, assumed) = read(&ScheduleSource::Unset("nowhere".into()));
        let (_, wanted) = read(&ScheduleSource::Embedded);
        assert_eq!((assumed.is_assumed, wanted.is_assumed), (true, false));
        assert_eq!(assumed.digest(), wanted.digest());
    }

    #[test]
    fn a_file_of_another_clock_that_is_wrong_is_named_as_such_and_one_that_is_too_large_is_not_read() {
        let mut set = FileSet::default();
        let large = |bytes: u64| "#".repeat(usize::try_from(bytes).unwrap() + 1);
        set.add(FileKind::Calendar, Path::new("days.toml"), &large(calendars::BYTES));
        set.add(FileKind::Schedules, Path::new("a.toml"), &format!("{DAILY}colour = 1\n"));
        set.add(FileKind::Schedules, Path::new("b.toml"), &large(Bounds::default().bytes));
        let files = FileSet::read(&set.digest(), set.bytes().unwrap()).unwrap();
        let read = packed_of_set(&files, &CalendarStore::default(), BTreeSet::new());
        let said = read.diagnostics.to_string();
        for (name, what) in
            [("days.toml", "can't be read"), ("a.toml", "colour"), ("b.toml", "can't be read")]
        {
            let is_said = said.contains(&format!("<another clock's {name}>")) && said.contains(what);
            assert!(is_said, "{name}: {said}");
        }
        let of =
            |name: &str| read.diagnostics.list().iter().filter(|one| one.to_string().contains(name)).count();
        assert_eq!((of("days.toml"), of("b.toml")), (1, 1), "{said}");
    }
}
