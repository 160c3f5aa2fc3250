//! The one connection of all consumers of a transport: made for the first, closed with the last.

use super::{
    super::{LinkError, QueueState},
    AmqpConfig,
    connection::Session,
    declare,
};
use std::sync::{
    Arc, Weak,
    atomic::{AtomicU64, Ordering},
};
use tokio::sync::Mutex;

/// Where consumers get their connection. Held for nothing but the address: who consumes holds the connection.
#[derive(Debug)]
pub(crate) struct SharedConnection {
    config: AmqpConfig,
    slot: Mutex<Slot>,
    /// Counts attempts to connect that have ended.
    attempts: AtomicU64,
}

#[derive(Debug, Default)]
struct Slot {
    session: Weak<Session>,
    failure: Option<LinkError>,
}

impl SharedConnection {
    pub(crate) fn new(config: AmqpConfig) -> Self {
        Self { config, slot: Mutex::default(), attempts: AtomicU64::new(0) }
    }

    pub(crate) fn config(&self) -> &AmqpConfig {
        &self.config
    }

    /// The open connection, or a new one. To be given back by [`leave`].
    pub(super) async fn session(&self) -> Result<Arc<Session>, LinkError> {
        let before = self.attempts.load(Ordering::SeqCst);
        let mut slot = self.slot.lock().await;
        if let Some(session) = slot.session.upgrade() {
            if session.is_open() {
                return Ok(session);
            }
            // others still hold it
            session.put_back();
        }
        // An attempt that failed while this one waited for its turn speaks for both: else many would queue for a broker
        // that does not answer, each for the whole time limit.
        if self.attempts.load(Ordering::SeqCst) != before
            && let Some(error) = &slot.failure
        {
            return Err(error.clone());
        }
        let opened = Session::open(&self.config, "consuming").await;
        self.attempts.fetch_add(1, Ordering::SeqCst);
        let (session, failure) = match opened {
            Ok(session) => (Ok(Arc::new(session)), None),
            Err(error) => (Err(error.clone()), Some(error)),
        };
        slot.session = session.as_ref().map(Arc::downgrade).unwrap_or_default();
        slot.failure = failure;
        session
    }

    /// A new connection for one consumer alone, whose messages would break that of the others. To be given back by [`leave`].
    pub(super) async fn own_session(&self) -> Result<Arc<Session>, LinkError> {
        Session::open(&self.config, "consuming").await.map(Arc::new)
    }

    /// Looks at a queue on a channel of its own.
    pub(crate) async fn inspect(&self, queue: &str) -> Result<Option<QueueState>, LinkError> {
        let session = self.session().await?;
        let state = declare::inspect(&session, queue).await;
        leave(session).await;
        state
    }
}

/// Gives a connection back; the last one closes it.
pub(super) async fn leave(session: Arc<Session>) {
    if let Some(last) = Arc::into_inner(session) {
        last.close().await;
    }
}
