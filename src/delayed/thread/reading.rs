//! The loop of the thread that reads.

use super::{
    DelayedStoreEvent, DelayedTuning,
    questions::{Finding, Question},
    queue::Shared,
};
use crate::{
    delayed::{DelayedKey, DelayedReader, DueEvent, ParkedHead},
    store::StoreError,
};
use tokio::sync::mpsc::UnboundedSender;

/// Answers questions, what is due first, until nothing is written any more and all are answered, or nothing can be.
pub(super) fn run(shared: &Shared, tuning: DelayedTuning, events: &UnboundedSender<DelayedStoreEvent>) {
    while let Some(question) = shared.question() {
        let answered = match question {
            Question::Find(finding) => find(shared, tuning, events, finding),
            Question::Due { ticket, range, after, most } => answer(shared, events, |reader| {
                let events = reader.due(range.clone(), after.as_ref(), most)?;
                Ok(DelayedStoreEvent::Due { ticket, events })
            }),
            Question::Contents(wanted) => wanted.chunks(tuning.contents.max(1)).try_for_each(|part| {
                answer(shared, events, |reader| {
                    let pending = part.iter().filter(|(_, due)| !due.is_parked);
                    let keys: Vec<DelayedKey> = pending.map(|(_, due)| due.key.clone()).collect();
                    let mut pending = reader.events(&keys)?.into_iter();
                    let content = |(token, due): &(u64, DueEvent)| {
                        let event = match due.is_parked {
                            true => reader.parked_as(due.creation)?.map(|parked| parked.event),
                            false => pending.next().flatten(),
                        };
                        Ok((*token, due.clone(), event))
                    };
                    Ok(DelayedStoreEvent::Contents(part.iter().map(content).collect::<Result<_, _>>()?))
                })
            }),
            Question::FindParked { ticket, creations } => {
                answer_or_not_found(shared, events, ticket, |reader| {
                    let find =
                        |creation: &u64| Ok(reader.parked_as(*creation)?.as_ref().map(ParkedHead::from));
                    let found = creations.iter().map(find).collect::<Result<_, _>>()?;
                    Ok(DelayedStoreEvent::FoundParked { ticket, found })
                })
            }
            Question::Parked { ticket, after, most } => {
                answer_or_not_found(shared, events, ticket, |reader| {
                    let parked = reader.parked(after, most)?;
                    let heads = parked.iter().map(ParkedHead::from).collect();
                    Ok(DelayedStoreEvent::Parked { ticket, heads })
                })
            }
        };
        if answered.is_none() {
            return;
        }
    }
}

/// Looks up some of the names, and the messages behind the last one. In this order: what is written in between shows as an answer that
/// was given already. `None`: there is no store any more.
fn find(
    shared: &Shared,
    tuning: DelayedTuning,
    events: &UnboundedSender<DelayedStoreEvent>,
    mut finding: Finding,
) -> Option<()> {
    loop {
        let (opening, reader) = shared.reader()?;
        if opening != finding.opening {
            // What was found before is as old as that opening.
            finding.found.clear();
            finding.opening = opening;
        }
        let rest = finding.names.get(finding.found.len()..).unwrap_or_default();
        let part = rest.get(..tuning.names.max(1)).unwrap_or(rest);
        let is_last = part.len() == rest.len();
        let read = reader.find(part).and_then(|found| {
            let answered = if is_last { reader.answers(&finding.messages)? } else { Vec::new() };
            Ok((found, answered))
        });
        match read {
            Ok((found, _)) if !is_last => {
                finding.found.extend(found);
                shared.change(|queue| queue.go_on(finding));
                return Some(());
            }
            Ok((found, answered)) => {
                let found = finding.found.iter().cloned().chain(found).collect();
                let event = DelayedStoreEvent::Found { ticket: finding.ticket, found, answered };
                if shared.change(|queue| queue.answer(opening, events, event)) {
                    return Some(());
                }
            }
            Err(error @ StoreError::Io { .. }) => shared.change(|queue| queue.failed(opening, &error)),
            // A page that is damaged is the matter of those who ask for what is on it, until something due is.
            Err(error) => {
                let event = DelayedStoreEvent::NotFound { ticket: finding.ticket, error };
                if shared.change(|queue| queue.answer(opening, events, event)) {
                    return Some(());
                }
            }
        }
    }
}

/// Reads until it is read from a store that is open still, and says it. `None`: there is no store any more.
fn answer(
    shared: &Shared,
    events: &UnboundedSender<DelayedStoreEvent>,
    read: impl Fn(&dyn DelayedReader) -> Result<DelayedStoreEvent, StoreError>,
) -> Option<()> {
    loop {
        let (opening, reader) = shared.reader()?;
        match read(&*reader) {
            Ok(event) => {
                if shared.change(|queue| queue.answer(opening, events, event)) {
                    return Some(());
                }
            }
            Err(error) => shared.change(|queue| queue.failed(opening, &error)),
        }
    }
}

/// The same, where a page that is damaged is the matter of who asks alone.
fn answer_or_not_found(
    shared: &Shared,
    events: &UnboundedSender<DelayedStoreEvent>,
    ticket: u64,
    read: impl Fn(&dyn DelayedReader) -> Result<DelayedStoreEvent, StoreError>,
) -> Option<()> {
    answer(shared, events, |reader| match read(reader) {
        Err(error) if !matches!(error, StoreError::Io { .. }) => {
            Ok(DelayedStoreEvent::NotFound { ticket, error })
        }
        read => read,
    })
}
