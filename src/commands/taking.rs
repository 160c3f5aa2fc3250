//! Takes a message from the queue: who asks, and for what. In an order in which a flood costs little.

use super::{
    command::CommandKind,
    door::{Begun, DoorLoop},
    request::{self, Request},
    settling::Open,
    turns::{About, Crowded, WAITING},
};
use crate::{
    authority::{Caller, Rate, TooOften},
    problem::Problem,
    telemetry::CommandResult,
};
use ponos::{
    broker::Delivery,
    event::{Message, SpanContext},
};
use std::time::Duration;
use tokio::time::Instant;

/// Messages a second that are answered to users who are not known, all together, and as many at once.
pub(super) const STRANGERS: u32 = 10;

/// A message as it was read.
enum Read {
    Command(Box<(Caller, Request)>),
    Refused(Problem),
    /// It costs nothing more: too many come of users who are not known.
    PassedOver,
}

impl DoorLoop {
    pub(super) async fn take(&mut self, delivery: Delivery) {
        if self.current() != Some(delivery.tag.generation) {
            return;
        }
        self.last += 1;
        let number = self.last;
        let came_before = delivery.redelivered || delivery.delivery_count().is_some();
        if came_before {
            self.counts.came_again();
        }
        let Delivery { mut message, tag, .. } = delivery;
        let kind = CommandKind::of(&message);
        let too_long = request::cut(&mut message, kind.as_ref().ok().copied());
        let read = self.read(&message, &kind, too_long);
        let kind = kind.ok();
        let owner = self.users.caller(&message).ok().map(|caller| caller.owner().clone());
        let mut open = Open::new(tag, (message, kind, owner), came_before);
        match read {
            Read::Command(command) => {
                let (caller, request) = *command;
                let about = About {
                    owner: caller.owner().clone(),
                    subjects: request.subjects(caller.owner()),
                    changes: open.changes(),
                };
                self.open.insert(number, open);
                let (owner, begun) = (about.owner.clone(), Begun { number, tag, caller, request });
                if let Err(crowded) = self.turns.enter(number, about, begun, Instant::now()) {
                    self.refuse(number, too_many(&owner, &crowded)).await;
                }
            }
            Read::Refused(problem) => {
                self.open.insert(number, open);
                self.refuse(number, problem).await;
            }
            Read::PassedOver => {
                self.counts.answered(kind.map(CommandKind::word), CommandResult::Limited);
                self.passed_over.note(&open.message, Instant::now());
                self.settle(&mut open).await;
            }
        }
    }

    fn read(
        &mut self,
        message: &Message,
        kind: &Result<CommandKind, Problem>,
        too_long: Option<Problem>,
    ) -> Read {
        let now = Instant::now();
        let caller = match self.users.caller(message) {
            Ok(caller) => {
                let trace = message.headers.text("traceparent").and_then(SpanContext::parse);
                caller.clone().in_trace(trace)
            }
            Err(_) if self.strangers.take(1, now).is_err() => return Read::PassedOver,
            Err(problem) => return Read::Refused(problem),
        };
        // As many as are configured.
        let rate =
            self.rates.entry(caller.owner().clone()).or_insert_with(|| Rate::new(self.rate, self.rate));
        if let Err(TooOften(wait)) = rate.take(1, now) {
            let what = format!(
                "'{}' sends more commands than the clock takes of one owner (commands.rate); this one was not looked at",
                caller.owner()
            );
            return Read::Refused(Problem::too_often(what, wait));
        }
        let read = kind.as_ref().map_err(Problem::clone).and_then(|kind| match too_long {
            Some(problem) => Err(problem),
            None => Request::read(*kind, message),
        });
        match read {
            Ok(request) => Read::Command(Box::new((caller, request))),
            Err(problem) => Read::Refused(problem),
        }
    }
}

/// What is said where there is no place at present.
pub(super) fn too_many(owner: &str, crowded: &Crowded) -> Problem {
    let why = match crowded {
        Crowded::Subject(subject) => {
            format!("{WAITING} changes of '{owner}' about {subject} wait for their turn already")
        }
        Crowded::Owner => {
            format!(
                "so many commands of '{owner}' are being done, or have answers that nobody takes, that the other places are left to others"
            )
        }
    };
    Problem::too_often(format!("this was not done, for {why}; try again"), Duration::from_secs(1))
}
