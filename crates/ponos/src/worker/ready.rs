//! Checks a described worker and runs it.

use super::{
    Liveness, Observed, Report, RunError, Worker, WorkerError, confirming_publisher::ConfirmingPublisher,
    plan::Plan, reporting, runtime,
};
use crate::{
    broker::{Link, LinkError, LinkErrorClass, Transport, amqp::AmqpConfig},
    control,
    inbox::Inbox,
    metrics::Listener,
    shutdown::{self, Shutdown, Stage},
    topology::Topology,
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{task::JoinSet, time::sleep};

/// How long closing the publisher's connection may take.
const GOODBYE: Duration = Duration::from_secs(2);
/// The wait for the broker to finish a deletion that is under way.
const DELETED: Duration = Duration::from_secs(1);

/// A checked worker, ready to run.
#[derive(Debug)]
pub struct Ready {
    plan: Plan,
    liveness: Liveness,
    listener: Option<Listener>,
}

impl Worker {
    /// Calls `observer` at every end of a delivery, in the task that ended: it must be quick. For tests and measurements.
    #[must_use]
    pub fn observe(mut self, observer: impl Fn(&Observed) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Checks the worker, without touching the broker, and binds the address of its metrics.
    ///
    /// # Errors
    /// [`WorkerError::Invalid`] with all faults; [`WorkerError::Metrics`].
    pub fn ready(self) -> Result<Ready, WorkerError> {
        let mut ready = self.checked()?;
        let served = ready.plan.served.take();
        let listener = served.map(|(address, metrics)| Listener::bind(address, metrics)).transpose();
        ready.listener = listener.map_err(WorkerError::Metrics)?;
        Ok(ready)
    }

    /// The same, with nothing bound: for the kit, since many run at a time in the tests of a service.
    pub(crate) fn checked(self) -> Result<Ready, WorkerError> {
        let plan = self.plan()?;
        let slots = plan.queues.iter().map(|queue| queue.policy.slots()).fold(0, usize::saturating_add);
        match plan.service.inbox.at_once() {
            // each that runs has a connection; who waits for one in vain gives its message back
            Some(connections) if slots > connections => Err(WorkerError::Invalid(vec![format!(
                "the worker's queues run {slots} tasks at a time, but its inbox has {connections} connections for them: set PostgresOptions::connections to {slots} (the database must allow them), or lower concurrency"
            )])),
            _ => Ok(Ready { plan, liveness: Liveness::default(), listener: None }),
        }
    }

    /// Runs on the RabbitMQ at `url` (`amqp://user:password@host:5672/vhost`, `amqps://…`; of a cluster several hosts, with commas
    /// between them) until the shutdown.
    ///
    /// # Errors
    /// [`WorkerError`]: its description is wrong; a person must change something on the broker; or it ended by itself.
    pub async fn run(self, url: &str, shutdown: Shutdown) -> Result<Report, WorkerError> {
        let ready = self.ready()?;
        let mut config = AmqpConfig::parse(url)?;
        config.connection_name = ready.plan.service.declared.service.to_string();
        ready.run_on(Transport::amqp(config), shutdown).await
    }

    /// Declares the exchanges, queues and bindings that it needs on the RabbitMQ at `url`, and ends: for workers that are started
    /// only when something waits in their queues. A worker that is [`passive`](Worker::passive) only checks that they exist.
    ///
    /// # Errors
    /// [`WorkerError`]: its description is wrong, or the broker can't be reached or refuses it. What was declared by then stays.
    pub async fn declare(self, url: &str) -> Result<(), WorkerError> {
        let ready = self.checked()?;
        let mut config = AmqpConfig::parse(url)?;
        config.connection_name = ready.plan.service.declared.service.to_string();
        ready.declare_on(&Transport::amqp(config)).await
    }

    /// Runs on the broker behind `transport` until the shutdown.
    ///
    /// # Errors
    /// As [`Worker::run`].
    pub async fn run_on(self, transport: Transport, shutdown: Shutdown) -> Result<Report, WorkerError> {
        self.ready()?.run_on(transport, shutdown).await
    }
}

impl Ready {
    /// Reports whether the worker is alive, for the health check of the system that runs it.
    pub fn liveness(&self) -> Liveness {
        self.liveness.clone()
    }

    /// Where its metrics are served once it runs, with the port that the system chose for port 0.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.listener.as_ref().map(Listener::address)
    }

    /// The exchanges, queues and bindings that it needs on the broker.
    pub fn topology(&self) -> &Topology {
        &self.plan.topology
    }

    /// Declares what it needs on the broker behind `transport`, and ends: see [`Worker::declare`].
    ///
    /// # Errors
    /// As [`Worker::declare`].
    pub async fn declare_on(&self, transport: &Transport) -> Result<(), WorkerError> {
        check(transport, &self.plan.topology).await?;
        if !self.plan.topology.passive {
            control::declare(transport).await;
        }
        reporting::declare(&self.plan, transport).await;
        Ok(())
    }

    /// What it consists of.
    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Its inbox.
    pub(crate) fn inbox(&self) -> &Inbox {
        &self.plan.service.inbox
    }

    /// Runs until the shutdown. A broker that can't be reached is tried until it answers; one that refuses us is an error.
    ///
    /// # Errors
    /// As [`Worker::run`].
    pub async fn run_on(self, transport: Transport, shutdown: Shutdown) -> Result<Report, WorkerError> {
        let Self { mut plan, liveness, listener } = self;
        // ends with this function, whatever its end
        let mut serving = JoinSet::new();
        let (end, ending) = shutdown::shutdown();
        if let Some(listener) = listener {
            serving.spawn(listener.serve(ending.clone()));
        }
        if let Some(export) = plan.export.take() {
            serving.spawn(export.run(ending));
        }
        let ended = Self::run(plan, liveness, transport, shutdown).await;
        end.advance();
        while serving.join_next().await.is_some() {}
        ended
    }

    async fn run(
        plan: Plan,
        liveness: Liveness,
        transport: Transport,
        shutdown: Shutdown,
    ) -> Result<Report, WorkerError> {
        let checked = tokio::select! {
            checked = check(&transport, &plan.topology) => checked,
            // nothing was begun
            () = shutdown.reached(Stage::Draining) => return Ok(Report::default()),
        };
        match checked {
            Err(error) if error.class.needs_a_person() => return Err(WorkerError::Broker(error)),
            Err(error) => {
                tracing::warn!(%error, "the broker can't be reached yet; connecting is tried until it succeeds")
            }
            Ok(()) => {}
        }
        let inbox = &plan.service.inbox;
        if !inbox.is_shared() && !inbox.is_none() {
            tracing::info!(
                "the inbox belongs to this process alone: run one replica, or keep the inbox on Postgres"
            );
        }
        let service = Arc::clone(&plan.service);
        let ended = Box::pin(runtime::run(plan, transport, shutdown, liveness)).await;
        let publishing = service.publisher.get().map(ConfirmingPublisher::link);
        // the last that holds the publisher, unless a handler left something running
        drop(service);
        if let Some(link) = publishing {
            // whatever comes of it: all is confirmed, and the broker only notes a client that went without a word
            let _ = Link::closed(link, GOODBYE).await;
        }
        ended.map_err(WorkerError::from)
    }
}

/// Declares the topology, once more if something that was just declared is missing.
async fn check(transport: &Transport, topology: &Topology) -> Result<(), LinkError> {
    let checked = transport.check(topology).await;
    if !topology.passive && matches!(&checked, Err(error) if error.class == LinkErrorClass::Missing) {
        // somebody deleted it between its declaration and its use, and the broker is not through with that
        sleep(DELETED).await;
        return transport.check(topology).await;
    }
    checked
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
