//! The state that all handlers share.

use super::{events::Events, limits::Limits, places::Places, problem::Problem, record::Record};
use crate::{
    clock_loop::{Command, Handle, Status},
    schedule::CalendarStore,
};
use serde_json::{Map, Value};
use std::sync::Arc;
use tokio::sync::{Semaphore, oneshot};

/// The running clock and its record, as handlers query them. Clones share it.
#[derive(Debug, Clone)]
pub struct Site {
    pub(super) clock: Handle,
    pub(super) record: Record,
    pub(super) calendars: CalendarStore,
    pub(super) events: Arc<Events>,
    pub(super) hosts: Arc<[String]>,
    pub(super) limits: Limits,
    pub(super) feeds: Arc<Semaphore>,
    pub(super) audits: Arc<Semaphore>,
    pub(super) large: Places,
}

impl Site {
    /// `hosts`: names (without port) by which requests may address the clock, besides loopback's.
    pub fn new(clock: Handle, record: Record, hosts: Vec<String>, limits: Limits) -> Self {
        Self {
            events: Arc::new(Events::default()),
            feeds: Arc::new(Semaphore::new(limits.feeds)),
            audits: Arc::new(Semaphore::new(1)),
            large: Places::new(limits.large, limits.hold),
            hosts: hosts.into(),
            clock,
            record,
            calendars: CalendarStore::default(),
            limits,
        }
    }

    /// The same, which shows the days of these calendars.
    #[must_use]
    pub fn with_calendars(self, calendars: CalendarStore) -> Self {
        Self { calendars, ..self }
    }

    /// The same with places of its own: a flood from elsewhere takes none of the operators'.
    pub(super) fn for_operators(self) -> Self {
        let Self { clock, record, calendars, events, limits, .. } = self;
        Self { events, calendars, ..Self::new(clock, record, Vec::new(), limits) }
    }

    /// How the clock is.
    pub(super) fn status(&self) -> Status {
        self.clock.status.borrow().clone()
    }

    /// How an answer of this clock begins.
    pub(super) fn head(&self) -> Map<String, Value> {
        Map::from_iter([("clock".to_owned(), self.status().clock.into())])
    }

    /// Asks the clock's loop and waits for its answer.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Problem> {
        let (sender, answer) = oneshot::channel();
        let (question, commands, limit) = (question(sender), self.clock.commands.clone(), self.limits.answer);
        // On a task of its own: who asks may not be polled for a while (nothing is, of an answer that nobody takes), and
        // must not keep a place in the loop's queue meanwhile.
        let asked = tokio::spawn(async move {
            let asked = async {
                commands.send(question).await.ok()?;
                answer.await.ok()
            };
            tokio::time::timeout(limit, asked).await
        });
        match asked.await {
            Ok(Ok(Some(answer))) => Ok(answer),
            Ok(Ok(None)) | Err(_) => Err(Problem::unavailable("the clock is stopping")),
            Ok(Err(_)) => {
                let seconds = limit.as_secs();
                Err(Problem::unavailable(format!("the clock's loop did not answer within {seconds} s")))
            }
        }
    }
}
