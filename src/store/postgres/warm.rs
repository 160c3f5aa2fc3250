//! A follower's thread: it holds what the leader's store keeps, and reads what that changes, twice a second. Whoever takes over has
//! it from here, and reads no more than what was written since.
//!
//! Absent: any right to write, and any promise that it is up to date. A store that takes over reads the difference under its own
//! grant, and all of it where that is not known.

use super::{
    held::{At, Difference, Held},
    load::{self, Found},
};
use crate::{
    clock,
    engine::{Pause, Warm},
    postgres::{Door, Failed, Reads},
    schedule::CalendarStore,
    store::StoreError,
};
use std::{
    fmt,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;
use tracing::{debug, info, warn};

/// From one look to the next, in milliseconds …
const EVERY: i64 = 500;
/// … and from one reading of everything to the next, where changes come faster than they are read.
const EVERYTHING_EVERY: i64 = 30_000;
/// How long whoever takes over, or asks, waits for a difference that is being applied.
const PATIENCE: Duration = Duration::from_secs(5);
/// Nothing is to be done.
const REST: Duration = Duration::from_secs(3_600);

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

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    looks: watch::Sender<Look>,
    /// Whoever reads everything looks at it with each entry.
    is_followed: AtomicBool,
}

struct State {
    held: Option<Box<Held>>,
    work: Work,
    is_closed: bool,
    /// When it is looked next, and when all may be read next (milliseconds since boot).
    next: i64,
    everything_next: i64,
    /// How often this clock has begun to follow.
    followed: u64,
}

/// What the thread is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Nothing,
    /// What has changed is read, and what is held is there meanwhile.
    Difference,
    Everything,
    /// What was held is being changed.
    Applying,
}

/// Up to when what is held is what the leader had written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// When it was looked last (milliseconds since boot): whatever was durable before is held. `None`: nothing is held.
    pub at: Option<i64>,
    /// The present pause of everything.
    pub paused: Option<Pause>,
}

/// What was read.
enum Read {
    Everything(Box<Held>),
    Difference(Difference),
    /// It is not known what was changed, or there is nothing.
    Unknown,
}

impl WarmStore {
    /// Starts the thread; it rests until it is to [follow](Self::follow).
    ///
    /// # Errors
    /// [`StoreError::Io`] where it can't be started.
    pub fn new(door: &Door) -> Result<Self, StoreError> {
        let state = State {
            held: None,
            work: Work::Nothing,
            is_closed: false,
            next: i64::MIN,
            everything_next: i64::MIN,
            followed: 0,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
            looks: watch::Sender::default(),
            is_followed: AtomicBool::new(false),
        });
        let (reads, of_thread) = (Reads::new(door)?, shared.clone());
        let shard = door.clone();
        let work = move || of_thread.work(&shard, &reads);
        let started = std::thread::Builder::new().name("warm".into()).spawn(work);
        let failed =
            |error| door.address().io(format!("the thread that follows could not be started: {error}"));
        started.map(|_| Self(Arc::new(Owner(shared)))).map_err(failed)
    }

    /// Another clock leads from now on, or nobody.
    pub fn follow(&self) {
        let shared = &self.0.0;
        let mut state = shared.state();
        state.followed += 1;
        if !shared.is_followed.swap(true, Ordering::SeqCst) {
            (state.next, state.everything_next) = (i64::MIN, i64::MIN);
            shared.changed.notify_all();
        }
    }

    /// This clock leads from now on, and opens its store.
    pub fn take_over(&self) -> TakeOver {
        let followed = self.0.0.state().followed;
        TakeOver { store: self.clone(), followed, made: Arc::default() }
    }

    /// Whether something is held.
    pub fn is_ready(&self) -> bool {
        let state = self.0.0.state();
        state.held.is_some() || state.work == Work::Applying
    }

    /// Up to when what is held is what the leader had written, from look to look.
    pub fn looks(&self) -> watch::Receiver<Look> {
        self.0.0.looks.subscribe()
    }

    /// Has it looked now.
    pub fn look(&self) {
        self.0.0.state().next = i64::MIN;
        self.0.0.changed.notify_all();
    }

    /// What is held, as somebody asks for it; `None` where nothing is, or it can't be read. It is held up meanwhile: what is asked has
    /// bounds.
    pub(super) fn ask<T>(&self, question: impl FnOnce(&Held) -> Result<T, Failed>) -> Option<T> {
        let shared = &self.0.0;
        let is_changed = |state: &mut State| state.work == Work::Applying;
        let waited = shared.changed.wait_timeout_while(shared.state(), PATIENCE, is_changed);
        let state = waited.unwrap_or_else(PoisonError::into_inner).0;
        let told = question(state.held.as_deref()?);
        told.inspect_err(|failed| debug!(?failed, "what is held of the leader's store can't be read")).ok()
    }

    /// After which write what is held is whole.
    #[cfg(test)]
    pub(super) fn at(&self) -> Option<u64> {
        self.0.0.state().held.as_ref().map(|held| held.at.write)
    }

    #[cfg(test)]
    pub(super) fn holding(door: &Door, held: Held) -> Self {
        let this = Self::new(door).unwrap();
        this.0.0.state().held = Some(Box::new(held));
        this
    }
}

impl TakeOver {
    /// What is held, if anything is. Nothing is followed any more.
    pub(super) fn take(&self) -> Option<Box<Held>> {
        let shared = &self.store.0.0;
        let state = shared.state();
        // An opening that was given up may come to this late: what is held is another one's.
        if state.followed != self.followed {
            return None;
        }
        shared.is_followed.store(false, Ordering::SeqCst);
        shared.looks.send_replace(Look::default());
        let is_changed = |state: &mut State| state.work == Work::Applying;
        let waited = shared.changed.wait_timeout_while(state, PATIENCE, is_changed);
        waited.unwrap_or_else(PoisonError::into_inner).0.held.take()
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

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, door: &Door, reads: &Reads) {
        let mut has_failed = false;
        while let Some(at) = self.begin() {
            let begun = clock::reading().boot;
            let (held, is_seen) = match self.read(door, reads, at) {
                Ok(Read::Everything(held)) => {
                    let took = clock::reading().boot - begun;
                    info!(milliseconds = took, "this clock holds what the leader keeps");
                    has_failed = false;
                    (Some(held), true)
                }
                Ok(Read::Difference(difference)) => {
                    match self.change(at).map(|held| held.apply(difference)) {
                        Some(Ok(held)) => (Some(Box::new(held)), true),
                        Some(Err(failed)) => {
                            let error = door.address().explain(failed, 0);
                            debug!(%error, "what the leader changed can't be applied; all is read anew");
                            (None, true)
                        }
                        // Whoever has taken over has it.
                        None => (None, false),
                    }
                }
                Ok(Read::Unknown) => {
                    drop(self.change(at));
                    (None, true)
                }
                Err(error) => {
                    if !std::mem::replace(&mut has_failed, true) {
                        warn!(%error, "what the leader keeps could not be read, and taking over would take long; that is tried again");
                    }
                    (None, false)
                }
            };
            let took = at.is_none().then(|| clock::reading().boot - begun);
            self.end(held, is_seen.then_some(begun), took);
        }
    }

    /// Waits until something is to be read, behind what is held. `None`: nobody is there any more.
    fn begin(&self) -> Option<Option<At>> {
        let mut state = self.state();
        loop {
            if state.is_closed {
                return None;
            }
            let next = if state.held.is_some() { state.next } else { state.next.max(state.everything_next) };
            let wait = next.saturating_sub(clock::reading().boot);
            let is_followed = self.is_followed.load(Ordering::SeqCst);
            if is_followed && wait <= 0 {
                break;
            }
            let wait = Duration::from_millis(u64::try_from(wait).unwrap_or_default());
            let wait = if is_followed { wait } else { REST };
            let waited = self.changed.wait_timeout(state, wait);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let at = state.held.as_ref().map(|held| held.at);
        state.work = if at.is_some() { Work::Difference } else { Work::Everything };
        // Whoever wants another look from now on gets one.
        state.next = i64::MAX;
        Some(at)
    }

    /// Takes what is held, to change it; `None` where it is not there any more.
    fn change(&self, at: Option<At>) -> Option<Box<Held>> {
        let mut state = self.state();
        let held = state.held.take_if(|held| Some(held.at) == at)?;
        state.work = Work::Applying;
        Some(held)
    }

    /// With what is held from now on, if it was taken or read, as of a look that began then. `took`: where all was read, how long that
    /// took.
    fn end(&self, held: Option<Box<Held>>, seen: Option<i64>, took: Option<i64>) {
        let now = clock::reading().boot;
        let look = match (&held, seen) {
            (Some(held), at) => Some(Look { at, paused: held.paused() }),
            (None, Some(_)) => Some(Look::default()),
            // What was held is as old as it was.
            (None, None) => None,
        };
        let mut state = self.state();
        state.work = Work::Nothing;
        state.next = state.next.min(now.saturating_add(EVERY));
        if let Some(took) = took {
            let pause = if held.is_some() { EVERYTHING_EVERY } else { took.saturating_mul(10) };
            state.everything_next = now.saturating_add(pause.min(EVERYTHING_EVERY));
        }
        // Whoever has taken over meanwhile has read all by itself; with a million it takes a while to let go of it.
        let is_followed = self.is_followed.load(Ordering::SeqCst);
        let unused = match held {
            Some(held) if is_followed || took.is_none() => state.held.replace(held),
            held => held,
        };
        if let Some(look) = look.filter(|_| is_followed) {
            self.looks.send_replace(look);
        }
        drop(state);
        self.changed.notify_all();
        drop(unused);
    }

    /// All that was kept, or what has changed since.
    fn read(&self, door: &Door, reads: &Reads, at: Option<At>) -> Result<Read, StoreError> {
        let shard = door.shard();
        reads.at_once(async |calls| {
            let Some(at) = at else {
                let is_wanted = || self.is_followed.load(Ordering::SeqCst);
                let held = Held::read(calls, shard, is_wanted).await?;
                return Ok(held.map_or(Read::Unknown, |held| Read::Everything(Box::new(held))));
            };
            let Found::Kept(meta) = load::meta(calls, shard).await? else {
                return Ok::<_, Failed>(Read::Unknown);
            };
            let difference = at.difference(calls, shard, &meta).await?;
            Ok(difference.map_or(Read::Unknown, Read::Difference))
        })
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.state().is_closed = true;
        self.0.changed.notify_all();
    }
}

impl fmt::Debug for WarmStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.0.state();
        let at = state.held.as_ref().map(|held| held.at);
        f.debug_struct("WarmStore").field("at", &at).field("work", &state.work).finish_non_exhaustive()
    }
}
