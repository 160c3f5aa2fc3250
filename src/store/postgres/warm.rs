//! A follower's thread: it holds what the leader's store keeps, and reads what that changes, twice a second. Whoever takes over has
//! it from here, and reads no more than what was written since.
//!
//! Absent: any right to write, and any promise that it is up to date. A store that takes over reads the difference under its own
//! grant, and all of it where that is not known.

use super::{held::Held, looks::Shared};
use crate::{
    engine::{Pause, Reading, Warm},
    postgres::{Door, WARM},
    schedule::CalendarStore,
    store::StoreError,
    telemetry::Counts,
};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::watch;

/// Whether a clock that follows another one would take over at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warmth {
    /// It holds what the leader kept at this instant of its own clocks, and reads what was written since when it takes over.
    Warm(Reading),
    /// It reads everything first, for this reason.
    Cold(Arc<str>),
}

impl Warmth {
    /// Whether what it holds was read a moment before this instant (milliseconds since boot). As the tables tell it of others: what is
    /// older is of looks that fail.
    pub fn is_warm(&self, boot: i64) -> bool {
        matches!(self, Self::Warm(as_of) if boot.saturating_sub(as_of.boot) < WARM)
    }
}

/// Up to when what is held is what the leader had written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// When it was looked last (milliseconds since boot): whatever was durable before is held. `None`: nothing is held.
    pub at: Option<i64>,
    /// The present pause of everything.
    pub paused: Option<Pause>,
}

/// What a clock that follows holds of the store of the one that leads. Clones share it; its thread ends with the last of them.
#[derive(Clone)]
pub struct WarmStore(Arc<Owner>);

/// The one taking over that may use what is held: none that began before this clock followed again. Clones are of the same one.
#[derive(Debug, Clone)]
pub struct TakeOver {
    store: WarmStore,
    /// How often this clock had begun to follow.
    followed: u64,
    made: Arc<Mutex<Option<(Warm, CalendarStore)>>>,
}

struct Owner(Arc<Shared>);

impl WarmStore {
    /// Starts the thread; it rests until it is to [follow](Self::follow). Should it panic, that is counted there.
    ///
    /// # Errors
    /// [`StoreError::Io`] where it can't be started.
    pub fn new(door: &Door, counts: Counts) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared::new(counts));
        let (of_thread, of_door) = (shared.clone(), door.clone());
        let started = std::thread::Builder::new().name("warm".into()).spawn(move || of_thread.work(&of_door));
        let failed =
            |error| door.address().io(format!("the thread that follows could not be started: {error}"));
        started.map(|_| Self(Arc::new(Owner(shared)))).map_err(failed)
    }

    /// Another clock leads from now on, or nobody.
    pub fn follow(&self) {
        self.0.0.follow();
    }

    /// This clock leads from now on, and opens its store.
    pub fn take_over(&self) -> TakeOver {
        let followed = self.0.0.state().followed;
        TakeOver { store: self.clone(), followed, made: Arc::default() }
    }

    /// Whether it would take over at once, each time that changes.
    pub fn warmth(&self) -> watch::Receiver<Warmth> {
        self.0.0.told.subscribe()
    }

    /// Up to when what is held is what the leader had written, from look to look.
    pub fn looks(&self) -> watch::Receiver<Look> {
        self.0.0.looks.subscribe()
    }

    /// Has it looked now.
    pub fn look(&self) {
        self.0.0.look_now();
    }

    /// What is held, as somebody asks for it; `None` where nothing is. It is held up meanwhile: what is asked has bounds.
    pub(super) fn ask<T>(&self, question: impl FnOnce(&Held) -> T) -> Option<T> {
        self.0.0.settled(self.0.0.state()).held.as_deref().map(question)
    }

    /// After which write what is held is whole.
    #[cfg(test)]
    pub(super) fn at(&self) -> Option<u64> {
        self.0.0.state().held.as_ref().map(|held| held.at.write)
    }

    #[cfg(test)]
    pub(super) fn holding(door: &Door, held: Held) -> Self {
        let this = Self::new(door, counts()).unwrap();
        this.0.0.state().held = Some(Box::new(held));
        this
    }
}

impl TakeOver {
    /// What is held, if anything is. Nothing is followed any more.
    pub(super) fn take(&self) -> Option<Box<Held>> {
        self.store.0.0.take(self.followed)
    }

    /// It could not be used: for the next one who tries.
    pub(super) fn keep(&self, held: Box<Held>) {
        let mut state = self.store.0.0.state();
        if state.followed == self.followed {
            state.held = Some(held);
        }
    }

    /// What goes with the snapshot that this store has given.
    pub(super) fn give(&self, warm: Warm, calendars: CalendarStore) {
        *self.made.lock().unwrap_or_else(PoisonError::into_inner) = Some((warm, calendars));
    }

    /// What was made ahead, for the snapshot that this store has given; `None`: all is in that.
    pub fn made(&self) -> Option<(Warm, CalendarStore)> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl fmt::Debug for WarmStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WarmStore").field(&*self.0.0.told.borrow()).finish()
    }
}

/// Nobody looks at them.
#[cfg(test)]
pub(super) fn counts() -> Counts {
    Counts::new("khronos", &crate::config::MetricsConfig::default())
}
