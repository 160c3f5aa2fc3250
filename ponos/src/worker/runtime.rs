//! Runs a [`Plan`]: one desk for all that is published, one stream for each queue.

#[cfg(feature = "postgres")]
use super::relaying;
use super::{
    desk::Desk,
    latest::Latest,
    line::Line,
    liveness::{self, Liveness, Pulse},
    plan::Plan,
    promises::Promises,
    signal::Signal,
    stream::{self, End},
    tally::{Releases, Report, Tally},
};
use crate::{
    broker::{Consume, Link, Transport},
    shutdown::Shutdown,
};
use std::sync::Arc;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
};

/// Why a worker ended without being asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A desk was there already: the plan ran before.
    #[error("this worker has run already; build another one")]
    Again,
    /// All streams ended by themselves.
    #[error("the consumers of all queues ended without being asked to ({0}); start the worker again")]
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
    let Plan { service, streams, topology } = plan;
    let desk = Desk::open(transport.publisher(topology.clone()));
    service.desk.set(desk.clone()).map_err(|_| RunError::Again)?;
    // ended with this function, whatever its end
    let mut aside = JoinSet::new();
    aside.spawn(tell(desk.link(), "publishing".to_owned()));
    #[cfg(feature = "postgres")]
    let relaying = relaying::start(&service.inbox, &transport, &topology);
    let (mut running, mut lines) = (JoinSet::new(), Vec::new());
    for stream in streams {
        let options = Consume::new(&*stream.queue).prefetch(stream.policy.held()).cautious();
        let consumer = transport.consumer(topology.clone(), options);
        let line = Arc::new(Line {
            service: Arc::clone(&service),
            desk: desk.clone(),
            publishing: desk.link(),
            settler: consumer.settler(),
            consuming: consumer.link(),
            slots: Arc::new(Semaphore::new(stream.policy.slots())),
            stop: Signal::default(),
            latest: Latest::default(),
            promises: Promises::default(),
            released: Releases::default(),
            tally: Tally::default(),
            pulse: Arc::new(Pulse::new(Arc::clone(&stream.queue))),
            stream,
        });
        liveness.add(Arc::clone(&line.pulse));
        aside.spawn(tell(consumer.link(), format!("consuming {}", line.stream.queue)));
        let (watched, transport) = (Arc::clone(&line), transport.clone());
        aside.spawn(async move {
            tokio::join!(liveness::watch(&watched, &transport), watched.promises.watch(&watched));
        });
        lines.push(Arc::clone(&line));
        let shutdown = shutdown.clone();
        running.spawn(async move {
            let end = stream::run(Arc::clone(&line), consumer, shutdown).await;
            (line, end)
        });
    }
    let inbox = Arc::clone(&service);
    let tended = shutdown.clone();
    aside.spawn(async move { inbox.inbox.tend(&tended).await });
    let mut broken = Vec::new();
    while let Some(ended) = running.join_next().await {
        match ended {
            Ok((_, End::Stopped)) => {}
            Ok((line, End::Broken)) => {
                line.pulse.set(Some("its consumer ended by itself".into()));
                broken.push(line.stream.queue.to_string());
            }
            Err(error) => broken.push(error.to_string()),
        }
    }
    #[cfg(feature = "postgres")]
    if let Some(relaying) = relaying {
        relaying.end(service.limits.flush).await;
    }
    if !lines.is_empty() && broken.len() == lines.len() {
        return Err(RunError::Ended(broken.join(", ")));
    }
    let mut report = Report::default();
    for line in &lines {
        report.add(line.tally.report());
    }
    Ok(report)
}

/// Logs what a link does.
async fn tell(mut link: watch::Receiver<Link>, what: String) {
    let mut last = None;
    loop {
        let now = link.borrow_and_update().clone();
        if last.as_ref() != Some(&now) {
            match &now {
                Link::Up { broker, .. } => tracing::info!(broker, "{what}: connected"),
                Link::Blocked { reason } => {
                    tracing::warn!(reason, "{what}: the broker accepts no publishing")
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
