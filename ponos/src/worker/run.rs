//! From a worker that was described to one that runs.

use super::{Liveness, Observed, Report, RunError, Worker, WorkerError, plan::Plan, runtime};
use crate::{
    broker::{LinkError, LinkErrorClass, Transport, amqp::AmqpConfig},
    shutdown::Shutdown,
    topology::Topology,
};
use std::{sync::Arc, time::Duration};

/// For the broker to be through with a deletion that it is in the middle of.
const DELETED: Duration = Duration::from_secs(1);

/// A worker that was checked and can run.
#[derive(Debug)]
pub struct Ready {
    plan: Plan,
    liveness: Liveness,
}

impl Worker {
    /// Is told of every end of a delivery, in the task that ended: it must be quick. For tests and measurements.
    #[must_use]
    pub fn observe(mut self, observer: impl Fn(&Observed) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Checks it, without touching the broker.
    ///
    /// # Errors
    /// [`WorkerError::Invalid`] with everything that can't be.
    pub fn ready(self) -> Result<Ready, WorkerError> {
        Ok(Ready { plan: self.plan()?, liveness: Liveness::default() })
    }

    /// Runs on the RabbitMQ at `url` (`amqp://user:password@host:5672/vhost`, `amqps://…`) until the shutdown.
    ///
    /// # Errors
    /// [`WorkerError`]: what it was told can't be; a person must change something on the broker; or it ended by itself.
    pub async fn run(self, url: &str, shutdown: Shutdown) -> Result<Report, WorkerError> {
        let ready = self.ready()?;
        let mut config = AmqpConfig::parse(url)?;
        config.connection_name = ready.plan.service.name.to_string();
        ready.run_on(Transport::amqp(config), shutdown).await
    }

    /// Runs on that broker until the shutdown.
    ///
    /// # Errors
    /// As [`Worker::run`].
    pub async fn run_on(self, transport: Transport, shutdown: Shutdown) -> Result<Report, WorkerError> {
        self.ready()?.run_on(transport, shutdown).await
    }
}

impl Ready {
    /// Tells whether it is alive, for the health check of whatever runs it.
    pub fn liveness(&self) -> Liveness {
        self.liveness.clone()
    }

    /// What it needs on the broker.
    pub fn topology(&self) -> &Topology {
        &self.plan.topology
    }

    /// Runs until the shutdown. A broker that nobody answers for is waited for; one that refuses us is an error at once.
    ///
    /// # Errors
    /// As [`Worker::run`].
    pub async fn run_on(self, transport: Transport, shutdown: Shutdown) -> Result<Report, WorkerError> {
        let Self { plan, liveness } = self;
        let mut checked = transport.check(&plan.topology).await;
        if let Err(LinkError { class: LinkErrorClass::Missing, .. }) = &checked
            && !plan.topology.passive
        {
            // somebody deleted it between its declaration and its use, and the broker is not through with that
            tokio::time::sleep(DELETED).await;
            checked = transport.check(&plan.topology).await;
        }
        match checked {
            Err(error) if error.class.needs_a_person() => return Err(WorkerError::Broker(error)),
            Err(error) => {
                tracing::warn!(%error, "the broker can't be reached yet; it is tried again for ever")
            }
            Ok(()) => {}
        }
        let inbox = &plan.service.inbox;
        if !inbox.is_shared() && !inbox.is_none() {
            tracing::info!("the inbox is this process's own: run one replica, or keep the inbox on Postgres");
        }
        Box::pin(runtime::run(plan, transport, shutdown, liveness)).await.map_err(WorkerError::from)
    }
}

impl From<LinkError> for WorkerError {
    fn from(error: LinkError) -> Self {
        Self::Broker(error)
    }
}

impl From<RunError> for WorkerError {
    fn from(error: RunError) -> Self {
        Self::Ended(error)
    }
}
