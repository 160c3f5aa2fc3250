//! Room on the disk. Settling needs pages of the file, too: so events are refused while there is still room for that.

use crate::store::StoreError;
use std::path::Path;

/// Bytes of the pages that one put may write anew before those that it replaces are free: a leaf of either table, and part of
/// what stands above it.
const PAGES_OF_A_PUT: u64 = 3 * super::pages::PAGE;

/// Whether so many bytes of so many events may be put, and leave the reserve.
///
/// # Errors
/// [`StoreError::NoRoom`].
pub(super) fn check(path: &Path, reserve: u64, bytes: usize, count: usize) -> Result<(), StoreError> {
    let Some(free) = free(path) else { return Ok(()) };
    let pages = (count as u64).saturating_mul(PAGES_OF_A_PUT);
    let needed = reserve.saturating_add(bytes as u64).saturating_add(pages);
    if free < needed { Err(StoreError::NoRoom { path: path.to_owned(), free, needed }) } else { Ok(()) }
}

/// Bytes that are free on the disk of a folder; `None` where the system does not say: the write itself will.
#[cfg(target_os = "linux")]
pub(crate) fn free(path: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn free(_: &Path) -> Option<u64> {
    None
}
