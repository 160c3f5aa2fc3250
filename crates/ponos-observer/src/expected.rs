//! What a service declared that it would handle in time, and did not.
//!
//! A miss is certain if an event was seen, its time is over, and no report says that it was handled, though none can be lost: the
//! observer was listening all the time, no message of the service has a number that was not followed, and each of its workers was
//! heard since, or said that it had ended. Whatever else there is makes it uncertain, with
//! the [`Doubt`], and no miss is said. That it listens is known by the next thing that it hears, of whomever: until then nothing is. The time counts from when the event was last seen sent, by the observer's clock.

use crate::{
    services::{MARGIN_MS, Services, Word},
    window::{Entry, HandlingEntry, Window},
};
use ponos_event::{
    EventId, Timestamp,
    reports::{DeclaredHandler, ReportedOutcome},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// UUIDv5 of the URL namespace and `urn:ponos:handling-missed`.
pub(crate) const NAMESPACE: Uuid = Uuid::from_u128(0x7fed_8a97_f8cb_56b1_b6ba_482e_ea34_5248);
/// How soon it is looked again at what is not certain yet.
const AGAIN_MS: i64 = 5_000;
/// The longest id of what is watched, in bytes: a miss refers to it by its correlation id, which has no room for more.
const ID: usize = 255;

/// A service declared that it handles an event within a time, and did not: the data of `ponos.handling.missed`
/// (`schemas/reports/handling-missed.json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Miss {
    /// The id of what was not handled in time.
    pub event_id: String,
    /// Its type.
    pub event: String,
    /// Its source, where that is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Its subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The service that declared it.
    pub service: String,
    /// The queue that takes it.
    pub queue: String,
    /// The name or pattern of the handler.
    pub handler: String,
    /// When it was last seen sent, by the observer's clock.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub seen_at: Timestamp,
    /// Within how many milliseconds it was to be handled.
    pub within_ms: u64,
    /// By when.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub due_at: Timestamp,
    /// What is known of it.
    pub state: MissState,
    /// How many deliveries of it were reported.
    pub attempts: u64,
    /// Why the last of them did not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What is known of something that was not handled in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum MissState {
    /// No delivery of it was reported: nobody took it, or whoever did is still at work.
    NotReceived,
    /// It waits for another attempt.
    Waiting,
    /// It lies in the dead letters.
    Dead,
}

impl Miss {
    /// UUIDv5 of the event's id, the service, the queue and the handler, a line each: the same from every observer, and each time.
    pub fn id(&self) -> EventId {
        let Self { event_id, service, queue, handler, .. } = self;
        let text = format!("{event_id}\n{service}\n{queue}\n{handler}");
        Uuid::new_v5(&NAMESPACE, text.as_bytes()).into()
    }
}

/// Something that was not reported as handled in time, where that may be for want of reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Uncertain {
    /// The id of the event.
    pub event_id: String,
    /// Its type; empty if it is not kept any more.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub event: String,
    /// The service that declared it.
    pub service: String,
    /// The queue that takes it.
    pub queue: String,
    /// The name or pattern of the handler.
    pub handler: String,
    /// When it was found so.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// Why it is not certain.
    pub doubt: Doubt,
}

/// Why something is uncertain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Doubt {
    /// It is not kept any more: the window has no room for as much.
    Trimmed,
    /// The observer had no connection for a while, stood still, or its clock was set.
    Interrupted,
    /// A report was lost, or dropped by its worker.
    ReportLost,
    /// A worker fell silent without a word; it may have handled it, then or since.
    WorkerSilent,
    /// The observer has not listened for long enough to know all workers of the service.
    NewHere,
    /// It was sent after its time, with others perhaps: a clock caught up, or a backfill.
    CaughtUp,
    /// Whoever declared it has stopped, and another worker of the service that began since does not declare it.
    GivenUp,
}

impl Doubt {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Trimmed,
        Self::Interrupted,
        Self::ReportLost,
        Self::WorkerSilent,
        Self::NewHere,
        Self::CaughtUp,
        Self::GivenUp,
    ];

    /// The word for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trimmed => "trimmed",
            Self::Interrupted => "interrupted",
            Self::ReportLost => "report-lost",
            Self::WorkerSilent => "worker-silent",
            Self::NewHere => "new-here",
            Self::CaughtUp => "caught-up",
            Self::GivenUp => "given-up",
        }
    }

    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Trimmed => "it is not kept any more: the observer has no room for as much",
            Self::Interrupted => {
                "the observer did not hear for a while: it had no connection, stood still, or its clock was set"
            }
            Self::ReportLost => "a report of the service was lost or dropped",
            Self::WorkerSilent => {
                "a worker of the service fell silent without a word; it may have handled it, and be at work still"
            }
            Self::NewHere => {
                "the observer has not listened for long enough to know all workers of the service"
            }
            Self::CaughtUp => {
                "it was sent after its time, with others perhaps: a clock caught up, or a backfill"
            }
            Self::GivenUp => {
                "whoever declared the handler has stopped, and a worker that began since does not declare it"
            }
        }
    }
}

/// What is to be handled by whom.
#[derive(Debug, Clone)]
struct Expectation {
    id: String,
    service: String,
    queue: String,
    handler: String,
    within_ms: u64,
}

/// All that is to be handled in time, by when it is looked at.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    by_time: BTreeMap<(Timestamp, u64), Expectation>,
    next: u64,
    /// How many are not watched, for want of room.
    pub(crate) unwatched: u64,
}

/// When the observer listened.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Listening {
    pub(crate) since: Option<Timestamp>,
    /// When it last had no connection, or had none until then.
    pub(crate) interrupted_at: Option<Timestamp>,
    /// When it last heard anything.
    pub(crate) heard_at: Option<Timestamp>,
}

impl Listening {
    /// Something may not have been heard until then.
    pub(crate) fn gap(&mut self, at: Timestamp) {
        self.interrupted_at = self.interrupted_at.max(Some(at));
    }

    /// Since when nothing was missed.
    fn up_at(&self) -> Option<Timestamp> {
        self.interrupted_at.max(self.since)
    }
}

/// What a look at one of them found.
enum Found {
    /// Nothing is to be said: it was handled, or is declared no more.
    Settled,
    /// It is not certain yet.
    Again(Timestamp),
    Missed(Box<Miss>),
    Uncertain(Doubt),
}

impl Expected {
    /// This handler is to handle that event, which was seen now.
    pub(crate) fn add(
        &mut self,
        now: Timestamp,
        id: &str,
        service: &str,
        handler: &DeclaredHandler,
        most: usize,
    ) {
        let Some(within_ms) = handler.within_ms else { return };
        if self.by_time.len() >= most || id.len() > ID {
            self.unwatched += 1;
            return;
        }
        let expectation = Expectation {
            id: id.to_owned(),
            service: service.to_owned(),
            queue: handler.queue.clone(),
            handler: handler.handler.clone(),
            within_ms,
        };
        self.put(look_at(now, within_ms), expectation);
    }

    fn put(&mut self, at: Timestamp, expectation: Expectation) {
        self.next += 1;
        self.by_time.insert((at, self.next), expectation);
    }

    pub(crate) fn len(&self) -> usize {
        self.by_time.len()
    }

    /// When it is to be looked again.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.by_time.first_key_value().map(|((at, _), _)| *at)
    }

    /// Looks at one whose time has come; `None` if there is none.
    pub(crate) fn look(
        &mut self,
        now: Timestamp,
        (window, services, listening): (&Window, &Services, Listening),
    ) -> Option<Result<Miss, Option<Uncertain>>> {
        let first = self.by_time.first_entry().filter(|entry| entry.key().0 <= now)?;
        let expectation = first.remove();
        let found = expectation.judge(now, window.get(&expectation.id), services, listening);
        Some(match found {
            Found::Settled => Err(None),
            Found::Again(at) => {
                self.put(at, expectation);
                Err(None)
            }
            Found::Missed(miss) => Ok(*miss),
            Found::Uncertain(doubt) => {
                let event = window.get(&expectation.id).map(|entry| entry.event.name.clone());
                let Expectation { id, service, queue, handler, within_ms: _ } = expectation;
                let event = event.unwrap_or_default();
                Err(Some(Uncertain { event_id: id, event, service, queue, handler, at: now, doubt }))
            }
        })
    }
}

/// When it is looked at for the first time: its report may be on its way.
fn look_at(sent_at: Timestamp, within_ms: u64) -> Timestamp {
    due_at(sent_at, within_ms).plus(MARGIN_MS)
}

pub(crate) fn due_at(sent_at: Timestamp, within_ms: u64) -> Timestamp {
    sent_at.plus(i64::try_from(within_ms).unwrap_or(i64::MAX))
}

impl Expectation {
    fn judge(
        &self,
        now: Timestamp,
        entry: Option<&Entry>,
        services: &Services,
        listening: Listening,
    ) -> Found {
        let Some(service) = services.get(&self.service) else { return Found::Settled };
        let is_this =
            |handler: &DeclaredHandler| handler.queue == self.queue && handler.handler == self.handler;
        if !service.handlers().any(is_this) {
            return Found::Settled;
        }
        let Some(entry) = entry else { return Found::Uncertain(Doubt::Trimmed) };
        let handling = entry.by_queue(&self.queue);
        if handling.is_some_and(|handling| handling.handled_at.is_some()) {
            return Found::Settled;
        }
        let sent_at = entry.sent_at.unwrap_or(entry.first_at);
        let due_at = due_at(sent_at, self.within_ms);
        if look_at(sent_at, self.within_ms) > now {
            // it was sent again meanwhile
            return Found::Again(look_at(sent_at, self.within_ms));
        }
        let since = |at: Option<Timestamp>| at.is_some_and(|at| at >= sent_at);
        let Some(up_at) = listening.up_at() else { return Found::Uncertain(Doubt::Interrupted) };
        let may_be_older = service.is_older || listening.interrupted_at.is_some();
        let doubts = [
            (up_at >= sent_at, Doubt::Interrupted),
            (may_be_older && sent_at < service.known_at(up_at), Doubt::NewHere),
            (since(service.lost_at), Doubt::ReportLost),
            (entry.event.is_caught_up, Doubt::CaughtUp),
            (service.may_be_given_up(&self.queue, &self.handler), Doubt::GivenUp),
        ];
        if let Some((_, doubt)) = doubts.into_iter().find(|(holds, _)| *holds) {
            return Found::Uncertain(doubt);
        }
        match service.word(now, due_at, up_at) {
            // the observer's connection may be dead, which takes time to be seen
            Word::All if listening.heard_at < Some(look_at(sent_at, self.within_ms)) => {
                Found::Again(now.plus(AGAIN_MS))
            }
            Word::All => Found::Missed(Box::new(self.miss(entry, handling, (sent_at, due_at)))),
            Word::At(known_at) => Found::Again(known_at.plus(1).min(now.plus(AGAIN_MS))),
            Word::Silent => Found::Uncertain(Doubt::WorkerSilent),
        }
    }

    fn miss(
        &self,
        entry: &Entry,
        handling: Option<&HandlingEntry>,
        (seen_at, due_at): (Timestamp, Timestamp),
    ) -> Miss {
        let last = handling.and_then(|handling| handling.attempts.last());
        let state = match last.map(|last| last.outcome) {
            None => MissState::NotReceived,
            Some(ReportedOutcome::Dead) => MissState::Dead,
            Some(_) => MissState::Waiting,
        };
        let event = &entry.event;
        Miss {
            event_id: self.id.clone(),
            event: event.name.clone(),
            source: event.source.clone(),
            subject: event.subject.clone(),
            service: self.service.clone(),
            queue: self.queue.clone(),
            handler: self.handler.clone(),
            seen_at,
            within_ms: self.within_ms,
            due_at,
            state,
            attempts: handling.map_or(0, |handling| handling.attempts.len() as u64 + handling.left_out),
            reason: last.and_then(|last| last.reason.clone()),
        }
    }
}
