//! The task that gathers what ended and publishes it.

use super::{Line, Tally, declaration};
use crate::{
    broker::{Link, PublishOutcome, Publisher, Publishing, Settlement},
    clock::Clock,
    declared::random_id,
    event::{
        Event, EventName,
        reports::{
            DELIVERIES_REPORTED, Declaration, DeclaredState, HANDLERS_DECLARED, REPORTS, Report,
            ReportedDelivery, ReportedOutcome,
        },
    },
    worker::{plan::Plan, signal::Signal},
};
use serde::Serialize;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout_at},
};

/// How long lines are gathered, after the first.
const GATHERED: Duration = Duration::from_millis(200);
/// The most lines that are gathered.
const MOST: usize = 100;
/// What ended so short a time ago is reported before anybody asks for it: far less than the 5 s that an observer waits.
const JUST_NOW: Duration = Duration::from_secs(1);
/// The longest routing key, in bytes.
const KEY: usize = 255;
/// How long closing the connection may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// What is gathered, and what is said of whom.
#[derive(Debug)]
pub(super) struct Sending {
    lines: mpsc::Receiver<Line>,
    clock: Clock,
    source: String,
    /// The types of reports and of declarations.
    names: [EventName; 2],
    exchange: Arc<str>,
    declaration: Declaration,
    tally: Tally,
}

/// A publisher, and how many messages have no settlement yet.
struct Out {
    submit: mpsc::Sender<Vec<Publishing>>,
    link: watch::Receiver<Link>,
    unsettled: watch::Sender<usize>,
}

impl Out {
    fn new(publisher: Publisher, tally: &Tally) -> Self {
        let (submit, settled, link) = publisher.split();
        let unsettled = watch::Sender::new(0);
        // or the publisher would wait for whoever takes its settlements
        tokio::spawn(count_lost(settled, unsettled.clone(), tally.clone()));
        Self { submit, link, unsettled }
    }

    fn is_up(&self) -> bool {
        matches!(&*self.link.borrow(), Link::Up { .. })
    }

    /// Resolves when the connection is up; an error means that the publisher has ended.
    async fn up(&mut self) -> Result<(), watch::error::RecvError> {
        self.link.wait_for(|link| matches!(link, Link::Up { .. })).await.map(drop)
    }

    /// Waits until all is settled, and closes the connection in order.
    async fn close(self) {
        // an error would mean that the sender is gone, which is here
        let _ = self.unsettled.subscribe().wait_for(|unsettled| *unsettled == 0).await;
        drop(self.submit);
        // whatever comes of it: all was said
        let _ = Link::closed(self.link, GOODBYE).await;
    }
}

/// Counts what was lost on its way; the token of each message is how many lines it had.
async fn count_lost(
    mut settled: mpsc::Receiver<Vec<Settlement>>,
    unsettled: watch::Sender<usize>,
    tally: Tally,
) {
    while let Some(batch) = settled.recv().await {
        let lost = batch.iter().filter(|one| !matches!(one.outcome, PublishOutcome::Confirmed { .. }));
        let lost: u64 = lost.map(|one| one.token).sum();
        if lost > 0 {
            tally.drop(lost);
        }
        unsettled.send_modify(|unsettled| *unsettled = unsettled.saturating_sub(batch.len()));
    }
}

impl Sending {
    /// Of the lines that are received; `None` for a worker that does not report.
    pub(super) fn new(plan: &Plan, lines: mpsc::Receiver<Line>) -> Option<Self> {
        let tally = Tally { metrics: plan.reports.clone()?, ..Tally::default() };
        Some(Self {
            lines,
            clock: plan.service.clock,
            source: plan.service.declared.source.clone(),
            names: [DELIVERIES_REPORTED.parse().ok()?, HANDLERS_DECLARED.parse().ok()?],
            exchange: Arc::from(REPORTS),
            declaration: declaration::of(plan),
            tally,
        })
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally.clone()
    }

    /// Reports until the end is raised; then what is left, and that the worker has stopped.
    pub(super) async fn run(mut self, publisher: Publisher, ending: Arc<Signal>) {
        let mut out = Out::new(publisher, &self.tally);
        let repeats = Duration::from_millis(self.declaration.repeats_ms);
        let (mut declare_at, mut gathered) = (Instant::now(), Vec::with_capacity(MOST));
        loop {
            // what can't be sent now waits in the channel, as far as there is room
            let is_up = tokio::select! {
                biased;
                () = ending.raised() => break,
                up = out.up() => up,
            };
            if is_up.is_err() {
                return;
            }
            tokio::select! {
                biased;
                () = ending.raised() => break,
                () = sleep_until(declare_at) => {
                    let waiting = self.report_waiting(&out, &mut gathered).await;
                    self.declare(&out, DeclaredState::Running, waiting).await;
                    declare_at = Instant::now() + repeats;
                }
                came = self.lines.recv_many(&mut gathered, MOST) => {
                    if came == 0 {
                        return;
                    }
                    self.gather(&mut gathered, &ending).await;
                    self.report(&out, &mut gathered).await;
                }
            }
        }
        self.end(out, gathered).await;
    }

    /// Waits for more of what ended.
    async fn gather(&mut self, gathered: &mut Vec<Line>, ending: &Signal) {
        let until = Instant::now() + GATHERED;
        while gathered.len() < MOST {
            let room = MOST - gathered.len();
            let came = tokio::select! {
                biased;
                () = ending.raised() => return,
                came = timeout_at(until, self.lines.recv_many(gathered, room)) => came,
            };
            if matches!(came, Ok(0) | Err(_)) {
                return;
            }
        }
    }

    /// Reports what waits now, for who hears a declaration takes all that ended before it for said. How much waits still that did
    /// not end just now: what comes meanwhile does not hold a declaration up.
    async fn report_waiting(&mut self, out: &Out, gathered: &mut Vec<Line>) -> usize {
        let (began, mut waiting) = (Instant::now(), self.lines.len());
        while waiting > 0 {
            let came = self.lines.recv_many(gathered, waiting.min(MOST)).await;
            if came == 0 {
                break;
            }
            waiting -= came;
            self.report(out, gathered).await;
        }
        if began.elapsed() <= JUST_NOW { 0 } else { self.lines.len() }
    }

    async fn end(mut self, out: Out, mut gathered: Vec<Line>) {
        self.lines.close();
        while out.is_up() && self.lines.recv_many(&mut gathered, MOST).await > 0 {
            self.report(&out, &mut gathered).await;
        }
        let left = gathered.len() + self.lines.len();
        if left > 0 {
            self.tally.drop(left as u64);
        }
        if out.is_up() {
            self.declare(&out, DeclaredState::Stopped, 0).await;
            out.close().await;
        }
    }

    /// Declares once, for a worker that does not run.
    pub(super) async fn declare_once(mut self, publisher: Publisher, state: DeclaredState) {
        let mut out = Out::new(publisher, &self.tally);
        if out.up().await.is_ok() {
            self.declare(&out, state, 0).await;
            out.close().await;
        }
    }

    /// Publishes what was gathered: a message for each queue and outcome.
    async fn report(&mut self, out: &Out, gathered: &mut Vec<Line>) {
        let mut groups: Vec<(Arc<str>, ReportedOutcome, Vec<ReportedDelivery>)> = Vec::new();
        for Line { queue, outcome, delivery } in gathered.drain(..) {
            match groups.iter_mut().find(|(of, as_it_ended, _)| *of == queue && *as_it_ended == outcome) {
                Some((_, _, deliveries)) => deliveries.push(delivery),
                None => groups.push((queue, outcome, vec![delivery])),
            }
        }
        let mut batch = Vec::with_capacity(groups.len());
        let mut follow: usize = groups.iter().map(|(_, _, deliveries)| deliveries.len()).sum();
        for (queue, outcome, deliveries) in groups {
            let (key, count) = (self.key(&queue, outcome.as_str()), deliveries.len() as u64);
            follow -= deliveries.len();
            self.count(follow + self.lines.len());
            let by = self.declaration.by.clone();
            let report = Report { by, queue: queue.to_string(), outcome, deliveries };
            self.tally.metrics.sent.inc_by(count);
            batch.push(self.publishing(self.names[0].clone(), key, count, &report));
        }
        send(out, batch).await;
    }

    async fn declare(&mut self, out: &Out, state: DeclaredState, waiting: usize) {
        self.count(waiting);
        self.declaration.state = state;
        let key = format!("{}.declared", self.declaration.by.service);
        let declared = self.publishing(self.names[1].clone(), key, 0, &self.declaration);
        send(out, vec![declared]).await;
    }

    /// One message more, after which that many lines follow of what has ended.
    fn count(&mut self, waiting: usize) {
        let by = &mut self.declaration.by;
        by.waiting = waiting as u64;
        (by.sequence, by.dropped) = (by.sequence + 1, self.tally.dropped());
    }

    fn key(&self, queue: &str, outcome: &str) -> String {
        let key = format!("{queue}.{outcome}");
        if key.len() <= KEY { key } else { format!("{}.{outcome}", self.declaration.by.service) }
    }

    fn publishing(&self, name: EventName, key: String, lines: u64, data: &impl Serialize) -> Publishing {
        // our own forms can be written
        let data = serde_json::to_vec(data).unwrap_or_default();
        let mut event = Event::new(random_id(), self.source.clone(), name, data);
        event.time = Some(self.clock.now());
        let mut message = event.into_message();
        message.routing_key = key;
        message.properties.persistent = false;
        Publishing { token: lines, lane: 0, exchange: Arc::clone(&self.exchange), message }
    }
}

async fn send(out: &Out, batch: Vec<Publishing>) {
    out.unsettled.send_modify(|unsettled| *unsettled += batch.len());
    // an error: the publisher has ended, which the link shows
    let _ = out.submit.send(batch).await;
}
