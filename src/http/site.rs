//! What all handlers share.

use super::{events::Events, problem::Problem, record::Record};
use crate::service::{Command, Handle, Status};
use std::{sync::Arc, time::Duration};
use tokio::sync::{Semaphore, oneshot};

/// Bounds of the HTTP interface.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at a time; more wait in the system's queue.
    pub connections: usize,
    /// Feeds at a time; more are told to come back.
    pub feeds: usize,
    /// Until the head of a request must have come, idle connections included.
    pub head: Duration,
    /// Until an answer must be ready (feeds and audits excepted).
    pub answer: Duration,
    /// Until an audit must be done.
    pub audit: Duration,
    /// How long a peer may refuse to take data.
    pub stall: Duration,
    /// Silence of this long on a feed is broken by a comment.
    pub keep_alive: Duration,
    /// How long requests that have begun may go on once the clock stops.
    pub farewell: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            feeds: 64,
            head: Duration::from_secs(15),
            answer: Duration::from_secs(10),
            audit: Duration::from_secs(300),
            stall: Duration::from_secs(60),
            keep_alive: Duration::from_secs(15),
            farewell: Duration::from_secs(5),
        }
    }
}

/// What handlers may ask: the running clock and its record. Clones share it.
#[derive(Debug, Clone)]
pub struct Site {
    pub(super) clock: Handle,
    pub(super) record: Record,
    pub(super) events: Arc<Events>,
    pub(super) hosts: Arc<[String]>,
    pub(super) limits: Limits,
    pub(super) feeds: Arc<Semaphore>,
    pub(super) audits: Arc<Semaphore>,
}

impl Site {
    /// `hosts`: names (without port) by which requests may address the clock, besides loopback's.
    pub fn new(clock: Handle, record: Record, hosts: Vec<String>, limits: Limits) -> Self {
        Self {
            events: Arc::new(Events::default()),
            feeds: Arc::new(Semaphore::new(limits.feeds)),
            audits: Arc::new(Semaphore::new(1)),
            hosts: hosts.into(),
            clock,
            record,
            limits,
        }
    }

    /// How the clock is.
    pub(super) fn status(&self) -> Status {
        self.clock.status.borrow().clone()
    }

    /// Asks the clock's loop and waits for its answer.
    pub(super) async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Problem> {
        let (sender, answer) = oneshot::channel();
        let asked = async {
            self.clock.commands.send(question(sender)).await.ok()?;
            answer.await.ok()
        };
        match tokio::time::timeout(self.limits.answer, asked).await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(Problem::unavailable("the clock is stopping")),
            Err(_) => {
                let seconds = self.limits.answer.as_secs();
                Err(Problem::unavailable(format!("the clock's loop did not answer within {seconds} s")))
            }
        }
    }
}
