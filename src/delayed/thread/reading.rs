//! The loop of the thread that reads.

use super::{
    DelayedStoreEvent, DelayedTuning,
    queue::{Question, Shared},
};
use crate::{
    delayed::{DelayedKey, DelayedReader},
    store::StoreError,
};
use tokio::sync::mpsc::UnboundedSender;

/// Answers questions in their order, until nothing is written any more and all are answered, or nothing can be.
pub(super) fn run(shared: &Shared, tuning: DelayedTuning, events: &UnboundedSender<DelayedStoreEvent>) {
    while let Some(question) = shared.question() {
        let answered = match question {
            Question::Find { ticket, names, messages } => answer(shared, events, |reader| {
                // In this order: what is written in between shows as an answer that was given already.
                let (found, answered) = (reader.find(&names)?, reader.answers(&messages)?);
                Ok(DelayedStoreEvent::Found { ticket, found, answered })
            }),
            Question::Due { ticket, range, after, most } => answer(shared, events, |reader| {
                let events = reader.due(range.clone(), after.as_ref(), most)?;
                Ok(DelayedStoreEvent::Due { ticket, events })
            }),
            Question::Contents(wanted) => wanted.chunks(tuning.contents.max(1)).try_for_each(|part| {
                answer(shared, events, |reader| {
                    let keys: Vec<DelayedKey> = part.iter().map(|(_, due)| due.key.clone()).collect();
                    let contents = part.iter().zip(reader.events(&keys)?);
                    let contents = contents.map(|((token, due), event)| (*token, due.clone(), event));
                    Ok(DelayedStoreEvent::Contents(contents.collect()))
                })
            }),
        };
        if answered.is_none() {
            return;
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
