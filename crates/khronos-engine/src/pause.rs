//! Pauses: somebody has schedules rest for a while, all or those of some names, and says when they go on whether what fell
//! due meanwhile is caught up with or skipped. (ADR 0018)
//!
//! A pause is an outage that somebody asked for: while it lasts nothing is handed over, what falls due stays where it is,
//! and W below it; so it costs nothing for each schedule, and ends as any outage does. What was in flight finishes. Its
//! beginning is durable before it is answered, its end before anything is handed over again: so of a clock whose store
//! holds a pause, nothing above what had been [reached](Reached) when it began was ever handed over. What rests of a few
//! names can't hold W back: it joins their spans, which stand still.
//!
//! Here is what is kept of pauses; what they do is in `pausing`, and what is skipped when they end in `skipped_times`.

use super::skipped_times::{Reached, SkippedPause};
use ponos_event::Timestamp;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt, sync::Arc};

/// Pauses whose skipped time is kept at most, of all schedules and of each name. Few in tests, so that it is reached.
pub(super) const SKIPPED: usize = if cfg!(test) { 3 } else { 16 };
/// Beside them, pauses of all schedules of which something is outstanding only because names are paused: they wait for
/// people, and not for the broker.
pub(super) const STANDING: usize = if cfg!(test) { 5 } else { 256 };
/// Set-backs that are kept at most. Three are needed: the lowest, the latest, and one that stands for those in between.
const SET_BACKS: usize = if cfg!(test) { 3 } else { 16 };

/// Which schedules are paused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Those that run, and those that are added meanwhile.
    All,
    /// Those of these names, also if they go and come back; names that are not known are passed over.
    Named(BTreeSet<Arc<str>>),
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

/// What is kept of pauses: of all schedules, or of one name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pauses {
    /// The present one.
    pub paused: Option<Pause>,
    /// Those that were ended by skipping, oldest first.
    pub skipped: Vec<SkippedPause>,
    /// What the clock showed lately, while all is paused: W stands still.
    pub seen: Option<Timestamp>,
    /// With what is kept of all schedules, for all pauses and all that is skipped: how often the clock had been set back, and to where
    /// then; of several only those that no later one went behind. One with the reading of the one before it stands for some between
    /// the two, of which the readings are not kept: each lay above that one, and not above the next.
    // Follows in the store what older stores hold.
    #[serde(skip)]
    pub set_backs: Vec<(u32, Timestamp)>,
}

impl Pauses {
    /// Begins a pause, or changes who asked for the present one, why, and until when.
    pub(super) fn begin(&mut self, request: PauseRequest, now: Timestamp, reached: Reached) -> &Pause {
        let PauseRequest { by, note, until } = request;
        let before = self.paused.as_ref().map(|pause| (pause.since, pause.reached));
        let (since, reached) = before.unwrap_or((now, reached));
        self.paused.insert(Pause { since, by, note, until, reached })
    }

    /// Ends the present pause, if there is one, on a clock that was set back so many times.
    pub(super) fn end(&mut self, how: OnResume, through: Timestamp, set_backs: u32) -> Option<Pause> {
        let pause = self.paused.take()?;
        self.seen = None;
        if how == OnResume::Skip {
            self.skipped.push(SkippedPause { reached: pause.reached, through, set_backs });
        }
        Some(pause)
    }

    /// Which skipped time makes room for one more, if one must: the oldest of which nothing is outstanding. So many
    /// stand beside them.
    ///
    /// # Errors
    /// There is no room.
    pub(super) fn makes_room(
        &self,
        standing: usize,
        is_free: impl FnMut(&SkippedPause) -> bool,
    ) -> Result<Option<usize>, NoRoom> {
        if self.paused.is_some() {
            return Ok(None);
        }
        if standing >= STANDING {
            return Err(NoRoom);
        }
        if self.skipped.len() - standing < SKIPPED {
            return Ok(None);
        }
        self.skipped.iter().position(is_free).map(Some).ok_or(NoRoom)
    }

    /// Whether there is a pause, or something is skipped.
    pub(super) fn is_in_use(&self) -> bool {
        self.paused.is_some() || !self.skipped.is_empty()
    }

    /// The clock was set back, so many times by now: nothing above it is skipped by what has ended.
    pub(super) fn note_set_back(&mut self, set_backs: u32, to: Timestamp) {
        self.set_backs.retain(|(_, earlier)| *earlier < to);
        self.set_backs.push((set_backs, to));
        if self.set_backs.len() > SET_BACKS {
            // What lies between the lowest and the next that is kept is sent, and not skipped.
            self.set_backs.remove(1);
            self.set_backs[1].1 = self.set_backs[0].1;
        }
    }
}

/// The skipped times of too many pauses are kept, and of all of them something is outstanding.
#[derive(Debug)]
pub(super) struct NoRoom;

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
