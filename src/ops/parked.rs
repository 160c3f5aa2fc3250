//! Parked events: all in pages; released or dropped by their numbers.

use super::{Clock, OpsError, Pages, ParkedDecision, ParkedView, RunningClock};
use crate::{
    clock_loop::{Command, Decided, PAGE},
    engine::Parked,
};
use std::collections::BTreeSet;
use tokio::sync::oneshot;

/// All parked events by number.
#[derive(Debug)]
pub struct ParkedEvents {
    clock: Clock,
    after: Option<u64>,
}

/// All parked events of a clock.
pub fn all(clock: impl Into<Clock>) -> ParkedEvents {
    ParkedEvents { clock: clock.into(), after: None }
}

impl Pages for ParkedEvents {
    /// Its number, the entry, and whether it is being sent.
    type Item = (u64, Parked, bool);
    type View<'a> = ParkedView;

    async fn next(&mut self) -> Result<Vec<Self::Item>, OpsError> {
        let after = self.after;
        let page = match &self.clock {
            Clock::Running(clock) => clock.ask(|reply| Command::Parked(after, reply)).await?,
            Clock::Stopped(clock) => {
                let all = &clock.snapshot.parked;
                let from = after.map_or(0, |after| all.partition_point(|(number, _)| *number <= after));
                all[from..]
                    .iter()
                    .take(PAGE)
                    .map(|(number, parked)| (*number, parked.clone(), parked.released))
                    .collect()
            }
        };
        self.after = page.last().map(|(number, ..)| *number);
        Ok(page)
    }

    fn view(&self, (number, parked, being_sent): &(u64, Parked, bool)) -> ParkedView {
        ParkedView::new(*number, parked, *being_sent)
    }
}

/// Sends parked events again, under the ids that they had. Done when it is durable.
///
/// # Errors
/// [`OpsError::Unavailable`]; [`OpsError::Invalid`] where none is named.
pub async fn release(clock: &RunningClock, numbers: Vec<u64>) -> Result<ParkedDecision, OpsError> {
    decide(clock, numbers, Command::Release).await
}

/// Drops parked events for good. Done when it is durable.
///
/// # Errors
/// [`OpsError::Unavailable`]; [`OpsError::Invalid`] where none is named.
pub async fn discard(clock: &RunningClock, numbers: Vec<u64>) -> Result<ParkedDecision, OpsError> {
    decide(clock, numbers, Command::Drop).await
}

async fn decide(
    clock: &RunningClock,
    mut numbers: Vec<u64>,
    decision: fn(Vec<u64>, oneshot::Sender<Decided>) -> Command,
) -> Result<ParkedDecision, OpsError> {
    if numbers.is_empty() {
        return Err(OpsError::Invalid("ids: name at least one parked event".into()));
    }
    numbers.sort_unstable();
    numbers.dedup();
    let Decided { done, being_sent } = clock.ask(|reply| decision(numbers.clone(), reply)).await?;
    let known: BTreeSet<&u64> = done.iter().chain(&being_sent).collect();
    let unknown = numbers.into_iter().filter(|number| !known.contains(number)).collect();
    Ok(ParkedDecision { done, being_sent, unknown })
}
