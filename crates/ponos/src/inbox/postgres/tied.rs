//! What ends with a message besides its own row of the inbox: its key (`unique`), and its place in a group (`group`).
//!
//! Invariant: it ends in the transaction of the message's handler, or, for one that ended without, in one of its own. Again is
//! harmless, for each part asks whether it was done.

use super::{
    group::{self, MemberEnd},
    store::{Store, TransactionRun},
    unique,
};
use crate::{
    event::{Event, EventId, EventName},
    inbox::{Backend, Entry, EntryBackend, Inbox, InboxError},
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
        let header =
            |name| event.extensions.text(name).filter(|text| text.len() <= LONGEST).map(str::to_owned);
        let (key, group) = (header(unique::HEADER), header(GROUP));
        let is_any = key.is_some() || group.is_some();
        is_any.then(|| Self { name: event.name.clone(), id: event.id.clone(), key, group })
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

/// Whether something ends with this message.
pub(crate) fn is_tied(event: &Event) -> bool {
    Tied::of(event).is_some()
}

impl Entry {
    /// Lets its end be that of all that is tied to the event as well.
    pub(crate) fn tie(&mut self, event: &Event) {
        if let EntryBackend::Postgres(TransactionRun { tied, .. }) = &mut self.0 {
            tied.extend(Tied::of(event));
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
