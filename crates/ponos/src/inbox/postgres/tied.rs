//! What ends with a message besides its own row of the inbox: its key (`unique`), and its place in a group (`group`).
//!
//! Invariant: it ends in the transaction of the message's handler, or, for one that ended without, in one of its own; with a row of the
//! outbox that is dropped, in the transaction that drops it. Again is harmless, for each part asks whether it was done.

use super::{
    encoding,
    group::{self, MemberEnd},
    store::Store,
    unique,
};
use crate::{
    event::{Event, EventId, EventName, Headers},
    inbox::{Backend, Entry, EntryBackend, Held, Inbox, InboxError},
    worker::group::GROUP,
};
use sqlx::PgConnection;

/// A longer header is none of ours.
const LONGEST: usize = 512;

/// The headers of a message that say what ends with it.
#[derive(Debug, Clone)]
pub(super) struct Tied {
    name: EventName,
    id: EventId,
    key: Option<String>,
    group: Option<String>,
}

impl Tied {
    fn of(event: &Event) -> Option<Self> {
        let (key, group) = ends(&event.extensions)?;
        Some(Self { name: event.name.clone(), id: event.id.clone(), key, group })
    }

    /// Those of a row of the outbox; `None` also for one that can't be read.
    pub(super) fn of_row(name: &str, id: &str, head: &str) -> Option<Self> {
        let message = encoding::message(head, Vec::new()).ok()?;
        let (key, group) = ends(&message.headers)?;
        Some(Self { name: name.parse().ok()?, id: id.parse().ok()?, key, group })
    }

    /// The key that was claimed for a message that is not sent after all.
    fn of_unsent(held: &Held) -> Option<Self> {
        let (key, _) = ends(&held.message.headers)?;
        let name = held.message.properties.kind.as_deref()?.parse().ok()?;
        Some(Self { name, id: held.id.clone(), key: Some(key?), group: None })
    }

    /// Its group: who ends several at a time does so in the order of these, so that no two wait for each other.
    pub(super) fn group(&self) -> Option<&str> {
        self.group.as_deref()
    }

    /// Its part of the transaction in which the message ends.
    pub(super) async fn end(
        &self,
        connection: &mut PgConnection,
        store: &Store,
        end: MemberEnd,
    ) -> Result<(), sqlx::Error> {
        if let Some(key) = &self.key {
            unique::remove(connection, store, (self.name.as_str(), key, &self.id)).await?;
        }
        if let Some(group) = &self.group {
            group::end(connection, store, (group, &self.id), end).await?;
        }
        Ok(())
    }
}

/// The key and the group that headers name; `None` for neither.
fn ends(headers: &Headers) -> Option<(Option<String>, Option<String>)> {
    let header = |name: &str| headers.text(name).filter(|text| text.len() <= LONGEST).map(str::to_owned);
    let (key, group) = (header(unique::HEADER), header(GROUP));
    (key.is_some() || group.is_some()).then_some((key, group))
}

/// The parts of all that were handled together, in the order of their [groups](Tied::group).
pub(super) async fn end_all(
    all: &[Tied],
    connection: &mut PgConnection,
    store: &Store,
) -> Result<(), sqlx::Error> {
    let mut all: Vec<&Tied> = all.iter().collect();
    all.sort_by(|one, other| one.group().cmp(&other.group()));
    for tied in all {
        tied.end(connection, store, MemberEnd::Done).await?;
    }
    Ok(())
}

/// Whether something ends with this message.
pub(crate) fn is_tied(event: &Event) -> bool {
    Tied::of(event).is_some()
}

impl Entry {
    /// Lets its end be that of all that is tied to the event as well; of a batch it is called for each of those that are done.
    pub(crate) fn tie(&mut self, event: &Event) {
        if let EntryBackend::Postgres(run) = &mut self.0 {
            run.tied.extend(Tied::of(event));
        }
    }

    /// Lets its end take back what was claimed for messages that are not sent after all.
    pub(crate) fn unclaim(&mut self, unsent: &[Held]) {
        if let EntryBackend::Postgres(run) = &mut self.0 {
            run.tied.extend(unsent.iter().filter_map(Tied::of_unsent));
        }
    }
}

impl Inbox {
    /// Ends what is tied to a message that ended without a transaction of its own: dead, or not worth a run. Harmless when it is done
    /// again.
    pub(crate) async fn end_tied(&self, event: &Event, end: MemberEnd) -> Result<(), InboxError> {
        let (Backend::Postgres(store), Some(tied)) = (&self.kind, Tied::of(event)) else { return Ok(()) };
        let doing = "ending what is tied to a message";
        let mut transaction = store.call(doing, Box::pin(store.side.begin())).await?;
        store.call(doing, tied.end(&mut transaction, store, end)).await?;
        store.call(doing, transaction.commit()).await?;
        store.put.notify_one();
        Ok(())
    }
}
