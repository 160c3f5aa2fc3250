//! What was let in and is not written yet. It is counted, so that all of it has room on the disk and in memory.

use crate::{delayed::DelayedRoom, store::StoreError};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Why events are not let in at present.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NotNow {
    /// The disk has no room: [`StoreError::NoRoom`].
    #[error(transparent)]
    Full(StoreError),
    /// Too much is under way.
    #[error("too many delayed events wait to be written ({under_way} bytes); send the request again later")]
    TooMany {
        /// Bytes that are under way.
        under_way: usize,
    },
}

/// Events that were let in. What they take is given back when this is dropped.
#[derive(Debug)]
#[must_use = "what was let in is counted only as long as this is kept"]
pub struct Room {
    under_way: Arc<UnderWay>,
    taken: Taken,
}

pub(super) struct UnderWay {
    /// Bytes at most.
    most: usize,
    disk: DelayedRoom,
    taken: Mutex<Taken>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    bytes: usize,
    count: usize,
}

impl UnderWay {
    pub(super) fn new(most: usize, disk: DelayedRoom) -> Self {
        Self { most, disk, taken: Mutex::default() }
    }

    pub(super) fn let_in(this: &Arc<Self>, bytes: usize, count: usize) -> Result<Room, NotNow> {
        let mut taken = this.lock();
        let with =
            Taken { bytes: taken.bytes.saturating_add(bytes), count: taken.count.saturating_add(count) };
        // What comes alone may be larger.
        if with.bytes > this.most && taken.bytes > 0 {
            return Err(NotNow::TooMany { under_way: taken.bytes });
        }
        *taken = with;
        drop(taken);
        // Given back where it is refused. The disk may take its time: others are counted meanwhile.
        let room = Room { under_way: this.clone(), taken: Taken { bytes, count } };
        (this.disk)(with.bytes, with.count).map_err(NotNow::Full)?;
        Ok(room)
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut taken = self.under_way.lock();
        taken.bytes = taken.bytes.saturating_sub(self.taken.bytes);
        taken.count = taken.count.saturating_sub(self.taken.count);
    }
}

impl fmt::Debug for UnderWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnderWay").field("taken", &self.taken).finish_non_exhaustive()
    }
}
