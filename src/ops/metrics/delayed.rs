//! How delayed events are, for metrics.

use super::{gauge, seconds, whole};
use crate::clock_loop::DelayedStatus;
use ponos::event::Timestamp;
use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::{Registry, Unit},
};

pub(super) fn show(registry: &mut Registry, status: Option<DelayedStatus>, now: Timestamp) {
    let age = status.map_or(0, |status| now.since(status.settled_before).max(0));
    let DelayedStatus { balance, in_flight, refused, parked, .. } = status.unwrap_or_default();
    let events = Family::<[(&str, &str); 1], Counter>::default();
    let counts =
        [("accepted", balance.accepted), ("settled", balance.settled), ("cancelled", balance.cancelled)];
    for (state, count) in counts {
        events.get_or_create(&[("state", state)]).inc_by(count);
    }
    let what = "Delayed events since their store was made: what is accepted is settled, cancelled or pending";
    registry.register("delayed_events", what, events);
    let mut show = |name: &str, what: &str, value: i64| registry.register(name, what, gauge(value));
    show("delayed_pending", "Delayed events that are still to be sent", whole(balance.pending));
    show("delayed_in_flight", "Delayed events that were handed over and are not answered", whole(in_flight));
    show("delayed_refused", "Delayed events that the broker refused and that are sent again", whole(refused));
    let what = "Delayed events that are parked: a person releases or drops them";
    show("delayed_parked", what, whole(parked));
    let what = "How long ago the oldest delayed event was to be sent that is neither settled nor parked";
    registry.register_with_unit("delayed_oldest_age", what, Unit::Seconds, seconds(age));
}
