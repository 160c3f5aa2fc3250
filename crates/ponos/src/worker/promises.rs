//! `expect_by_next`: raises an alarm when the event that the last one promised does not arrive.

use super::{
    ended::Observed,
    latest::{Series, series},
    queue_context::QueueContext,
};
use crate::{
    clock::millis,
    event::{Event, EventName, Timestamp},
};
use serde::Deserialize;
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

/// The most series watched; further ones are not.
const WATCHED: usize = 10_000;
/// The wall clock may step: it is looked at again after this.
const LOOK: Duration = Duration::from_secs(60);

/// The events expected, by series.
#[derive(Debug, Default)]
pub(crate) struct Promises {
    by_series: Mutex<HashMap<Series, Promise>>,
    changed: Notify,
}

#[derive(Debug, Clone)]
struct Promise {
    name: EventName,
    due: Timestamp,
    alarm: Timestamp,
    tolerance: Duration,
    told: bool,
}

/// The part of a payload that promises the next one.
#[derive(Deserialize)]
struct Next {
    /// As its publisher writes instants.
    next_due_at: Option<String>,
}

impl Promises {
    /// Notes that an event came: it fulfils the promise of the last one, and makes the next one.
    pub(crate) fn came(&self, event: &Event, now: Timestamp, tolerance: Duration) {
        let next: Option<Next> = serde_json::from_slice(&event.data).ok();
        let series = series(event);
        let mut promises = self.lock();
        if let Some(promise) = promises.get(&series) {
            if event.time.is_some_and(|time| time < promise.due) {
                // an old one again
                return;
            }
            if promise.told {
                tracing::info!(name = %event.name, source = event.source, due = %promise.due, "the missed event has arrived");
            }
        }
        match next.and_then(|next| Timestamp::floored(&next.next_due_at?).ok()) {
            Some(due) if promises.len() < WATCHED || promises.contains_key(&series) => {
                // what is late itself comes from a backlog, and the next one lies behind it
                let alarm = due.max(now).plus(millis(tolerance));
                let name = event.name.clone();
                promises.insert(series, Promise { name, due, alarm, tolerance, told: false });
                drop(promises);
                self.changed.notify_one();
            }
            _ => {
                promises.remove(&series);
            }
        }
    }

    /// Raises alarms, but not while somebody has paused the queue. Ends with the queue.
    pub(crate) async fn watch(&self, queue: &QueueContext) {
        let mut steered = queue.steered.clone();
        loop {
            if steered.borrow().paused.is_some() {
                // by hand: what was promised waits in the queue
                if steered.wait_for(|steered| steered.paused.is_none()).await.is_err() {
                    return;
                }
                self.put_off(queue.service.clock.now());
            }
            let now = queue.service.clock.now();
            for missed in self.missed(now, queue) {
                if let Some(observer) = &queue.service.observer {
                    observer(&missed);
                }
            }
            match self.next_alarm() {
                Some(alarm) => {
                    let wait = Duration::from_millis(u64::try_from(alarm.since(now)).unwrap_or(0)).min(LOOK);
                    // woken, or it is time: both mean another look
                    let _ = timeout(wait, self.changed.notified()).await;
                    // many at once are looked at together
                    sleep(Duration::from_millis(1)).await;
                }
                None => self.changed.notified().await,
            }
        }
    }

    /// Has what was promised come from now on.
    fn put_off(&self, now: Timestamp) {
        for promise in self.lock().values_mut() {
            promise.alarm = promise.alarm.max(now.plus(millis(promise.tolerance)));
        }
    }

    fn next_alarm(&self) -> Option<Timestamp> {
        self.lock().values().filter(|promise| !promise.told).map(|promise| promise.alarm).min()
    }

    /// The events that are overdue now, each once.
    fn missed(&self, now: Timestamp, queue: &QueueContext) -> Vec<Observed> {
        let mut promises = self.lock();
        let late = promises.iter_mut().filter(|(_, promise)| !promise.told && promise.alarm <= now);
        late.map(|((_, source, subject), promise)| {
            promise.told = true;
            let queue = queue.plan.name.clone();
            tracing::error!(
                %queue, name = %promise.name, source, subject = subject.as_deref(), due = %promise.due,
                "a promised event has not arrived; check whether its sender runs and the queue is bound"
            );
            Observed::Missed {
                queue,
                name: promise.name.clone(),
                source: source.clone(),
                subject: subject.clone(),
                due: promise.due,
            }
        })
        .collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Series, Promise>> {
        self.by_series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
