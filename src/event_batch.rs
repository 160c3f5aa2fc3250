//! Many delayed events that are put at once, and what is answered: the same over HTTP and by message. All that is done is durable
//! together; what is wrong with one of them is said of it, and the others are taken.

use crate::{
    authority::Caller,
    ops::{
        EventOutcomeView, OpsError, RunningClock,
        delayed::{EventBatch, EventOutcome, change},
    },
    problem::Problem,
};
use serde::Serialize;
use utoipa::ToSchema;

/// What is wrong with the items of a batch is listed up to here, of each its share and one at least: the answer is one message.
const ERRORS: usize = 1_000;

/// What became of each item of a batch.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventBatchAnswer {
    /// How many events were created, changed, were so already, or were sent as they are wanted within the last hour.
    done: usize,
    /// How many items were refused.
    refused: usize,
    /// Of each, in their order.
    results: Vec<EventBatchItem>,
}

/// What became of one of them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventBatchItem {
    /// Which one, counted from 0.
    index: usize,
    /// What became of it.
    #[serde(flatten)]
    change: EventOutcomeView,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
}

/// Puts the events of a batch.
///
/// # Errors
/// As [`change`]: nothing is done, or that is not known.
pub(crate) async fn put_events(
    clock: &RunningClock,
    caller: &Caller,
    batch: EventBatch,
) -> Result<EventBatchAnswer, OpsError> {
    let outcomes = change(clock, caller, batch).await?;
    let name = clock.name();
    let of = |(index, outcome): (usize, EventOutcome)| {
        let change = EventOutcomeView::new(&name, &outcome);
        let problem = outcome.done().err().map(Problem::from);
        EventBatchItem { index, change, problem }
    };
    let mut results: Vec<EventBatchItem> = outcomes.into_iter().enumerate().map(of).collect();
    let refused = results.iter().filter(|item| item.problem.is_some()).count();
    for item in &mut results {
        let problem = item.problem.take();
        item.problem = problem.map(|problem| problem.with_fewer_errors((ERRORS / refused).max(1)));
    }
    Ok(EventBatchAnswer { done: results.len() - refused, refused, results })
}
