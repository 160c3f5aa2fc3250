//! Pauses: somebody has all schedules rest for a while, and says when they go on whether what fell due meanwhile is caught
//! up with or skipped. (ADR 0018)
//!
//! A pause is an outage that somebody asked for: while it lasts nothing is handed over, what falls due stays where it is,
//! and W below it; so it costs nothing for each schedule, and ends as any outage does. What was in flight finishes. Its
//! beginning is durable before it is answered, its end before anything is handed over again: so of a clock whose store
//! holds a pause, nothing above what had been [reached](Reached) when it began was ever handed over.
//!
//! Skipping takes only what lies above that, and at or below the instant at which the pause ended: whatever was due before is
//! caught up with all the same. A pause does not concern what began after it. Which time is skipped is kept for as long as
//! a name that was away when the pause ended may come back unchanged: then what was due since it went joins the set. Before
//! that it goes only to make room for another one, and only once W has passed it and no span holds any of it.
//!
//! Where the clock is set back, what lies above the reading comes again when it is due, and no pause is in effect then: of
//! all skipped times nothing is left above it.

use super::{
    Notice,
    backlog::Backlog,
    core::Engine,
    faults::{Fault, planted},
    progress::{IDLE, Progress, SpanKey},
    resting::KEPT,
    state::Era,
};
use ponos_event::Timestamp;
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};

/// Pauses whose skipped time is kept at most. Few in tests, so that it is reached.
pub(super) const SKIPPED: usize = if cfg!(test) { 3 } else { 16 };
/// Spans that are looked at in a step, whether they hold any of it.
const LOOKED_AT: usize = if cfg!(test) { 2 } else { 256 };
/// From the end of a look that found something to the next (milliseconds).
const LOOK_AGAIN: i64 = 1_000;

/// Which schedules are paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Those that run, and those that are added meanwhile.
    All,
}

/// What becomes of what fell due during a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum OnResume {
    /// Each schedule's catch-up policy decides, as after an outage.
    CatchUp,
    /// It is recorded as skipped.
    Skip,
}

/// When a pause ends by itself, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseEnd {
    /// The instant.
    pub at: Timestamp,
    /// How.
    pub on_resume: OnResume,
}

/// A pause that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PauseRequest {
    /// Who asks.
    pub by: Arc<str>,
    /// Why.
    pub note: Arc<str>,
    /// Until then; else until somebody ends it.
    pub until: Option<PauseEnd>,
}

/// A pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Since when.
    pub since: Timestamp,
    /// Who asked for it last.
    pub by: Arc<str>,
    /// Why.
    pub note: Arc<str>,
    /// When it ends by itself.
    pub until: Option<PauseEnd>,
    /// The pause does not concern what lies at or below this.
    pub reached: Reached,
}

/// Up to which send times something may have been handed over when a pause began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// Of what began since the clock was set back last.
    pub lately: Timestamp,
    /// Of what began before.
    pub ever: Timestamp,
    /// How often the clock had been set back.
    pub set_backs: u32,
}

/// The time of a pause that has ended, in which what fell due is skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedPause {
    /// Send times above this …
    pub reached: Reached,
    /// … and at or below this instant.
    pub through: Timestamp,
}

/// What is kept of pauses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pauses {
    /// The present one.
    pub paused: Option<Pause>,
    /// Those that were ended by skipping, oldest first.
    pub skipped: Vec<SkippedPause>,
    /// What the clock showed lately, while there is a pause: W stands still.
    pub seen: Option<Timestamp>,
}

impl Pauses {
    /// The latest instant of which they tell that the clock showed it.
    pub(super) fn shown(&self) -> Option<Timestamp> {
        self.skipped.iter().map(|one| one.through).chain(self.seen).max()
    }
}

impl SkippedPause {
    /// Whether a span has some of it.
    fn holds_of(&self, Backlog { span, era, schedule, .. }: &Backlog) -> bool {
        let begin = schedule.timing.due_by(self.reached.of(era.set_backs));
        span.after < schedule.timing.due_by(self.through) && begin < span.through
    }
}

impl Reached {
    /// Of a revision that began after the clock had been set back so many times: of one that began since the pause did,
    /// nothing was handed over.
    fn of(&self, set_backs: u32) -> Timestamp {
        if planted(Fault::SkipWhatWasDueBefore) || set_backs > self.set_backs {
            Timestamp::EPOCH.plus(-1)
        } else if set_backs == self.set_backs {
            self.lately
        } else {
            self.ever
        }
    }
}

/// The skipped times of a revision.
#[derive(Debug, Clone, Copy)]
pub(super) struct SkippedTimes<'a> {
    all: &'a [SkippedPause],
    set_backs: u32,
    counts_from: Timestamp,
}

impl SkippedTimes<'_> {
    /// What has this send time is skipped, and what is to be sent after it, up to the instant that is given.
    pub(super) fn over(&self, send: Timestamp) -> Option<Timestamp> {
        let over = self.all().filter(|one| one.reached.of(self.set_backs) < send && send <= one.through);
        over.map(|one| one.through).max()
    }

    /// Those that ended after it began: a one-shot may be made for an instant that is gone.
    fn all(&self) -> impl Iterator<Item = &SkippedPause> {
        self.all.iter().filter(|one| self.counts_from < one.through)
    }

    /// What is to be sent after this instant is skipped, up to some later one; the first such instant not before `send`.
    pub(super) fn begin_after(&self, send: Timestamp) -> Option<Timestamp> {
        let begins = self.all().filter(|one| one.through > one.reached.of(self.set_backs));
        begins.map(|one| one.reached.of(self.set_backs)).filter(|begin| *begin >= send).min()
    }
}

/// Pauses, and how far they are settled.
#[derive(Debug, Default)]
pub(super) struct Pausing {
    kept: Pauses,
    /// The write with the latest end of a pause.
    gate: u64,
    /// W has passed these, and no span holds any of them.
    free: Vec<SkippedPause>,
    look: Option<Look>,
    /// When the next look may begin.
    look_again: Timestamp,
}

/// A look at all spans, some at a time, for the times of which nothing is outstanding.
#[derive(Debug)]
struct Look {
    /// Spans up to this one were looked at.
    after: Option<SpanKey>,
    /// Of these nothing was found so far; W had passed them when it was begun.
    free: Vec<SkippedPause>,
}

impl Pausing {
    pub(super) fn new(kept: Pauses) -> Self {
        Self { kept, ..Self::default() }
    }

    /// Whether nothing may be handed over.
    pub(super) fn rests(&self, progress: &Progress) -> bool {
        let ended = progress.is_durable(self.gate) || planted(Fault::ResumeBeforeItIsDurable);
        self.kept.paused.is_some() || !ended
    }

    /// Whether spans are being looked at.
    #[cfg(test)]
    pub(super) fn is_looking(&self) -> bool {
        self.look.is_some()
    }

    pub(super) fn skipped_times(&self, era: Era) -> SkippedTimes<'_> {
        let Era { set_backs, counts_from, .. } = era;
        SkippedTimes { all: &self.kept.skipped, set_backs, counts_from }
    }

    /// When the present pause ends by itself.
    pub(super) fn until(&self) -> Option<PauseEnd> {
        self.kept.paused.as_ref()?.until
    }

    /// Makes room for one more skipped time: the oldest goes of which nothing is outstanding. Whether there is room.
    fn make_room(&mut self) -> bool {
        if self.kept.skipped.len() >= SKIPPED
            && let Some(at) = self.kept.skipped.iter().position(|one| self.free.contains(one))
        {
            let gone = self.kept.skipped.remove(at);
            self.free.retain(|one| *one != gone);
        }
        self.kept.skipped.len() < SKIPPED
    }

    /// What lies before W joined the set, or W went back: of any of the times something may be outstanding again.
    pub(super) fn look_anew(&mut self) {
        self.free.clear();
        self.look = None;
    }

    /// The clock was set back, and W with it. Gives what is to be kept, if that is something else than before.
    pub(super) fn set_back(&mut self, to: Timestamp) -> Option<&Pauses> {
        self.look_anew();
        self.look_again = to;
        if planted(Fault::SkipWhatIsDueAnew) {
            return None;
        }
        let above = self.kept.shown().is_some_and(|shown| shown > to);
        let Pauses { skipped, seen, .. } = &mut self.kept;
        let ends = skipped.iter_mut().map(|one| &mut one.through);
        ends.chain(seen).for_each(|at| *at = to.min(*at));
        above.then_some(&self.kept)
    }
}

impl Engine {
    /// The present pause.
    pub fn paused(&self) -> Option<&Pause> {
        self.pausing.kept.paused.as_ref()
    }

    /// Begins a pause, or changes who asked for the present one, why, and until when. Not if what is skipped of too many others
    /// is not settled yet.
    pub(super) fn pause(&mut self, command: u64, Scope::All: Scope, request: PauseRequest) {
        let PauseRequest { by, note, until } = request;
        let before = self.pausing.kept.paused.as_ref().map(|pause| (pause.since, pause.reached));
        let (since, reached) = match before {
            Some(before) => before,
            None if !self.pausing.make_room() => return self.out.too_many_pauses.push(command),
            None => (self.now(), self.reached_now()),
        };
        self.pausing.kept.seen = Some(self.now());
        let pause = Pause { since, by, note, until, reached };
        self.out.notices.push(Notice::Paused(pause.clone()));
        self.pausing.kept.paused = Some(pause);
        self.write_pauses();
        self.progress.promise(command);
    }

    fn reached_now(&self) -> Reached {
        let set_backs = self.progress.set_backs();
        if planted(Fault::PauseFromTheMark) {
            let settled = self.settled();
            return Reached { lately: settled, ever: settled, set_backs };
        }
        // That may lie ahead of what the clock shows: after a restart, and after a step back.
        let ever = self.now().max(self.progress.may_have_been_sent());
        Reached { lately: self.moment(set_backs), ever, set_backs }
    }

    /// Ends the present pause, if there is one.
    pub(super) fn resume(&mut self, command: u64, Scope::All: Scope, how: OnResume) {
        self.end_pause(how, self.now());
        self.progress.promise(command);
    }

    /// Ends the present pause, if its time has come.
    pub(super) fn end_pause_in_time(&mut self) {
        if let Some(PauseEnd { at, on_resume }) = self.pausing.until().filter(|end| end.at <= self.now()) {
            self.end_pause(on_resume, at);
        }
    }

    fn end_pause(&mut self, how: OnResume, through: Timestamp) {
        let Some(Pause { since, reached, .. }) = self.pausing.kept.paused.take() else { return };
        self.pausing.kept.seen = None;
        if how == OnResume::Skip {
            self.pausing.kept.skipped.push(SkippedPause { reached, through });
        }
        self.out.notices.push(Notice::Resumed { since, through, how });
        self.pausing.gate = self.write_pauses();
    }

    fn write_pauses(&mut self) -> u64 {
        self.progress.pauses(&self.pausing.kept);
        self.progress.change()
    }

    /// While W stands still, a restart can tell a long pause from a wrong clock all the same.
    pub(super) fn note_what_is_seen(&mut self) {
        let now = self.now();
        if self.pausing.kept.seen.is_some_and(|seen| now.since(seen) >= IDLE) {
            self.pausing.kept.seen = Some(now);
            self.progress.pauses(&self.pausing.kept);
        }
    }

    /// Looks at some spans, for the skipped times of which nothing is outstanding; and forgets those for which no name can come
    /// back any more.
    pub(super) fn forget_skipped(&mut self) {
        let (now, settled) = (self.now(), self.progress.settled());
        let Pausing { kept, free, look, look_again, .. } = &mut self.pausing;
        if look.is_none() {
            let passed = kept.skipped.iter().filter(|one| one.through <= settled && !free.contains(one));
            let begun = Look { after: None, free: passed.copied().collect() };
            *look = Some(begun).filter(|begun| !begun.free.is_empty() && *look_again <= now);
        }
        if let Some(mut under_way) = look.take() {
            let spans = self.outstanding.backlogs.after(under_way.after.as_ref()).take(LOOKED_AT);
            let last = spans.enumerate().map(|(at, (key, backlog))| {
                under_way.free.retain(|one| !one.holds_of(backlog));
                (at, key)
            });
            let last = last.last().filter(|(at, _)| at + 1 == LOOKED_AT).map(|(_, key)| key.clone());
            if last.is_some() && !under_way.free.is_empty() {
                *look = Some(Look { after: last, ..under_way });
            } else {
                free.extend(under_way.free.into_iter().filter(|one| kept.skipped.contains(one)));
                *look_again = now.plus(LOOK_AGAIN);
            }
        }
        let before = kept.skipped.len();
        let kept_for = if planted(Fault::ForgetWhoMayComeBack) { -1 } else { KEPT };
        kept.skipped.retain(|one| now.since(one.through) <= kept_for || !free.contains(one));
        if kept.skipped.len() < before {
            free.retain(|one| kept.skipped.contains(one));
            self.write_pauses();
        }
    }
}

impl fmt::Display for OnResume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CatchUp => "is caught up with, as each schedule's catch_up says",
            Self::Skip => "is skipped",
        })
    }
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Self::describe(f, self.since, &self.by, &self.note, self.until)
    }
}

impl Pause {
    /// What is shown of a pause, in words.
    ///
    /// # Errors
    /// The formatter's.
    pub fn describe(
        f: &mut fmt::Formatter<'_>,
        since: Timestamp,
        by: &str,
        note: &str,
        until: Option<PauseEnd>,
    ) -> fmt::Result {
        write!(f, "paused since {since} by {by}: {note}")?;
        match until {
            Some(PauseEnd { at, on_resume }) => write!(f, " (until {at}; what falls due {on_resume})"),
            None => Ok(()),
        }
    }
}
