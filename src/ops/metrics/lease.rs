//! What a clock that is one of several knows of their lease, for metrics: shown by each of them, whether it leads or follows.

use super::{counter, gauge, seconds, whole};
use crate::telemetry::{LeaseSeen, ReplicationState};
use prometheus_client::{
    metrics::{family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

/// Nothing of a clock that is alone. Of one that leads `is_warm` is true.
pub(super) fn show(registry: &mut Registry, seen: Option<LeaseSeen>, is_warm: bool) {
    let Some(LeaseSeen { term, changes, gap, ahead, replication }) = seen else { return };
    registry.register("warm", "Whether this clock leads, or would take over at once", gauge(is_warm.into()));
    if let Some(term) = term {
        registry.register("term", "The term under which a clock leads, or led last", gauge(whole(term)));
    }
    let what = "How often another term was seen than before: each is a change of the lead";
    registry.register("lead_changes", what, counter(changes));
    if let Some(gap) = gap {
        let what = "How long no clock led before the present term";
        registry.register_with_unit("hand_over", what, Unit::Seconds, seconds(gap));
    }
    if let Some(ahead) = ahead {
        let what = "By how much the time of this clock is ahead of the database's";
        registry.register_with_unit("database_skew", what, Unit::Seconds, seconds(ahead));
    }
    let states = Family::<[(&str, &str); 1], Gauge>::default();
    for state in ReplicationState::ALL {
        states.get_or_create(&[("state", state.word())]).set((state == replication).into());
    }
    registry.register("replication", "What a failover of the database may lose", states);
}
