//! What the tests share: a bus on which services say what they do.

mod certain;
mod coverage;
mod invented;
mod missed;
mod why;
mod window;

use crate::{Limits, Miss, Observer, SeenEvent};
use ponos_event::{
    Timestamp,
    reports::{
        Declaration, DeclaredHandler, DeclaredState, Instance, Published, Report, ReportedDelivery,
        ReportedOutcome::{self, Done},
    },
};

pub(crate) const NAME: &str = "order.parcel.shipped";
pub(crate) const SECOND: i64 = 1_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;

/// An observer, the time, and the workers that speak.
pub(crate) struct Bus {
    pub(crate) observer: Observer,
    pub(crate) now: Timestamp,
}

/// A worker that runs.
#[derive(Debug, Clone)]
pub(crate) struct Speaker {
    pub(crate) by: Instance,
    pub(crate) handlers: Vec<DeclaredHandler>,
    pub(crate) repeats_ms: u64,
}

pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_796_115_600_000 + millis)
}

pub(crate) fn seen(id: &str, name: &str) -> SeenEvent {
    SeenEvent { id: id.into(), name: name.into(), source: "/test".into(), ..SeenEvent::default() }
}

pub(crate) fn delivery(id: &str, name: &str) -> ReportedDelivery {
    ReportedDelivery {
        id: id.into(),
        name: name.into(),
        handler: Some(name.into()),
        attempt: 1,
        began_at: at(0),
        ended_at: at(7),
        reason: None,
        due_at: None,
        correlation_id: None,
        causation_id: None,
        trace_id: None,
        published: Vec::new(),
        unlisted: 0,
    }
}

pub(crate) fn task(id: &str, name: &str, queue: &str) -> Published {
    Published { id: id.into(), name: name.into(), queue: Some(queue.into()), later: false }
}

pub(crate) fn handler(service: &str, name: &str, within_ms: Option<i64>) -> DeclaredHandler {
    DeclaredHandler {
        queue: format!("{service}.{name}"),
        handler: name.into(),
        tasks: false,
        within_ms: within_ms.and_then(|within| u64::try_from(within).ok()),
    }
}

impl Bus {
    /// That listens from the beginning.
    pub(crate) fn new() -> Self {
        Self::with(Limits::default())
    }

    pub(crate) fn with(limits: Limits) -> Self {
        let mut observer = Observer::new(limits);
        observer.listening(at(0));
        Self { observer, now: at(1) }
    }

    /// Some time later: what was missed by then.
    pub(crate) fn after(&mut self, millis: i64) -> Vec<Miss> {
        self.now = self.now.plus(millis);
        self.observer.due(self.now)
    }

    pub(crate) fn event(&mut self, id: &str, name: &str) {
        self.observer.event(self.now, seen(id, name));
    }

    /// A worker of this service that has just declared what it handles.
    pub(crate) fn start(&mut self, service: &str, handlers: &[DeclaredHandler]) -> Speaker {
        let by = Instance {
            service: service.into(),
            instance: "first".into(),
            sequence: 0,
            dropped: 0,
            waiting: 0,
        };
        let mut speaker = Speaker { by, handlers: handlers.to_vec(), repeats_ms: 60_000 };
        self.declares(&mut speaker, DeclaredState::Running);
        speaker
    }

    pub(crate) fn declares(&mut self, speaker: &mut Speaker, state: DeclaredState) {
        let declaration = speaker.declaration(self.now, state);
        self.observer.declaration(self.now, declaration);
    }

    pub(crate) fn reports(
        &mut self,
        speaker: &mut Speaker,
        outcome: ReportedOutcome,
        delivery: ReportedDelivery,
    ) {
        let report = speaker.report(outcome, delivery);
        self.observer.report(self.now, &report);
    }

    /// It is done with this event.
    pub(crate) fn done(&mut self, speaker: &mut Speaker, id: &str, name: &str) {
        self.reports(speaker, Done, delivery(id, name));
    }

    /// What is uncertain, in words for programs.
    pub(crate) fn doubts(&self) -> Vec<&'static str> {
        self.observer.uncertain.iter().map(|one| one.doubt.as_str()).collect()
    }
}

impl Speaker {
    pub(crate) fn declaration(&mut self, now: Timestamp, state: DeclaredState) -> Declaration {
        self.by.sequence += 1;
        Declaration {
            by: self.by.clone(),
            state,
            since: now,
            repeats_ms: self.repeats_ms,
            handlers: self.handlers.clone(),
            publishes: Vec::new(),
        }
    }

    pub(crate) fn report(&mut self, outcome: ReportedOutcome, delivery: ReportedDelivery) -> Report {
        self.by.sequence += 1;
        let handler = delivery.handler.as_deref().unwrap_or_default();
        let queue = format!("{}.{handler}", self.by.service);
        Report { by: self.by.clone(), queue, outcome, deliveries: vec![delivery] }
    }
}
