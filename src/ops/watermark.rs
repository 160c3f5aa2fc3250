//! `time.watermark.advanced`: up to which instant everything was published. For whoever depends on time: when it comes no more, time
//! is not kept, or the way to here is broken; a batch that must miss nothing begins when it has passed.

use super::{OpsError, RunningClock, metrics};
use crate::clock_loop::{PROBE, TERM};
use ponos::{
    broker::Publishing,
    event::{Event, EventKind, EventName, HeaderValue, OccurrenceId, Timestamp},
    shutdown::{Shutdown, Stage},
};
use serde::Serialize;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};
use tracing::debug;

/// The event.
pub const EVENT: &str = "time.watermark.advanced";
/// Stands for a schedule in its id; none can have this name.
const SCHEDULE: &str = "/watermark";

/// Where it goes.
#[derive(Debug)]
pub struct Way {
    /// To the adapter; full while nothing is confirmed.
    pub submit: mpsc::WeakSender<Vec<Publishing>>,
    /// The exchange of all events.
    pub exchange: Arc<str>,
    /// Under which the clock leads, among several.
    pub term: Option<u64>,
}

/// `data` of the event: `schemas/watermark-event.json`.
#[derive(Debug, Serialize)]
struct Data {
    watermark: Timestamp,
    parked: u64,
    paused: bool,
}

/// Publishes it as often as that, if it has advanced, until the shutdown drains, or the adapter's task ends. It is not sent again where it was lost: the next one
/// says more.
pub async fn run(clock: RunningClock, way: Way, every: Duration, shutdown: Shutdown) {
    let mut tick = interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Timestamp::EPOCH;
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = shutdown.reached(Stage::Draining) => return,
        }
        let data = match read(&clock).await {
            Ok(data) => data,
            Err(error) => {
                debug!(%error, "the watermark is not told");
                continue;
            }
        };
        let Some(submit) = way.submit.upgrade() else { return };
        if data.watermark > last
            && clock.is_connected()
            && let Ok(room) = submit.try_reserve()
            && let Some(one) = publishing(&clock.name(), &way, &data)
        {
            room.send(vec![one]);
            last = data.watermark;
        }
    }
}

/// The marks first: what is outstanding then stands in one of the pages, or was settled meanwhile.
async fn read(clock: &RunningClock) -> Result<Data, OpsError> {
    let status = clock.status();
    let before = status.delayed.map(|delayed| delayed.settled_before);
    let before = [before, metrics::oldest(clock).await?].into_iter().flatten().min();
    let watermark = before.map_or(status.settled, |before| status.settled.min(before.plus(-1)));
    let parked = status.parked.saturating_add(status.delayed.map_or(0, |delayed| delayed.parked));
    let paused = status.paused.is_some() || status.paused_by_name > 0;
    Ok(Data { watermark, parked, paused })
}

fn publishing(clock: &str, way: &Way, data: &Data) -> Option<Publishing> {
    let kind = &EventKind::Occurrence;
    let id = OccurrenceId { clock, schedule: SCHEDULE, due: data.watermark, kind }.id();
    let name: EventName = EVENT.parse().ok()?;
    let mut event = Event {
        time: Some(data.watermark),
        ..Event::new(id, format!("/khronos/{clock}"), name, serde_json::to_vec(data).ok()?)
    };
    if let Some(term) = way.term {
        event.extensions.set(TERM, HeaderValue::Int(i64::try_from(term).unwrap_or(i64::MAX)));
    }
    Some(Publishing { token: PROBE, lane: 0, exchange: way.exchange.clone(), message: event.into_message() })
}
