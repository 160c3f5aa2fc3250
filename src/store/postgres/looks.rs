//! The thread of a clock that follows, look by look: reads everything once, then twice a second what the leader has changed.

#[cfg(test)]
mod tests;

use super::{
    Look, Warmth,
    held::{At, Difference, Held},
    load::{self, Found},
};
use crate::{
    clock,
    engine::Reading,
    postgres::{Door, Failed, Reads, is_complete},
    store::StoreError,
    telemetry::Counts,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;
use tracing::{debug, error, info, warn};

/// From one look to the next, in milliseconds …
const EVERY: i64 = 500;
/// … or this, where somebody waits for one …
const LEAST: i64 = 50;
/// … and from one reading of everything to the next, where changes come faster than they are read.
const EVERYTHING_EVERY: i64 = 30_000;
/// Tables of an older version are looked at this often: whoever leads brings them to the newest.
const OLDER_EVERY: i64 = 5_000;
/// After looks that failed the next one is later and later, up to this.
const LONGEST: i64 = 10_000;
/// How long whoever takes over, or asks, waits for a difference that is being applied.
const PATIENCE: Duration = Duration::from_secs(5);
/// So many connections wait for whoever takes over, tried again and again by the looks: one for each of both stores.
const CONNECTIONS: usize = 2;
/// Nothing is to be done.
const REST: Duration = Duration::from_secs(3_600);

const FOLLOWS_NOBODY: &str = "it follows no other clock at present";
const READS: &str = "it reads all that the leader keeps";
const NOTHING: &str = "nothing is kept yet, or the clock that wrote last is of an older version, which does not note what it changes";
const OLDER: &str = "the tables are of an older version, until a clock of this one leads";
const TOO_MUCH: &str = "more was changed than is noted, or by another server; all is read anew";
const PANICKED: &str =
    "the thread that reads what the leader keeps panicked; this is a defect, please report it";
const NOT_APPLIED: &str = "what the leader changed could not be applied; all is read anew";

pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Whoever reads everything looks at it with each entry.
    is_followed: AtomicBool,
    pub(super) told: watch::Sender<Warmth>,
    pub(super) looks: watch::Sender<Look>,
    counts: Counts,
}

pub(super) struct State {
    pub(super) held: Option<Box<Held>>,
    work: Work,
    is_closed: bool,
    /// When it is looked next, and when all may be read next (milliseconds since boot).
    next: i64,
    everything_next: i64,
    /// When the last look ended.
    ended: i64,
    /// How often this clock has begun to follow.
    pub(super) followed: u64,
    /// So many looks in a row came to nothing, for one reason.
    failures: (Answer, u32),
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

/// What was read.
pub(super) enum Read {
    Everything(Box<Held>),
    Difference(Difference),
    /// It is not known what was changed, or there is nothing.
    Unknown,
    /// There is no place for what is to be read.
    Older,
}

/// What came of a look.
struct Looked {
    /// What is held from now on, if it was taken to be changed, or read.
    held: Option<Box<Held>>,
    /// Why nothing is held, or what is could not be looked at.
    wrong: Option<Arc<str>>,
    answer: Answer,
}

/// Whether the database said what it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Given,
    /// Its tables have none yet.
    Older,
    Failed,
}

impl Shared {
    pub(super) fn new(counts: Counts) -> Self {
        let state = State {
            held: None,
            work: Work::Nothing,
            is_closed: false,
            next: i64::MIN,
            everything_next: i64::MIN,
            ended: i64::MIN,
            followed: 0,
            failures: (Answer::Given, 0),
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            is_followed: AtomicBool::new(false),
            told: watch::Sender::new(Warmth::Cold(FOLLOWS_NOBODY.into())),
            looks: watch::Sender::default(),
            counts,
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// See [`WarmStore::follow`](super::WarmStore::follow).
    pub(super) fn follow(&self) {
        let mut state = self.state();
        state.followed += 1;
        if !self.is_followed.swap(true, Ordering::SeqCst) {
            (state.next, state.everything_next) = (i64::MIN, i64::MIN);
            state.failures = (Answer::Given, 0);
            self.told.send_replace(Warmth::Cold(READS.into()));
            self.changed.notify_all();
        }
    }

    /// What is held, for the one taking over that began when this clock had begun to follow so often. Nothing is followed any more.
    pub(super) fn take(&self, followed: u64) -> Option<Box<Held>> {
        let state = self.state();
        // An opening that was given up may come to this late: what is held is another one's.
        if state.followed != followed {
            return None;
        }
        self.is_followed.store(false, Ordering::SeqCst);
        self.told.send_replace(Warmth::Cold(FOLLOWS_NOBODY.into()));
        self.looks.send_replace(Look::default());
        self.settled(state).held.take()
    }

    /// Once what is held is not being changed.
    pub(super) fn settled<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let is_changed = |state: &mut State| state.work == Work::Applying;
        let waited = self.changed.wait_timeout_while(state, PATIENCE, is_changed);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// See [`WarmStore::look`](super::WarmStore::look).
    pub(super) fn look_now(&self) {
        self.state().next = i64::MIN;
        self.changed.notify_all();
    }

    /// The thread ends.
    pub(super) fn close(&self) {
        self.state().is_closed = true;
        self.changed.notify_all();
    }

    /// Looks, again and again, until it is closed.
    pub(super) fn work(&self, door: &Door) {
        let reads = Reads::of_primary(door);
        self.work_by(door, &reads, |at| self.read(door, &reads, at));
    }

    /// What is held when it panics is given up: whoever takes over reads everything, as one that was never warm.
    fn work_by(&self, door: &Door, reads: &Reads, read: impl Fn(Option<At>) -> Result<Read, StoreError>) {
        while catch_unwind(AssertUnwindSafe(|| self.look_on(door, reads, &read))).is_err() {
            self.panicked();
        }
    }

    fn look_on(&self, door: &Door, reads: &Reads, read: &impl Fn(Option<At>) -> Result<Read, StoreError>) {
        while let Some(at) = self.begin() {
            let begun = clock::reading();
            let is_whole = at.is_none();
            let looked = self.look(door, at, read);
            if is_whole && looked.held.is_some() {
                let took = clock::reading().boot - begun.boot;
                info!(milliseconds = took, "this clock holds what the leader keeps");
            }
            let is_given = looked.answer == Answer::Given;
            self.end(looked, begun, is_whole);
            // Where they can't be had whoever takes over connects by itself.
            if is_given && let Err(error) = reads.keep_ready(CONNECTIONS) {
                debug!(%error, "there are no connections for taking over yet");
            }
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
            let next = next.max(state.ended.saturating_add(LEAST));
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

    /// `is_whole`: all was to be read.
    fn end(&self, looked: Looked, begun: Reading, is_whole: bool) {
        let Looked { held, wrong, answer } = looked;
        let now = clock::reading().boot;
        let mut state = self.state();
        let is_followed = self.is_followed.load(Ordering::SeqCst);
        (state.work, state.ended) = (Work::Nothing, now);
        let before = if state.failures.0 == answer { state.failures.1 } else { 0 };
        let failures = if answer == Answer::Given { 0 } else { before.saturating_add(1) };
        state.failures = (answer, failures);
        // Once in a row.
        if failures == 1
            && is_followed
            && let Some(why) = &wrong
        {
            let would = if state.held.is_some() { "may" } else { "would" };
            match answer {
                Answer::Older => info!("{why}: what the leader keeps is not read before"),
                _ => warn!(
                    "what the leader keeps could not be read, and taking over {would} take long; that is tried again: {why}"
                ),
            }
        }
        state.next = state.next.min(now.saturating_add(pause(answer, failures)));
        if is_whole && answer == Answer::Given {
            let pause = match held {
                Some(_) => EVERYTHING_EVERY,
                None => now.saturating_sub(begun.boot).saturating_mul(10),
            };
            state.everything_next = now.saturating_add(pause.min(EVERYTHING_EVERY));
        }
        let look = match &held {
            Some(held) => Some(Look { at: Some(begun.boot), paused: held.paused() }),
            None => (answer == Answer::Given).then(Look::default),
        };
        // Whoever has taken over meanwhile has read all by itself; with a million it takes a while to let go of it.
        let unused = match held {
            Some(held) if is_followed || !is_whole => state.held.replace(held),
            held => held,
        };
        if is_followed {
            match (state.held.is_some(), wrong) {
                // What could not be looked at just now is as it was.
                (true, Some(_)) => {}
                (true, None) => drop(self.told.send_replace(Warmth::Warm(begun))),
                (false, wrong) => {
                    drop(self.told.send_replace(Warmth::Cold(wrong.unwrap_or_else(|| READS.into()))));
                }
            }
            look.map(|look| self.looks.send_replace(look));
        }
        drop(state);
        self.changed.notify_all();
        drop(unused);
    }

    /// Begins anew after a while.
    fn panicked(&self) {
        self.counts.follower_panicked();
        error!("{PANICKED}: all is read anew in half a minute, and taking over takes long before that");
        let mut state = self.state();
        state.work = Work::Nothing;
        let given_up = state.held.take();
        let again = clock::reading().boot.saturating_add(EVERYTHING_EVERY);
        (state.next, state.everything_next) = (again, again);
        if self.is_followed.load(Ordering::SeqCst) {
            self.told.send_replace(Warmth::Cold(PANICKED.into()));
            self.looks.send_replace(Look::default());
        }
        drop(state);
        self.changed.notify_all();
        drop(given_up);
    }

    fn look(
        &self,
        door: &Door,
        at: Option<At>,
        read: impl FnOnce(Option<At>) -> Result<Read, StoreError>,
    ) -> Looked {
        let (held, wrong) = match read(at) {
            Ok(Read::Everything(held)) => (Some(held), None),
            Ok(Read::Difference(difference)) => match self.change(at).map(|held| held.apply(difference)) {
                Some(Ok(held)) => (Some(Box::new(held)), None),
                Some(Err(failed)) => {
                    let error = door.address().explain(failed, 0);
                    debug!(%error, "what the leader changed can't be applied; all is read anew");
                    (None, Some(NOT_APPLIED.into()))
                }
                // Whoever has taken over has it.
                None => (None, None),
            },
            Ok(Read::Unknown) => {
                drop(self.change(at));
                (None, Some(if at.is_none() { NOTHING } else { TOO_MUCH }.into()))
            }
            Ok(Read::Older) => {
                return Looked { held: None, wrong: Some(OLDER.into()), answer: Answer::Older };
            }
            // What is held stays.
            Err(error) => {
                return Looked { held: None, wrong: Some(error.to_string().into()), answer: Answer::Failed };
            }
        };
        Looked { held, wrong, answer: Answer::Given }
    }

    /// All that was kept, or what has changed since.
    fn read(&self, door: &Door, reads: &Reads, at: Option<At>) -> Result<Read, StoreError> {
        let shard = door.shard();
        reads.at_once(async |calls| {
            let Some(at) = at else {
                if !is_complete(calls).await? {
                    return Ok(Read::Older);
                }
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

/// Until the next look, in milliseconds, after so many in a row that came to nothing.
fn pause(answer: Answer, failures: u32) -> i64 {
    match answer {
        Answer::Given => EVERY,
        Answer::Older => OLDER_EVERY,
        Answer::Failed => (EVERY << failures.min(16)).min(LONGEST),
    }
}
