//! Publishes what was read, and waits for the confirms.
//!
//! Invariant: nothing is accepted before the broker has confirmed it. Bounds: the events that wait for their confirms, and the
//! time of each. A publishing that was begun is carried to its end, even if nobody waits for the answer any more.

use super::{
    metrics::GatewayMetrics,
    settings::{Limits, Unroutable},
    traced::Sendings,
};
use crate::http::{Room, problem::Problem};
use hyper::StatusCode;
use ponos::{
    broker::{Link, PublishOutcome, Transport},
    event::Event,
    topology::{Exchange, Topology, worker::EVENTS},
    traces::Traces,
    worker::ConfirmingPublisher,
};
use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, timeout},
};

/// The time limit for closing the connection; everything is confirmed by then.
const GOODBYE: Duration = Duration::from_secs(5);

/// What events need on the broker.
pub(crate) fn topology(is_passive: bool) -> Topology {
    let topology = Topology { exchanges: vec![Exchange::topic(EVENTS)], ..Topology::default() };
    if is_passive { topology.passive() } else { topology }
}

/// Publishes events. Clones share it.
#[derive(Clone)]
pub(super) struct Publishing(Arc<Shared>);

struct Shared {
    /// Taken at the end.
    publisher: Mutex<Option<ConfirmingPublisher>>,
    link: watch::Receiver<Link>,
    exchange: Arc<str>,
    /// Places of events that wait for their confirms.
    window: Arc<Semaphore>,
    limits: Limits,
    unroutable: Unroutable,
    metrics: GatewayMetrics,
    /// The broker denied the last publishing, and that was logged.
    is_denied: AtomicBool,
    /// Where spans are recorded, if they are.
    traces: OnceLock<Traces>,
}

/// Places in the window, and the connection they are of.
pub(super) struct Reserved {
    shared: Arc<Shared>,
    publisher: ConfirmingPublisher,
    places: OwnedSemaphorePermit,
}

/// How the broker's words begin where its user may not do something.
pub(crate) const DENIED: &str = "ACCESS_REFUSED";

/// What became of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The broker has it; whether a queue was bound to it.
    Accepted { received: bool },
    /// It was not accepted.
    Not(Problem),
}

impl Publishing {
    /// On this broker.
    pub(super) fn new(
        transport: &Transport,
        is_passive: bool,
        (limits, unroutable): (Limits, Unroutable),
        metrics: GatewayMetrics,
    ) -> Self {
        let publisher = ConfirmingPublisher::open(transport.publisher(topology(is_passive)));
        let (link, exchange) = (publisher.link(), Arc::from(EVENTS));
        let (publisher, window) = (Mutex::new(Some(publisher)), Arc::new(Semaphore::new(limits.window)));
        let is_denied = AtomicBool::new(false);
        Self(Arc::new(Shared {
            publisher,
            link,
            exchange,
            window,
            limits,
            unroutable,
            metrics,
            is_denied,
            traces: OnceLock::new(),
        }))
    }

    /// Records in these traces what is published.
    pub(super) fn trace_to(&self, traces: Traces) {
        // once, at the start
        let _ = self.0.traces.set(traces);
    }

    /// The state of the connection.
    pub(super) fn link(&self) -> watch::Receiver<Link> {
        self.0.link.clone()
    }

    /// Why nothing can be published at present.
    pub(super) fn why_not(&self) -> Option<Problem> {
        let (code, what) = match &*self.0.link.borrow() {
            Link::Up { .. } => return None,
            Link::Blocked { reason } => {
                ("blocked", format!("the broker accepts no messages at present ({reason}); nothing was sent"))
            }
            Link::Down { error: Some(error), .. } => (
                "unavailable",
                format!("there is no connection to the broker, and nothing was sent: {}", error.what),
            ),
            Link::Down { error: None, .. } => {
                ("unavailable", "there is no connection to the broker yet; nothing was sent".to_owned())
            }
            Link::Closed => ("draining", "the gateway is stopping; nothing was sent".to_owned()),
        };
        Some(Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, what).again_in(5))
    }

    /// Places in the window for so many events.
    ///
    /// # Errors
    /// There is no connection, or too many wait already.
    pub(super) fn reserve(&self, count: usize) -> Result<Reserved, Problem> {
        if let Some(problem) = self.why_not() {
            return Err(problem);
        }
        let shared = &self.0;
        let publisher = shared.publisher.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(publisher) = publisher else {
            let what = "the gateway is stopping; nothing was sent";
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "draining", what).again_in(5));
        };
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let Ok(places) = Arc::clone(&shared.window).try_acquire_many_owned(count) else {
            let most = shared.limits.window;
            let what =
                format!("{most} events wait for their confirms already (gateway.window); nothing was sent");
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "full", what).again_in(1));
        };
        Ok(Reserved { shared: Arc::clone(shared), publisher, places })
    }

    /// Waits for what was begun, and closes the connection in order.
    pub(super) async fn close(&self) {
        let all = u32::try_from(self.0.limits.window).unwrap_or(u32::MAX);
        // each has its own time limit
        let _ = timeout(self.0.limits.confirm * 2, self.0.window.acquire_many(all)).await;
        let is_connected = matches!(*self.0.link.borrow(), Link::Up { .. } | Link::Blocked { .. });
        drop(self.0.publisher.lock().unwrap_or_else(PoisonError::into_inner).take());
        if is_connected {
            // whatever comes of it, nothing is lost
            let _ = Link::closed(self.link(), GOODBYE).await;
        }
    }
}

impl Reserved {
    /// Publishes all, and says of each what became of it. The room of their body is theirs until then, and `then` sees the
    /// outcomes even if nobody waits for them any more.
    ///
    /// # Errors
    /// The publishing panicked: what was sent may have arrived.
    pub(super) async fn publish(
        self,
        events: Vec<Event>,
        room: Room,
        then: impl FnOnce(&[Outcome]) + Send + 'static,
    ) -> Result<Vec<Outcome>, Problem> {
        let Self { shared, publisher, places } = self;
        // in a task of its own: it ends as it would have ended, though its client goes away
        let publishing = tokio::spawn(async move {
            let outcomes = shared.confirmed(&publisher, events).await;
            then(&outcomes);
            drop((places, room));
            outcomes
        });
        publishing.await.map_err(|error| {
            tracing::error!(%error, "publishing ended before its time");
            let what =
                "the gateway failed; what was sent may have arrived or not: send it again under the same id";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unconfirmed", what).again_in(1)
        })
    }
}

impl Shared {
    async fn confirmed(&self, publisher: &ConfirmingPublisher, mut events: Vec<Event>) -> Vec<Outcome> {
        let traced = self.traces.get().map(|traces| Sendings::begin(traces, &mut events));
        let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
        self.metrics.unconfirmed.inc_by(count);
        let (began, messages) = (Instant::now(), events.into_iter().map(Event::into_message).collect());
        let outcomes = publisher.outcomes(&self.exchange, messages, self.limits.confirm).await;
        self.metrics.unconfirmed.dec_by(count);
        self.metrics.confirm.observe(began.elapsed().as_secs_f64());
        let outcomes: Vec<Outcome> = outcomes.into_iter().map(|outcome| self.outcome(outcome)).collect();
        if let Some(traced) = traced {
            traced.end(&outcomes);
        }
        outcomes
    }

    fn outcome(&self, outcome: Option<PublishOutcome>) -> Outcome {
        let (counted, outcome) = match outcome {
            Some(PublishOutcome::Confirmed { returned: true }) if self.unroutable == Unroutable::Refuse => {
                let what = "no queue is bound to this event: nobody would receive it, and it was not kept";
                ("unroutable", not(StatusCode::UNPROCESSABLE_ENTITY, "unroutable", what))
            }
            Some(PublishOutcome::Confirmed { returned }) => {
                self.is_denied.store(false, Ordering::Relaxed);
                ("accepted", Outcome::Accepted { received: !returned })
            }
            Some(PublishOutcome::Nacked) => {
                let what = "a queue refused it: it is full, or its node is in trouble; other queues may have it: send it again under the same id";
                ("refused", not(StatusCode::SERVICE_UNAVAILABLE, "refused-for-now", what))
            }
            // the operator's slip, not the event's fault
            Some(PublishOutcome::Refused(why)) if why.contains(DENIED) => {
                if !self.is_denied.swap(true, Ordering::Relaxed) {
                    tracing::error!(
                        "the broker's user may not publish: {why}; see write and topic permissions"
                    );
                }
                let what = format!("the broker does not let this gateway publish: {why}");
                ("refused", not(StatusCode::SERVICE_UNAVAILABLE, "unavailable", &what))
            }
            Some(PublishOutcome::Refused(why)) => {
                let what = format!("the broker refused it, and will again: {why}");
                ("refused", not(StatusCode::UNPROCESSABLE_ENTITY, "refused", &what))
            }
            Some(PublishOutcome::Missing(why)) => (
                "refused",
                not(StatusCode::SERVICE_UNAVAILABLE, "unavailable", &format!("nothing was sent: {why}")),
            ),
            Some(PublishOutcome::Lost) | None => {
                let why = match &*self.link.borrow() {
                    Link::Blocked { reason } => {
                        format!("the broker accepts no messages at present ({reason})")
                    }
                    Link::Up { .. } => "no confirm came in time".to_owned(),
                    Link::Down { .. } | Link::Closed => "the connection to the broker was lost".to_owned(),
                };
                let what = format!("it may have arrived or not: {why}; send it again under the same id");
                ("unconfirmed", not(StatusCode::SERVICE_UNAVAILABLE, "unconfirmed", &what))
            }
        };
        self.metrics.count_event(counted);
        outcome
    }
}

fn not(status: StatusCode, code: &'static str, what: &str) -> Outcome {
    let problem = Problem::new(status, code, what);
    Outcome::Not(if status == StatusCode::SERVICE_UNAVAILABLE { problem.again_in(1) } else { problem })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ponos::{broker::memory::Broker, metrics::Metrics};

    #[tokio::test]
    async fn a_permission_that_is_missing_is_not_the_event_s_fault() {
        let counted = GatewayMetrics::register(&Metrics::new());
        let limits = (Limits::default(), Unroutable::Refuse);
        let publishing = Publishing::new(&Transport::memory(Broker::new()), false, limits, counted);
        let status = |why: &str| match publishing.0.outcome(Some(PublishOutcome::Refused(why.into()))) {
            Outcome::Not(problem) => (problem.status(), problem.code()),
            Outcome::Accepted { .. } => panic!("{why}"),
        };
        let denied = "ACCESS_REFUSED - write access to exchange 'events' in vhost '/' refused for user 'u'";
        assert_eq!(status(denied), (503, "unavailable"));
        assert_eq!(status("PRECONDITION_FAILED - invalid expiration 'x'"), (422, "refused"));
    }
}
