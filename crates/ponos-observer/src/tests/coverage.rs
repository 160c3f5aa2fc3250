//! Who handles what.

use super::*;
use crate::{Coverage, HandlerCoverage, RunState};

fn of(bus: &Bus) -> Coverage {
    bus.observer.coverage(bus.now)
}

/// The handler of a service for an event.
fn by(coverage: &Coverage, event: &str, service: &str) -> HandlerCoverage {
    let event = coverage.events.iter().find(|of| of.event == event).unwrap();
    event.handlers.iter().find(|handler| handler.service == service).unwrap().clone()
}

#[test]
fn who_handles_an_event_how_much_of_it_and_how_fast() {
    let mut bus = Bus::new();
    let mut shop = bus.start("shop", &[handler("shop", NAME, None)]);
    for id in 0..200 {
        bus.event(&id.to_string(), NAME);
        let outcome = match id {
            0 => ReportedOutcome::Dead,
            1 => ReportedOutcome::Retried,
            _ => Done,
        };
        let took = ReportedDelivery { ended_at: at(id), ..delivery(&id.to_string(), NAME) };
        bus.reports(&mut shop, outcome, took);
    }
    bus.after(MINUTE);
    let handler = by(&of(&bus), NAME, "shop");
    assert_eq!((handler.due, handler.handled, handler.dead, handler.waiting), (200, 198, 1, 1));
    assert_eq!((handler.share, handler.p99_ms), (Some(0.99), Some(197)));
    assert!(handler.declared && !handler.silent);
    assert_eq!(handler.heard_at, Some(at(1)));
    let event = &of(&bus).events[0];
    assert_eq!((event.seen, event.seen_at, event.reaches_nobody), (200, Some(at(1)), false));
}

#[test]
fn a_service_that_stopped_is_named_and_its_handler_is_silent() {
    let mut bus = Bus::new();
    let mut shop = bus.start("shop", &[handler("shop", NAME, Some(MINUTE))]);
    let mut mailer = bus.start("mailer", &[handler("mailer", "order.#", None)]);
    bus.declares(&mut shop, DeclaredState::Stopped);
    bus.event("1", NAME);
    bus.done(&mut mailer, "1", "order.#");
    bus.after(30 * SECOND);
    // it has time yet
    assert!(!by(&of(&bus), NAME, "shop").silent);
    bus.after(MINUTE);
    // until something is heard, nobody knows whether anything can be
    bus.event("2", "parcel.order.lost");
    bus.after(5 * SECOND);
    let coverage = of(&bus);
    let silent = by(&coverage, NAME, "shop");
    assert!(silent.silent && silent.declared, "{silent:?}");
    assert_eq!((silent.share, silent.within_ms), (Some(0.0), Some(60_000)));
    assert!(!by(&coverage, NAME, "mailer").silent);
    let states: Vec<(&str, RunState, usize)> = coverage
        .services
        .iter()
        .map(|service| (service.service.as_str(), service.state, service.workers))
        .collect();
    assert_eq!(states, [("mailer", RunState::Silent, 0), ("shop", RunState::Stopped, 0)]);
    assert_eq!(coverage.missed.len(), 1);
}

#[test]
fn what_no_service_takes_reaches_nobody() {
    let mut bus = Bus::new();
    let mut shop = bus.start("shop", &[handler("shop", NAME, None)]);
    bus.event("1", "order.parcel.lost");
    let mut declaration = shop.declaration(bus.now, DeclaredState::Running);
    declaration.publishes = vec!["order.label.printed".into()];
    bus.observer.declaration(bus.now, declaration);
    // of a service that declares nothing
    let mut other = bus.start("other", &[]);
    bus.event("2", "order.item.sold");
    bus.done(&mut other, "2", "order.item.sold");
    let coverage = of(&bus);
    let reaches: Vec<(&str, bool, u64)> = coverage
        .events
        .iter()
        .map(|event| (event.event.as_str(), event.reaches_nobody, event.seen))
        .collect();
    assert_eq!(
        reaches,
        [
            ("order.item.sold", false, 1),
            ("order.label.printed", true, 0),
            ("order.parcel.lost", true, 1),
            // not seen yet
            (NAME, false, 0),
        ]
    );
    assert_eq!(coverage.events[1].published_by, ["shop"]);
    assert!(!by(&coverage, "order.item.sold", "other").declared);
}

#[test]
fn tasks_are_covered_like_events() {
    let mut bus = Bus::new();
    let name = "shop.label.print";
    let of_task = DeclaredHandler { tasks: true, ..handler("shop", name, None) };
    let mut shop = bus.start("shop", &[handler("shop", NAME, None), of_task]);
    let published = vec![task("2", name, "shop.shop.label.print"), task("3", name, "shop.shop.label.print")];
    bus.reports(&mut shop, Done, ReportedDelivery { published, ..delivery("1", NAME) });
    bus.done(&mut shop, "2", name);
    let handler = by(&of(&bus), name, "shop");
    assert_eq!((handler.due, handler.handled, handler.share), (2, 1, Some(0.5)));
}

#[test]
fn what_was_sent_before_it_was_declared_is_not_due() {
    let mut bus = Bus::new();
    bus.event("1", NAME);
    bus.after(1);
    bus.start("shop", &[handler("shop", NAME, None)]);
    let handler = by(&of(&bus), NAME, "shop");
    assert_eq!((handler.due, handler.share), (0, None));
}

#[test]
fn a_service_that_is_not_heard_for_long_is_forgotten() {
    let mut bus = Bus::new();
    bus.start("shop", &[handler("shop", NAME, None)]);
    assert_eq!(of(&bus).services[0].state, RunState::Running);
    bus.after(24 * 60 * MINUTE);
    assert_eq!(of(&bus).services.len(), 1);
    bus.after(MINUTE);
    assert_eq!((of(&bus).services.len(), of(&bus).events.len()), (0, 0));
    // and nobody takes its events any more
    bus.event("1", NAME);
    assert!(of(&bus).events[0].reaches_nobody);
}

#[test]
fn services_runs_and_names_are_bounded() {
    let limits = Limits { services: 3, of_service: 2, answer: 5, ..Limits::default() };
    let mut bus = Bus::with(limits);
    for service in ["a", "b", "c", "d"] {
        bus.start(
            service,
            &[
                handler(service, "a.b.c", None),
                handler(service, "a.b.d", None),
                handler(service, "a.b.e", None),
            ],
        );
    }
    for run in 0..9 {
        bus.after(1);
        let by =
            Instance { service: "a".into(), instance: run.to_string(), sequence: 0, dropped: 0, waiting: 0 };
        let mut speaker = Speaker { by, handlers: Vec::new(), repeats_ms: 60_000 };
        bus.declares(&mut speaker, DeclaredState::Running);
    }
    for name in 0..9 {
        bus.event(&name.to_string(), &format!("order.parcel{name}.shipped"));
    }
    let coverage = of(&bus);
    let counted: Vec<(usize, usize)> =
        coverage.services.iter().map(|service| (service.workers, service.handlers)).collect();
    assert_eq!(counted, [(2, 0), (1, 2), (1, 2)]);
    assert_eq!((coverage.events.len(), coverage.left_out), (5, 6));
    assert_eq!(bus.observer.counts().refused, 1);
}
