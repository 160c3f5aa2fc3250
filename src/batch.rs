//! Many definitions that are put at once, and what is answered: the same over HTTP and by message. All that is done is durable
//! together; what is wrong with one of them is said of it, and the others are taken.

use crate::{
    authority::Caller,
    clock_loop::CHANGES,
    engine::Expect,
    ops::{
        Coming, OpsError, OutcomeView, RunningClock,
        change::{Batch, Outcome, Wanted, change},
    },
    problem::Problem,
};
use ponos::event::Timestamp;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use std::fmt;
use utoipa::ToSchema;

/// Definitions that are to be put at once.
#[derive(Debug)]
pub(crate) struct BatchAsked {
    /// Each as it is written, with its name: 1 to [`CHANGES`].
    pub(crate) definitions: Vec<Vec<u8>>,
    /// All of them or none; else those that can be.
    pub(crate) atomic: bool,
    /// The id of the message that it came as.
    pub(crate) message: Option<String>,
}

/// What is wrong with the definitions of a batch is listed up to here, of each its share and one at least: the answer is one
/// message.
const ERRORS: usize = 1_000;

/// What became of each definition of a batch.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BatchAnswer {
    /// How many schedules were created, changed, or were so already.
    done: usize,
    /// How many definitions were refused.
    refused: usize,
    /// Of each, in their order.
    results: Vec<BatchItem>,
}

/// What became of one of them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BatchItem {
    /// Which one, counted from 0.
    index: usize,
    /// What became of it.
    #[serde(flatten)]
    change: OutcomeView,
    /// How many occurrences are left; left out where there is no end to them, or they were not counted (10,000 are of all
    /// definitions together, 1,000 of one).
    #[serde(skip_serializing_if = "Option::is_none")]
    occurrences_left: Option<u64>,
    /// When it is due next; left out where that is never, or is not known at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    next_due_at: Option<Timestamp>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
}

/// Creates or changes the schedules of a batch.
///
/// # Errors
/// As [`change`]: nothing is done, or that is not known.
pub(crate) async fn put_all(
    clock: &RunningClock,
    caller: &Caller,
    asked: BatchAsked,
) -> Result<BatchAnswer, OpsError> {
    let BatchAsked { definitions, atomic, message } = asked;
    let put = |json| Wanted::Put { name: None, json, expect: Expect::Any };
    let batch = Batch { wanted: definitions.into_iter().map(put).collect(), atomic, message };
    let outcomes = change(clock, caller, batch).await?;
    let mut results: Vec<BatchItem> = outcomes.into_iter().enumerate().map(BatchItem::from).collect();
    let refused = results.iter().filter(|item| item.problem.is_some()).count();
    for item in &mut results {
        let problem = item.problem.take();
        item.problem = problem.map(|problem| problem.with_fewer_errors((ERRORS / refused).max(1)));
    }
    Ok(BatchAnswer { done: results.len() - refused, refused, results })
}

impl From<(usize, Outcome)> for BatchItem {
    fn from((index, outcome): (usize, Outcome)) -> Self {
        let Outcome { name, verdict, remarks, coming, .. } = outcome.clone();
        let change = OutcomeView::new(&name, &verdict, remarks);
        let Coming { left, next } = coming.unwrap_or_default();
        let problem = outcome.done().err().map(Problem::from);
        Self { index, change, occurrences_left: left, next_due_at: next, problem }
    }
}

/// The definitions of a list, each as it is written, to be read by itself.
///
/// # Errors
/// It is no list, or one of too many.
pub(crate) fn definitions(list: &[u8]) -> Result<Vec<Vec<u8>>, Problem> {
    let list: FewDefinitions = serde_json::from_slice(list)
        .map_err(|error| Problem::malformed(format!("the body is no list of definitions: {error}")))?;
    Ok(list.0)
}

/// As many as may be changed at once. A list of more is refused where that shows, however long it is.
struct FewDefinitions(Vec<Vec<u8>>);

impl<'de> Deserialize<'de> for FewDefinitions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Few;
        impl<'de> Visitor<'de> for Few {
            type Value = FewDefinitions;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of definitions")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut few = Vec::new();
                while let Some(one) = list.next_element::<&RawValue>()? {
                    if few.len() == CHANGES {
                        return Err(A::Error::custom(format_args!("more than {CHANGES} definitions")));
                    }
                    few.push(one.get().as_bytes().to_vec());
                }
                Ok(FewDefinitions(few))
            }
        }
        deserializer.deserialize_seq(Few)
    }
}
