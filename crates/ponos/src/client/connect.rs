//! What a client is told before it connects.

#[cfg(feature = "postgres")]
use super::outbox::outbox_fault;
use super::{Client, ClientError, ClientLimits, Open, Shared, UNIT, no_link};
#[cfg(feature = "postgres")]
use crate::inbox::Inbox;
use crate::{
    broker::{Link, LinkError, Transport, amqp::AmqpConfig},
    clock::Clock,
    declared::{Declarations, Declared, registries, service_fault},
    names::{NamesEvent, NamesTask},
    outgoing_head::{OutgoingHead, OutgoingHooks},
    schema::Contract,
    topology::Topology,
    worker::{ConfirmingPublisher, Context, Failure, Payload},
};
use futures_util::future::BoxFuture;
use std::{
    collections::HashSet,
    fmt,
    future::IntoFuture,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};

/// A client to be: say what it publishes, then await it.
#[must_use = "it connects when it is awaited"]
pub struct Connect {
    transport: Result<Transport, LinkError>,
    service: String,
    events: Declarations,
    tasks: Declarations,
    hooks: OutgoingHooks,
    limits: ClientLimits,
    clock: Clock,
    #[cfg(feature = "postgres")]
    pub(super) inbox: Inbox,
}

impl Connect {
    pub(super) fn to(url: &str, service: String) -> Self {
        let config = AmqpConfig::parse(url).map(|mut config| {
            config.connection_name.clone_from(&service);
            Transport::amqp(config)
        });
        Self::on(config, service)
    }

    pub(super) fn on(transport: Result<Transport, LinkError>, service: String) -> Self {
        let (events, tasks, limits) = (Vec::new(), Vec::new(), ClientLimits::default());
        Self {
            transport,
            service,
            events,
            tasks,
            hooks: OutgoingHooks::default(),
            limits,
            clock: Clock::system(),
            #[cfg(feature = "postgres")]
            inbox: Inbox::none(),
        }
    }

    /// Declares that it publishes events with this name and data of type `T`; undeclared ones are refused.
    pub fn publishes<T: Payload>(mut self, name: impl NamesEvent<T>) -> Self {
        self.events.push((name.text().to_owned(), Contract::of::<T>()));
        self
    }

    /// As [`Connect::publishes`], with this contract instead of one derived from a type.
    pub fn publishes_under(mut self, name: &str, contract: Contract) -> Self {
        self.events.push((name.to_owned(), Ok(contract)));
        self
    }

    /// Declares that it sends tasks with this name and data of type `T`, which a worker of this service handles; undeclared ones
    /// are refused.
    pub fn sends_task<T: Payload>(mut self, name: impl NamesTask<T>) -> Self {
        self.tasks.push((name.text().to_owned(), Contract::of::<T>()));
        self
    }

    /// As [`Connect::sends_task`], with this contract instead of one derived from a type.
    pub fn sends_task_under(mut self, name: &str, contract: Contract) -> Self {
        self.tasks.push((name.to_owned(), Ok(contract)));
        self
    }

    /// Calls `hook` for each event and task that it publishes, by the broker or in a transaction, once that is awaited: it adds
    /// extensions and headers, or refuses it; there is no [`Context`] here. As [`Worker::outgoing`](crate::worker::Worker::outgoing).
    pub fn outgoing(
        mut self,
        hook: impl Fn(&mut OutgoingHead<'_>, Option<&Context>) -> Result<(), Failure> + Send + Sync + 'static,
    ) -> Self {
        self.hooks.add(hook);
        self
    }

    /// Sets its limits.
    pub fn limits(self, limits: ClientLimits) -> Self {
        Self { limits, ..self }
    }

    /// Uses another wall clock than the system's, for tests.
    pub fn clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    async fn connected(self) -> Result<Client, ClientError> {
        let mut faults: Vec<String> = service_fault(&self.service).into_iter().collect();
        #[cfg(feature = "postgres")]
        faults.extend(outbox_fault(&self.inbox, &self.service));
        let Self { transport, service, events, tasks, hooks, limits, clock, .. } = self;
        let (events, tasks) = registries(events, tasks, &HashSet::new(), &mut faults);
        faults.extend(limits.faults());
        if !faults.is_empty() {
            return Err(ClientError::Invalid(faults));
        }
        let transport = transport?;
        let publisher = ConfirmingPublisher::open(transport.publisher(Topology::default()));
        let link = publisher.link();
        up(link.clone(), limits.timeout).await?;
        let source = format!("/{service}");
        let compress = limits.compress.map(|least| least..=limits.body);
        Ok(Client(Arc::new(Shared {
            declared: Declared { service: service.into(), source, events, tasks, compress, hooks },
            places: Semaphore::new(limits.waiting),
            room: Semaphore::new(limits.waiting_bytes.div_ceil(UNIT)),
            limits,
            clock,
            #[cfg(feature = "postgres")]
            inbox: self.inbox,
            transport,
            open: Mutex::new(Some(Open { publisher, requester: None })),
            link,
        })))
    }
}

/// Waits until it is connected; a broker that accepts no messages at present is connected.
pub(crate) async fn up(mut link: watch::Receiver<Link>, limit: Duration) -> Result<(), ClientError> {
    let seen = link.clone();
    let settled = link.wait_for(|link| match link {
        Link::Up { .. } | Link::Blocked { .. } | Link::Closed => true,
        Link::Down { error, .. } => error.as_ref().is_some_and(|error| error.class.needs_a_person()),
    });
    let state = match timeout(limit, settled).await {
        Ok(Ok(state)) => state.clone(),
        Ok(Err(_)) => Link::Closed,
        Err(_) => {
            let why = no_link(&seen.borrow());
            return Err(ClientError::Unreachable { limit, why });
        }
    };
    match state {
        Link::Up { .. } | Link::Blocked { .. } => Ok(()),
        Link::Down { error: Some(error), .. } => Err(error.into()),
        Link::Down { error: None, .. } | Link::Closed => Err(ClientError::Closed),
    }
}

impl ClientLimits {
    /// What is wrong with the limits, a sentence each.
    fn faults(&self) -> Vec<String> {
        let wrong = [
            (self.timeout.is_zero(), "timeout is 0: a confirm takes some time"),
            (self.answer.is_zero(), "answer is 0: an answer takes some time"),
            (self.waiting == 0, "waiting is 0: nothing could be sent"),
            (self.body == 0, "body is 0: nothing could be sent"),
            (
                self.waiting_bytes < self.body,
                "waiting_bytes is less than body: the largest could not be sent",
            ),
            (
                self.waiting.max(self.waiting_bytes / UNIT) > Semaphore::MAX_PERMITS.min(u32::MAX as usize),
                "waiting or waiting_bytes is beyond what can be counted",
            ),
        ];
        wrong.iter().filter(|(is, _)| *is).map(|(_, what)| format!("ClientLimits: {what}")).collect()
    }
}

impl IntoFuture for Connect {
    type Output = Result<Client, ClientError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.connected())
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect").field("service", &self.service).finish_non_exhaustive()
    }
}
