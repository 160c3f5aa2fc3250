//! The worker on a real RabbitMQ, by theme: bad input, answers, limits of the fleet, what somebody deletes or cancels by hand, the broker gone in the middle of a task,
//! an orderly stop, its metrics, and what only a broker can show of order and exclusiveness; and the simplest worker, which they share.

mod alarm;
mod bad_input;
mod batch;
mod blocking;
mod breaker_trips;
mod cancel;
mod compressed;
mod control;
mod dead_letters;
mod deleted;
mod fleet;
mod full_headers;
mod guide;
mod inbox_gone;
mod kept_retry;
mod large_headers;
mod liveness;
mod lost;
mod metrics;
mod order;
mod overdue;
mod prefetch;
mod put_off;
mod python;
mod reply;
mod stage;
mod start;
mod steps;
mod stopping;
mod unavailable;

use ponos::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;

/// What the broker does not confirm for so long, the worker gives back.
pub(crate) const CONFIRM: Duration = Duration::from_secs(5);
pub(crate) const NAME: &str = "order.parcel.shipped";
pub(crate) const QUEUE: &str = "shop.order.parcel.shipped";

/// The simplest worker.
pub(crate) fn shop() -> Worker {
    Worker::new("shop").on::<Value>(NAME, async |_: Value, _: Context| Ok(Done))
}

pub(crate) fn parcel(id: &str) -> ponos::event::Message {
    crate::real::event(id, NAME, &json!({ "number": 7 }))
}

/// Ids `<prefix>-0`, `<prefix>-1`, …
pub(crate) fn parcels(prefix: &str, count: usize) -> Vec<ponos::event::Message> {
    (0..count).map(|number| parcel(&format!("{prefix}-{number}"))).collect()
}
