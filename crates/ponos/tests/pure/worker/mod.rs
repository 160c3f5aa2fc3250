//! Workers on the twin, by theme.

mod around;
mod back;
mod batch;
mod check;
mod compressed;
mod control;
mod fleet;
mod handlers;
mod later;
mod life;
mod outgoing;
mod publish;
mod put_off;
mod reply;
mod reports;
mod retry;
mod start;
mod stream;
mod topology;
mod traces;
mod unavailable;

use std::time::Duration;

const NAME: &str = "order.parcel.shipped";
const QUEUE: &str = "shop.order.parcel.shipped";

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}
