//! Pauses: somebody has all schedules rest for a while, and says when they go on whether what fell due meanwhile is caught
//! up with or skipped. (ADR 0018)
//!
//! A pause is an outage that somebody asked for: while it lasts nothing is handed over, what falls due stays where it is,
//! and W below it; so it costs nothing for each schedule, and ends as any outage does. What was in flight finishes. Its
//! beginning is durable before it is answered, its end before anything is handed over again: so of a clock whose store
//! holds a pause, nothing above what had been [reached](Reached) when it began was ever handed over.
//!
//! Skipping takes only what lies above that, and at or below the instant at which the pause ended: whatever was due before is
//! caught up with all the same. Which time is skipped is kept until W has passed it and no span holds any of it.

use super::{
    Notice,
    core::Engine,
    faults::{Fault, planted},
    progress::{Progress, SpanKey},
};
use ponos_event::Timestamp;
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};

/// Pauses whose skipped time is kept at most. Few in tests, so that it is reached.
pub(super) const SKIPPED: usize = if cfg!(test) { 3 } else { 16 };
/// Spans that are looked at in a step, whether they hold any of it.
const LOOKED_AT: usize = if cfg!(test) { 2 } else { 256 };

/// Which schedules are paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Those that run, and those that are added meanwhile.
    All,
}

/// What becomes of what fell due during a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
    /// What lies at or below this is no matter of the pause.
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
    /// Those that were ended by skipping, and of which something may not be settled yet; oldest first.
    pub skipped: Vec<SkippedPause>,
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
}

impl SkippedTimes<'_> {
    /// What has this send time is skipped, and what is to be sent after it, up to the instant that is given.
    pub(super) fn over(&self, send: Timestamp) -> Option<Timestamp> {
        let over = self.all.iter().filter(|one| one.reached.of(self.set_backs) < send && send <= one.through);
        over.map(|one| one.through).max()
    }

    /// What is to be sent after this instant is skipped, up to some later one; the first such instant not before `send`.
    pub(super) fn begin_after(&self, send: Timestamp) -> Option<Timestamp> {
        let begins = self.all.iter().filter(|one| one.through > one.reached.of(self.set_backs));
        begins.map(|one| one.reached.of(self.set_backs)).filter(|begin| *begin >= send).min()
    }
}

/// Pauses, and how far they are settled.
#[derive(Debug, Default)]
pub(super) struct Pausing {
    kept: Pauses,
    /// The write with the latest end of a pause.
    gate: u64,
    look: Option<Look>,
}

/// A look at all spans, some at a time, for the times that need not be kept any more.
#[derive(Debug)]
struct Look {
    /// Spans up to this one were looked at.
    after: Option<SpanKey>,
    /// W when it was begun.
    settled: Timestamp,
    /// Of which of the times something is outstanding.
    outstanding: [bool; SKIPPED],
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

    pub(super) fn skipped_times(&self, set_backs: u32) -> SkippedTimes<'_> {
        SkippedTimes { all: &self.kept.skipped, set_backs }
    }

    /// When the present pause ends by itself.
    pub(super) fn until(&self) -> Option<PauseEnd> {
        self.kept.paused.as_ref()?.until
    }

    /// The clock was set back, and W with it.
    pub(super) fn set_back(&mut self) {
        self.look = None;
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
        let (since, reached) = match &self.pausing.kept.paused {
            Some(pause) => (pause.since, pause.reached),
            None if self.pausing.kept.skipped.len() >= SKIPPED => return self.out.too_many.push(command),
            None => (self.now(), self.reached_now()),
        };
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
        if how == OnResume::Skip {
            self.pausing.kept.skipped.push(SkippedPause { reached, through });
        }
        self.out.notices.push(Notice::Resumed { since, how });
        self.pausing.look = None;
        self.pausing.gate = self.write_pauses();
    }

    fn write_pauses(&mut self) -> u64 {
        self.progress.pauses(&self.pausing.kept);
        self.progress.change()
    }

    /// Forgets skipped times that W has passed and no span holds any of. After W none of what comes can lie in them, but where
    /// the clock is set back.
    pub(super) fn forget_skipped(&mut self) {
        let settled = self.progress.settled();
        if !self.pausing.kept.skipped.iter().any(|one| one.through <= settled) {
            return;
        }
        let look = self.pausing.look.take();
        let mut look = look.unwrap_or(Look { after: None, settled, outstanding: [false; SKIPPED] });
        let keys = self.outstanding.backlogs.keys_after(look.after.as_ref(), LOOKED_AT);
        for backlog in keys.iter().filter_map(|key| self.outstanding.backlogs.get(key)) {
            let (span, timing) = (&backlog.span, &backlog.schedule.timing);
            let times = self.pausing.kept.skipped.iter().zip(&mut look.outstanding);
            for (one, outstanding) in times {
                let begin = timing.due_by(one.reached.of(backlog.era.set_backs));
                *outstanding |= span.after < timing.due_by(one.through) && begin < span.through;
            }
        }
        if keys.len() == LOOKED_AT {
            look.after = keys.into_iter().next_back();
            self.pausing.look = Some(look);
            return;
        }
        let mut outstanding = look.outstanding.into_iter();
        let before = self.pausing.kept.skipped.len();
        // What was added since the look began is not settled by then.
        self.pausing
            .kept
            .skipped
            .retain(|one| outstanding.next().unwrap_or(true) || one.through > look.settled);
        if self.pausing.kept.skipped.len() < before {
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
        let Self { since, by, note, until, .. } = self;
        write!(f, "paused since {since} by {by}: {note}")?;
        match until {
            Some(PauseEnd { at, on_resume }) => write!(f, " (until {at}; what falls due {on_resume})"),
            None => Ok(()),
        }
    }
}
