//! The text with its folded lines joined (RFC 5545 §3.1), and the way back from it to the places in the file.

use std::ops::Range;

/// Lines joined, each ended by a line feed.
#[derive(Debug)]
pub(super) struct Unfolded {
    text: String,
    /// Where a piece of a line begins: here, in the file, and how long it is.
    pieces: Vec<(usize, usize, usize)>,
}

impl Unfolded {
    pub(super) fn new(file: &str) -> Self {
        let mut unfolded = Self { text: String::with_capacity(file.len() + 64), pieces: Vec::new() };
        let mut at = 0;
        for line in file.split_inclusive('\n') {
            let content = line.trim_end_matches(['\n', '\r']);
            // Files that are joined have such a mark in the middle as well.
            let bare = content.trim_start_matches('\u{feff}');
            let mut skipped = content.len() - bare.len();
            let mut content = bare;
            if content.trim().is_empty() {
                // Some programs put empty lines between all lines, the folded ones among them.
                at += line.len();
                continue;
            }
            if let Some(more) = content.strip_prefix([' ', '\t']).filter(|_| !unfolded.pieces.is_empty()) {
                skipped += content.len() - more.len();
                content = more;
            } else if !unfolded.pieces.is_empty() {
                unfolded.text.push('\n');
            }
            unfolded.pieces.push((unfolded.text.len(), at + skipped, content.len()));
            unfolded.text.push_str(content);
            at += line.len();
        }
        unfolded
    }

    /// The joined lines.
    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.split('\n').filter(|line| !line.is_empty())
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

    /// Where a part of the text begins is where it lies in memory.
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
