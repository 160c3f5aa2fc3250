//! Runs a [`Plan`]: one publisher for all, one loop for each queue.

#[cfg(feature = "postgres")]
use super::relaying;
use super::{
    circuit::circuits,
    confirming_publisher::ConfirmingPublisher,
    fleet::{self, Share},
    latest::Latest,
    liveness::{self, Liveness, Pulse},
    own_releases::OwnReleases,
    plan::Plan,
    promises::Promises,
    queue_context::QueueContext,
    queue_loop::{self, LoopEnd},
    receiving,
    report::{QueueReport, Report},
    reporting,
    signal::Signal,
    topology_repair::TopologyRepair,
};
use crate::{
    broker::{Consume, Link, Transport},
    control::{Follower, Steering},
    redact::redact,
    shutdown::{self, Shutdown, Stage, Trigger},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};
use tokio::{
    sync::{Semaphore, watch},
    task::{self, JoinSet},
};

/// Why a worker ended without a shutdown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The worker ran before.
    #[error("this worker has run already; build another one")]
    Again,
    /// The loop of a queue ended by itself, and the others were then stopped in order. Names the queue and the reason.
    #[error("a queue is no longer served ({0}), so the worker stopped; start it again")]
    Ended(String),
}

/// Runs the plan until the shutdown.
///
/// # Errors
/// [`RunError`].
pub(crate) async fn run(
    plan: Plan,
    transport: Transport,
    shutdown: Shutdown,
    liveness: Liveness,
) -> Result<Report, RunError> {
    let reporting = reporting::start(&plan, &transport);
    let Plan { service, queues, topology, served: _, export: _, reports: _ } = plan;
    let publisher = ConfirmingPublisher::open(transport.publisher(topology.clone()))
        .counting(service.replies_lost.clone());
    let (needed, requester) = (Arc::new(topology.clone()), Arc::default());
    service.publisher.set(publisher.clone()).map_err(|_| RunError::Again)?;
    // ended with this function, whatever its end
    let mut aside = JoinSet::new();
    aside.spawn(log_link(publisher.link(), "publishing".to_owned()));
    let (gone, publishing) = (liveness.clone(), publisher.link());
    aside.spawn(async move { gone.follow(publishing).await });
    if let Some(reporting) = &reporting {
        aside.spawn(log_link(reporting.link(), "reporting".to_owned()));
    }
    #[cfg(feature = "postgres")]
    let relaying = relaying::start(&service, &transport, &topology);
    let steering = Arc::new(Steering::new(queues.iter().map(|queue| Arc::clone(&queue.name))));
    let (source, clock) = (service.declared.source.as_str(), service.clock);
    let mut follower = Follower::new(&transport, topology.passive, &steering, (&publisher, source, clock));
    // before it consumes: what is paused stays so
    let follows = tokio::select! {
        follows = Box::pin(follower.begin()) => follows,
        () = shutdown.reached(Stage::Draining) => false,
    };
    if follows {
        aside.spawn(follower.run());
    }
    let (mut running, mut contexts, mut pulses) = (JoinSet::new(), Vec::new(), HashMap::new());
    // of our own, so that the end of one queue's loop can be the end of all
    let (stop, stopping) = shutdown::shutdown();
    aside.spawn(pass_on(shutdown.clone(), stop.clone()));
    let circuits = circuits(&queues);
    for (plan, circuit) in queues.into_iter().zip(circuits) {
        let is_fleet = plan.policy.fleet;
        let held =
            if is_fleet { Share::of(&plan, &service.limits, None).prefetch } else { plan.policy.held() };
        let options = Consume::new(&*plan.name).prefetch(held).at_most(plan.most_held).cautious();
        let consumer = transport.consumer(topology.clone(), options);
        let queue = Arc::new(QueueContext {
            service: Arc::clone(&service),
            publisher: publisher.clone(),
            publishing: publisher.link(),
            settler: consumer.settler(),
            consuming: consumer.link(),
            slots: Arc::new(Semaphore::new(plan.policy.slots())),
            drain: Signal::default(),
            stop: Signal::default(),
            latest: Latest::default(),
            promises: Promises::default(),
            own_releases: OwnReleases::default(),
            report: QueueReport::default(),
            measured: Mutex::default(),
            pulse: Arc::new(Pulse::new(
                Arc::clone(&plan.name),
                Arc::clone(&circuit),
                &consumer,
                steering.of(&plan.name),
            )),
            steered: steering.of(&plan.name),
            cancelled: Arc::clone(steering.cancelled()),
            circuit,
            repair: TopologyRepair::new(transport.clone(), Arc::clone(&needed)),
            requester: Arc::clone(&requester),
            transport: transport.clone(),
            plan,
        });
        liveness.add(Arc::clone(&queue.pulse));
        if let Some(metrics) = &queue.plan.metrics {
            metrics.follow(&queue.plan.name, &queue.circuit);
            aside.spawn(receiving::follow(consumer.link(), metrics.clone()));
        }
        aside.spawn(log_link(consumer.link(), format!("consuming {}", queue.plan.name)));
        let (watched, transport) = (Arc::clone(&queue), transport.clone());
        aside.spawn(async move {
            tokio::join!(
                liveness::watch(&watched, &transport),
                watched.promises.watch(&watched),
                watched.follow_cancelled()
            );
        });
        if is_fleet {
            let followed = Arc::clone(&queue);
            aside.spawn(async move { fleet::follow(&followed).await });
        }
        contexts.push(Arc::clone(&queue));
        let pulse = Arc::clone(&queue.pulse);
        let task = running.spawn(queue_loop::run(queue, consumer, stopping.clone()));
        pulses.insert(task.id(), pulse);
    }
    let inbox = Arc::clone(&service);
    let tended = shutdown.clone();
    aside.spawn(async move { inbox.inbox.tend(&tended).await });
    let broken = all_ended(running, &pulses, &stop).await;
    #[cfg(feature = "postgres")]
    if let Some(relaying) = relaying {
        relaying.end(service.limits.flush, &shutdown).await;
    }
    if let Some(reporting) = reporting {
        reporting.end().await;
    }
    let mut report = Report::default();
    for queue in &contexts {
        report.add(queue.report.so_far());
        report.paused.extend(queue.steered.borrow().paused.as_ref().map(ToString::to_string));
        if let Some(metrics) = &queue.plan.metrics {
            metrics.connected.set(0);
        }
    }
    if broken.is_empty() {
        return Ok(report);
    }
    tracing::error!(%report, "the worker stops, because a queue is no longer served");
    Err(RunError::Ended(broken.join("; ")))
}

/// Waits for all queues' loops. One that ends by itself, or by a panic, stops the others; returns a text for each such.
async fn all_ended(
    mut running: JoinSet<LoopEnd>,
    pulses: &HashMap<task::Id, Arc<Pulse>>,
    stop: &Trigger,
) -> Vec<String> {
    let mut broken = Vec::new();
    while let Some(ended) = running.join_next_with_id().await {
        let (id, why) = match ended {
            Ok((_, LoopEnd::Stopped)) => continue,
            Ok((id, LoopEnd::Broken)) => (id, "its consumer ended by itself".to_owned()),
            Err(error) => (error.id(), redact(&format!("its task failed: {error}")).into_owned()),
        };
        if broken.is_empty() {
            stop.advance();
        }
        let Some(pulse) = pulses.get(&id) else { continue };
        broken.push(format!("{}: {why}", pulse.queue()));
        // logs it too
        pulse.set(Some(why));
    }
    broken
}

async fn pass_on(shutdown: Shutdown, trigger: Trigger) {
    for stage in [Stage::Draining, Stage::Stopping] {
        shutdown.reached(stage).await;
        trigger.advance();
    }
}

/// Logs the changes of a link.
async fn log_link(mut link: watch::Receiver<Link>, what: String) {
    let mut last = None;
    loop {
        let now = link.borrow_and_update().clone();
        if last.as_ref() != Some(&now) {
            match &now {
                Link::Up { broker, .. } => tracing::info!(broker, "{what}: connected"),
                Link::Blocked { reason } => {
                    tracing::warn!(reason, "{what}: the broker accepts no messages")
                }
                Link::Down { error: Some(error), .. } if error.class.needs_a_person() => {
                    tracing::error!(%error, "{what}: not connected");
                }
                Link::Down { error: Some(error), .. } => tracing::warn!(%error, "{what}: not connected"),
                Link::Down { error: None, .. } | Link::Closed => {}
            }
            last = Some(now);
        }
        if link.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{broker::Consumer, worker::circuit::Circuit};

    #[tokio::test]
    async fn a_queue_whose_loop_breaks_is_told_of_and_ends_the_others() {
        let (stop, stopping) = shutdown::shutdown();
        let (mut running, mut pulses, liveness) = (JoinSet::new(), HashMap::new(), Liveness::default());
        let mut add = |queue: &str, task: task::AbortHandle| {
            let circuit = Arc::new(Circuit::new(None, queue.into(), 1));
            let (consumer, _) = Consumer::channel(&Consume::new(queue));
            let steered = Steering::new([]).of(queue);
            let pulse = Arc::new(Pulse::new(queue.into(), circuit, &consumer, steered));
            liveness.add(Arc::clone(&pulse));
            pulses.insert(task.id(), pulse);
        };
        add(
            "shop.whole",
            running.spawn(async move {
                stopping.reached(Stage::Draining).await;
                LoopEnd::Stopped
            }),
        );
        add("shop.broken", running.spawn(async { panic!("oh no") }));
        let broken = all_ended(running, &pulses, &stop).await;
        assert_eq!(broken.len(), 1, "{broken:?}");
        assert!(broken[0].starts_with("shop.broken: its task failed"), "{broken:?}");
        let trouble = liveness.check().unwrap_err();
        assert!(trouble.contains("shop.broken") && !trouble.contains("shop.whole"), "{trouble}");
    }
}
