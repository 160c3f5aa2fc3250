//! A consumer's task: connects for ever, yields deliveries, settles them, acks together.

mod serving;
mod wanted;

use super::{
    super::{Consume, ConsumerTask, Flow, Link, LinkError, LinkErrorClass},
    intake::Intake,
    shared::SharedConnection,
    unread::Unread,
};
use ponos_event::topology::Topology;
use std::{future::Future, pin::pin, sync::Arc, time::Duration};
use tokio::time::Instant;
use wanted::{NotOpened, Wanted};

/// A connection that held this long resets the backoff.
const HELD: Duration = Duration::from_secs(5);

/// Runs until the handle is dropped.
pub(super) async fn run(
    shared: Arc<SharedConnection>,
    topology: Topology,
    options: Consume,
    task: ConsumerTask,
) {
    let wanted = Wanted { shared, topology, options };
    let mut supervisor = ConsumerSupervisor { wanted, task, generation: 0, unread: Unread::default() };
    if supervisor.run().await {
        supervisor.task.link.send_replace(Link::Closed);
    }
}

struct ConsumerSupervisor {
    wanted: Wanted,
    task: ConsumerTask,
    generation: u64,
    unread: Unread,
}

/// How a subscription ended.
enum SubscriptionEnd {
    /// The handle was dropped.
    Closed,
    /// It was lost.
    Lost(LinkError),
}

impl ConsumerSupervisor {
    /// Until the handle is dropped; says whether what was settled before has arrived, if it could be settled at all.
    async fn run(&mut self) -> bool {
        let mut failures = 0_u32;
        loop {
            self.task.renew(&mut self.wanted.options);
            let flow = self.task.begin(&self.wanted.options);
            if flow == Flow::Stopped {
                // Nothing is to come any more, and what was out can't be settled any more.
                voiding_while(&mut self.task, std::future::pending::<()>()).await;
                return true;
            }
            let (flow, alone) = self.care(flow);
            let opened = voiding_while(&mut self.task, Box::pin(self.wanted.open(flow, alone))).await;
            let mut elects = false;
            let error = match opened {
                None => return true,
                Some(Err(NotOpened { error, asked })) => {
                    if asked {
                        self.task.lost(error.clone());
                    } else if error.class == LinkErrorClass::Missing {
                        self.task.explain(error.clone());
                    }
                    error
                }
                Some(Ok((mut intake, ready))) => {
                    if let Some(ready) = ready {
                        self.unread.looked(ready);
                    }
                    let since = Instant::now();
                    self.generation += 1;
                    self.up(&intake);
                    let end = self.consume(&mut intake).await;
                    match end {
                        // Awaited for itself: the handle is gone already, and what it settled is still to be sent.
                        SubscriptionEnd::Closed => {
                            let gone = intake.session.gone();
                            let arrived = Box::pin(intake.close()).await;
                            if !arrived {
                                self.down(1, gone);
                            }
                            return arrived;
                        }
                        SubscriptionEnd::Lost(error) => {
                            elects = intake.session.lost_its_node(&error);
                            if since.elapsed() >= HELD {
                                (failures, self.unread) = (0, Unread::default());
                            }
                            if self.noted_unread(&error) {
                                failures = 0;
                            }
                            self.task.lost(error.clone());
                            // before the goodbye, which may take long: what is held is void already
                            self.down(failures.saturating_add(1), error.clone());
                            if voiding_while(&mut self.task, Box::pin(intake.close())).await.is_none() {
                                return false;
                            }
                            error
                        }
                    }
                }
            };
            failures = failures.saturating_add(1);
            self.down(failures, error);
            let wait = self.wanted.shared.config().backoff(failures, elects);
            if voiding_while(&mut self.task, tokio::time::sleep(wait)).await.is_none() {
                return true;
            }
        }
    }

    /// How to take in again what could not be read: by itself, for what was out beside it is counted too, and on a connection of its
    /// own, for the whole connection is lost by it.
    fn care(&self, flow: Flow) -> (Flow, bool) {
        if self.unread.is_at_it() && flow.takes() { (Flow::Narrow, true) } else { (flow, false) }
    }

    /// Counts messages in a row that could not be read; whether to try again at once.
    fn noted_unread(&mut self, error: &LinkError) -> bool {
        if error.class != LinkErrorClass::TooLarge {
            self.unread = Unread::default();
            return false;
        }
        let at_once = self.unread.failed();
        if self.unread.is_certain() {
            tracing::error!(queue = self.wanted.options.queue, "{error}");
        }
        at_once
    }

    fn down(&self, attempts: u32, error: LinkError) {
        self.task.link.send_replace(Link::Down { attempts, error: Some(error) });
    }

    fn up(&self, intake: &Intake) {
        let user = intake.session.user().map(str::to_owned);
        let broker = intake.session.broker();
        self.task.link.send_replace(Link::Up { generation: self.generation, broker, user });
    }

    async fn consume(&mut self, intake: &mut Intake) -> SubscriptionEnd {
        match self.serve(intake).await {
            Ok(()) => SubscriptionEnd::Closed,
            Err(error) => SubscriptionEnd::Lost(intake.reason(error).await),
        }
    }
}

/// Awaits `work`; settlements asked for meanwhile are void. `None` when the handle was dropped.
async fn voiding_while<T>(task: &mut ConsumerTask, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let ConsumerTask { deliveries, settle, .. } = task;
    loop {
        tokio::select! {
            done = &mut work => return Some(done),
            settled = settle.recv() => { settled?; }
            () = deliveries.closed() => return None,
        }
    }
}
