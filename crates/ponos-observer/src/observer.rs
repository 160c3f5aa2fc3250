//! The observer: takes what is heard, and says what was not handled in time.

use crate::{
    coverage::{self, Coverage},
    expected::{Doubt, Expected, Listening, Miss, Uncertain},
    limits::Limits,
    seen::SeenEvent,
    services::{MARGIN_MS, Services},
    why::{self, Why},
    window::Window,
};
use ponos_event::{
    Timestamp,
    reports::{Declaration, HANDLING_MISSED, Report},
};
use std::{collections::VecDeque, time::Duration};

/// The most that one call of [`Observer::due`] looks at.
const AT_ONCE: usize = 10_000;
/// The longest time between two looks, in milliseconds; after a longer one much may wait to be heard.
const STOOD_STILL_MS: i64 = MARGIN_MS;
/// By how much time by the observer's clock may differ from time that passed, in milliseconds; by more, it was set.
const SET_MS: i64 = 2_000;

/// Everything that is observed.
#[derive(Debug, Default)]
pub struct Observer {
    pub(crate) limits: Limits,
    pub(crate) window: Window,
    pub(crate) services: Services,
    pub(crate) expected: Expected,
    pub(crate) listening: Listening,
    pub(crate) is_up: bool,
    looked_at: Option<Timestamp>,
    pub(crate) missed: VecDeque<Miss>,
    pub(crate) uncertain: VecDeque<Uncertain>,
    counts: Counts,
}

/// What was counted since the observer began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events seen on the bus.
    pub events: u64,
    /// Deliveries reported.
    pub deliveries: u64,
    /// Declarations heard.
    pub declarations: u64,
    /// What was not handled in time.
    pub missed: u64,
    /// What is uncertain, in the order of [`Doubt::ALL`].
    pub uncertain: [u64; Doubt::ALL.len()],
    /// Events that went because of a bound.
    pub trimmed: u64,
    /// What is not watched, for want of room.
    pub unwatched: u64,
    /// Messages of services that there was no room for.
    pub refused: u64,
    /// How many events are kept, and their bytes as far as they are counted.
    pub kept: (usize, usize),
    /// What is to be handled still.
    pub watched: usize,
}

impl Observer {
    /// One that has heard nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// From now on everything is heard. What was sent before may have been missed.
    pub fn listening(&mut self, now: Timestamp) {
        if self.listening.since.is_none() {
            self.listening.since = Some(now);
        } else if !self.is_up {
            self.listening.gap(now);
        }
        self.is_up = true;
    }

    /// It is about to look at what is [due](Self::due), so much time after it last did by a clock that nobody sets: whether that is a
    /// gap, because it stood still, was behind for long, or the clock of `now` was set. To be called where all that came was taken.
    pub fn looks(&mut self, now: Timestamp, passed: Duration) -> bool {
        let passed = i64::try_from(passed.as_millis()).unwrap_or(i64::MAX);
        let before = self.looked_at.replace(now).unwrap_or(now.plus(passed.saturating_neg()));
        let is_gap = passed > STOOD_STILL_MS || now.since(before).abs_diff(passed) > SET_MS.unsigned_abs();
        if is_gap {
            // what was sent before a clock was set back lies in its future
            self.listening.gap(now.max(before));
        }
        is_gap
    }

    /// From now on nothing is heard any more, until it is [listening](Self::listening) again.
    pub fn interrupted(&mut self, now: Timestamp) {
        if std::mem::replace(&mut self.is_up, false) {
            self.listening.gap(now);
        }
    }

    /// An event was seen on the bus.
    pub fn event(&mut self, now: Timestamp, event: SeenEvent) {
        self.counts.events += 1;
        self.listening.heard_at = Some(now);
        let is_again = self.window.get(&event.id).is_some_and(|entry| entry.sent > 0);
        // a miss that is missed would be followed by another one, for ever
        if !is_again && event.name != HANDLING_MISSED {
            for taker in &*self.services.takers(&event.name) {
                self.expected.add(now, &event.id, &taker.service, &taker.handler, self.limits.watched);
            }
        }
        self.window.seen(now, event);
        self.window.trim(now, &self.limits);
    }

    /// A report was heard.
    pub fn report(&mut self, now: Timestamp, report: &Report) {
        self.listening.heard_at = Some(now);
        let Report { by, queue, outcome, deliveries } = report;
        if self.services.heard(now, by, &self.limits).is_none() {
            return;
        }
        self.counts.deliveries += deliveries.len() as u64;
        for delivery in deliveries {
            self.window.reported(now, (&by.service, queue, *outcome), delivery);
            for published in &delivery.published {
                let is_known = self.window.get(&published.id).is_some_and(|entry| entry.sent_at.is_some());
                let task = published.queue.as_deref().filter(|_| !is_known && !published.later);
                let service = self.services.get(&by.service);
                let taker = task.and_then(|queue| service?.task_taker(queue));
                if let Some(taker) = taker {
                    self.expected.add(now, &published.id, &by.service, taker, self.limits.watched);
                }
                self.window.published(now, &by.service, delivery, published);
            }
        }
        self.window.trim(now, &self.limits);
    }

    /// A declaration was heard.
    pub fn declaration(&mut self, now: Timestamp, declaration: Declaration) {
        self.counts.declarations += 1;
        self.listening.heard_at = Some(now);
        self.services.declared(now, declaration, &self.limits);
    }

    /// When [`Observer::due`] has something to look at.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.expected.next_at()
    }

    /// What was not handled in time, each once. Looks at a bounded number: where [`Observer::next_due`] is past afterwards, there
    /// is more. To be called from time to time even if nothing is due, since what is old goes with it.
    pub fn due(&mut self, now: Timestamp) -> Vec<Miss> {
        let mut missed = Vec::new();
        for _ in 0..AT_ONCE {
            let known = (&self.window, &self.services, self.listening);
            let Some(found) = self.expected.look(now, known) else { break };
            match found {
                Ok(miss) => {
                    self.counts.missed += 1;
                    keep(&mut self.missed, miss.clone(), self.limits.told);
                    missed.push(miss);
                }
                Err(Some(uncertain)) => {
                    let counters = Doubt::ALL.iter().zip(&mut self.counts.uncertain);
                    for (_, count) in counters.filter(|(doubt, _)| **doubt == uncertain.doubt) {
                        *count += 1;
                    }
                    keep(&mut self.uncertain, uncertain, self.limits.told);
                }
                Err(None) => {}
            }
        }
        self.window.trim(now, &self.limits);
        self.services.trim(now, &self.limits);
        missed
    }

    /// What is known of an event by its id, or of a trace by its id: `None` if nothing is.
    pub fn why(&self, now: Timestamp, id: &str) -> Option<Why> {
        why::why(self, now, id)
    }

    /// Who handles what, and who is silent.
    pub fn coverage(&self, now: Timestamp) -> Coverage {
        coverage::coverage(self, now)
    }

    /// The latest that was not handled in time, the newest first.
    pub fn missed(&self) -> impl Iterator<Item = &Miss> {
        self.missed.iter().rev()
    }

    /// Whether everything is heard now.
    pub fn is_listening(&self) -> bool {
        self.is_up
    }

    /// Since when it was listened; there may have been gaps.
    pub fn since(&self) -> Option<Timestamp> {
        self.listening.since
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        Counts {
            trimmed: self.window.trimmed(),
            unwatched: self.expected.unwatched,
            refused: self.services.refused,
            kept: (self.window.len(), self.window.bytes()),
            watched: self.expected.len(),
            ..self.counts.clone()
        }
    }
}

fn keep<T>(kept: &mut VecDeque<T>, one: T, most: usize) {
    kept.push_back(one);
    while kept.len() > most {
        kept.pop_front();
    }
}
