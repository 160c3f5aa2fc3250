//! Publishes what follows from commands, and reports when it is confirmed. What gets no answer, because the connection is lost, is
//! published again; what is not confirmed within a while is given up.
//!
//! Invariant: each message handed in is reported exactly once, whatever happens to the connection, and within [`LONGEST`].

use ponos::broker::{Link, PublishOutcome, Publisher, Publishing, Settlement};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

/// Messages handed over at once.
const BATCH: usize = 64;
/// How often one is published on connections that stay up and give no answer.
const TRIES: u32 = 3;
/// After this long without a confirm a message is given up: a broker that takes no messages must not hold all places.
pub(super) const LONGEST: Duration = Duration::from_secs(10);

/// What is published and not confirmed. Bounded by what is taken from the queue and not settled.
#[derive(Debug)]
pub(super) struct Outbox {
    submit: mpsc::Sender<Vec<Publishing>>,
    settled: mpsc::Receiver<Vec<Settlement>>,
    link: watch::Receiver<Link>,
    /// To be handed over.
    waiting: VecDeque<Publishing>,
    /// By token, which is the order in which they are given up: handed over, or waiting.
    pending: BTreeMap<u64, Pending>,
    last: u64,
    /// The last one that was reported was given up for its time.
    stuck: bool,
}

#[derive(Debug)]
struct Pending {
    note: Note,
    publishing: Publishing,
    tries: u32,
    /// The connection that it was handed over on.
    generation: Option<u64>,
    until: Instant,
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
        let (waiting, pending) = (VecDeque::new(), BTreeMap::new());
        Self { submit, settled, link, waiting, pending, last: 0, stuck: false }
    }

    /// The state of the connection.
    pub(super) fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// Whether messages are given up at present, for the broker does not confirm them.
    pub(super) fn is_stuck(&self) -> bool {
        self.stuck
    }

    /// Hands a message in.
    pub(super) fn send(&mut self, note: Note, publishing: Publishing) {
        self.last += 1;
        let publishing = Publishing { token: self.last, ..publishing };
        self.waiting.push_back(publishing.clone());
        let until = Instant::now() + LONGEST;
        self.pending.insert(self.last, Pending { note, publishing, tries: 0, generation: None, until });
    }

    /// Publishes, and waits until something has become of some. `None`: the adapter's task has ended. Cancel safe.
    pub(super) async fn turn(&mut self) -> Option<Vec<Told>> {
        loop {
            let up = generation(&self.link.borrow_and_update());
            let until = self.pending.first_key_value().map(|(_, oldest)| oldest.until);
            let settlements = tokio::select! {
                biased;
                settlements = self.settled.recv() => Some(settlements?),
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => None,
                changed = self.link.changed() => {
                    changed.ok()?;
                    continue;
                }
                room = self.submit.reserve(), if up.is_some() && !self.waiting.is_empty() => {
                    let batch: Vec<Publishing> = self.waiting.drain(..self.waiting.len().min(BATCH)).collect();
                    for one in &batch {
                        if let Some(pending) = self.pending.get_mut(&one.token) {
                            pending.generation = up;
                        }
                    }
                    room.ok()?.send(batch);
                    continue;
                }
            };
            let told: Vec<Told> = match settlements {
                Some(all) => all.into_iter().filter_map(|settlement| self.settle(settlement)).collect(),
                None => self.give_up(),
            };
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
                // Where the connection was lost nothing could come of it: that is no try.
                pending.tries += u32::from(pending.generation == generation(&self.link.borrow()));
                if pending.tries < TRIES {
                    self.waiting.push_back(pending.publishing.clone());
                    return None;
                }
                Some("the broker does not confirm it".to_owned())
            }
        };
        let Pending { note, .. } = self.pending.remove(&token)?;
        self.stuck = false;
        Some(Told { note, failure })
    }

    /// Gives up all that follows from a command; what the broker may still say of it is of no interest any more.
    pub(super) fn give_up_on(&mut self, command: u64) -> Vec<Told> {
        let of_it = self.pending.iter().filter(|(_, pending)| pending.note.command == command);
        let tokens: Vec<u64> = of_it.map(|(token, _)| *token).collect();
        self.waiting.retain(|waiting| !tokens.contains(&waiting.token));
        let noted = tokens.iter().filter_map(|token| self.pending.remove(token));
        let why = "the broker confirms none of so many of its owner";
        noted.map(|Pending { note, .. }| Told { note, failure: Some(why.to_owned()) }).collect()
    }

    /// Gives up what waited for too long; what the broker may still say of it is of no interest any more.
    fn give_up(&mut self) -> Vec<Told> {
        let now = Instant::now();
        let mut told = Vec::new();
        while let Some(oldest) = self.pending.first_entry()
            && oldest.get().until <= now
        {
            let (token, Pending { note, .. }) = oldest.remove_entry();
            self.waiting.retain(|waiting| waiting.token != token);
            let failure = Some(format!("the broker did not confirm it within {} s", LONGEST.as_secs()));
            told.push(Told { note, failure });
        }
        self.stuck |= !told.is_empty();
        told
    }
}

/// The connection that is up.
fn generation(link: &Link) -> Option<u64> {
    match link {
        Link::Up { generation, .. } => Some(*generation),
        _ => None,
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
    async fn what_is_lost_is_published_again_and_reported_once() {
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

    #[tokio::test]
    async fn what_is_lost_with_its_connection_has_not_used_up_a_try() {
        let (mut outbox, mut task) = pair();
        outbox.send(note(7), publishing());
        let broker = async {
            for generation in 2..10 {
                let batch = task.submitted.recv().await.unwrap();
                // Another one is there before anybody hears of it.
                task.link.send_replace(up(generation));
                let outcome = PublishOutcome::Lost;
                task.settled.send(vec![Settlement { token: batch[0].token, outcome }]).await.unwrap();
            }
            let batch = task.submitted.recv().await.unwrap();
            let outcome = PublishOutcome::Confirmed { returned: false };
            task.settled.send(vec![Settlement { token: batch[0].token, outcome }]).await.unwrap();
        };
        let (told, ()) = tokio::join!(outbox.turn(), broker);
        assert_eq!(told.unwrap(), [Told { note: note(7), failure: None }]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_confirmed_for_a_while_is_given_up_and_that_is_shown_until_one_is() {
        let (mut outbox, mut task) = pair();
        let begun = Instant::now();
        outbox.send(note(1), publishing());
        assert!(tokio::time::timeout(LONGEST / 2, outbox.turn()).await.is_err());
        let handed_over = task.submitted.try_recv().unwrap();
        task.link.send_replace(Link::Blocked { reason: "low on memory".into() });
        outbox.send(note(2), publishing());
        for number in [1, 2] {
            let told = outbox.turn().await.unwrap();
            assert_eq!((told.len(), told[0].note), (1, note(number)));
            let why = told[0].failure.as_deref().unwrap();
            assert!(why.contains("within 10 s") && outbox.is_stuck(), "{why}");
        }
        assert_eq!(begun.elapsed(), LONGEST + LONGEST / 2);
        // What is said of them later is of no interest, and what was not handed over is not.
        task.link.send_replace(up(1));
        outbox.send(note(3), publishing());
        let late = async {
            let batch = task.submitted.recv().await.unwrap();
            assert_eq!(batch.len(), 1);
            let tokens = [handed_over[0].token, batch[0].token];
            let confirmed = PublishOutcome::Confirmed { returned: false };
            let settled = tokens.map(|token| Settlement { token, outcome: confirmed.clone() });
            task.settled.send(settled.into()).await.unwrap();
        };
        let (told, ()) = tokio::join!(outbox.turn(), late);
        assert_eq!(told.unwrap(), [Told { note: note(3), failure: None }]);
        assert!(!outbox.is_stuck());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_published_before_there_is_a_connection() {
        let (mut outbox, mut task) = pair();
        task.link.send_replace(Link::Down { attempts: 1, error: None });
        outbox.send(note(1), publishing());
        let wait = LONGEST / 2;
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
