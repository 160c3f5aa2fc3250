//! What an observer that stood still, or that heard half of a service, may not take for certain.

use super::{
    missed::{LOOKED_AT, shop},
    *,
};
use std::time::Duration;

/// A service that has stopped: by what it said, all is certain at once.
fn stopped() -> Bus {
    let (mut bus, mut shop) = shop();
    bus.declares(&mut shop, DeclaredState::Stopped);
    bus.event("1", NAME);
    bus
}

#[test]
fn while_an_observer_stood_still_or_was_behind_nothing_is_missed() {
    for (passed, is_gap) in [(1_000, false), (5_000, false), (5_001, true), (3_600_000, true)] {
        let mut bus = stopped();
        bus.observer.looks(bus.now, Duration::from_secs(1));
        bus.now = bus.now.plus(passed);
        assert_eq!(bus.observer.looks(bus.now, Duration::from_millis(passed.unsigned_abs())), is_gap);
        bus.after(LOOKED_AT);
        bus.event("other", "order.parcel.lost");
        let missed = bus.after(5 * SECOND).len();
        let doubts = if is_gap { vec!["interrupted"] } else { vec![] };
        assert_eq!((missed, bus.doubts()), (usize::from(!is_gap), doubts));
    }
}

#[test]
fn when_the_clock_of_an_observer_was_set_nothing_is_missed() {
    for set in [-60 * MINUTE, -3 * SECOND, 3 * SECOND, 60 * MINUTE] {
        let mut bus = stopped();
        bus.after(MINUTE);
        bus.observer.looks(bus.now, Duration::from_secs(1));
        bus.now = bus.now.plus(SECOND + set);
        assert!(bus.observer.looks(bus.now, Duration::from_secs(1)));
        bus.event("2", NAME);
        let mut missed = Vec::new();
        // until it is later than it was before and all workers are known: what is sent then is judged again
        for minute in 0..150 {
            bus.event(&format!("other-{minute}"), "order.parcel.lost");
            if minute == 70 {
                bus.event("3", NAME);
            }
            missed.extend(bus.after(MINUTE).into_iter().map(|miss| miss.event_id));
        }
        assert_eq!(missed, ["3"]);
        assert_eq!(bus.doubts(), ["interrupted"; 2]);
    }
}
