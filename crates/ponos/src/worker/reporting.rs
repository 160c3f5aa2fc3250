//! Reports of what ended, and declarations of what is handled, as transient messages to the exchange `ponos.reports`.
//!
//! Invariant: nothing here fails or delays a delivery. Whoever ends one hands a line over if there is room for it; a task
//! (`sending.rs`) gathers lines and publishes them on a connection of its own, and nobody waits for the confirms. What is dropped is
//! counted, in the metrics and in what is sent next.

mod declaration;
mod sending;

use super::{metrics::ReportMetrics, plan::Plan, signal::Signal};
use crate::{
    broker::{Link, Transport},
    event::reports::{self, DeclaredState, ReportedDelivery, ReportedOutcome},
};
use sending::Sending;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};

/// How many lines wait to be gathered; further ones are dropped.
const WAITING: usize = 4_096;
/// How long the last reports may take at the end.
const LAST: Duration = Duration::from_secs(2);
/// How long a declaration of a worker that does not run may take.
const DECLARING: Duration = Duration::from_secs(10);

/// One delivery that ended.
#[derive(Debug)]
pub(super) struct Line {
    queue: Arc<str>,
    outcome: ReportedOutcome,
    delivery: ReportedDelivery,
}

/// Takes what ended.
#[derive(Debug)]
pub(crate) struct Reporter {
    lines: mpsc::Sender<Line>,
    tally: Tally,
}

/// Counts what was reported and what was dropped.
#[derive(Debug, Clone, Default)]
struct Tally {
    /// Of this run.
    dropped: Arc<AtomicU64>,
    metrics: ReportMetrics,
}

impl Tally {
    fn drop(&self, deliveries: u64) {
        self.dropped.fetch_add(deliveries, Ordering::Relaxed);
        self.metrics.dropped.inc_by(deliveries);
    }

    fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Reporter {
    /// A delivery of this queue ended; `reported` says how, if it is to be reported.
    pub(super) fn ended(
        &self,
        queue: &Arc<str>,
        reported: impl FnOnce() -> Option<(ReportedOutcome, ReportedDelivery)>,
    ) {
        let Ok(room) = self.lines.try_reserve() else { return self.tally.drop(1) };
        if let Some((outcome, delivery)) = reported() {
            room.send(Line { queue: Arc::clone(queue), outcome, delivery });
        }
    }
}

/// Reporting at work.
#[derive(Debug)]
pub(crate) struct Reporting {
    ending: Arc<Signal>,
    link: watch::Receiver<Link>,
    task: JoinHandle<()>,
}

/// Starts reporting, on a publisher of its own; `None` for a worker that does not report.
pub(crate) fn start(plan: &Plan, transport: &Transport) -> Option<Reporting> {
    let (lines, received) = mpsc::channel(WAITING);
    let sending = Sending::new(plan, received)?;
    // a worker that ran before is refused elsewhere
    plan.service.reporter.set(Reporter { lines, tally: sending.tally() }).ok()?;
    let publisher = transport.publisher(topology(plan));
    let (ending, link) = (Arc::<Signal>::default(), publisher.link());
    let task = tokio::spawn(sending.run(publisher, Arc::clone(&ending)));
    Some(Reporting { ending, link, task })
}

/// Declares what a worker handles that does not run, if it reports. What goes wrong with that is logged.
pub(crate) async fn declare(plan: &Plan, transport: &Transport) {
    // no line ever comes
    let (_, received) = mpsc::channel(1);
    let Some(sending) = Sending::new(plan, received) else { return };
    let publisher = transport.publisher(topology(plan));
    let declared = sending.declare_once(publisher, DeclaredState::Declared);
    if timeout(DECLARING, declared).await.is_err() {
        tracing::warn!(
            "what the service handles could not be declared to the exchange '{}' within {} s",
            reports::REPORTS,
            DECLARING.as_secs()
        );
    }
}

fn topology(plan: &Plan) -> crate::topology::Topology {
    let topology = reports::topology();
    if plan.topology.passive { topology.passive() } else { topology }
}

impl Reporting {
    /// The state of its connection.
    pub(crate) fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// Reports what was not reported yet, and that the worker has stopped, as far as that takes no time worth speaking of.
    pub(crate) async fn end(mut self) {
        self.ending.raise();
        if timeout(LAST, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

#[cfg(test)]
mod tests;
