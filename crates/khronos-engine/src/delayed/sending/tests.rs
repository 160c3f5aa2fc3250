//! What can't be read of the store; and, beside, what only a whole run shows.

use super::*;
use crate::{Author, Expect, delayed::Found};

mod below_ceilings;
mod many;
mod run;

fn delete(command: u64, name: &str) -> DelayedInput {
    let by = Author::admin("billing", "a test");
    let changes = vec![DelayedChange::Delete { name: name.into(), expect: Expect::Any }];
    DelayedInput::Change(Box::new(DelayedRequest { command, by, message: None, atomic: false, changes }))
}

/// What is asked for next, and which names.
fn asked(actions: &[DelayedAction]) -> Option<(u64, Vec<&str>)> {
    actions.iter().find_map(|action| match action {
        DelayedAction::Find { ticket, names, .. } => {
            Some((*ticket, names.iter().map(|name| &**name).collect()))
        }
        _ => None,
    })
}

fn refused(actions: &[DelayedAction]) -> Option<u64> {
    actions.iter().find_map(|action| match action {
        DelayedAction::NotFound(command) => Some(*command),
        _ => None,
    })
}

#[test]
fn of_what_can_not_be_read_that_request_alone_is_refused() {
    let now = Timestamp::EPOCH;
    let marks = Marks { now, handed: now, reached: now, created: 0, since: None };
    let mut sending = Sending::new(DelayedRules::default(), &DelayedSnapshot::default());
    let first = sending.step(marks, &mut Ceilings::default(), delete(1, "a"));
    let (ticket, names) = asked(&first).unwrap();
    assert_eq!(names, ["a"]);
    for (command, name) in [(2, "b"), (3, "damaged"), (4, "c")] {
        assert!(asked(&sending.step(marks, &mut Ceilings::default(), delete(command, name))).is_none());
    }
    let found = |ticket| DelayedInput::Found { ticket, found: vec![Found::Nothing], answered: Vec::new() };
    let all = sending.step(marks, &mut Ceilings::default(), found(ticket));
    let (ticket, names) = asked(&all).unwrap();
    assert_eq!(names, ["b", "damaged", "c"]);
    // Which of them it is shows when each is asked for by itself.
    let one = sending.step(marks, &mut Ceilings::default(), DelayedInput::NotFound(ticket));
    let (ticket, names) = asked(&one).unwrap();
    assert_eq!((names, refused(&one)), (vec!["b"], None));
    let two = sending.step(marks, &mut Ceilings::default(), found(ticket));
    let (ticket, names) = asked(&two).unwrap();
    assert_eq!(names, ["damaged"]);
    let three = sending.step(marks, &mut Ceilings::default(), DelayedInput::NotFound(ticket));
    let (ticket, names) = asked(&three).unwrap();
    assert_eq!((names, refused(&three)), (vec!["c"], Some(3)));
    let last = sending.step(marks, &mut Ceilings::default(), found(ticket));
    assert_eq!((asked(&last), refused(&last)), (None, None));
    for (command, name) in [(5, "d"), (6, "e")] {
        sending.step(marks, &mut Ceilings::default(), delete(command, name));
    }
    assert_eq!(
        (sending.alone, sending.changes.of("billing")),
        (0, 2),
        "from then on several are looked up at once"
    );
}

#[test]
fn there_is_work_while_something_is_due_below_what_is_reserved_or_unanswered() {
    let marks = |after: i64, handed: i64| {
        let (now, handed) = (run::START.plus(after), run::START.plus(handed));
        Marks { now, handed, reached: handed, created: 0, since: None }
    };
    let ceilings = &mut Ceilings::default();
    let mut sending = Sending::new(DelayedRules::default(), &DelayedSnapshot::default());
    assert!(!sending.has_work(marks(500, 500), ceilings));
    // What is due soon is being read.
    sending.step(marks(0, 500), ceilings, DelayedInput::Tick);
    let due = run::event("due", "order.payment.due", 100).head;
    sending.window.put(DueEvent::from(&due), &DelayedRules::default(), ceilings);
    assert!(!sending.has_work(marks(99, 500), ceilings), "it is not due");
    assert!(!sending.has_work(marks(100, 99), ceilings), "it may not go yet");
    // Nothing is there to send it by.
    assert!(sending.has_work(marks(100, 500), ceilings));
    sending.step(marks(100, 500), ceilings, DelayedInput::Link(true));
    assert_eq!(sending.in_flight(), 1);
    assert!(sending.has_work(marks(101, 500), ceilings), "nobody has confirmed it");
}
