//! What is missed, and what is uncertain.

use super::*;
use crate::{Doubt, MissState};
use ponos_schema::Contract;

/// A bus with a service that handles parcels within a minute.
pub(super) fn shop() -> (Bus, Speaker) {
    let mut bus = Bus::new();
    let shop = bus.start("shop", &[handler("shop", NAME, Some(MINUTE))]);
    (bus, shop)
}

/// Nothing is known of the time being over until this.
pub(super) const LOOKED_AT: i64 = MINUTE + 5 * SECOND;

#[test]
fn what_nobody_handles_is_missed_once_its_workers_were_heard_after_its_time() {
    let (mut bus, mut shop) = shop();
    bus.event("1", NAME);
    assert_eq!(bus.after(LOOKED_AT), []);
    bus.declares(&mut shop, DeclaredState::Running);
    let missed = bus.after(5 * SECOND);
    assert_eq!(missed.len(), 1, "{:?}", bus.observer);
    let miss = &missed[0];
    assert_eq!((miss.event_id.as_str(), miss.event.as_str(), miss.service.as_str()), ("1", NAME, "shop"));
    assert_eq!((miss.state, miss.attempts, miss.due_at), (MissState::NotReceived, 0, at(1 + MINUTE)));
    let schema = Contract::parse(include_str!("../../../../schemas/reports/handling-missed.json")).unwrap();
    schema.check(&serde_json::to_value(miss).unwrap()).unwrap();
    // once
    assert_eq!(bus.after(10 * MINUTE), []);
    assert_eq!(bus.observer.counts().missed, 1);
}

#[test]
fn what_is_handled_in_time_is_not_missed() {
    for outcome in
        [Done, ReportedOutcome::AlreadyHandled, ReportedOutcome::Skipped, ReportedOutcome::Cancelled]
    {
        let (mut bus, mut shop) = shop();
        bus.event("1", NAME);
        bus.reports(&mut shop, outcome, delivery("1", NAME));
        assert_eq!(bus.after(LOOKED_AT), []);
        assert_eq!((bus.after(60 * MINUTE), bus.doubts()), (vec![], vec![]));
    }
}

#[test]
fn a_report_that_comes_before_its_event_counts() {
    let (mut bus, mut shop) = shop();
    bus.done(&mut shop, "1", NAME);
    bus.event("1", NAME);
    assert_eq!(bus.after(LOOKED_AT), []);
    bus.declares(&mut shop, DeclaredState::Running);
    assert_eq!((bus.after(MINUTE), bus.doubts()), (vec![], vec![]));
}

#[test]
fn what_waits_or_lies_dead_is_missed_with_the_reason() {
    for (outcome, state) in [
        (ReportedOutcome::Retried, MissState::Waiting),
        (ReportedOutcome::Released, MissState::Waiting),
        (ReportedOutcome::Dead, MissState::Dead),
    ] {
        let (mut bus, mut shop) = shop();
        bus.event("1", NAME);
        let failed = ReportedDelivery { reason: Some("no such order".into()), ..delivery("1", NAME) };
        bus.reports(&mut shop, outcome, failed);
        bus.after(LOOKED_AT);
        bus.declares(&mut shop, DeclaredState::Running);
        let missed = bus.after(5 * SECOND);
        assert_eq!((missed[0].state, missed[0].attempts), (state, 1));
        assert_eq!(missed[0].reason.as_deref(), Some("no such order"));
    }
}

#[test]
fn a_service_that_stopped_misses_what_comes_and_its_word_is_enough() {
    let (mut bus, mut shop) = shop();
    bus.declares(&mut shop, DeclaredState::Stopped);
    bus.event("1", NAME);
    // its connection may be dead, until something is heard
    assert_eq!(bus.after(LOOKED_AT), []);
    bus.event("other", "order.parcel.lost");
    assert_eq!(bus.after(5 * SECOND).len(), 1);
}

#[test]
fn a_service_that_was_only_declared_misses_what_it_does_not_handle() {
    let mut bus = Bus::new();
    let by = Instance { service: "shop".into(), instance: "a".into(), sequence: 0, dropped: 0, waiting: 0 };
    let mut declared =
        Speaker { by, handlers: vec![handler("shop", NAME, Some(MINUTE))], repeats_ms: 60_000 };
    bus.declares(&mut declared, DeclaredState::Declared);
    bus.event("1", NAME);
    bus.event("2", NAME);
    // it is started for the first one, and ends again
    let mut woken = bus.start("shop", &declared.handlers);
    bus.done(&mut woken, "1", NAME);
    bus.declares(&mut woken, DeclaredState::Stopped);
    bus.after(LOOKED_AT);
    bus.event("other", "order.parcel.lost");
    let missed = bus.after(5 * SECOND);
    assert_eq!(missed.iter().map(|miss| miss.event_id.as_str()).collect::<Vec<_>>(), ["2"]);
}

#[test]
fn a_worker_that_has_more_to_say_has_not_said_all() {
    let (mut bus, mut shop) = shop();
    bus.event("1", NAME);
    bus.after(LOOKED_AT);
    // its connection for reports was away: this is the first of what waited
    shop.by.waiting = 1;
    bus.done(&mut shop, "0", NAME);
    assert_eq!((bus.after(5 * SECOND), bus.doubts()), (vec![], vec![]));
    shop.by.waiting = 0;
    bus.done(&mut shop, "1", NAME);
    assert_eq!((bus.after(5 * SECOND), bus.doubts()), (vec![], vec![]));
    // and what it says at last is certain
    bus.event("2", NAME);
    shop.by.waiting = 1;
    bus.after(LOOKED_AT);
    bus.done(&mut shop, "3", NAME);
    assert_eq!(bus.after(5 * SECOND), []);
    shop.by.waiting = 0;
    bus.done(&mut shop, "4", NAME);
    assert_eq!(bus.after(5 * SECOND).len(), 1);
}

#[test]
fn where_a_report_was_lost_nothing_is_missed() {
    // a number that was skipped, and deliveries that the worker itself dropped
    for (skipped, dropped) in [(1, 0), (0, 1)] {
        let (mut bus, mut shop) = shop();
        bus.event("1", NAME);
        (shop.by.sequence, shop.by.dropped) = (shop.by.sequence + skipped, dropped);
        bus.after(LOOKED_AT);
        bus.declares(&mut shop, DeclaredState::Running);
        assert_eq!((bus.after(5 * SECOND), bus.doubts()), (vec![], vec!["report-lost"]));
        // what comes after that is certain again
        bus.event("2", NAME);
        bus.after(LOOKED_AT);
        bus.declares(&mut shop, DeclaredState::Running);
        assert_eq!(bus.after(5 * SECOND).len(), 1);
    }
}

#[test]
fn where_the_first_words_of_a_worker_were_lost_nothing_is_missed() {
    let (mut bus, mut shop) = shop();
    bus.after(60 * MINUTE);
    bus.event("1", NAME);
    let by = Instance { instance: "second".into(), sequence: 2, ..shop.by.clone() };
    let mut second = Speaker { by, ..shop.clone() };
    bus.declares(&mut second, DeclaredState::Running);
    bus.after(LOOKED_AT);
    bus.declares(&mut shop, DeclaredState::Running);
    bus.declares(&mut second, DeclaredState::Running);
    let found = bus.after(5 * SECOND);
    assert_eq!((found, bus.doubts()), (vec![], vec!["report-lost"]));
}

#[test]
fn a_worker_that_fell_silent_may_have_handled_it() {
    let (mut bus, _) = shop();
    bus.event("1", NAME);
    assert_eq!((bus.after(LOOKED_AT), bus.doubts()), (vec![], vec![]));
    assert_eq!((bus.after(10 * MINUTE), bus.doubts()), (vec![], vec!["worker-silent"]));
    // long after that it may be at work still, and have lost only its connection for reports
    bus.event("2", NAME);
    assert_eq!((bus.after(LOOKED_AT), bus.doubts()), (vec![], vec!["worker-silent"; 2]));
}

#[test]
fn of_a_worker_that_speaks_again_after_a_long_silence_all_is_certain_again() {
    let (mut bus, mut shop) = shop();
    bus.after(60 * MINUTE);
    bus.event("1", NAME);
    bus.declares(&mut shop, DeclaredState::Running);
    bus.after(LOOKED_AT);
    bus.declares(&mut shop, DeclaredState::Running);
    assert_eq!((bus.after(5 * SECOND).len(), bus.doubts()), (1, vec![]));
}

#[test]
fn one_worker_that_is_heard_is_not_all() {
    let (mut bus, mut first) = shop();
    let mut second = first.clone();
    second.by = Instance { instance: "second".into(), sequence: 0, ..first.by.clone() };
    bus.declares(&mut second, DeclaredState::Running);
    bus.event("1", NAME);
    bus.after(LOOKED_AT);
    bus.declares(&mut first, DeclaredState::Running);
    assert_eq!(bus.after(5 * SECOND), []);
    bus.declares(&mut second, DeclaredState::Running);
    assert_eq!(bus.after(5 * SECOND).len(), 1);
}

#[test]
fn while_the_observer_had_no_connection_nothing_is_missed() {
    let (mut bus, mut shop) = shop();
    bus.event("1", NAME);
    bus.observer.interrupted(bus.now.plus(SECOND));
    bus.observer.listening(bus.now.plus(2 * SECOND));
    bus.after(LOOKED_AT);
    bus.declares(&mut shop, DeclaredState::Running);
    assert_eq!((bus.after(5 * SECOND), bus.doubts()), (vec![], vec!["interrupted"]));
    // soon after that it may not know all workers
    bus.observer.interrupted(bus.now);
    bus.observer.listening(bus.now.plus(SECOND));
    bus.after(2 * SECOND);
    bus.event("2", NAME);
    bus.declares(&mut shop, DeclaredState::Running);
    bus.after(LOOKED_AT);
    bus.declares(&mut shop, DeclaredState::Running);
    assert_eq!((bus.after(5 * SECOND), bus.doubts()), (vec![], vec!["interrupted", "new-here"]));
    bus.after(2 * MINUTE);
    bus.declares(&mut shop, DeclaredState::Running);
    bus.event("3", NAME);
    bus.after(LOOKED_AT);
    bus.declares(&mut shop, DeclaredState::Running);
    assert_eq!(bus.after(5 * SECOND).len(), 1);
}

#[test]
fn of_a_service_that_ran_before_not_all_workers_may_be_known() {
    let mut bus = Bus::new();
    let by = Instance { service: "shop".into(), instance: "a".into(), sequence: 41, dropped: 0, waiting: 0 };
    let mut shop = Speaker { by, handlers: vec![handler("shop", NAME, Some(MINUTE))], repeats_ms: 60_000 };
    bus.declares(&mut shop, DeclaredState::Running);
    bus.event("1", NAME);
    bus.after(LOOKED_AT);
    bus.declares(&mut shop, DeclaredState::Running);
    assert_eq!((bus.after(5 * SECOND), bus.doubts()), (vec![], vec!["new-here"]));
}

#[test]
fn what_a_clock_caught_up_with_is_not_missed() {
    let (mut bus, mut shop) = shop();
    bus.observer.event(bus.now, SeenEvent { is_caught_up: true, ..seen("1", NAME) });
    bus.after(LOOKED_AT);
    bus.declares(&mut shop, DeclaredState::Running);
    assert_eq!((bus.after(5 * SECOND), bus.doubts()), (vec![], vec!["caught-up"]));
}

#[test]
fn what_is_sent_again_has_its_time_from_then_on() {
    // a new leader sends again what the last one may have sent
    let (mut bus, mut shop) = shop();
    bus.event("1", NAME);
    bus.after(30 * SECOND);
    bus.event("1", NAME);
    bus.after(LOOKED_AT - 30 * SECOND);
    bus.declares(&mut shop, DeclaredState::Running);
    assert_eq!(bus.after(20 * SECOND), []);
    bus.after(10 * SECOND);
    bus.declares(&mut shop, DeclaredState::Running);
    assert_eq!(bus.after(5 * SECOND).len(), 1);
    assert_eq!(bus.observer.counts().missed, 1);
}

#[test]
fn what_is_not_kept_any_more_is_uncertain() {
    let mut bus = Bus::with(Limits { events: 1, ..Limits::default() });
    bus.start("shop", &[handler("shop", NAME, Some(MINUTE))]);
    bus.event("1", NAME);
    bus.event("2", "order.parcel.lost");
    assert_eq!((bus.after(LOOKED_AT), bus.doubts()), (vec![], vec!["trimmed"]));
    assert_eq!(bus.observer.counts().uncertain[0], 1);
    assert_eq!(Doubt::ALL[0], Doubt::Trimmed);
}

#[test]
fn what_there_is_no_room_to_watch_is_counted() {
    let mut bus = Bus::with(Limits { watched: 1, ..Limits::default() });
    bus.start("shop", &[handler("shop", NAME, Some(MINUTE))]);
    bus.event("1", NAME);
    bus.event("2", NAME);
    assert_eq!((bus.observer.counts().watched, bus.observer.counts().unwatched), (1, 1));
}

#[test]
fn a_handler_that_is_declared_no_more_misses_nothing() {
    let (mut bus, mut shop) = shop();
    bus.event("1", NAME);
    shop.handlers.clear();
    bus.declares(&mut shop, DeclaredState::Running);
    bus.after(LOOKED_AT);
    bus.declares(&mut shop, DeclaredState::Running);
    assert_eq!((bus.after(5 * SECOND), bus.doubts()), (vec![], vec![]));
}

#[test]
fn only_who_says_within_what_time_can_miss_it_and_of_a_queue_only_the_first_that_matches() {
    let mut bus = Bus::new();
    let of_queue =
        |name: &str, within| DeclaredHandler { queue: "shop.all".into(), ..handler("shop", name, within) };
    let handlers = [of_queue("order.*.shipped", None), of_queue("order.#", Some(SECOND))];
    let mut shop = bus.start("shop", &handlers);
    bus.event("1", NAME);
    bus.event("2", "order.parcel.lost");
    bus.after(LOOKED_AT);
    bus.declares(&mut shop, DeclaredState::Running);
    let missed = bus.after(5 * SECOND);
    assert_eq!(missed.iter().map(|miss| miss.event_id.as_str()).collect::<Vec<_>>(), ["2"]);
}

#[test]
fn a_task_that_was_published_is_to_be_handled_in_time_too() {
    let mut bus = Bus::new();
    let name = "shop.label.print";
    let of_task = DeclaredHandler { tasks: true, ..handler("shop", name, Some(MINUTE)) };
    let mut shop = bus.start("shop", &[handler("shop", NAME, None), of_task]);
    let published = vec![
        task("2", name, "shop.shop.label.print"),
        Published { later: true, ..task("3", name, "shop.shop.label.print") },
    ];
    bus.reports(&mut shop, Done, ReportedDelivery { published, ..delivery("1", NAME) });
    bus.after(LOOKED_AT);
    bus.declares(&mut shop, DeclaredState::Running);
    let missed = bus.after(5 * SECOND);
    assert_eq!(missed.iter().map(|miss| miss.event_id.as_str()).collect::<Vec<_>>(), ["2"]);
}

#[test]
fn a_miss_of_a_miss_is_none() {
    let mut bus = Bus::new();
    bus.start("pager", &[handler("pager", "ponos.handling.missed", Some(SECOND))]);
    bus.event("1", "ponos.handling.missed");
    assert_eq!(bus.observer.next_due(), None);
}

#[test]
fn a_miss_has_an_id_of_its_own_that_is_always_the_same() {
    let (mut bus, mut shop) = shop();
    bus.event("1", NAME);
    bus.after(LOOKED_AT);
    bus.declares(&mut shop, DeclaredState::Running);
    let miss = bus.after(5 * SECOND).remove(0);
    // computed apart, by the rule
    assert_eq!(miss.id().as_str(), "fddc00ef-0e64-5e9b-93d3-d0c92b7cf10f");
    for other in [
        Miss { event_id: "2".into(), ..miss.clone() },
        Miss { service: "shops".into(), ..miss.clone() },
        Miss { queue: "shop.all".into(), ..miss.clone() },
        Miss { handler: "order.#".into(), ..miss.clone() },
    ] {
        assert_ne!(other.id(), miss.id());
    }
    assert_eq!(Miss { attempts: 9, reason: Some("late".into()), ..miss.clone() }.id(), miss.id());
}
