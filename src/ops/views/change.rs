//! What became of a change of a schedule, or of a calendar.

use super::PauseView;
use crate::{
    engine::Verdict,
    ops::schedules::{MOST_OF_A_PAGE, ScheduleQuery},
    schedule::file::FieldFault,
};
use ponos::event::Timestamp;
use serde::{Deserialize, Serialize};

/// What became of one change that was asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OutcomeView {
    /// The schedule, or the calendar.
    pub name: String,
    /// `created`, `changed`, `unchanged` (it was so already), `deleted`, `gone-already` or `refused`.
    pub outcome: String,
    /// The number of its creation: the ids of its events have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creation: Option<u64>,
    /// Its revision now; of one that was deleted, its last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    /// It is due as it says now after this instant; up to it, as it said before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    /// Of one that was deleted: what was due up to this instant is sent all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub through: Option<Timestamp>,
    /// What can run and was seldom meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<FieldFault>,
}

impl OutcomeView {
    /// Of this verdict about the schedule of this name.
    pub fn new(name: &str, verdict: &Verdict, remarks: Vec<FieldFault>) -> Self {
        let view = Self { name: name.to_owned(), remarks, ..Self::default() };
        let of = |outcome: &str, creation: u64, revision: u32| Self {
            outcome: outcome.to_owned(),
            creation: Some(creation),
            revision: Some(revision),
            ..view.clone()
        };
        match *verdict {
            Verdict::Created { creation, revision, since } => {
                Self { since: Some(since), ..of("created", creation, revision) }
            }
            Verdict::Changed { creation, revision, since } => {
                Self { since: Some(since), ..of("changed", creation, revision) }
            }
            Verdict::Unchanged { creation, revision } => of("unchanged", creation, revision),
            Verdict::Deleted { creation, revision, through } => {
                Self { through: Some(through), ..of("deleted", creation, revision) }
            }
            Verdict::Settled { creation, revision, .. } => of("settled", creation, revision),
            Verdict::GoneAlready => Self { outcome: "gone-already".into(), ..view },
            Verdict::Refused(_)
            | Verdict::Paused { .. }
            | Verdict::Resumed { .. }
            | Verdict::Triggered { .. } => Self { outcome: "refused".into(), ..view },
        }
    }
}

/// A schedule that was put: what became of that, and when it is due.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PutView {
    /// What became of it.
    #[serde(flatten)]
    pub change: OutcomeView,
    /// How many occurrences are left; null where there is no end to them, there are more than 1,000, or nothing is known of it
    /// at once.
    pub occurrences_left: Option<u64>,
    /// The next due times, at most 5.
    #[schema(value_type = Vec<String>)]
    pub next_due_at: Vec<Timestamp>,
    /// The pause that keeps back what is due: by its name, or of everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<PauseView>,
}

/// Which schedules: those that are named, or else those that pass all that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleFilter {
    /// These.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Those whose names begin so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Those whose events are of this domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Those that this owner created at run time. Of what is deleted: the caller's own, if left out by who is no admin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Those from there: `file`, or `client` (created at run time).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Those in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Those with this label, `team:billing`; with any value of it, `team`; with several, `team:billing,stage`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

impl ScheduleFilter {
    /// The parts of it but the names, in words.
    pub(in crate::ops) const PARTS: &str = "prefix, domain, owner, origin, state and label";

    /// Whether something is said but names.
    pub(in crate::ops) fn says_more_than_names(&self) -> bool {
        let Self { names: _, prefix, domain, owner, origin, state, label } = self;
        [prefix, domain, owner, origin, state, label].into_iter().any(Option::is_some)
    }

    /// What passes it, whatever names it has.
    pub(in crate::ops) fn query(self) -> ScheduleQuery {
        let Self { names: _, prefix, domain, owner, origin, state, label } = self;
        let limit = Some(MOST_OF_A_PAGE);
        ScheduleQuery { prefix, domain, owner, origin, state, label, limit, page: None }
    }
}

/// What became of all that passed a filter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FilterDecision {
    /// Nothing was done: they were counted.
    pub dry_run: bool,
    /// How many passed.
    pub matched: usize,
    /// To how many it was done.
    pub done: usize,
    /// To how many not.
    pub refused: usize,
    /// The names of those that passed, the first hundred.
    pub names: Vec<String>,
    /// Why not, of the first hundred.
    pub refusals: Vec<RefusalView>,
}

/// Why one schedule was not changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RefusalView {
    /// The schedule.
    pub name: String,
    /// Why, and what to do.
    pub detail: String,
}

impl From<(String, String)> for RefusalView {
    fn from((name, detail): (String, String)) -> Self {
        Self { name, detail }
    }
}
