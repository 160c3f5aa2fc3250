//! Delayed events by message: what a command asks for, read from its body, and done by the operations.

use super::{answer::Answer, body::Body, command::CommandKind, dispatch::in_body, request::Subject};
use crate::{
    authority::Caller,
    engine::{Expect, Verdict},
    event_batch::put_events,
    ops::{
        EventOutcomeView, OpsError, RunningClock,
        delayed::{self, DelayedQuery, EventBatch, EventOutcome, NamesOf, WantedEvents},
    },
    problem::Problem,
};
use std::{collections::HashSet, sync::Arc};

/// What is asked for of delayed events. What changes something has the id of its message.
#[derive(Debug)]
pub(super) enum EventRequest {
    /// This one.
    Get(String),
    /// These.
    List(DelayedQuery),
    /// This one, new or instead of the one of its name.
    Put {
        /// Its name; empty where it is to be made.
        name: String,
        /// Its item, as JSON.
        item: Vec<u8>,
        /// What has to be there.
        expect: Expect,
        /// The id of the message.
        id: String,
    },
    /// These.
    PutAll {
        /// The name that each says; empty where it says none.
        names: Vec<String>,
        /// A list of items, as JSON.
        items: Vec<u8>,
        /// All of them or none.
        atomic: bool,
        /// The id of the message.
        id: String,
    },
    /// None of this name.
    Delete {
        /// The event.
        name: String,
        /// What has to be there.
        expect: Expect,
        /// The id of the message.
        id: String,
    },
    /// This one is to be sent now.
    SendNow {
        /// The event.
        name: String,
        /// The id of the message.
        id: String,
    },
}

impl EventRequest {
    /// Reads the body of a message of this kind, and of this id.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(super) fn read(kind: CommandKind, mut body: Body<'_>, id: String) -> Result<Self, Problem> {
        Ok(match kind {
            CommandKind::EventList => {
                let instant = "an instant, as in 2026-12-01T09:00:00Z";
                let due_after = body.parsed("due_after", instant)?;
                let due_before = body.parsed("due_before", instant)?;
                Self::List(DelayedQuery { due_after, due_before, ..body.whole()? })
            }
            CommandKind::EventPut => {
                let expect = body.expected()?;
                let (name, item) = body.item()?.unwrap_or_default();
                Self::Put { name, item, expect, id }
            }
            CommandKind::EventsPut => {
                let (names, items) = body.items()?;
                Self::PutAll { names, items, atomic: body.flag("atomic"), id }
            }
            CommandKind::EventDelete => {
                let expect = body.expected()?;
                Self::Delete { name: body.text("name"), expect, id }
            }
            CommandKind::EventSendNow => Self::SendNow { name: body.text("name"), id },
            _ => Self::Get(body.text("name")),
        })
    }

    /// What it is about, where it is this owner's. Names that are to be made are known beforehand, so a command may say them, too.
    pub(super) fn subjects(&self, owner: &Arc<str>) -> HashSet<Subject> {
        let subject = |(index, name): (usize, &String), id: &String| match name.as_str() {
            "" => Subject::Event(names_of(owner, id).name(index)),
            _ => Subject::Event(name.clone()),
        };
        match self {
            Self::List(_) => HashSet::new(),
            Self::PutAll { names, id, .. } => {
                names.iter().enumerate().map(|name| subject(name, id)).collect()
            }
            Self::Put { name, id, .. } => HashSet::from([subject((0, name), id)]),
            Self::Get(name) | Self::Delete { name, .. } | Self::SendNow { name, .. } => {
                HashSet::from([Subject::Event(name.clone())])
            }
        }
    }

    /// Does it, and makes the answer.
    pub(super) async fn run(self, clock: &RunningClock, caller: &Caller) -> Result<Answer, Problem> {
        match self {
            Self::Get(name) => Ok(Answer::of(200, &delayed::get(clock, &name).await.map_err(in_body)?)?),
            Self::List(query) => Ok(Answer::of(200, &delayed::list(clock, query).await.map_err(in_body)?)?),
            Self::Put { item, expect, id, .. } => {
                let put = delayed::put(clock, caller, (None, item), expect, Some(id)).await;
                let put = put.map_err(|error| in_body(error.below("/item")))?;
                let status = if matches!(put.verdict, Verdict::Created { .. }) { 201 } else { 200 };
                Ok(outcome(clock, status, &put)?)
            }
            Self::PutAll { items, atomic, id, .. } => {
                let names = names_of(caller.owner(), &id);
                let batch =
                    EventBatch { wanted: WantedEvents::List(items), atomic, message: Some(id), names };
                Ok(Answer::of(200, &put_events(clock, caller, batch).await.map_err(in_body)?)?)
            }
            Self::Delete { name, expect, id } => {
                delayed::delete(clock, caller, &name, expect, Some(id)).await.map_err(in_body)?;
                Ok(Answer::of_nothing(204))
            }
            Self::SendNow { name, id } => {
                let sent =
                    delayed::send_now(clock, caller, &name, Expect::Any, Some(id)).await.map_err(in_body)?;
                let status = if matches!(sent.verdict, Verdict::Settled { .. }) { 200 } else { 202 };
                Ok(outcome(clock, status, &sent)?)
            }
        }
    }
}

/// Of what the names are made that are left out.
fn names_of(owner: &Arc<str>, id: &str) -> NamesOf {
    NamesOf::Message { owner: owner.clone(), id: id.into() }
}

fn outcome(clock: &RunningClock, status: u16, outcome: &EventOutcome) -> Result<Answer, OpsError> {
    Answer::of(status, &EventOutcomeView::new(&clock.name(), outcome))
}
