//! Parked events: all, or a page of them; released or dropped by their numbers.

use super::{
    Clock, OpsError, Pages, ParkedDecision, ParkedView, RunningClock, message::asker, permit::permit,
    schedules::MOST_OF_A_PAGE,
};
use crate::{
    authority::{Caller, Role},
    clock_loop::{Command, Decided, DecidedAnswer, PAGE},
    engine::Parked,
    schedule::FaultCode,
};
use serde::Deserialize;
use std::collections::BTreeSet;
use tokio::{sync::oneshot, time::Instant};
use tracing::{debug, info, warn};
use utoipa::IntoParams;

/// Numbers in one command of the loop: one turn of it, which what is due must not wait for.
const TOGETHER: usize = 256;
/// Runs of numbers in a line of the log.
const SHOWN: usize = 200;

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

/// Which page of the parked events of schedules.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ParkedPageQuery {
    /// At most so many, 1 to 1,000; all if left out.
    #[param(minimum = 1, maximum = 1_000)]
    pub limit: Option<usize>,
    /// Where to go on: `next` of the page before.
    pub page: Option<String>,
}

/// Parked events by number, and where to go on.
#[derive(Debug)]
pub struct ParkedPage {
    entries: ParkedEvents,
    /// Those that were read, of a page.
    list: Option<Vec<(u64, Parked, bool)>>,
    /// The next value of `page`; none at the end, and where all of them are asked for.
    pub next: Option<String>,
}

/// Reads one page of the parked events, or makes all of them be read bit by bit.
///
/// # Errors
/// [`OpsError::Parameter`], [`OpsError::Unavailable`].
pub async fn page(clock: impl Into<Clock>, wanted: &ParkedPageQuery) -> Result<ParkedPage, OpsError> {
    let after = wanted.page.as_deref().map(str::parse::<u64>).transpose().map_err(|_| {
        OpsError::parameter("page", FaultCode::InvalidValue, "it is not the `next` of a page before")
    })?;
    let mut entries = ParkedEvents { clock: clock.into(), after };
    let Some(limit) = wanted.limit else { return Ok(ParkedPage { entries, list: None, next: None }) };
    if !(1..=MOST_OF_A_PAGE).contains(&limit) {
        return Err(OpsError::parameter("limit", FaultCode::OutOfRange, format!("1 to {MOST_OF_A_PAGE}")));
    }
    let mut list = Vec::new();
    // One more says that there is a next page.
    while list.len() <= limit {
        let found = entries.next().await?;
        if found.is_empty() {
            break;
        }
        list.extend(found);
    }
    let is_more = list.len() > limit;
    list.truncate(limit);
    let next = list.last().filter(|_| is_more).map(|(number, ..)| number.to_string());
    Ok(ParkedPage { entries, list: Some(list), next })
}

impl Pages for ParkedPage {
    type Item = (u64, Parked, bool);
    type View<'a> = ParkedView;

    async fn next(&mut self) -> Result<Vec<Self::Item>, OpsError> {
        match &mut self.list {
            Some(list) => Ok(std::mem::take(list)),
            None => self.entries.next().await,
        }
    }

    fn view(&self, item: &Self::Item) -> ParkedView {
        self.entries.view(item)
    }
}

/// Sends parked events again, under the ids that they had. Done when it is durable.
///
/// # Errors
/// [`OpsError::Denied`]; [`OpsError::Unavailable`]; [`OpsError::Unknown`]; [`OpsError::Invalid`] where none is named;
/// [`OpsError::Partly`].
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
/// [`OpsError::Denied`]; [`OpsError::Unavailable`]; [`OpsError::Unknown`]; [`OpsError::Invalid`] where none is named;
/// [`OpsError::Partly`].
pub async fn discard(
    clock: &RunningClock,
    caller: &Caller,
    numbers: Vec<u64>,
) -> Result<ParkedDecision, OpsError> {
    decide(clock, caller, numbers, ("drop parked events", Command::Drop)).await
}

/// In words, and as the loop is asked for it.
type Decision = (&'static str, fn(Vec<u64>, oneshot::Sender<DecidedAnswer>) -> Command);

async fn decide(
    clock: &RunningClock,
    caller: &Caller,
    mut numbers: Vec<u64>,
    (what, decision): Decision,
) -> Result<ParkedDecision, OpsError> {
    permit(caller, Role::Operate, what)?;
    if numbers.is_empty() {
        return Err(OpsError::Invalid("ids: name at least one parked event".into()));
    }
    numbers.sort_unstable();
    numbers.dedup();
    let his = match caller.is_of_everything() {
        true => numbers.clone(),
        false => within_domains(clock, caller, &numbers).await?,
    };
    let decided = piece_by_piece(clock, caller, &his, decision).await;
    let Decided { done, being_sent } =
        decided.inspect_err(|error| warn!("{caller} asked to {what} ({}): {error}", shown(&numbers)))?;
    match done.is_empty() && being_sent.is_empty() {
        true => debug!("{caller} asked to {what}: none of them is parked"),
        false => info!("{caller} asked to {what}: done {}, being sent {}", shown(&done), shown(&being_sent)),
    }
    let known: BTreeSet<&u64> = done.iter().chain(&being_sent).collect();
    let unknown = numbers.into_iter().filter(|number| !known.contains(number)).collect();
    Ok(ParkedDecision { done, being_sent, unknown })
}

async fn piece_by_piece(
    clock: &RunningClock,
    caller: &Caller,
    numbers: &[u64],
    decision: fn(Vec<u64>, oneshot::Sender<DecidedAnswer>) -> Command,
) -> Result<Decided, OpsError> {
    let mut all = Decided::default();
    for (piece, together) in numbers.chunks(TOGETHER).enumerate() {
        let answer = clock.ask_for(asker(caller, None), |reply| decision(together.to_vec(), reply)).await;
        let answer = answer.and_then(|decided| decided.map_err(OpsError::from));
        let Decided { done, being_sent } = answer.map_err(|error| match piece {
            0 => error,
            _ => OpsError::Partly { done: all.done.len(), of: numbers.len(), why: Box::new(error) },
        })?;
        all.done.extend(done);
        all.being_sent.extend(being_sent);
    }
    Ok(all)
}

/// The numbers as a line of the log has them: `7, 9-40`; how many more there are where they are too many runs.
fn shown(numbers: &[u64]) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*number) => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    let listed = runs.iter().take(SHOWN).map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    let listed = listed.collect::<Vec<_>>().join(", ");
    match runs.len().checked_sub(SHOWN) {
        _ if runs.is_empty() => "none".into(),
        None | Some(0) => listed,
        Some(more) => format!("{listed} and {more} more runs"),
    }
}

/// Those of the numbers, which are in order, that are parked now, if all of these are of the caller's domains. The others
/// are nobody's: what is parked under them by the time of the command was not looked at, and is not his to decide.
async fn within_domains(
    clock: &RunningClock,
    caller: &Caller,
    numbers: &[u64],
) -> Result<Vec<u64>, OpsError> {
    let mut entries = all(clock.clone());
    let mut his = Vec::new();
    let mut rest = numbers;
    while let Some(first) = rest.first() {
        entries.after = first.checked_sub(1);
        let page = entries.next().await?;
        // Numbers that lie far apart are as much work as many requests.
        caller.owe_changes(1, Instant::now());
        let Some((last, ..)) = page.last() else { break };
        let (here, beyond) = rest.split_at(rest.partition_point(|number| number <= last));
        for (number, entry, _) in page.iter().filter(|(number, ..)| here.binary_search(number).is_ok()) {
            match clock.definition(entry.schedule.clone(), entry.revision).await?.as_deref() {
                Some((_, schedule)) => {
                    caller.may_change(schedule.event.as_str())?;
                    his.push(*number);
                }
                None => {
                    let what = format!("the parked entry {number} (its event is not known any more)");
                    return Err(caller.outside(what).into());
                }
            }
        }
        rest = beyond;
    }
    Ok(his)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::Coalesced,
        ops::{collect, tests::unanswered::played},
    };
    use ponos::event::{EventKind, Timestamp};
    use std::time::Duration;

    #[tokio::test]
    async fn many_are_decided_some_at_a_time() {
        let (clock, mut asked) = played(Duration::from_secs(60)).await;
        let sizes = tokio::spawn(async move {
            let mut sizes = Vec::new();
            while let Some(Command::By(_, command)) = asked.recv().await {
                let Command::Drop(numbers, reply) = *command else { panic!("{command:?}") };
                sizes.push(numbers.len());
                let (done, being_sent) = numbers.into_iter().partition(|number| *number != 300);
                // The last one is not answered.
                if sizes.len() < 3 {
                    drop(reply.send(Ok(Decided { done, being_sent })));
                }
            }
            sizes
        });
        let dropped = discard(&clock, &Caller::operator(), (1..=500).collect()).await.unwrap();
        assert_eq!((dropped.done.len(), dropped.being_sent, dropped.unknown), (499, vec![300], vec![]));
        let error = discard(&clock, &Caller::operator(), vec![1]).await.unwrap_err();
        assert!(matches!(error, OpsError::Ending { is_known: false, .. }), "{error:?}");
        drop(clock);
        assert_eq!(sizes.await.unwrap(), [256, 244, 1]);
    }

    #[tokio::test]
    async fn what_is_done_to_some_is_not_said_to_have_changed_nothing() {
        let (clock, mut asked) = played(Duration::from_secs(60)).await;
        tokio::spawn(async move {
            let Some(Command::By(_, command)) = asked.recv().await else { return };
            let Command::Release(done, reply) = *command else { panic!("{command:?}") };
            drop(reply.send(Ok(Decided { done, being_sent: Vec::new() })));
        });
        let partly = release(&clock, &Caller::operator(), (1..=300).collect()).await.unwrap_err();
        assert!(matches!(partly, OpsError::Partly { done: 256, of: 300, .. }), "{partly}");
    }

    #[tokio::test]
    async fn parked_events_are_read_a_page_at_a_time_or_all_of_them() {
        let (clock, mut asked) = played(Duration::from_secs(60)).await;
        tokio::spawn(async move {
            while let Some(Command::Parked(after, reply)) = asked.recv().await {
                let numbers = (after.unwrap_or(0) + 1..=5).take(2);
                drop(reply.send(numbers.map(|number| (number, entry(), false)).collect()));
            }
        });
        let read = async |limit, from: Option<&str>| {
            let wanted = ParkedPageQuery { limit, page: from.map(str::to_owned) };
            let read = page(clock.clone(), &wanted).await?;
            let next = read.next.clone();
            Ok::<_, OpsError>((collect(read, |_, (number, ..)| number).await?, next))
        };
        for (limit, from, expected) in [
            (None, None, (vec![1, 2, 3, 4, 5], None)),
            (None, Some("3"), (vec![4, 5], None)),
            (Some(3), None, (vec![1, 2, 3], Some("3"))),
            (Some(3), Some("3"), (vec![4, 5], None)),
            (Some(5), None, (vec![1, 2, 3, 4, 5], None)),
            (Some(1), Some("4"), (vec![5], None)),
            (Some(1), Some("9"), (vec![], None)),
        ] {
            let (numbers, next) = read(limit, from).await.unwrap();
            assert_eq!((numbers, next.as_deref()), expected, "{limit:?} {from:?}");
        }
        for (limit, from, wrong) in
            [(Some(0), None, "limit"), (Some(1_001), None, "limit"), (None, Some("x"), "page")]
        {
            let refused = read(limit, from).await.unwrap_err();
            assert!(matches!(&refused, OpsError::Parameter(fault) if fault.name == wrong), "{refused}");
        }
    }

    fn entry() -> Parked {
        let at = Timestamp::from_millis(0);
        Parked {
            schedule: "a".into(),
            revision: 1,
            stands_for: Coalesced { first: at, last: at, count: 1 },
            reason: "full".into(),
            at,
            released: false,
            singly: true,
            refused: 0,
            retry_at: None,
            kind: EventKind::Occurrence,
        }
    }

    #[test]
    fn a_line_of_the_log_names_all_numbers_as_far_as_they_are_few_runs() {
        assert_eq!(shown(&[]), "none");
        assert_eq!(shown(&[7]), "7");
        assert_eq!(shown(&[7, 9, 10, 11, 13]), "7, 9-11, 13");
        assert_eq!(shown(&(1..=2_000).collect::<Vec<_>>()), "1-2000");
        let apart: Vec<u64> = (0..300).map(|number| 2 * number).collect();
        assert!(shown(&apart).ends_with("398 and 100 more runs"), "{}", shown(&apart));
        assert_eq!(shown(&[u64::MAX]), u64::MAX.to_string());
    }
}
