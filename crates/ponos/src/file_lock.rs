//! Locks of files that somebody who is just ending may still have for a moment, or a child of this process that has not begun its
//! own program yet: two seconds are waited for our own locks, and five for those that sled takes, whose threads a slow disk may
//! hold up.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
    time::Duration,
};

const ATTEMPTS: u32 = 100;
const SLED_ATTEMPTS: u32 = 250;
const PAUSE: Duration = Duration::from_millis(20);

/// Locks the file, for as long as it is open. False: somebody else had it locked all the time.
///
/// # Errors
/// Those of the file system.
pub fn take(file: &File) -> io::Result<bool> {
    Ok(within(ATTEMPTS, || lock(file))?.is_some())
}

/// Waits until nobody has the file of this path locked, if there is one, for two seconds at most. Sled lets go of its file so:
/// a thread of its pool may have it, and write to it, for some moments after the last handle was dropped. Where that takes
/// longer, the next opening waits for it.
pub fn await_release(path: &Path) {
    let Ok(file) = File::open(path) else { return };
    let _ = take(&file);
}

/// Tries for five seconds to take what a thread of this process may still have, though nobody uses it any more. Nothing: it was
/// had all the time, by that thread, or by another process that did not ask for our lock before.
///
/// # Errors
/// Those of the attempt.
pub fn when_free<T, E>(attempt: impl FnMut() -> Result<Option<T>, E>) -> Result<Option<T>, E> {
    within(SLED_ATTEMPTS, attempt)
}

fn lock(file: &File) -> io::Result<Option<()>> {
    match file.try_lock() {
        Ok(()) => Ok(Some(())),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn within<T, E>(attempts: u32, mut attempt: impl FnMut() -> Result<Option<T>, E>) -> Result<Option<T>, E> {
    for _ in 0..attempts {
        if let Some(taken) = attempt()? {
            return Ok(Some(taken));
        }
        std::thread::sleep(PAUSE);
    }
    Ok(None)
}
