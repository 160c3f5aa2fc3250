//! The task behind a publisher of the in-memory broker.

use super::{
    Broker,
    core::Published,
    link::{Connection, Connector, cut},
};
use crate::{PublishOutcome, PublisherTask, Publishing, Settlement};
use ponos_event::Message;
use ponos_event::topology::Topology;
use tokio::{
    sync::mpsc,
    time::{Duration, Instant, sleep_until},
};

/// After this time without an answer a publishing is lost (blocked, or its confirm kept back).
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// How many confirms may be kept back before nothing more is taken.
const WINDOW: usize = 10_000;

/// The shortest time between two looks whether all that it declared is there; the longest is twice as long.
const COMPARE: Duration = Duration::from_secs(30);

/// Publishings that wait for a change, and until when.
#[derive(Default)]
struct PendingPublishings {
    /// Taken, and not published because the broker is blocked.
    unpublished: Vec<Publishing>,
    /// Published, with their confirms kept back.
    unconfirmed: Vec<Settlement>,
    until: Option<Instant>,
}

pub(super) async fn run(broker: Broker, topology: Topology, task: PublisherTask) {
    let PublisherTask { mut submitted, settled, link } = task;
    let mut connector = Connector::new(broker, topology, link);
    loop {
        match connector.connect() {
            Some(connection) => {
                let mut waiting = PendingPublishings::default();
                let more = serve(&mut connector, &connection, &mut waiting, &mut submitted, &settled).await;
                connector.close(&connection);
                if !more || !settle(&settled, waiting.lose()).await {
                    return;
                }
                // a moment in which the link shows why
                if connector.retry_at.is_some() && !refuse(&mut connector, &mut submitted, &settled).await {
                    return;
                }
            }
            None => {
                if !refuse(&mut connector, &mut submitted, &settled).await {
                    return;
                }
            }
        }
    }
}

/// Publishes until the connection is cut (true) or the handle dropped (false).
async fn serve(
    connector: &mut Connector,
    connection: &Connection,
    waiting: &mut PendingPublishings,
    submitted: &mut mpsc::Receiver<Vec<Publishing>>,
    settled: &mpsc::Sender<Vec<Settlement>>,
) -> bool {
    let mut shown_blocked = None;
    let mut compare_at = next_compare();
    loop {
        if connector.is_cut(connection) {
            connector.show_down(cut());
            return true;
        }
        let door = connector.door.borrow_and_update().clone();
        if door.blocked != shown_blocked {
            match &door.blocked {
                Some(reason) => connector.show_blocked(reason),
                None => connector.show_up(),
            }
            shown_blocked.clone_from(&door.blocked);
        }
        if door.blocked.is_none()
            && !waiting.unpublished.is_empty()
            && let Some(gone) = publish(connector, waiting)
        {
            connector.show_missing(&gone);
            return true;
        }
        if !door.holding && !settle(settled, std::mem::take(&mut waiting.unconfirmed)).await {
            return false;
        }
        waiting.until = match waiting.is_empty() {
            true => None,
            false => waiting.until.or_else(|| Instant::now().checked_add(ANSWER_LIMIT)),
        };
        let room = waiting.unpublished.is_empty() && waiting.unconfirmed.len() < WINDOW;
        tokio::select! {
            biased;
            _ = connector.door.changed() => {}
            () = until(waiting.until) => {
                if !settle(settled, waiting.lose()).await {
                    return false;
                }
            }
            batch = submitted.recv(), if room => match batch {
                Some(batch) => waiting.unpublished = batch,
                None => return false,
            },
            () = settled.closed() => return false,
            () = sleep_until(compare_at) => {
                let topology = connector.topology();
                let compared =
                    connector.broker().with(|inner, _| inner.state.compare(connection.id, topology));
                if let Err(error) = compared {
                    connector.show_error(error);
                    return true;
                }
                compare_at = next_compare();
            }
        }
    }
}

fn next_compare() -> Instant {
    Instant::now() + COMPARE.mul_f64(1.0 + fastrand::f64())
}

/// While there is no connection, what is submitted is lost at once; until it is time to try again (true) or the handle is
/// dropped (false).
async fn refuse(
    connector: &mut Connector,
    submitted: &mut mpsc::Receiver<Vec<Publishing>>,
    settled: &mpsc::Sender<Vec<Settlement>>,
) -> bool {
    loop {
        tokio::select! {
            biased;
            _ = connector.door.changed() => return true,
            () = until(connector.retry_at) => return true,
            batch = submitted.recv() => match batch {
                Some(batch) => {
                    let lost = PendingPublishings { unpublished: batch, ..PendingPublishings::default() }.lose();
                    if !settle(settled, lost).await {
                        return false;
                    }
                }
                None => return false,
            },
            () = settled.closed() => return false,
        }
    }
}

/// Publishes what waits. Where an exchange of the publisher's own topology is gone the rest stays, and its name is returned.
fn publish(connector: &Connector, waiting: &mut PendingPublishings) -> Option<String> {
    let mut batch = std::mem::take(&mut waiting.unpublished).into_iter();
    let own = &connector.topology().exchanges;
    let gone = connector.broker().with(|inner, now| {
        for Publishing { token, exchange, message, lane } in batch.by_ref() {
            let outcome = match inner.state.publish(now, &exchange, message) {
                Published::Accepted { routed } => PublishOutcome::Confirmed { returned: !routed },
                Published::Rejected => PublishOutcome::Nacked,
                Published::Refused(why) => PublishOutcome::Refused(why),
                Published::Missing(_) if own.iter().any(|own| *own.name == *exchange) => {
                    let gone = exchange.to_string();
                    let message = Message::default();
                    waiting.unpublished.push(Publishing { token, exchange, message, lane });
                    return Some(gone);
                }
                Published::Missing(why) => PublishOutcome::Missing(why),
            };
            waiting.unconfirmed.push(Settlement { token, outcome });
        }
        None
    });
    waiting.unpublished.extend(batch);
    gone
}

async fn settle(settled: &mpsc::Sender<Vec<Settlement>>, settlements: Vec<Settlement>) -> bool {
    settlements.is_empty() || settled.send(settlements).await.is_ok()
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

impl PendingPublishings {
    fn is_empty(&self) -> bool {
        self.unpublished.is_empty() && self.unconfirmed.is_empty()
    }

    fn lose(&mut self) -> Vec<Settlement> {
        self.until = None;
        let unpublished = self.unpublished.drain(..).map(|publishing| publishing.token);
        let tokens = self.unconfirmed.drain(..).map(|settlement| settlement.token).chain(unpublished);
        tokens.map(|token| Settlement { token, outcome: PublishOutcome::Lost }).collect()
    }
}
