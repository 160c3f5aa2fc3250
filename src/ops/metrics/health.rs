//! How a clock is, for metrics: of one that follows another that is all.

use super::{Seconds, gauge, lease, seconds, with_observed};
use crate::{
    clock,
    clock_loop::{Degraded, Status},
    ops::{OpsError, RunningClock, run_blocking},
    schedule::ZoneData,
};
use ponos::{broker::Link, event::Timestamp};
use prometheus_client::{
    metrics::{family::Family, gauge::Gauge, info::Info},
    registry::{Registry, Unit},
};
use std::time::Duration;

/// The metrics of a clock that follows another one, of this status, and as warm as that. All else is the leader's, who shows it.
///
/// # Errors
/// [`OpsError::Defect`].
pub async fn of_follower(clock: &RunningClock, status: Status, is_warm: bool) -> Result<Registry, OpsError> {
    let (counts, zones, started) = (clock.counts.clone(), clock.zone_data(), clock.started);
    let observed = clock.observed().cloned();
    run_blocking(move || {
        let mut all = with_observed(observed);
        let registry = all.sub_registry_with_prefix("khronos");
        show(registry, &status, false, (&zones, started));
        lease::show(registry, counts.lease().seen(), is_warm);
        counts.register_of_follower(registry);
        all
    })
    .await
}

pub(super) fn show(
    registry: &mut Registry,
    status: &Status,
    leads: bool,
    (zones, started): (&ZoneData, Timestamp),
) {
    let mut show = |name: &str, what: &str, value: bool| registry.register(name, what, gauge(value.into()));
    show("ready", "Whether events can go out, or would if this clock led", status.reasons.is_empty());
    show("leader", "Whether this clock leads", leads);
    let connected = matches!(status.link, Link::Up { .. } | Link::Blocked { .. });
    show("broker_connected", "Whether there is a connection to the broker", connected);
    let degraded = Family::<[(&str, &str); 1], Gauge>::default();
    for what in Degraded::ALL {
        degraded.get_or_create(&[("reason", what.word())]).set(status.degraded.contains(&what).into());
    }
    registry.register("degraded", "Which reasons and warnings there are", degraded);
    if let Some(quality) = clock::quality() {
        let error = |duration: Duration| {
            let seconds = Seconds::default();
            seconds.set(duration.as_secs_f64());
            seconds
        };
        let what = "Whether somebody keeps the system's time";
        registry.register("time_kept", what, gauge(quality.is_kept.into()));
        let what = "By how much the system's time is probably wrong";
        registry.register_with_unit(
            "time_estimated_error",
            what,
            Unit::Seconds,
            error(quality.estimated_error),
        );
        let what = "By how much the system's time is wrong at most";
        registry.register_with_unit("time_max_error", what, Unit::Seconds, error(quality.most_error));
    }
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let labels = [("version", version), ("clock", status.clock.clone()), ("time_zones", zones.to_string())];
    registry.register("build", "Version, name and zone data of the clock", Info::new(labels));
    let began = seconds(started.millis());
    registry.register_with_unit("start_time", "When the clock began", Unit::Seconds, began);
}
