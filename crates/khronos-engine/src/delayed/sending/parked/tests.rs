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
    ask_at(MARKS, sending, what, creations)
}

fn ask_at(
    marks: Marks,
    sending: &mut Sending,
    what: Unparking,
    creations: std::ops::Range<u64>,
) -> Vec<DelayedAction> {
    let by = Author::owner("billing", "a test");
    let request = UnparkRequest { command: creations.start, by, what, creations: creations.collect() };
    sending.step(marks, &mut Ceilings::default(), DelayedInput::Unpark(Box::new(request)))
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

/// What is decided about one that is parked, and written by the time that the later marks are of: how many steps are written, what is
/// answered, and how often something is handed over meanwhile.
fn decide(
    sending: &mut Sending,
    (marks, later): (Marks, Marks),
    what: Unparking,
    found: ParkedHead,
) -> (usize, Unparked, usize) {
    let ceilings = &mut Ceilings::default();
    let creation = found.event.creation;
    let ticket = finds(&ask_at(marks, sending, what, creation..creation + 1)).unwrap();
    let found = DelayedInput::FoundParked { ticket, found: vec![Some(found)] };
    let mut actions = sending.step(marks, ceilings, found);
    let write = actions.iter().find_map(|action| match action {
        DelayedAction::Write { ticket, batch } => Some((*ticket, batch.steps.len())),
        _ => None,
    });
    let (ticket, written) = write.unwrap();
    actions.extend(sending.step(later, ceilings, DelayedInput::Tick));
    actions.extend(sending.step(later, ceilings, DelayedInput::Written(ticket)));
    let answer = actions.iter().find_map(|action| match action {
        DelayedAction::Unparked(_, answer) => Some(answer.clone()),
        _ => None,
    });
    let handed = actions.iter().filter(|action| matches!(action, DelayedAction::Publish(_))).count();
    (written, answer.unwrap(), handed)
}

#[test]
fn what_was_released_and_waits_to_be_sent_can_be_dropped_and_what_is_in_flight_can_not() {
    let owners = vec![("billing".into(), OwnerShare { parked: 1, ..OwnerShare::default() })];
    let kept = DelayedSnapshot { owners, ..DelayedSnapshot::default() };
    for is_set_back in [true, false] {
        let mut sending = Sending::new(DelayedRules::default(), &kept);
        let ceilings = &mut Ceilings::default();
        let (ticket, _) = loads(&sending.step(MARKS, ceilings, DelayedInput::Link(true))).unwrap();
        sending.step(MARKS, ceilings, DelayedInput::Parked { ticket, heads: Vec::new() });
        // Since the clock was set back its send time lies ahead.
        let before = NOW.plus(-10_000);
        let marks = if is_set_back { Marks { now: before, handed: before, ..MARKS } } else { MARKS };
        let (_, released, handed) = decide(&mut sending, (marks, marks), Unparking::Release, head(5, false));
        assert_eq!((released.done, handed), (vec![5], usize::from(!is_set_back)));
        assert_eq!((sending.released(), sending.parked()), (1, 1));
        let (written, twice, _) = decide(&mut sending, (marks, marks), Unparking::Release, head(5, true));
        assert_eq!((written, twice), (0, Unparked { done: vec![], being_sent: vec![5] }));
        // By the time that it is written it is due, and H beyond it.
        let (written, dropped, handed) = decide(&mut sending, (marks, MARKS), Unparking::Drop, head(5, true));
        let (done, being_sent) = if is_set_back { (vec![5], vec![]) } else { (vec![], vec![5]) };
        assert_eq!((written, handed), (done.len(), 0));
        assert_eq!(dropped, Unparked { done, being_sent });
        let left = usize::from(!is_set_back);
        assert_eq!((sending.released(), sending.parked()), (left, left as u64));
    }
}
