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
    engine::Warm,
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
use tracing::{debug, info, warn};

/// From one look to the next, in milliseconds …
const EVERY: i64 = 500;
/// … and from one reading of everything to the next, where changes come faster than they are read.
const EVERYTHING_EVERY: i64 = 30_000;
/// How long whoever takes over waits for a difference that is being read.
const PATIENCE: Duration = Duration::from_secs(5);
/// So many connections wait for whoever takes over, tried again and again by the looks: one for each of both stores.
const CONNECTIONS: usize = 2;
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
    Difference,
    Everything,
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
            is_followed: AtomicBool::new(false),
        });
        let (reads, of_thread) = (Reads::new(door), shared.clone());
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
        state.held.is_some() || state.work == Work::Difference
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
        let reads = |state: &mut State| state.work == Work::Difference;
        let waited = shared.changed.wait_timeout_while(state, PATIENCE, reads);
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
        while let Some(held) = self.begin() {
            let begun = clock::reading().boot;
            let is_whole = held.is_none();
            let read = self.read(door, reads, held.as_ref().map(|held| held.at));
            let is_there = read.is_ok();
            let held = match (read, held) {
                (Ok(Read::Everything(held)), _) => {
                    let took = clock::reading().boot - begun;
                    info!(milliseconds = took, "this clock holds what the leader keeps");
                    has_failed = false;
                    Some(held)
                }
                (Ok(Read::Difference(difference)), Some(held)) => match held.apply(difference) {
                    Ok(held) => Some(Box::new(held)),
                    Err(failed) => {
                        let error = door.address().explain(failed, 0);
                        debug!(%error, "what the leader changed can't be applied; all is read anew");
                        None
                    }
                },
                (Ok(_), _) => None,
                (Err(error), held) => {
                    if !std::mem::replace(&mut has_failed, true) {
                        warn!(%error, "what the leader keeps could not be read, and taking over would take long; that is tried again");
                    }
                    held
                }
            };
            self.end(held, is_whole.then(|| clock::reading().boot - begun));
            // Where they can't be had whoever takes over connects by itself.
            if is_there && let Err(error) = reads.keep_ready(CONNECTIONS) {
                debug!(%error, "there are no connections for taking over yet");
            }
        }
    }

    /// Waits until something is to be read; what is held goes with it. `None`: nobody is there any more.
    fn begin(&self) -> Option<Option<Box<Held>>> {
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
        let held = state.held.take();
        state.work = if held.is_some() { Work::Difference } else { Work::Everything };
        Some(held)
    }

    /// `took`: where all was read, how long that took.
    fn end(&self, held: Option<Box<Held>>, took: Option<i64>) {
        let now = clock::reading().boot;
        let mut state = self.state();
        state.work = Work::Nothing;
        state.next = now.saturating_add(EVERY);
        if let Some(took) = took {
            let pause = if held.is_some() { EVERYTHING_EVERY } else { took.saturating_mul(10) };
            state.everything_next = now.saturating_add(pause.min(EVERYTHING_EVERY));
        }
        // Whoever has taken over meanwhile has read all by itself; with a million it takes a while to let go of it.
        let is_wanted = self.is_followed.load(Ordering::SeqCst) || took.is_none();
        let unused = if is_wanted { std::mem::replace(&mut state.held, held) } else { held };
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
