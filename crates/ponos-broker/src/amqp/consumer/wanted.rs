//! What is to be consumed, and how a subscription to it begins.

use super::super::{
    super::{Consume, Flow, LinkError},
    connection::Session,
    declare::{declare, inspect},
    intake::Intake,
    shared::{SharedConnection, leave},
};
use ponos_event::{HeaderValue, topology::Topology};
use std::sync::Arc;

/// The queue to consume, and the connection to use.
pub(super) struct Wanted {
    pub(super) shared: Arc<SharedConnection>,
    pub(super) topology: Topology,
    pub(super) options: Consume,
}

/// Why a subscription did not begin.
pub(super) struct NotOpened {
    pub(super) error: LinkError,
    /// The queue's deliveries were asked for: the broker may have given some out before it answered.
    pub(super) asked: bool,
}

impl From<LinkError> for NotOpened {
    fn from(error: LinkError) -> Self {
        Self { error, asked: false }
    }
}

impl Wanted {
    /// `alone`: on a connection of its own, and with how many messages are ready before anything is taken.
    pub(super) async fn open(&self, flow: Flow, alone: bool) -> Result<(Intake, Option<u64>), NotOpened> {
        let session = if alone { self.shared.own_session().await? } else { self.shared.session().await? };
        let opened = self.subscribe(&session, flow, alone).await;
        leave(session).await;
        opened
    }

    async fn subscribe(
        &self,
        session: &Arc<Session>,
        flow: Flow,
        alone: bool,
    ) -> Result<(Intake, Option<u64>), NotOpened> {
        let named = declare(session, &self.topology).await?;
        let queue = self.queue_name(named);
        let state = if alone { inspect(session, &queue).await? } else { None };
        let single_active = self.topology.queues.iter().any(|declared| {
            declared.name == queue
                && declared.arguments.get("x-single-active-consumer") == Some(&HeaderValue::Bool(true))
        });
        let intake = Intake::open(Arc::clone(session), queue, &self.options, flow, single_active).await;
        let intake = intake.map_err(|error| NotOpened { error, asked: true })?;
        Ok((intake, state.map(|state| state.ready)))
    }

    pub(super) fn queue_name(&self, named: Option<String>) -> String {
        if self.options.queue.is_empty() { named.unwrap_or_default() } else { self.options.queue.clone() }
    }
}
