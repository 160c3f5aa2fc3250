//! Those of before, what can't be read, and how many at a time.

use super::*;
use crate::{
    Author, Ceilings,
    delayed::{DelayedInput, DelayedKey, DelayedRules, DelayedSnapshot, OwnerShare, logged_events},
};

const NOW: Timestamp = Timestamp::from_millis(1_764_547_200_000);
const MARKS: Marks = Marks { now: NOW, handed: NOW, reached: NOW, created: 0, since: None };

fn head(creation: u64, is_released: bool) -> ParkedHead {
    let key = DelayedKey { send: NOW, name: format!("n{creation}").as_str().into() };
    let event = DueEvent { key, due: NOW, creation, revision: 1, refused: 0, is_parked: true, topic: None };
    ParkedHead { event, is_released }
}

/// What is asked to be read, and the question.
fn loads(actions: &[DelayedAction]) -> Option<(u64, u64)> {
    actions.iter().find_map(|action| match action {
        DelayedAction::LoadParked { ticket, after, .. } => Some((*ticket, *after)),
        _ => None,
    })
}

/// The question by which some are looked up.
fn finds(actions: &[DelayedAction]) -> Option<u64> {
    actions.iter().find_map(|action| match action {
        DelayedAction::FindParked { ticket, .. } => Some(*ticket),
        _ => None,
    })
}

fn ask(sending: &mut Sending, what: Unparking, creations: std::ops::Range<u64>) -> Vec<DelayedAction> {
    let by = Author::owner("billing", "a test");
    let request = UnparkRequest { command: creations.start, by, what, creations: creations.collect() };
    sending.step(MARKS, &mut Ceilings::default(), DelayedInput::Unpark(Box::new(request)))
}

#[test]
fn nothing_is_decided_before_those_of_before_are_read_page_by_page() {
    let share = OwnerShare { parked: PAGE as u64 + 1, ..OwnerShare::default() };
    let owners = vec![("billing".into(), share)];
    let kept = DelayedSnapshot { owners, ..DelayedSnapshot::default() };
    let mut sending = Sending::new(DelayedRules::default(), &kept);
    assert_eq!(sending.parked(), PAGE as u64 + 1);
    let (ticket, after) = loads(&sending.step(MARKS, &mut Ceilings::default(), DelayedInput::Tick)).unwrap();
    assert_eq!(after, 0);
    let asked = ask(&mut sending, Unparking::Release, 1..3);
    assert_eq!(finds(&asked), None);
    let page = PAGE as u64;
    let heads = (1..=page).map(|creation| head(creation, creation == 1)).collect();
    let next = sending.step(MARKS, &mut Ceilings::default(), DelayedInput::Parked { ticket, heads });
    let (ticket, after) = loads(&next).unwrap();
    assert_eq!((after, sending.parked(), sending.released()), (page, page + 1, 1));
    let last = sending.step(
        MARKS,
        &mut Ceilings::default(),
        DelayedInput::Parked { ticket, heads: vec![head(page + 1, false)] },
    );
    assert_eq!((loads(&last), sending.parked()), (None, page + 1));
    assert!(finds(&last).is_some());
}

#[test]
fn what_can_not_be_read_of_parked_events_holds_up_that_request_alone() {
    let mut sending = Sending::new(DelayedRules::default(), &DelayedSnapshot::default());
    let (ticket, _) = loads(&sending.step(MARKS, &mut Ceilings::default(), DelayedInput::Tick)).unwrap();
    assert!(finds(&ask(&mut sending, Unparking::Release, 1..2)).is_none());
    assert!(finds(&ask(&mut sending, Unparking::Drop, 5..6)).is_none());
    // Those of before can't be read; what is asked for is decided.
    let first =
        finds(&sending.step(MARKS, &mut Ceilings::default(), DelayedInput::NotFound(ticket))).unwrap();
    let next = sending.step(MARKS, &mut Ceilings::default(), DelayedInput::NotFound(first));
    assert!(matches!(next.first(), Some(DelayedAction::NotFound(1))), "{next:?}");
    let found = vec![Some(head(5, false))];
    let second = DelayedInput::FoundParked { ticket: finds(&next).unwrap(), found };
    let decided = sending.step(MARKS, &mut Ceilings::default(), second);
    let Some(DelayedAction::Write { ticket, batch }) = decided.first() else { panic!("{decided:?}") };
    assert_eq!(batch.steps.len(), 1);
    let written = sending.step(MARKS, &mut Ceilings::default(), DelayedInput::Written(*ticket));
    assert!(matches!(written.first(), Some(DelayedAction::Unparked(5, _))), "{written:?}");
}

#[test]
fn many_are_looked_up_in_parts_and_decided_at_once() {
    let mut sending = Sending::new(DelayedRules::default(), &DelayedSnapshot::default());
    let (ticket, _) = loads(&sending.step(MARKS, &mut Ceilings::default(), DelayedInput::Tick)).unwrap();
    sending.step(MARKS, &mut Ceilings::default(), DelayedInput::Parked { ticket, heads: Vec::new() });
    let all = PAGE as u64 + 1;
    let mut actions = ask(&mut sending, Unparking::Drop, 1..all + 1);
    for part in [1..all, all..all + 1] {
        let Some(DelayedAction::FindParked { ticket, creations }) = actions.pop() else { panic!("{part:?}") };
        assert!(creations.iter().copied().eq(part));
        let found = creations.into_iter().map(|creation| Some(head(creation, false))).collect();
        actions = sending.step(MARKS, &mut Ceilings::default(), DelayedInput::FoundParked { ticket, found });
    }
    let Some(DelayedAction::Write { batch, .. }) = actions.pop() else { panic!("{actions:?}") };
    assert_eq!((batch.steps.len(), logged_events(&batch.changes[0])), (PAGE + 1, all));
}

#[test]
fn more_than_the_most_are_not_released_at_a_time_and_that_holds_up_no_drop() {
    let mut sending = Sending::new(DelayedRules::default(), &DelayedSnapshot::default());
    sending.step(MARKS, &mut Ceilings::default(), DelayedInput::Tick);
    sending.parked.released = (1..=MOST as u64).collect();
    let is_refused =
        |actions: &[DelayedAction]| actions.iter().any(|action| matches!(action, DelayedAction::TooMany(_)));
    assert!(is_refused(&ask(&mut sending, Unparking::Release, 20_000..20_001)));
    assert!(!is_refused(&ask(&mut sending, Unparking::Drop, 20_000..20_001)));
    assert!(is_refused(&ask(&mut sending, Unparking::Drop, 30_000..30_000 + MOST as u64)));
}
