//! The causal tree.

use super::*;
use crate::{AwaitedState, HandlingState, Node, Why};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A clock's event, from which the shop makes a task, by which it publishes an event that the mailer handles.
fn chain() -> Bus {
    let mut bus = Bus::new();
    let of_task = DeclaredHandler { tasks: true, ..handler("shop", "shop.label.print", None) };
    let mut shop = bus.start("shop", &[handler("shop", "time.one-day.passed", None), of_task]);
    let mut mailer = bus.start("mailer", &[handler("mailer", NAME, Some(MINUTE))]);
    let clocks = SeenEvent { trace_id: Some(TRACE.into()), ..seen("1", "time.one-day.passed") };
    bus.observer.event(bus.now, clocks);
    let failed = ReportedDelivery {
        reason: Some("no paper".into()),
        due_at: Some(at(9)),
        ..delivery("1", "time.one-day.passed")
    };
    bus.reports(&mut shop, ReportedOutcome::Retried, failed);
    let of_first = |id: &str, name: &str, cause: Option<&str>| ReportedDelivery {
        causation_id: cause.map(str::to_owned),
        correlation_id: cause.map(|_| "1".to_owned()),
        trace_id: Some(TRACE.into()),
        ..delivery(id, name)
    };
    let second = ReportedDelivery {
        attempt: 2,
        published: vec![task("2", "shop.label.print", "shop.shop.label.print")],
        ..of_first("1", "time.one-day.passed", None)
    };
    bus.reports(&mut shop, Done, second);
    let third = Published { id: "3".into(), name: NAME.into(), queue: None, later: false };
    let printed = ReportedDelivery { published: vec![third], ..of_first("2", "shop.label.print", Some("1")) };
    bus.reports(&mut shop, Done, printed);
    let caused = SeenEvent {
        causation_id: Some("2".into()),
        trace_id: Some(TRACE.into()),
        source: "/shop".into(),
        ..seen("3", NAME)
    };
    bus.observer.event(bus.now, caused);
    bus.done(&mut mailer, "3", NAME);
    bus
}

fn of(bus: &Bus, id: &str) -> Why {
    bus.observer.why(bus.now, id).unwrap()
}

/// The ids of a tree, with how deep they stand.
fn outline(nodes: &[Node]) -> Vec<(usize, String)> {
    fn add(node: &Node, depth: usize, into: &mut Vec<(usize, String)>) {
        into.push((depth, node.event.id.clone()));
        node.followed.iter().for_each(|node| add(node, depth + 1, into));
    }
    let mut all = Vec::new();
    nodes.iter().for_each(|node| add(node, 0, &mut all));
    all
}

fn listed(all: &[(usize, &str)]) -> Vec<(usize, String)> {
    all.iter().map(|(depth, id)| (*depth, (*id).to_owned())).collect()
}

#[test]
fn the_tree_of_an_event_has_all_that_followed_attempt_by_attempt() {
    let bus = chain();
    let why = of(&bus, "1");
    assert_eq!(outline(&why.roots), listed(&[(0, "1"), (1, "2"), (2, "3")]));
    let first = &why.roots[0];
    let [by_shop] = &first.handlings[..] else { panic!("{first:?}") };
    assert_eq!((by_shop.service.as_str(), by_shop.state), ("shop", HandlingState::Handled));
    let [failed, done] = &by_shop.attempts[..] else { panic!("{by_shop:?}") };
    assert_eq!((failed.attempt, failed.outcome), (1, ReportedOutcome::Retried));
    assert_eq!((failed.reason.as_deref(), failed.due_at), (Some("no paper"), Some(at(9))));
    assert_eq!((done.attempt, done.outcome, done.took_ms()), (2, Done, 7));
    assert!(first.is_handled());
    let third = &first.followed[0].followed[0];
    assert_eq!(third.handlings[0].service, "mailer");
    assert_eq!(third.event.source, "/shop");
}

#[test]
fn an_event_within_names_what_it_follows_from() {
    let bus = chain();
    let why = of(&bus, "3");
    let causes: Vec<&str> = why.causes.iter().map(|cause| cause.id.as_str()).collect();
    assert_eq!((causes, outline(&why.roots)), (vec!["1", "2"], listed(&[(0, "3")])));
}

#[test]
fn a_trace_shows_all_its_events_from_the_first_on() {
    let bus = chain();
    assert_eq!(outline(&of(&bus, TRACE).roots), listed(&[(0, "1"), (1, "2"), (2, "3")]));
}

#[test]
fn of_what_was_never_heard_nothing_is_known() {
    assert_eq!(chain().observer.why(at(0), "nothing"), None);
    assert_eq!(chain().observer.why(at(0), &"0".repeat(32)), None);
}

#[test]
fn who_has_not_reported_stands_there_with_what_that_means() {
    let mut bus = Bus::new();
    bus.event("1", NAME);
    bus.after(1);
    let mut mailer = bus.start("mailer", &[handler("mailer", NAME, Some(MINUTE))]);
    bus.after(SECOND);
    bus.event("2", NAME);
    let state = |bus: &Bus, id: &str| of(bus, id).roots[0].awaited[0].state;
    assert_eq!(state(&bus, "1"), AwaitedState::NotYetDeclared);
    assert_eq!(state(&bus, "2"), AwaitedState::Awaited);
    assert_eq!(of(&bus, "2").roots[0].awaited[0].due_at, Some(bus.now.plus(MINUTE)));
    bus.after(MINUTE + 6 * SECOND);
    assert_eq!(state(&bus, "2"), AwaitedState::Uncertain);
    bus.declares(&mut mailer, DeclaredState::Running);
    bus.after(6 * SECOND);
    assert_eq!(state(&bus, "2"), AwaitedState::Missed);
    assert!(!of(&bus, "2").roots[0].is_handled());
    // late, and yet
    bus.done(&mut mailer, "2", NAME);
    assert!(of(&bus, "2").roots[0].is_handled());
}

#[test]
fn what_waits_and_what_lies_dead_is_told_apart() {
    let mut bus = Bus::new();
    let mut shop = bus.start("shop", &[]);
    for (id, outcome, state) in [
        ("1", ReportedOutcome::Snoozed, HandlingState::Waiting),
        ("2", ReportedOutcome::Dead, HandlingState::Dead),
        ("3", ReportedOutcome::Other, HandlingState::Waiting),
    ] {
        bus.reports(&mut shop, outcome, delivery(id, NAME));
        assert_eq!(of(&bus, id).roots[0].handlings[0].state, state);
    }
    // requeued by a person, and done then
    bus.done(&mut shop, "2", NAME);
    assert_eq!(of(&bus, "2").roots[0].handlings[0].state, HandlingState::Handled);
}

#[test]
fn a_circle_of_causes_ends() {
    let mut bus = Bus::new();
    for (id, cause) in [("1", "2"), ("2", "1"), ("3", "3")] {
        let event =
            SeenEvent { causation_id: Some(cause.into()), trace_id: Some(TRACE.into()), ..seen(id, NAME) };
        bus.observer.event(bus.now, event);
    }
    assert_eq!(outline(&of(&bus, "1").roots), listed(&[(0, "1"), (1, "2")]));
    assert_eq!(outline(&of(&bus, "3").roots), listed(&[(0, "3")]));
    assert_eq!(outline(&of(&bus, TRACE).roots).len(), 3);
}

#[test]
fn an_answer_is_bounded_and_says_what_it_leaves_out() {
    let mut bus = Bus::with(Limits { answer: 10, ..Limits::default() });
    bus.event("0", NAME);
    for id in 1..=30 {
        let event = SeenEvent { causation_id: Some("0".into()), ..seen(&id.to_string(), NAME) };
        bus.observer.event(bus.now, event);
    }
    let why = of(&bus, "0");
    assert_eq!((outline(&why.roots).len(), why.left_out), (10, 21));
    // and so is its depth
    let mut bus = Bus::new();
    for id in 0..1_000 {
        let event = SeenEvent { causation_id: Some(format!("{}", id - 1)), ..seen(&id.to_string(), NAME) };
        bus.observer.event(bus.now, event);
    }
    let why = of(&bus, "0");
    assert_eq!((outline(&why.roots).len(), why.left_out), (50, 1));
    assert_eq!(of(&bus, "999").causes.len(), 100);
}

#[test]
fn an_answer_is_read_as_it_was_written() {
    let why = of(&chain(), "1");
    let text = serde_json::to_string(&why).unwrap();
    assert_eq!(serde_json::from_str::<Why>(&text).unwrap(), why);
}

#[test]
fn only_the_first_and_the_latest_attempts_are_kept() {
    let mut bus = Bus::new();
    let mut shop = bus.start("shop", &[]);
    for attempt in 1..=50 {
        bus.reports(&mut shop, ReportedOutcome::Retried, ReportedDelivery { attempt, ..delivery("1", NAME) });
    }
    let handling = of(&bus, "1").roots[0].handlings[0].clone();
    let attempts: Vec<u32> = handling.attempts.iter().map(|attempt| attempt.attempt).collect();
    assert_eq!((attempts.len(), attempts[0], attempts[1], attempts[19]), (20, 1, 32, 50));
    assert_eq!(handling.left_out, 30);
}
