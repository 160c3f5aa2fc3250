//! Parked delayed events: in pages; released or dropped by their creations, which tell them from later ones of their names.

use crate::{
    authority::{Caller, Role},
    clock_loop::{Command, Decided, UnparkAsked},
    engine::delayed::{ParkedEvent, Unparking},
    ops::{
        OpsError, ParkedDecision, ParkedEventList, ParkedEventView, RunningClock, permit::permit,
        schedules::MOST_OF_A_PAGE,
    },
    schedule::FaultCode,
};
use serde::Deserialize;
use std::{collections::HashSet, sync::Arc};
use tracing::{debug, info, warn};
use utoipa::IntoParams;

/// Creations in one request at most.
pub const UNPARKED_AT_ONCE: usize = 1_000;
/// Parked events that are read at once: with their content, which may be large.
const READ: usize = 64;

/// Which page of parked delayed events.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ParkedQuery {
    /// At most so many, 1 to 1,000; 100 if left out.
    #[param(minimum = 1, maximum = 1_000)]
    pub limit: Option<usize>,
    /// Where to go on: `next` of the page before.
    pub page: Option<String>,
}

/// A page of parked delayed events, by creation, without their content.
///
/// # Errors
/// [`OpsError::Parameter`], [`OpsError::Unavailable`].
pub async fn parked(clock: &RunningClock, wanted: ParkedQuery) -> Result<ParkedEventList, OpsError> {
    let part = clock.delayed()?;
    let limit = wanted.limit.unwrap_or(100);
    if !(1..=MOST_OF_A_PAGE).contains(&limit) {
        return Err(OpsError::parameter("limit", FaultCode::OutOfRange, format!("1 to {MOST_OF_A_PAGE}")));
    }
    let after = wanted.page.map(|page| page.parse::<u64>()).transpose().map_err(|_| {
        OpsError::parameter("page", FaultCode::InvalidValue, "it is not the `next` of a page before")
    })?;
    let name = clock.name();
    let of = name.clone();
    let read = part.read(move |reader| {
        let (mut views, mut after) = (Vec::new(), after.unwrap_or(0));
        loop {
            let most = READ.min(limit - views.len());
            let read = reader.parked(after, most)?;
            let is_last = read.len() < most;
            after = read.last().map_or(after, |parked| parked.event.head.creation);
            views.extend(read.iter().map(|parked| ParkedEventView::new(&of, parked)));
            if is_last || views.len() >= limit {
                return Ok((views, (!is_last).then_some(after)));
            }
        }
    });
    let (parked, next) = read.await?;
    Ok(ParkedEventList { clock: name, next: next.map(|after| after.to_string()), parked })
}

/// Sends parked delayed events again, under the ids that they had. Done when it is durable; then each is sent until the broker
/// answers, and one that it refuses again stays parked.
///
/// # Errors
/// [`OpsError::Denied`]; [`OpsError::Invalid`] where none is named, or too many; [`OpsError::TooMany`], [`OpsError::Unavailable`]:
/// nothing changed; [`OpsError::Unknown`]: it may be done.
pub async fn release(
    clock: &RunningClock,
    caller: &Caller,
    creations: Vec<u64>,
) -> Result<ParkedDecision, OpsError> {
    decide(clock, caller, creations, (Unparking::Release, "release parked delayed events")).await
}

/// Drops parked delayed events for good. Done when it is durable.
///
/// # Errors
/// As [`release`].
pub async fn discard(
    clock: &RunningClock,
    caller: &Caller,
    creations: Vec<u64>,
) -> Result<ParkedDecision, OpsError> {
    decide(clock, caller, creations, (Unparking::Drop, "drop parked delayed events")).await
}

async fn decide(
    clock: &RunningClock,
    caller: &Caller,
    mut creations: Vec<u64>,
    (unparking, what): (Unparking, &'static str),
) -> Result<ParkedDecision, OpsError> {
    permit(caller, Role::Operate, what)?;
    creations.sort_unstable();
    creations.dedup();
    if creations.is_empty() || creations.len() > UNPARKED_AT_ONCE {
        let what = format!("creations: name 1 to {UNPARKED_AT_ONCE} parked events");
        return Err(OpsError::Invalid(what));
    }
    let his = match caller.is_of_all_events_and_tasks() {
        true => creations.clone(),
        false => within_domains(clock, caller, &creations).await?,
    };
    let Decided { done, being_sent } = match his.is_empty() {
        true => Decided::default(),
        false => {
            let asked = UnparkAsked { by: caller.author(), what: unparking, creations: his };
            let answer = clock.ask_to_change(|reply| Command::UnparkDelayed(asked, reply)).await;
            let answer = answer.and_then(|decided| decided.map_err(OpsError::from));
            answer.inspect_err(|error| warn!("{caller} asked to {what}: {error}"))?
        }
    };
    match done.first() {
        None => debug!("{caller} asked to {what}: nothing is done"),
        Some(first) => info!("{caller} asked to {what}: done to {}, the first is {first}", done.len()),
    }
    let known: HashSet<&u64> = done.iter().chain(&being_sent).collect();
    let unknown = creations.into_iter().filter(|creation| !known.contains(creation)).collect();
    Ok(ParkedDecision { done, being_sent, unknown })
}

/// Those that are parked now, if all of these are of the caller's domains, or his queues. What a creation is of never changes. Some are
/// read at a time, so that others read in between.
async fn within_domains(
    clock: &RunningClock,
    caller: &Caller,
    creations: &[u64],
) -> Result<Vec<u64>, OpsError> {
    type Of = (u64, Arc<str>, Option<Arc<str>>);
    let part = clock.delayed()?;
    let of = |ParkedEvent { event, .. }: ParkedEvent| -> Of {
        (event.head.creation, event.head.event, event.head.queue)
    };
    let mut his = Vec::new();
    for some in creations.chunks(READ) {
        let asked = some.to_vec();
        let read = part.read(move |reader| {
            let found = asked.into_iter().map(|creation| Ok(reader.parked_as(creation)?.map(of)));
            found.collect::<Result<Vec<_>, _>>()
        });
        for (creation, event, queue) in read.await?.into_iter().flatten() {
            match queue {
                Some(queue) => caller.may_send_tasks(&queue)?,
                None => caller.may_change(&event)?,
            }
            his.push(creation);
        }
    }
    Ok(his)
}
