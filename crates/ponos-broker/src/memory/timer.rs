//! Expires messages while nobody uses the broker.

use super::{Broker, SharedBroker};
use std::sync::{Arc, Weak};
use tokio::{
    sync::Notify,
    time::{Duration, sleep_until},
};

/// Runs until the broker is dropped.
pub(super) async fn run(broker: Weak<SharedBroker>, changed: Arc<Notify>) {
    loop {
        let wake_at = {
            let Some(shared) = broker.upgrade() else { return };
            let broker = Broker(shared);
            broker.with(|inner, now| inner.state.expire(now));
            let wake_at = broker.lock().state.wake_at();
            wake_at.and_then(|at| broker.0.began.checked_add(Duration::from_millis(at)))
        };
        match wake_at {
            Some(at) => tokio::select! {
                () = sleep_until(at) => {}
                () = changed.notified() => {}
            },
            None => changed.notified().await,
        }
    }
}
