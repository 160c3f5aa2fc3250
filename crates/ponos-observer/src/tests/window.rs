//! The bounds of the window, whatever comes.

use super::*;
use proptest::prelude::*;

#[test]
fn the_oldest_go_first_by_number_by_bytes_and_by_age() {
    let mut bus = Bus::with(Limits { events: 3, ..Limits::default() });
    for id in ["1", "2", "3", "4"] {
        bus.event(id, NAME);
    }
    assert_eq!(bus.observer.why(bus.now, "1"), None);
    assert!(bus.observer.why(bus.now, "2").is_some());
    assert_eq!((bus.observer.counts().kept.0, bus.observer.counts().trimmed), (3, 1));
    let mut bus = Bus::with(Limits { bytes: 3_000, ..Limits::default() });
    for id in 0..100 {
        bus.event(&id.to_string(), NAME);
        assert!(bus.observer.counts().kept.1 <= 3_000);
    }
    assert!(bus.observer.why(bus.now, "99").is_some());
    let mut bus = Bus::with(Limits { age_ms: MINUTE, ..Limits::default() });
    bus.event("1", NAME);
    bus.after(MINUTE);
    assert_eq!(bus.observer.counts().kept.0, 1);
    bus.after(1);
    assert_eq!(bus.observer.counts().kept, (0, 0));
}

#[test]
fn all_texts_of_a_handling_are_counted_and_what_has_an_endless_id_is_not_watched() {
    let mut bus = Bus::with(Limits { bytes: 10_000, ..Limits::default() });
    let mut shop = bus.start("shop", &[handler("shop", NAME, Some(MINUTE))]);
    bus.event(&"x".repeat(256), NAME);
    assert_eq!((bus.observer.counts().watched, bus.observer.counts().unwatched), (0, 1));
    let endless = ReportedDelivery { handler: Some("x".repeat(20_000)), ..delivery("1", NAME) };
    bus.reports(&mut shop, Done, endless);
    assert!(bus.observer.counts().kept.1 <= 10_000);
}

#[test]
fn one_event_that_is_larger_than_all_room_goes_at_once() {
    let mut bus = Bus::with(Limits { bytes: 10_000, ..Limits::default() });
    bus.event("1", NAME);
    bus.observer.event(bus.now, SeenEvent { subject: Some("x".repeat(100_000)), ..seen("2", NAME) });
    assert_eq!(bus.observer.counts().kept, (0, 0));
}

/// Anything that may be heard: few ids, so that they meet.
#[derive(Debug, Clone)]
enum Heard {
    Event { id: u8, cause: Option<u8>, trace: Option<u8> },
    Report { service: u8, id: u8, cause: Option<u8>, outcome: u8, published: Vec<u8>, sequence: u64 },
    Declared { service: u8, instance: u8, within: Option<u16>, sequence: u64 },
    Interrupted,
    Listening,
    Later(u32),
}

fn heard() -> impl Strategy<Value = Heard> {
    let id = || 0..40_u8;
    prop_oneof![
        4 => (id(), proptest::option::of(id()), proptest::option::of(0..3_u8))
            .prop_map(|(id, cause, trace)| Heard::Event { id, cause, trace }),
        4 => (0..4_u8, id(), proptest::option::of(id()), 0..9_u8, proptest::collection::vec(id(), 0..4), 0..50_u64)
            .prop_map(|(service, id, cause, outcome, published, sequence)| Heard::Report {
                service, id, cause, outcome, published, sequence,
            }),
        2 => (0..4_u8, 0..4_u8, proptest::option::of(1..60_000_u16), 0..50_u64)
            .prop_map(|(service, instance, within, sequence)| Heard::Declared { service, instance, within, sequence }),
        1 => Just(Heard::Interrupted),
        1 => Just(Heard::Listening),
        3 => (0..90_000_u32).prop_map(Heard::Later),
    ]
}

const OUTCOMES: [ReportedOutcome; 9] = [
    Done,
    ReportedOutcome::AlreadyHandled,
    ReportedOutcome::Skipped,
    ReportedOutcome::Retried,
    ReportedOutcome::Snoozed,
    ReportedOutcome::Released,
    ReportedOutcome::Dead,
    ReportedOutcome::Cancelled,
    ReportedOutcome::Other,
];

fn take(bus: &mut Bus, heard: Heard) {
    let now = bus.now;
    let text = |id: Option<u8>| id.map(|id| id.to_string());
    match heard {
        Heard::Event { id, cause, trace } => {
            let trace_id = trace.map(|trace| format!("{trace:032x}"));
            let event = SeenEvent { causation_id: text(cause), trace_id, ..seen(&id.to_string(), NAME) };
            bus.observer.event(now, event);
        }
        Heard::Report { service, id, cause, outcome, published, sequence } => {
            let service = format!("service{service}");
            let by =
                Instance { service: service.clone(), instance: "0".into(), sequence, dropped: 0, waiting: 0 };
            let published =
                published.iter().map(|id| task(&id.to_string(), "a.b.c", &format!("{service}.a.b.c")));
            let published = published.collect();
            let delivery =
                ReportedDelivery { causation_id: text(cause), published, ..delivery(&id.to_string(), NAME) };
            let outcome = OUTCOMES[usize::from(outcome)];
            let queue = format!("{service}.{NAME}");
            bus.observer.report(now, &Report { by, queue, outcome, deliveries: vec![delivery] });
        }
        Heard::Declared { service, instance, within, sequence } => {
            let service = format!("service{service}");
            let by = Instance {
                service: service.clone(),
                instance: instance.to_string(),
                sequence,
                dropped: 0,
                waiting: 0,
            };
            let of_task =
                DeclaredHandler { tasks: true, ..handler(&service, "a.b.c", within.map(i64::from)) };
            let handlers = vec![handler(&service, NAME, within.map(i64::from)), of_task];
            let mut speaker = Speaker { by, handlers, repeats_ms: 10_000 };
            bus.declares(&mut speaker, DeclaredState::Running);
        }
        Heard::Interrupted => bus.observer.interrupted(now),
        Heard::Listening => bus.observer.listening(now),
        Heard::Later(millis) => drop(bus.after(millis.into())),
    }
}

fn size(node: &crate::Node) -> usize {
    1 + node.followed.iter().map(size).sum::<usize>()
}

proptest! {
    #[test]
    fn whatever_is_heard_all_stays_within_its_bounds(all in proptest::collection::vec(heard(), 1..200)) {
        let limits = Limits { events: 20, bytes: 16_000, age_ms: 300_000, watched: 15, answer: 8, told: 4, ..Limits::default() };
        let mut bus = Bus::with(limits.clone());
        for heard in all {
            take(&mut bus, heard);
            let counts = bus.observer.counts();
            prop_assert!(counts.kept.0 <= limits.events && counts.kept.1 <= limits.bytes, "{counts:?}");
            prop_assert!(counts.watched <= limits.watched);
            let coverage = bus.observer.coverage(bus.now);
            prop_assert!(coverage.missed.len() <= limits.told && coverage.uncertain.len() <= limits.told);
            prop_assert!(coverage.events.iter().flat_map(|event| &event.handlers).all(|handler| handler.handled <= handler.due));
            // nothing is due any more that was looked at
            bus.observer.due(bus.now);
            prop_assert!(bus.observer.next_due().is_none_or(|due| due > bus.now));
        }
        for id in 0..40_u8 {
            if let Some(why) = bus.observer.why(bus.now, &id.to_string()) {
                let shown: usize = why.roots.iter().map(size).sum();
                prop_assert!(shown <= limits.answer && why.roots[0].event.id == id.to_string());
            }
        }
        // all goes in time, and nothing is left of the lists
        bus.after(limits.age_ms + 1);
        prop_assert_eq!(bus.observer.counts().kept, (0, 0));
        prop_assert!(bus.observer.window.is_empty());
    }
}
