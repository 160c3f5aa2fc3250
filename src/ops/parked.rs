//! Parked events: all in pages; released or dropped by their numbers.

use super::{Clock, OpsError, Pages, ParkedDecision, ParkedView, RunningClock};
use crate::{
    authority::{Caller, Role},
    clock_loop::{Command, Decided, PAGE},
    engine::Parked,
};
use std::collections::BTreeSet;
use tokio::sync::oneshot;
use tracing::info;

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
/// [`OpsError::Denied`]; [`OpsError::Unavailable`]; [`OpsError::Invalid`] where none is named.
pub async fn release(
    clock: &RunningClock,
    caller: &Caller,
    numbers: Vec<u64>,
) -> Result<ParkedDecision, OpsError> {
    decide(clock, caller, numbers, ("release parked events", Command::Release)).await
}

/// Drops parked events for good. Done when it is durable.
///
/// # Errors
/// [`OpsError::Denied`]; [`OpsError::Unavailable`]; [`OpsError::Invalid`] where none is named.
pub async fn discard(
    clock: &RunningClock,
    caller: &Caller,
    numbers: Vec<u64>,
) -> Result<ParkedDecision, OpsError> {
    decide(clock, caller, numbers, ("drop parked events", Command::Drop)).await
}

/// In words, and as the loop is asked for it.
type Decision = (&'static str, fn(Vec<u64>, oneshot::Sender<Decided>) -> Command);

async fn decide(
    clock: &RunningClock,
    caller: &Caller,
    mut numbers: Vec<u64>,
    (what, decision): Decision,
) -> Result<ParkedDecision, OpsError> {
    caller.may(Role::Operate, what)?;
    if numbers.is_empty() {
        return Err(OpsError::Invalid("ids: name at least one parked event".into()));
    }
    numbers.sort_unstable();
    numbers.dedup();
    if !caller.is_of_everything() {
        check_domains(clock, caller, &numbers).await?;
    }
    info!("{caller} asks to {what}: {} entries", numbers.len());
    let Decided { done, being_sent } = clock.ask(|reply| decision(numbers.clone(), reply)).await?;
    let known: BTreeSet<&u64> = done.iter().chain(&being_sent).collect();
    let unknown = numbers.into_iter().filter(|number| !known.contains(number)).collect();
    Ok(ParkedDecision { done, being_sent, unknown })
}

/// Whether all of these are of the caller's domains; those that are not there are nobody's. `numbers` are in order.
async fn check_domains(clock: &RunningClock, caller: &Caller, numbers: &[u64]) -> Result<(), OpsError> {
    let mut entries = all(clock.clone());
    let mut rest = numbers;
    while let Some(first) = rest.first() {
        entries.after = first.checked_sub(1);
        let page = entries.next().await?;
        let Some((last, ..)) = page.last() else { break };
        let (here, beyond) = rest.split_at(rest.partition_point(|number| number <= last));
        for (number, entry, _) in page.iter().filter(|(number, ..)| here.binary_search(number).is_ok()) {
            match clock.definition(entry.schedule.clone(), entry.revision).await?.as_deref() {
                Some((_, schedule)) => caller.may_change(schedule.event.as_str())?,
                None => {
                    let what = format!("the parked entry {number} (its event is not known any more)");
                    return Err(caller.outside(what).into());
                }
            }
        }
        rest = beyond;
    }
    Ok(())
}
