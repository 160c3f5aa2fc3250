//! The text with its folded lines joined, and the way back from it to the places in the file.

use crate::fault::shown;
use std::ops::Range;

/// Lines joined, each ended by CR LF: the crate's parser looks for that first, through the rest of the text if need be.
pub(super) struct Unfolded {
    pub(super) text: String,
    /// Where a piece of a line begins: here, in the file, and how long it is.
    pieces: Vec<(usize, usize, usize)>,
}

impl Unfolded {
    pub(super) fn new(file: &str) -> Self {
        let mut unfolded = Self { text: String::with_capacity(file.len() + 64), pieces: Vec::new() };
        let mut at = 0;
        for line in file.split_inclusive('\n') {
            let content = line.trim_end_matches(['\n', '\r']);
            let content = if at == 0 { content.trim_start_matches('\u{feff}') } else { content };
            let skipped = line.find(content).unwrap_or(0);
            let folded = at > 0 && content.starts_with([' ', '\t']);
            if at > 0 && !folded {
                unfolded.text.push_str("\r\n");
            }
            let (content, skipped) = if folded { (&content[1..], skipped + 1) } else { (content, skipped) };
            unfolded.pieces.push((unfolded.text.len(), at + skipped, content.len()));
            unfolded.text.push_str(content);
            at += line.len();
        }
        unfolded.text.push_str("\r\n");
        unfolded
    }

    /// Where in the file this part of the text stands; the file's beginning if it is no part of it.
    pub(super) fn place(&self, part: &str) -> Range<usize> {
        self.within(part, 0..part.len())
    }

    /// Where in the file these bytes of this part of the text stand.
    pub(super) fn within(&self, part: &str, at: Range<usize>) -> Range<usize> {
        let Some(offset) = self.offset(part) else { return 0..0 };
        let start = self.original(offset + at.start);
        start..self.original((offset + at.end).max(offset + at.start + 1) - 1).max(start) + 1
    }

    /// Where the line stands in which this rest of the text begins.
    pub(super) fn line_of(&self, rest: &str) -> Range<usize> {
        let offset = self.offset(rest).unwrap_or(0);
        let line = rest.trim_start().lines().next().unwrap_or_default().len();
        let start = self.original(offset + rest.len() - rest.trim_start().len());
        start..start + line.max(1)
    }

    /// The first line that is none of iCalendar's, and why. The crate's parser says of most of these only that something
    /// is wrong further up, and goes down as deep as the text does.
    pub(super) fn malformed(&self, deepest: usize) -> Option<(Range<usize>, String)> {
        let mut open: Vec<&str> = Vec::new();
        for line in self.text.lines().filter(|line| !line.trim().is_empty()) {
            let name = line.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(line.len());
            let next = line[name..].chars().next();
            let what = match (&line[..name], line.split_once(':')) {
                ("", _) | (_, None) => "this is not a line of iCalendar".to_owned(),
                _ if !matches!(next, Some(':' | ';')) => "this is not a line of iCalendar".to_owned(),
                (word, Some((_, value))) if word.eq_ignore_ascii_case("BEGIN") => {
                    open.push(value);
                    if open.len() <= deepest {
                        continue;
                    }
                    "components are nested deeper than iCalendar allows".to_owned()
                }
                (word, Some((_, value))) if word.eq_ignore_ascii_case("END") => match open.pop() {
                    Some(begun) if begun.eq_ignore_ascii_case(value) => continue,
                    Some(begun) => {
                        format!("END:{} found where END:{} is expected", shown(value), shown(begun))
                    }
                    None => "END without BEGIN".to_owned(),
                },
                _ if open.is_empty() => "this is outside of BEGIN:VCALENDAR and END:VCALENDAR".to_owned(),
                _ => continue,
            };
            return Some((self.place(line), what));
        }
        let begun = open.pop()?;
        Some((self.place(begun), format!("BEGIN:{} has no END:{0}", shown(begun))))
    }

    /// The crate gives back parts of the text that it was given: where one begins is where it lies in memory.
    fn offset(&self, part: &str) -> Option<usize> {
        let offset = (part.as_ptr() as usize).checked_sub(self.text.as_ptr() as usize)?;
        (offset + part.len() <= self.text.len()).then_some(offset)
    }

    fn original(&self, offset: usize) -> usize {
        let index = self.pieces.partition_point(|(start, ..)| *start <= offset).saturating_sub(1);
        let (start, file, length) = self.pieces.get(index).copied().unwrap_or_default();
        file + (offset - start).min(length)
    }
}
