//! The file as redb sees it: pages, each held against its sum when it is read. Redb has sums too, but looks at them only where it
//! repairs a file; else it would answer from a page in which a byte has flipped, or lead itself astray.
//!
//! The file is a page of our own that says what it is, then groups: a page of sums, and the 1,024 pages that these are of. A
//! page and its sum are two writes, of which a crash may keep one; but then no transaction refers to that page, so it is not
//! read before it is written again. The first of redb's pages is the exception: it is written in place, at two alternate
//! places, and redb holds it against sums of its own.

use ::redb::StorageBackend;
use std::{
    fs::File,
    io::{self, Error, ErrorKind},
    os::unix::fs::FileExt as _,
};

/// Bytes of a page; redb's own.
pub(super) const PAGE: u64 = 4096;
/// Pages whose sums are in one page.
const GROUP: u64 = PAGE / SUM;
const SUM: u64 = 4;
/// What the file begins with; then its form, and the sum of both.
const MAGIC: &[u8; 16] = b"khronos delayed\n";
/// The form of the file as pages; what these hold has a form of its own.
pub(super) const FILE_FORM: u32 = 1;

/// A page that is not as it was written.
#[derive(Debug, thiserror::Error)]
#[error("the page at byte {at} of its database is not as it was written")]
pub(super) struct DamagedPage {
    at: u64,
}

/// Why a file is not one of these.
#[derive(Debug)]
pub(super) enum NoPages {
    Io(Error),
    /// It says so of itself, in a way that can't be.
    Damaged,
    /// A newer version wrote it, in this form.
    Newer(u32),
}

/// The file.
#[derive(Debug)]
pub(super) struct Pages(File);

impl Pages {
    /// A new file, which is empty.
    pub(super) fn create(file: File) -> io::Result<Self> {
        let mut first = [0; PAGE as usize];
        first[..24].copy_from_slice(&first_bytes(FILE_FORM));
        file.write_all_at(&first, 0)?;
        Ok(Self(file))
    }

    /// One that was created before.
    pub(super) fn open(file: File) -> Result<Self, NoPages> {
        let mut first = [0; 24];
        match file.read_exact_at(&mut first, 0) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(NoPages::Damaged),
            read => read.map_err(NoPages::Io)?,
        }
        let [.., a, b, c, d, _, _, _, _] = first;
        let form = u32::from_le_bytes([a, b, c, d]);
        if first != first_bytes(form) {
            return Err(NoPages::Damaged);
        }
        if form > FILE_FORM { Err(NoPages::Newer(form)) } else { Ok(Self(file)) }
    }

    /// Calls for each run of pages that are in one group: the first of them, and which of all the bytes these are.
    fn runs(
        offset: u64,
        length: usize,
        mut each: impl FnMut(u64, std::ops::Range<usize>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut done = 0;
        while done < length {
            let page = offset / PAGE + done as u64 / PAGE;
            let most = (GROUP - page % GROUP) * PAGE;
            let end = length.min(done.saturating_add(usize::try_from(most).unwrap_or(usize::MAX)));
            each(page, done..end)?;
            done = end;
        }
        Ok(())
    }
}

impl StorageBackend for Pages {
    fn len(&self) -> io::Result<u64> {
        // Ours; then whole groups, and what is begun of another one.
        let pages = (self.0.metadata()?.len() / PAGE).saturating_sub(1);
        let (groups, begun) = (pages / (GROUP + 1), pages % (GROUP + 1));
        Ok((groups * GROUP + begun.saturating_sub(1)) * PAGE)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if offset < PAGE {
            in_first(offset, out.len())?;
            return self.0.read_exact_at(out, place(0) + offset);
        }
        whole_pages(offset, out.len())?;
        Self::runs(offset, out.len(), |page, bytes| {
            let out = &mut out[bytes];
            self.0.read_exact_at(out, place(page))?;
            let mut sums = vec![0; out.len() / PAGE as usize * SUM as usize];
            self.0.read_exact_at(&mut sums, sum_place(page))?;
            let (pages, sums) = (out.chunks(PAGE as usize), sums.chunks(SUM as usize));
            for ((page, content), kept) in (page..).zip(pages).zip(sums) {
                if kept != sum(page, content) {
                    return Err(Error::other(DamagedPage { at: place(page) }));
                }
            }
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        whole_pages(len, 0)?;
        let pages = len / PAGE;
        self.0.set_len(place(pages) - if pages.is_multiple_of(GROUP) { PAGE } else { 0 })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if offset < PAGE {
            in_first(offset, data.len())?;
            return self.0.write_all_at(data, place(0) + offset);
        }
        whole_pages(offset, data.len())?;
        Self::runs(offset, data.len(), |page, bytes| {
            let data = &data[bytes];
            let sums: Vec<u8> = (page..)
                .zip(data.chunks(PAGE as usize))
                .flat_map(|(page, content)| sum(page, content))
                .collect();
            self.0.write_all_at(data, place(page))?;
            self.0.write_all_at(&sums, sum_place(page))
        })
    }
}

fn first_bytes(form: u32) -> [u8; 24] {
    let mut first = [0; 24];
    first[..16].copy_from_slice(MAGIC);
    first[16..20].copy_from_slice(&form.to_le_bytes());
    let sum = crc32fast::hash(&first[..20]);
    first[20..].copy_from_slice(&sum.to_le_bytes());
    first
}

/// Where one of redb's pages lies in the file.
fn place(page: u64) -> u64 {
    (1 + page + page / GROUP + 1) * PAGE
}

fn sum_place(page: u64) -> u64 {
    (1 + page / GROUP * (GROUP + 1)) * PAGE + page % GROUP * SUM
}

/// Of its content and its place: another page in its place is damage, too. Never that of a page that was not written yet.
fn sum(page: u64, content: &[u8]) -> [u8; SUM as usize] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&page.to_le_bytes());
    hasher.update(content);
    hasher.finalize().max(1).to_le_bytes()
}

/// All within the first page.
fn in_first(offset: u64, length: usize) -> io::Result<()> {
    if offset + length as u64 > PAGE { Err(unexpected()) } else { Ok(()) }
}

fn whole_pages(offset: u64, length: usize) -> io::Result<()> {
    if offset.is_multiple_of(PAGE) && (length as u64).is_multiple_of(PAGE) {
        Ok(())
    } else {
        Err(unexpected())
    }
}

fn unexpected() -> Error {
    Error::new(ErrorKind::InvalidInput, "redb asks for something else than whole pages")
}
