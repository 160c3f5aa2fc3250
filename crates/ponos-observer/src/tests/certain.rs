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

/// Another run of a service, that handles something else.
fn another(bus: &mut Bus, instance: &str, handlers: &[DeclaredHandler]) -> Speaker {
    let by =
        Instance { service: "shop".into(), instance: instance.into(), sequence: 0, dropped: 0, waiting: 0 };
    let mut speaker = Speaker { by, handlers: handlers.to_vec(), repeats_ms: 60_000 };
    bus.declares(&mut speaker, DeclaredState::Running);
    speaker
}

#[test]
fn programs_of_one_service_miss_what_each_of_them_declares() {
    let (mut bus, mut shop) = shop();
    let mut other = another(&mut bus, "other", &[handler("shop", "order.parcel.lost", Some(MINUTE))]);
    bus.event("1", NAME);
    bus.event("2", "order.parcel.lost");
    bus.after(LOOKED_AT);
    bus.declares(&mut shop, DeclaredState::Running);
    bus.declares(&mut other, DeclaredState::Running);
    let mut missed: Vec<String> = bus.after(5 * SECOND).into_iter().map(|miss| miss.event_id).collect();
    missed.sort_unstable();
    assert_eq!(missed, ["1", "2"]);
    let coverage = bus.observer.coverage(bus.now);
    assert!(coverage.events.iter().all(|event| event.handlers.iter().all(|handler| handler.declared)));
    assert_eq!(coverage.services[0].handlers, 2);
}

#[test]
fn of_a_queue_the_newest_declaration_holds_and_what_is_new_in_it_is_due_from_then_on() {
    let (mut bus, _) = shop();
    bus.event("1", "order.parcel.lost");
    bus.after(SECOND);
    let of_queue =
        |name: &str| DeclaredHandler { queue: format!("shop.{NAME}"), ..handler("shop", name, Some(MINUTE)) };
    another(&mut bus, "newer", &[of_queue("order.parcel.lost")]);
    let coverage = bus.observer.coverage(bus.now);
    assert_eq!(coverage.services[0].handlers, 1);
    let lost = coverage.events.iter().find(|event| event.event == "order.parcel.lost").unwrap();
    assert_eq!((lost.handlers[0].declared, lost.handlers[0].due), (true, 0));
}

#[test]
fn what_a_newer_program_does_not_declare_may_be_given_up_once_the_older_one_has_stopped() {
    let (mut bus, mut shop) = shop();
    let mut newer = another(&mut bus, "newer", &[handler("shop", "order.parcel.lost", None)]);
    bus.declares(&mut shop, DeclaredState::Stopped);
    bus.event("1", NAME);
    bus.after(LOOKED_AT);
    bus.declares(&mut newer, DeclaredState::Running);
    let found = bus.after(5 * SECOND);
    assert_eq!((found, bus.doubts()), (vec![], vec!["given-up"]));
}
