//! What waits for a person and what is tried cost each other nothing, and people are told in moderation.

use super::*;
use crate::{Coalesced, Era, Parked};

const HOUR: i64 = 60 * MINUTE;

fn lose(_: &Handover) -> Answer {
    Answer::Lost
}

fn tried(most: u32) -> Option<ResendsDefinition> {
    Some(ResendsDefinition { most: Some(most), within: Some("10m".into()) })
}

impl Unbound {
    fn load_these(&mut self, definitions: impl IntoIterator<Item = Definition>) {
        let packed = definitions.into_iter().map(|one| Packed::build(&one).unwrap());
        self.step(Input::Load(packed.collect()));
    }

    fn dropped(&self) -> Vec<&str> {
        let rows = self.rows.iter().filter(|row| row.outcome == Outcome::DroppedAtLimit);
        rows.map(|row| &*row.schedule).collect()
    }

    /// Of each notice about refusals, whether it says that it is sent again by itself, and the words.
    fn refusals_said(&self) -> Vec<(bool, String)> {
        let said = self.notices.iter().filter_map(|notice| match notice {
            Notice::Refused { again, .. } => Some((*again, notice.to_string())),
            _ => None,
        });
        said.collect()
    }
}

#[test]
fn what_a_slow_schedule_refuses_after_a_run_was_given_up_is_a_run_of_its_own_that_is_tried() {
    let mut clock = Unbound::new(100);
    clock.load_these([Definition { every: Some("1h".into()), resends: tried(5), ..minutely("a") }]);
    clock.answer = refuse;
    clock.pass(HOUR + 15 * MINUTE);
    assert_eq!(clock.entries(), [(60, 60, 6, false)]);
    clock.pass(45 * MINUTE);
    assert_eq!(clock.entries(), [(60, 60, 6, false), (120, 120, 1, true)]);
    clock.answer = accept;
    clock.pass(MINUTE);
    assert_eq!(clock.entries(), [(60, 60, 6, false)]);
}

#[test]
fn the_notice_about_a_refusal_says_what_becomes_of_it() {
    for (most, again) in [(5, true), (0, false)] {
        let mut clock = Unbound::new(100);
        clock.answer = refuse;
        clock.load_one(most);
        clock.pass(MINUTE);
        let said = clock.refusals_said();
        assert_eq!(said.len(), 1);
        assert_eq!((said[0].0, said[0].1.contains("sent again by itself")), (again, again), "{said:?}");
        // Given up, what joins it waits as it does.
        clock.pass(19 * MINUTE);
        let (again, text) = clock.refusals_said().pop().unwrap();
        assert!(!again && text.contains("waits for a person"), "{text}");
    }
}

#[test]
fn the_ninth_run_that_is_left_to_people_is_said() {
    let mut clock = Unbound::new(100);
    clock.answer =
        |one| if one.stands_for.last.millis() / MINUTE % 2 == 1 { refuse(one) } else { accept(one) };
    clock.load_one(100);
    clock.pass(20 * MINUTE);
    let said = clock.notices.iter().filter_map(|notice| match notice {
        Notice::Parked { number, others, .. } => Some((*number, *others)),
        _ => None,
    });
    assert_eq!(said.collect::<Vec<_>>(), [(1, 0), (2, 0)]);
}

#[test]
fn of_many_that_are_left_to_people_at_once_one_is_said_and_how_many_others() {
    let mut clock = Unbound::new(100);
    clock.load(30);
    clock.pass(MINUTE + 11_000);
    let said = clock.notices.iter().filter_map(|notice| match notice {
        Notice::Parked { others, .. } => Some(1 + others),
        _ => None,
    });
    let said: Vec<usize> = said.collect();
    assert_eq!((said.iter().sum::<usize>(), said.len() <= 2), (30, true), "{said:?}");
}

#[test]
fn what_lies_ahead_since_the_clock_was_set_back_holds_up_no_try() {
    let mut clock = Unbound::new(100);
    clock.load_one(5);
    clock.answer = accept;
    clock.pass(14 * MINUTE);
    clock.answer = refuse;
    clock.pass(MINUTE + 500);
    assert_eq!(clock.entries(), [(15, 15, 1, true)]);
    clock.now -= 10 * MINUTE;
    clock.set_back += 10 * MINUTE;
    clock.step(Input::Tick);
    clock.pass(MINUTE);
    assert_eq!(clock.entries(), [(15, 15, 1, true), (6, 6, 1, true)]);
    clock.answer = accept;
    clock.sent();
    clock.pass(2_000);
    assert_eq!(clock.entries(), [(15, 15, 1, true)]);
    assert_eq!(clock.sent().len(), 1);
    clock.pass(9 * MINUTE);
    assert_eq!(clock.entries(), [], "its own time has come");
}

#[test]
fn a_restart_after_the_clock_was_set_back_waits_no_longer_than_a_refusal_does() {
    let at = |millis: i64| Timestamp::from_millis(START + millis);
    let parked = Parked {
        schedule: "a".into(),
        revision: 1,
        stands_for: Coalesced { first: at(-MINUTE), last: at(-MINUTE), count: 1 },
        reason: "full".into(),
        at: at(-MINUTE),
        released: false,
        singly: true,
        refused: 1,
        retry_at: Some(at(20 * HOUR)),
        kind: ponos_event::EventKind::Occurrence,
    };
    let snapshot = Snapshot {
        settled: Some(at(0)),
        handed: Some(at(0)),
        reached: Some(at(24 * HOUR)),
        set_backs: 1,
        revisions: vec![Era::first(1, at(-HOUR)).of(Packed::build(&minutely("a")).unwrap())],
        parked: vec![(1, parked)],
        ..Snapshot::default()
    };
    let rules = Unbound::new(100).engine.rules;
    let engine = Engine::start(rules, snapshot, Reading { wall: at(0), boot: 0 }).having_read();
    let retry_at = engine.parked()[&1].retry_at.unwrap();
    assert!(retry_at <= at(MINUTE), "{retry_at}");
}

#[test]
fn what_is_tried_does_not_count_towards_the_limit() {
    let mut clock = Unbound::new(20);
    clock.answer = refuse;
    clock.load(100);
    clock.pass(MINUTE + 1_000);
    assert_eq!((clock.engine.parked().len(), clock.dropped().len()), (100, 0));
    clock.answer = accept;
    clock.pass(30_000);
    assert_eq!((clock.engine.parked().len(), clock.dropped().len()), (0, 0));
}

#[test]
fn a_schedule_that_flaps_drops_nothing_of_others_at_the_limit_and_that_is_said_now_and_then() {
    let mut clock = Unbound::new(20);
    let others = (0..10).map(|number| minutely(&format!("s{number:02}")));
    let flaps = Definition { every: Some("1s".into()), ..minutely("a") };
    clock.load_these(others.chain([flaps]));
    clock.answer = |one| match &*one.schedule.name {
        "a" if one.stands_for.last.millis() / 1_000 % 2 == 0 => accept(one),
        "a" => reach_nobody(one),
        _ if one.stands_for.last.millis() == START + MINUTE => reach_nobody(one),
        _ => accept(one),
    };
    clock.pass(3 * MINUTE);
    let dropped = clock.dropped();
    assert!(dropped.len() > 50 && dropped.iter().all(|name| *name == "a"), "{dropped:?}");
    assert_eq!(clock.engine.parked().len(), 20);
    let said = clock.notices.iter().filter_map(|notice| match notice {
        Notice::DroppedAtLimit { others, .. } => Some(1 + others),
        _ => None,
    });
    let said: Vec<usize> = said.collect();
    assert!(said.len() <= 18 && said.iter().sum::<usize>() + 10 > dropped.len(), "{said:?}");
}

#[test]
fn what_a_restart_may_still_send_is_not_dropped() {
    let mut clock = Unbound::new(100);
    clock.load(2);
    // W stays below what has no answer.
    clock.hold = |one| &*one.schedule.name == "s00";
    clock.pass(MINUTE);
    assert_eq!((clock.held.len(), clock.engine.is_droppable(1)), (1, false));
    clock.step(Input::Drop(vec![1]));
    assert_eq!(clock.engine.parked_events(), 1);
    let token = clock.held[0].token;
    clock.step(Input::Settled(vec![(token, accept(&clock.held[0]))]));
    assert!(clock.engine.is_droppable(1));
    clock.step(Input::Drop(vec![1]));
    assert_eq!(clock.engine.parked_events(), 0);
}

#[test]
fn a_try_that_got_no_answer_is_not_dropped_until_the_next_has_one() {
    let mut clock = Unbound::new(100);
    clock.answer = refuse;
    clock.load_one(5);
    clock.pass(MINUTE);
    clock.answer = lose;
    clock.pass(1_800);
    assert!(clock.engine.is_being_sent(1));
    clock.step(Input::Drop(vec![1]));
    assert_eq!(clock.entries(), [(1, 1, 1, true)]);
    clock.answer = refuse;
    clock.pass(200);
    assert_eq!(clock.entries(), [(1, 1, 2, true)]);
    clock.step(Input::Drop(vec![1]));
    assert_eq!(clock.entries(), []);
}

#[test]
fn a_release_that_is_not_durable_holds_up_no_try() {
    let mut clock = Unbound::new(100);
    clock.answer = |one| if &*one.schedule.name == "s00" { reach_nobody(one) } else { refuse(one) };
    clock.load(2);
    clock.pass(MINUTE + 1_500);
    clock.answer = accept;
    clock.sent();
    clock.holds_writes = true;
    let waits = clock.engine.parked().iter().find(|(_, parked)| parked.retry_at.is_none());
    let number = *waits.unwrap().0;
    clock.step(Input::Release(vec![number]));
    clock.pass(3_000);
    assert_eq!(clock.sent.iter().map(|(name, ..)| &**name).collect::<Vec<_>>(), ["s01"]);
}

#[test]
fn a_step_tries_no_more_than_it_sends_on_time() {
    let mut clock = Unbound::with(1_000, 2_000);
    clock.answer = refuse;
    clock.load(700);
    clock.pass(MINUTE);
    assert_eq!(clock.engine.parked().len(), 700);
    clock.answer = accept;
    clock.most = 0;
    clock.pass(20_000);
    assert_eq!(clock.engine.parked().len(), 0);
    assert!((1..=256).contains(&clock.most), "{} in one step", clock.most);
}

#[test]
fn what_is_confirmed_while_nothing_runs_under_its_name_counts_when_the_name_is_back() {
    let mut clock = Unbound::new(100);
    let confirmed = |clock: &mut Unbound| {
        clock.load(1);
        let sent = clock.engine.running("s00").unwrap().sent;
        (sent.confirmed, sent.returned, sent.last().map(|last| (last.millis() - START) / MINUTE))
    };
    clock.load(1);
    clock.answer = accept;
    clock.pass(MINUTE);
    // One has no answer yet when its schedule goes.
    clock.hold = |_| true;
    clock.pass(MINUTE);
    clock.load(0);
    let token = clock.held.pop().unwrap().token;
    clock.step(Input::Settled(vec![(token, Answer::Confirmed { returned: false })]));
    assert_eq!(confirmed(&mut clock), (2, 0, Some(2)));
    // One is parked, and accepted by and by.
    clock.hold = |_| false;
    clock.answer = refuse;
    clock.pass(MINUTE);
    clock.load(0);
    clock.answer = accept;
    let resent = clock.now;
    clock.pass(MINUTE);
    assert!(clock.sent.iter().any(|(_, _, at)| *at > resent) && clock.engine.parked().is_empty());
    // What was due meanwhile comes when the name is back.
    assert_eq!(confirmed(&mut clock), (4, 0, Some(4)));
}

#[test]
fn what_was_not_said_yet_of_parked_and_dropped_events_is_said_at_the_end() {
    let mut clock = Unbound::new(4);
    clock.load(20);
    clock.pass(MINUTE);
    // How many of these were said of, parked and dropped.
    let said = |clock: &mut Unbound| {
        let notices = std::mem::take(&mut clock.notices);
        notices.iter().fold((0, 0), |(parked, dropped), notice| match notice {
            Notice::Parked { others, .. } => (parked + 1 + others, dropped),
            Notice::DroppedAtLimit { others, .. } => (parked, dropped + 1 + others),
            _ => (parked, dropped),
        })
    };
    let (parked, dropped) = said(&mut clock);
    assert!((1..20).contains(&parked) && (1..=16).contains(&dropped), "{parked} {dropped}");
    clock.step(Input::Drain);
    assert_eq!(said(&mut clock), (0, 0));
    clock.step(Input::Flush);
    assert_eq!(said(&mut clock), (20 - parked, 16 - dropped));
    clock.step(Input::Tick);
    assert_eq!(said(&mut clock), (0, 0));
}

#[test]
fn what_was_asked_for_and_is_refused_keeps_no_occurrence_from_being_tried_again() {
    let trigger = |number: u64| Input::Trigger {
        command: number,
        name: "a".into(),
        id: format!("t-{number}").parse().unwrap(),
    };
    let occurrences = |clock: &Unbound| {
        let of = clock.engine.parked().values().filter(|one| !one.is_asked_for());
        of.map(|one| (one.retry_at.is_some(), one.refused)).collect::<Vec<_>>()
    };
    let mut clock = Unbound::new(100);
    clock.load_one(5);
    clock.answer = refuse;
    (1..=4).for_each(|number| clock.step(trigger(number)));
    clock.pass(MINUTE);
    assert_eq!(occurrences(&clock), [(true, 1)]);
    // It is the oldest of all that is tried, and the first eight that follow are as many as may be.
    (5..=20).for_each(|number| clock.step(trigger(number)));
    assert_eq!(occurrences(&clock), [(true, 1)], "not left to people");
    clock.answer = |handover| match handover.kind {
        ponos_event::EventKind::Occurrence => accept(handover),
        _ => refuse(handover),
    };
    clock.pass(MINUTE / 2);
    assert_eq!(occurrences(&clock), [], "it has its turn though older ones are refused");
    assert_eq!(clock.engine.parked().values().filter(|one| one.retry_at.is_some()).count(), 8);
}
