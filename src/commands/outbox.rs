//! Publishes what follows from commands, and tells when it is confirmed. What gets no answer, because the connection is lost, is
//! published again.
//!
//! Invariant: each message handed in is told of exactly once, whatever happens to the connection.

use ponos::broker::{Link, PublishOutcome, Publisher, Publishing, Settlement};
use std::collections::{HashMap, VecDeque};
use tokio::sync::{mpsc, watch};

/// Messages handed over at once.
const BATCH: usize = 64;
/// How often one is published on a connection that is up and gives no answer.
const TRIES: u32 = 3;

/// What is published and not confirmed. Bounded by what is taken from the queue and not settled.
#[derive(Debug)]
pub(super) struct Outbox {
    submit: mpsc::Sender<Vec<Publishing>>,
    settled: mpsc::Receiver<Vec<Settlement>>,
    link: watch::Receiver<Link>,
    /// To be handed over.
    waiting: VecDeque<Publishing>,
    /// By token: handed over, or waiting.
    pending: HashMap<u64, Pending>,
    last: u64,
}

#[derive(Debug)]
struct Pending {
    note: Note,
    publishing: Publishing,
    tries: u32,
}

/// What a message is about: for whoever handed it in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Note {
    /// The number of the command.
    pub(super) command: u64,
    /// It is a dead letter, not an answer.
    pub(super) is_letter: bool,
}

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) note: Note,
    /// Why it did not arrive.
    pub(super) failure: Option<String>,
}

impl Outbox {
    pub(super) fn new(publisher: Publisher) -> Self {
        let (submit, settled, link) = publisher.split();
        let (waiting, pending) = (VecDeque::new(), HashMap::new());
        Self { submit, settled, link, waiting, pending, last: 0 }
    }

    /// The state of the connection.
    pub(super) fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// Hands a message in.
    pub(super) fn send(&mut self, note: Note, publishing: Publishing) {
        self.last += 1;
        let publishing = Publishing { token: self.last, ..publishing };
        self.waiting.push_back(publishing.clone());
        self.pending.insert(self.last, Pending { note, publishing, tries: 0 });
    }

    /// Publishes, and waits until something has become of some. `None`: the adapter's task has ended. Cancel safe.
    pub(super) async fn turn(&mut self) -> Option<Vec<Told>> {
        loop {
            let is_up = matches!(*self.link.borrow_and_update(), Link::Up { .. });
            let settlements = tokio::select! {
                room = self.submit.reserve(), if is_up && !self.waiting.is_empty() => {
                    let batch = self.waiting.drain(..self.waiting.len().min(BATCH)).collect();
                    room.ok()?.send(batch);
                    continue;
                }
                settlements = self.settled.recv() => settlements?,
                changed = self.link.changed() => {
                    changed.ok()?;
                    continue;
                }
            };
            let told: Vec<Told> =
                settlements.into_iter().filter_map(|settlement| self.settle(settlement)).collect();
            if !told.is_empty() {
                return Some(told);
            }
        }
    }

    fn settle(&mut self, Settlement { token, outcome }: Settlement) -> Option<Told> {
        let failure = match outcome {
            PublishOutcome::Confirmed { returned: false } => None,
            PublishOutcome::Confirmed { returned: true } => Some("no queue is bound for it".to_owned()),
            PublishOutcome::Nacked => {
                Some("a queue refused it: it is full, or its node is in trouble".to_owned())
            }
            PublishOutcome::Refused(why) | PublishOutcome::Missing(why) => Some(why),
            PublishOutcome::Lost => {
                let pending = self.pending.get_mut(&token)?;
                // While the link is down nothing can come of it: that is no try.
                pending.tries += u32::from(matches!(*self.link.borrow(), Link::Up { .. }));
                if pending.tries < TRIES {
                    self.waiting.push_back(pending.publishing.clone());
                    return None;
                }
                Some("the broker does not confirm it".to_owned())
            }
        };
        self.pending.remove(&token).map(|Pending { note, .. }| Told { note, failure })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ponos::{broker::PublisherTask, event::Message};

    fn up(generation: u64) -> Link {
        Link::Up { generation, broker: "a broker".into(), user: None }
    }

    fn note(command: u64) -> Note {
        Note { command, is_letter: false }
    }

    fn publishing() -> Publishing {
        Publishing { token: 0, lane: 0, exchange: "e".into(), message: Message::default() }
    }

    fn pair() -> (Outbox, PublisherTask) {
        let (publisher, task) = Publisher::channel(4);
        task.link.send_replace(up(1));
        (Outbox::new(publisher), task)
    }

    /// Answers what comes with these outcomes, one after the other.
    async fn played(outcomes: Vec<PublishOutcome>) -> Vec<Told> {
        let (mut outbox, mut task) = pair();
        outbox.send(note(7), publishing());
        let broker = tokio::spawn(async move {
            for outcome in outcomes {
                let batch = task.submitted.recv().await.unwrap();
                let settled =
                    batch.into_iter().map(|one| Settlement { token: one.token, outcome: outcome.clone() });
                task.settled.send(settled.collect()).await.unwrap();
            }
            task
        });
        let told = outbox.turn().await.unwrap();
        assert!(outbox.pending.is_empty() && outbox.waiting.is_empty());
        drop(broker.await.unwrap());
        told
    }

    #[tokio::test]
    async fn what_is_lost_is_published_again_and_told_of_once() {
        let confirmed = PublishOutcome::Confirmed { returned: false };
        let told = played(vec![PublishOutcome::Lost, PublishOutcome::Lost, confirmed]).await;
        assert_eq!(told, [Told { note: note(7), failure: None }]);
    }

    #[tokio::test]
    async fn what_can_not_arrive_is_given_up() {
        let returned = PublishOutcome::Confirmed { returned: true };
        for outcomes in [
            vec![returned],
            vec![PublishOutcome::Nacked],
            vec![PublishOutcome::Refused("no".into())],
            vec![PublishOutcome::Missing("no".into())],
            vec![PublishOutcome::Lost; TRIES as usize],
        ] {
            let told = played(outcomes.clone()).await;
            assert!(told.len() == 1 && told[0].failure.is_some(), "{outcomes:?}: {told:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_published_before_there_is_a_connection() {
        let (mut outbox, mut task) = pair();
        task.link.send_replace(Link::Down { attempts: 1, error: None });
        outbox.send(note(1), publishing());
        let wait = std::time::Duration::from_secs(60);
        assert!(tokio::time::timeout(wait, outbox.turn()).await.is_err());
        assert!(task.submitted.try_recv().is_err());
        task.link.send_replace(up(2));
        let confirm = async {
            let batch = task.submitted.recv().await.unwrap();
            let outcome = PublishOutcome::Confirmed { returned: false };
            task.settled.send(vec![Settlement { token: batch[0].token, outcome }]).await.unwrap();
        };
        let (told, ()) = tokio::join!(outbox.turn(), confirm);
        assert_eq!(told.unwrap(), [Told { note: note(1), failure: None }]);
    }
}
