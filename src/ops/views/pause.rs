//! Pauses, as they are asked for and shown.

use super::ScheduleFilter;
use crate::engine::{OnResume, Pause, PauseEnd};
use ponos::event::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PauseView {
    /// Since when nothing is handed over.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// Who asked for it.
    pub by: String,
    /// Why.
    pub note: String,
    /// When it ends by itself; null: when somebody resumes.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// What becomes then of what fell due.
    pub on_resume: Option<OnResume>,
}

impl From<&Pause> for PauseView {
    fn from(pause: &Pause) -> Self {
        let Pause { since, by, note, until, reached: _ } = pause;
        Self {
            since: *since,
            by: by.to_string(),
            note: note.to_string(),
            until: until.map(|end| end.at),
            on_resume: until.map(|end| end.on_resume),
        }
    }
}

impl fmt::Display for PauseView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { since, by, note, until, on_resume } = self;
        let until = until.zip(*on_resume).map(|(at, on_resume)| PauseEnd { at, on_resume });
        Pause::describe(f, *since, by, note, until)
    }
}

/// That everything is to be paused.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseAsked {
    /// True: all schedules.
    pub all: bool,
    /// Who asks.
    pub by: String,
    /// Why.
    pub note: String,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// Or for how long: `2h`.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub length: Option<String>,
    /// What becomes then of what fell due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_resume: Option<OnResume>,
}

/// What became of it.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PauseDecision {
    /// The pause.
    pub paused: PauseView,
    /// It had begun before: who asks, why and until when are as said now.
    pub was_paused: bool,
}

/// That it is to go on.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeAsked {
    /// True: all schedules.
    pub all: bool,
    /// What becomes of what fell due.
    pub on_resume: OnResume,
}

/// What became of it.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ResumeDecision {
    /// The pause that has ended; null: there was none.
    pub was_paused: Option<PauseView>,
    /// When it ended: by its own end, or now.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub through: Option<Timestamp>,
    /// What becomes of what fell due between.
    pub on_resume: OnResume,
}

/// How one schedule is to be paused.
#[derive(Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseOneAsked {
    /// Who asks; if left out, who is known to ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why.
    pub note: String,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// Or for how long: `2h`.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub length: Option<String>,
    /// What becomes then of what fell due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_resume: Option<OnResume>,
}

/// How one schedule is to go on.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeOneAsked {
    /// What becomes of what fell due.
    pub on_resume: OnResume,
}

/// Which schedules are to be paused, and how.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseSomeAsked {
    /// Which.
    pub filter: ScheduleFilter,
    /// Who asks; if left out, who is known to ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why.
    pub note: String,
    /// When they go on by themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// Or for how long: `2h`.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub length: Option<String>,
    /// What becomes then of what fell due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_resume: Option<OnResume>,
    /// Say which, and change nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Change nothing unless it is so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect_count: Option<usize>,
}

/// Which schedules are to go on, and how.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeSomeAsked {
    /// Which; of these, those that are paused by their names.
    pub filter: ScheduleFilter,
    /// What becomes of what fell due.
    pub on_resume: OnResume,
    /// Say which, and change nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Change nothing unless it is so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect_count: Option<usize>,
}

/// What became of schedules that were chosen.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ChosenDecision {
    /// How many it was done to, or would be.
    pub count: usize,
    /// The first of them by name, a hundred at most.
    pub names: Vec<String>,
    /// How many of them were paused before.
    pub were_paused: usize,
    /// Nothing was changed.
    pub dry_run: bool,
}
