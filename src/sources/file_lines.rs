//! Where the schedules of files are written, by their names: nine bytes a schedule, and none of its name.
//!
//! A name is known by its hash. Among a million schedules one that is no name of them is taken for one of them once in a
//! thousand million times; and of two that could not be told apart nothing is said.

use super::{Kept, Place, Schedules};
use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

/// Schedules that share a part of the list, about.
const SHARED: usize = 8;

/// The file and the line of each schedule, as last read and accepted.
#[derive(Debug, Default)]
pub struct FileLines {
    hasher: RandomState,
    /// The first bits of a hash say which part of `entries` it is in: from here up to the next one.
    parts: Box<[u32]>,
    /// The next 32 bits of the hash, and a line counted through all files.
    entries: Box<[(u32, u32)]>,
    /// Each file, and the line before its first one.
    files: Box<[(u32, Arc<str>)]>,
}

impl FileLines {
    /// Where the schedule of this name is written, as far as it is one of these.
    pub fn place(&self, name: &str) -> Option<Place> {
        let (part, rest) = self.split(self.hasher.hash_one(name));
        let (start, end) = (self.parts.get(part)?, self.parts.get(part + 1)?);
        let near = self.entries.get(*start as usize..*end as usize)?;
        let mut found = near.iter().filter(|(hash, _)| *hash == rest);
        let (Some((_, line)), None) = (found.next(), found.next()) else { return None };
        let file = self.files.partition_point(|(before, _)| before < line).checked_sub(1)?;
        let (before, file) = self.files.get(file)?;
        Some(Place { file: file.clone(), line: (line - before) as usize })
    }

    fn split(&self, hash: u64) -> (usize, u32) {
        split(hash, self.parts.len())
    }

    /// Of these: the name, which of the files, and the line there.
    fn new<'a>(names: impl Iterator<Item = (&'a str, u32, u32)> + Clone, files: &[Arc<str>]) -> Self {
        let mut last = vec![0_u32; files.len()];
        let mut count = 0_usize;
        for (_, file, line) in names.clone() {
            count += 1;
            if let Some(last) = last.get_mut(file as usize) {
                *last = (*last).max(line);
            }
        }
        let mut all = 0_u32;
        let before = last.into_iter().map(|last| {
            let next = all.saturating_add(last);
            std::mem::replace(&mut all, next)
        });
        let files: Box<[(u32, Arc<str>)]> = before.zip(files.iter().cloned()).collect();
        let hasher = RandomState::new();
        let mut hashed: Vec<(u64, u32)> = Vec::with_capacity(count);
        // Beyond four thousand million lines nothing is said.
        hashed.extend(names.filter_map(|(name, file, line)| {
            let (before, _) = files.get(file as usize)?;
            Some((hasher.hash_one(name), before.checked_add(line)?))
        }));
        hashed.sort_unstable();
        let bounds = (count / SHARED).max(1).next_power_of_two() + 1;
        let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let start = |part| number(hashed.partition_point(|(hash, _)| split(*hash, bounds).0 < part));
        let parts = (0..bounds).map(start).collect();
        let entries = hashed.iter().map(|(hash, line)| (split(*hash, bounds).1, *line)).collect();
        Self { parts, entries, files, hasher }
    }
}

/// The part that a hash is in, of one less than `bounds`, which is a power of two; and what tells it from others there.
fn split(hash: u64, bounds: usize) -> (usize, u32) {
    let bits = bounds.saturating_sub(1).max(1).trailing_zeros();
    let part = hash.checked_shr(64 - bits).unwrap_or_default();
    let rest = hash.checked_shl(bits).unwrap_or_default() >> 32;
    (usize::try_from(part).unwrap_or_default(), u32::try_from(rest).unwrap_or_default())
}

impl<K: Kept> Schedules<K> {
    /// Where each of the list is written.
    pub fn file_lines(&self) -> FileLines {
        let places = self.places.iter().zip(&self.begins).map(|((file, _), line)| (*file, *line));
        let names = self.list.iter().zip(places).map(|(kept, (file, line))| (kept.name(), file, line));
        FileLines::new(names, &self.texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_schedule_is_found_at_its_line_and_no_other_is() {
        for count in [0, 1, 7, 8, 100, 20_000] {
            let names: Vec<String> = (0..count).map(|n| format!("report-{n}")).collect();
            let files: Vec<Arc<str>> = ["a.toml", "empty.toml", "b.toml"].map(Into::into).to_vec();
            let line = |n: usize| u32::try_from(1 + n * 3).unwrap();
            let file = |n: usize| if n.is_multiple_of(2) { 0 } else { 2 };
            let all = names.iter().enumerate().map(|(n, name)| (&**name, file(n), line(n)));
            let lines = FileLines::new(all.clone(), &files);
            for (name, file, line) in all {
                let place = Place { file: files[file as usize].clone(), line: line as usize };
                assert_eq!(lines.place(name), Some(place));
            }
            for n in 0..10_000 {
                assert_eq!(lines.place(&format!("other-{n}")), None);
            }
            let bytes = size_of_val(&*lines.entries) + size_of_val(&*lines.parts);
            assert!(bytes <= count * 9 + 16, "{bytes} bytes for {count}");
        }
        assert_eq!(FileLines::default().place("a"), None);
    }

    #[test]
    fn lines_that_can_not_be_counted_are_not_known() {
        let files: Vec<Arc<str>> = ["a.toml", "b.toml"].map(Into::into).to_vec();
        let lines = FileLines::new([("a", 0, u32::MAX), ("b", 1, 1)].into_iter(), &files);
        assert_eq!(lines.place("a").map(|place| place.to_string()).as_deref(), Some("a.toml:4294967295"));
        assert_eq!(lines.place("b"), None);
    }
}
