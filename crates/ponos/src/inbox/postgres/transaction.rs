//! Shares a transaction between the runtime and the handler, which run in different tasks: both have a handle, and at the
//! end the runtime takes the transaction out. A task that the handler left behind then finds none.

use crate::inbox::InboxError;
use sqlx::{PgConnection, PgTransaction};
use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

/// How long the end waits for a statement of a task that the handler left behind.
const LEFT: Duration = Duration::from_secs(2);

/// The transaction in which a handler runs. It commits when the handler is done, together with the row of the inbox and the
/// messages that the handler published; otherwise it is rolled back.
///
/// Leave `commit` and `rollback` to the runtime: a handler that issues them is detected, and runs again. Handlers may use
/// savepoints (`begin` on the guard).
#[derive(Clone)]
pub struct Transaction(Arc<Mutex<Option<PgTransaction<'static>>>>);

/// The transaction's connection, for one statement or several, until dropped.
pub struct Guard<'a>(MappedMutexGuard<'a, PgConnection>);

impl Transaction {
    pub(super) fn new(transaction: PgTransaction<'static>) -> Self {
        Self(Arc::new(Mutex::new(Some(transaction))))
    }

    /// Locks the connection; waits while another part of the same handler has it, up to the handler's timeout.
    ///
    /// # Errors
    /// [`Refused`](crate::inbox::InboxErrorClass::Refused) once the handler has ended.
    pub async fn lock(&self) -> Result<Guard<'_>, InboxError> {
        let slot = self.0.lock().await;
        MutexGuard::try_map(slot, |slot| slot.as_deref_mut()).map(Guard).map_err(|_| {
            InboxError::refused(
                "the handler of this transaction has ended",
                "await in the handler what uses its transaction",
            )
        })
    }

    /// Takes the transaction from the handler.
    pub(super) async fn take(&self) -> Result<PgTransaction<'static>, InboxError> {
        let slot = tokio::time::timeout(LEFT, self.0.lock()).await;
        slot.ok().and_then(|mut slot| slot.take()).ok_or_else(|| {
            InboxError::refused(
                "something that the handler started still uses its transaction",
                "await it in the handler; nothing was recorded",
            )
        })
    }

    /// Rolls it back now, or, if it is in use at this moment, when the last handle is dropped.
    pub(super) fn drop_now(&self) {
        if let Ok(mut slot) = self.0.try_lock() {
            slot.take();
        }
    }
}

impl Deref for Guard<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.0
    }
}

impl DerefMut for Guard<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.0
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Transaction").finish()
    }
}

impl fmt::Debug for Guard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Guard").finish()
    }
}
