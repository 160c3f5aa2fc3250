//! The parts that all handlers of a worker share: its name, clock, state, inbox, and what it may publish.

use super::{
    confirming_publisher::ConfirmingPublisher, ended::Observer, limits::Limits, reporting::Reporter,
};
use crate::{clock::Clock, declared::Declared, inbox::Inbox, traces::Traces};
use prometheus_client::metrics::counter::Counter;
use std::{
    any::{Any, TypeId, type_name},
    collections::HashMap,
    fmt,
    sync::{Arc, OnceLock},
};

/// Shared by all queues and contexts of a worker.
pub(crate) struct Service {
    /// Its name, and what it may publish.
    pub(crate) declared: Declared,
    /// The wall clock.
    pub(crate) clock: Clock,
    /// The values given to [`Worker::state`](super::Worker::state), by type.
    pub(crate) states: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
    /// The inbox.
    pub(crate) inbox: Inbox,
    /// Limits of the worker.
    pub(crate) limits: Limits,
    /// The publisher; set once the worker runs.
    pub(crate) publisher: OnceLock<ConfirmingPublisher>,
    /// Where its spans are recorded, if they are.
    pub(crate) traces: Option<Traces>,
    /// What ended is reported by it; set once a worker that reports runs.
    pub(crate) reporter: OnceLock<Reporter>,
    /// Counts answers that reached nobody.
    pub(crate) replies_lost: Counter,
    /// Called at every end.
    pub(crate) observer: Option<Observer>,
}

/// [`Context::state`](super::Context::state) asked for a type that was not given to the worker. A handler's argument
/// [`State<S>`](super::State) is checked at the start instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the worker has no state of type {0}: give it one with Worker::state; a handler that takes State<{0}> as its third argument (with_state) is refused at the start instead of here"
)]
pub struct NoState(pub(crate) &'static str);

impl Service {
    /// The state of type `S`.
    pub(crate) fn state<S: Send + Sync + 'static>(&self) -> Result<Arc<S>, NoState> {
        let state = self.states.get(&TypeId::of::<S>()).cloned();
        state.and_then(|state| state.downcast().ok()).ok_or_else(|| NoState(type_name::<S>()))
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("name", &self.declared.service)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
