//! A schedule as it runs, or as it is stored.

use super::{FinishedView, PauseView};
use crate::{
    engine::{Revision, ScheduleStatus, Span},
    schedule::{Definition, DoorKind, Packed, Schedule},
    sources::Place,
};
use ponos::event::Timestamp;
use serde::{Deserialize, Serialize};

/// When a revision is due, in a few words.
pub(in crate::ops) fn timing_words(revision: &Revision) -> String {
    in_words(&revision.definition.definition(), revision.build().ok().as_ref())
}

/// In the author's words where there are some: a cron expression says more than its description.
fn in_words(definition: &Definition, built: Option<&Schedule>) -> String {
    match (&definition.cron, built) {
        (Some(cron), _) => format!("cron {cron} {}", definition.time_zone.as_deref().unwrap_or("UTC")),
        (None, Some(schedule)) => schedule.timing.describe(),
        (None, None) => "not understood by this version".into(),
    }
}

/// All schedules of a clock, by name.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ScheduleList {
    /// The clock's name.
    pub clock: String,
    /// The present pause, of all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<PauseView>,
    /// Its schedules.
    pub schedules: Vec<ScheduleView>,
    /// Where to go on, as `page`; null at the end, and absent where all are given at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The states of a schedule, by the words that [`ScheduleView::state`] uses.
pub const STATES: [&str; 5] = ["active", "paused", "finished", "catching-up", "refused"];

/// The word for a schedule's state: paused by its name, or else the first of these that holds, from the last of them on.
pub(in crate::ops) fn state_word(status: &ScheduleStatus) -> &'static str {
    let [active, paused, finished, catching_up, refused] = STATES;
    match status {
        ScheduleStatus { paused: Some(_), .. } => paused,
        ScheduleStatus { refused: Some(_), .. } => refused,
        status if !status.outstanding.is_empty() => catching_up,
        ScheduleStatus { finished: true, .. } => finished,
        status if status.revision.definition.is_paused() => paused,
        _ => active,
    }
}

/// Where schedules come from, by the words that [`ScheduleView::origin`] uses.
pub const ORIGINS: [&str; 2] = ["file", "client"];

/// The word for where a schedule comes from.
pub(in crate::ops) fn origin_word(definition: &Packed) -> &'static str {
    let [file, client] = ORIGINS;
    if definition.is_created() { client } else { file }
}

/// One schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ScheduleView {
    /// Its name.
    pub name: String,
    /// What it publishes.
    pub event: Option<String>,
    /// When, in a few words.
    pub timing: String,
    /// Next due time; null when there is none any more.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_due_at: Option<Timestamp>,
    /// `active`, `paused` (its occurrences are skipped, or wait until somebody resumes it), `finished` (there are none any more), `catching-up` or `refused` (the
    /// broker does not take its event).
    #[serde(default)]
    pub state: String,
    /// Its definition says so: its occurrences are skipped.
    pub paused: bool,
    /// The present pause, by its name: whatever its definition says, nothing of it is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<PauseView>,
    /// `file`: a schedule file has it, and it is changed there; `client`: it was created at run time.
    #[serde(default)]
    pub origin: String,
    /// Of a file's: where its table begins in which file, `schedules/reports.toml:12`, as last read and accepted. Absent where
    /// that is not known: no files were accepted since the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Who created it at run time, and may change it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// By which door he came who created it at run time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub door: Option<DoorKind>,
    /// The number of its creation at run time: the ids of its events have it. None of a file's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creation: Option<u64>,
    /// Counts up with every accepted edit.
    pub revision: u32,
    /// Since when the definition holds.
    #[schema(value_type = String, format = DateTime)]
    pub effective_from: Timestamp,
    /// Since when a `limit` without `from` counts: earlier than `effective_from` where edits left the timing as it was.
    #[schema(value_type = String, format = DateTime)]
    pub counts_from: Timestamp,
    /// As written.
    pub definition: Definition,
    /// What got no answer yet, or is caught up with.
    pub outstanding: Option<Span>,
    /// Events that were confirmed, whatever its revision: as far as the record goes back, and since.
    pub confirmed: u64,
    /// Of these, how many reached nobody.
    pub returned: u64,
    /// When the last of them was sent; null before the first.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_sent_at: Option<Timestamp>,
    /// What the broker refuses of it at present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedView>,
    /// Its last occurrence is settled, and nothing of it is due any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<FinishedView>,
}

/// That the broker refuses a schedule's event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RefusedView {
    /// The broker's reason.
    pub reason: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// How often.
    pub times: u64,
}

impl ScheduleView {
    /// A schedule as it runs; or, where no clock runs, as it is stored. It is written at `place`, as far as that is known.
    pub fn new(status: &ScheduleStatus, place: Option<Place>) -> Self {
        let revision = &status.revision;
        let built = revision.build().ok();
        let definition = revision.definition.definition();
        let finished = built.as_ref().filter(|_| status.finished).map(|one| FinishedView::new(&one.timing));
        let timing = in_words(&definition, built.as_ref());
        Self {
            name: revision.name().to_owned(),
            event: built.as_ref().map(|schedule| schedule.event.to_string()),
            timing,
            next_due_at: status.next,
            state: state_word(status).into(),
            paused: definition.paused == Some(true),
            pause: status.paused.as_ref().map(Into::into),
            origin: origin_word(&revision.definition).into(),
            place: place.map(|place| place.to_string()),
            owner: definition.created.as_ref().map(|created| created.owner.clone()),
            door: definition.created.as_ref().map(|created| created.door),
            creation: definition.created.as_ref().map(|created| created.number),
            revision: revision.number,
            effective_from: revision.effective_from,
            counts_from: revision.counts_from,
            definition,
            outstanding: status.outstanding.first().cloned(),
            confirmed: status.sent.confirmed.into(),
            returned: status.sent.returned.into(),
            last_sent_at: status.sent.last(),
            refused: status.refused.as_ref().map(|refused| RefusedView {
                reason: refused.reason.clone(),
                since: refused.since,
                times: refused.times,
            }),
            finished,
        }
    }
}
