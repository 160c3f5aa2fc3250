//! How much is kept of pauses, and for how long; and how many of them are begun and ended at once.

use super::{
    pauses::{SECOND, all, put, running, sent_of, skipped},
    pauses_by_name::{pause, resume},
    triggers::trigger,
    *,
};
use crate::{
    OnResume, PauseRequest, Scope,
    forgetting::HOUR,
    pause::{SKIPPED, STANDING},
    pausing::AWAY,
};

const DAY: i64 = 24 * 60 * MINUTE;

fn everything(seen: &mut Seen, how: Option<OnResume>) {
    let request = PauseRequest { by: "ann".into(), note: "all".into(), until: None };
    seen.step(match how {
        None => Input::Pause { command: 3, scope: Scope::All, request },
        Some(how) => Input::Resume { command: 4, scope: Scope::All, how },
    });
}

#[test]
fn one_that_is_paused_by_name_for_long_is_no_reason_why_everything_can_not_be_paused() {
    let mut seen = running(&["all", "latest"]);
    pause(&mut seen, &["all"], None);
    seen.pass(MINUTE, SECOND);
    let cycle = |seen: &mut Seen| {
        everything(seen, None);
        seen.pass(MINUTE, SECOND);
        everything(seen, Some(OnResume::Skip));
        seen.pass(MINUTE, SECOND);
    };
    for _ in 0..STANDING {
        cycle(&mut seen);
    }
    assert!(STANDING > SKIPPED && seen.too_many.is_empty(), "{:?}", seen.too_many);
    assert_eq!(seen.pauses.skipped.len(), STANDING, "that one needs all of them");
    // There is an end to that, until it goes on.
    cycle(&mut seen);
    assert_eq!(seen.too_many, [3]);
    resume(&mut seen, &["all"], OnResume::CatchUp);
    seen.pass(MINUTE, SECOND);
    let between = 6 * (STANDING as u64 + 1 + 2);
    assert_eq!(sent_of(&seen, "all"), 30 + between + 6, "what neither of the two skips is caught up with");
    let count: u64 = skipped(&seen, SkipReason::Paused).iter().map(|(_, count, ..)| count).sum();
    assert_eq!(count, 2 * 6 * STANDING as u64);
    cycle(&mut seen);
    assert!(seen.too_many == [3] && seen.pauses.skipped.len() <= SKIPPED, "{:?}", seen.pauses);
}

#[test]
fn a_pause_of_a_name_that_is_away_ends_after_thirty_days_and_says_so_and_nothing_is_left_of_it() {
    for restarts in [false, true] {
        let mut seen = running(&["all"]);
        pause(&mut seen, &["all"], None);
        // Something rests.
        seen.pass(MINUTE, SECOND);
        seen.step(Input::Load(vec![]));
        seen.pass(MINUTE, SECOND);
        seen.now += 29 * DAY;
        if restarts {
            seen.restart();
            seen.step(Input::Load(vec![]));
            seen.step(Input::Link(true));
        }
        seen.pass(MINUTE, SECOND);
        assert_eq!((seen.engine.count_paused_by_name(), seen.engine.outstanding()), (1, 1));
        seen.notices.clear();
        seen.now += 2 * DAY;
        // A clock that was not stopped for that long.
        seen.pass(MINUTE, SECOND);
        assert_eq!((seen.engine.count_paused_by_name(), seen.engine.outstanding()), (0, 0), "{restarts}");
        assert_eq!((sent_of(&seen, "all"), skipped(&seen, SkipReason::Paused)[0].1), (30, 6));
        let said = seen.notices.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(said.contains("all is resumed: nothing of this name has run for long"), "{said}");
        put(&mut seen, &every("other", "10s"));
        put(&mut seen, &every("other", "20s"));
        assert_eq!((seen.by_name.len(), seen.engine.resting.of("all").count()), (0, 0), "nothing is kept");
    }
}

#[test]
fn a_name_that_comes_back_within_thirty_days_is_paused_for_as_long_as_it_stays() {
    let mut seen = running(&["all"]);
    pause(&mut seen, &["all"], None);
    seen.step(Input::Load(vec![]));
    seen.now += 29 * DAY;
    seen.step(Input::Load(all(&["all"])));
    seen.now += 90 * DAY;
    seen.pass(MINUTE, SECOND);
    assert_eq!((seen.engine.count_paused_by_name(), sent_of(&seen, "all")), (1, 30));
}

#[test]
fn the_pause_of_what_was_created_at_run_time_stays_with_its_name_too() {
    let mut seen = Seen::of(100);
    seen.step(Input::Link(true));
    put(&mut seen, &every("created", "10s"));
    pause(&mut seen, &["created"], None);
    seen.step(Input::delete(7, "created"));
    // All else that is kept of it is forgotten by then.
    for _ in 0..4 {
        seen.now += HOUR;
        seen.pass(MINUTE, SECOND);
    }
    put(&mut seen, &every("created", "10s"));
    seen.pass(MINUTE, SECOND);
    assert_eq!((seen.engine.count_paused_by_name(), sent_of(&seen, "created")), (1, 0));
    resume(&mut seen, &["created"], OnResume::Skip);
    seen.pass(MINUTE, SECOND);
    assert_eq!(sent_of(&seen, "created"), 6);
}

#[test]
fn of_too_many_names_that_are_away_the_pause_ends_that_would_end_first() {
    let mut seen = Seen::of(100);
    let names: Vec<String> = (0..AWAY + 2).map(|number| format!("created-{number}")).collect();
    for name in &names {
        put(&mut seen, &every(name, "10s"));
        pause(&mut seen, &[name], None);
        seen.step(Input::delete(7, name.as_str()));
        seen.pass(SECOND, SECOND);
    }
    assert_eq!(seen.engine.count_paused_by_name(), AWAY);
    let paused = |name: &String| seen.engine.paused_by_name(name).is_some();
    assert!(!paused(&names[0]) && !paused(&names[1]) && names[2..].iter().all(paused));
}

#[test]
fn those_for_which_there_is_no_room_are_told_by_name_and_the_others_are_paused() {
    let mut seen = running(&["all", "latest"]);
    seen.step(Input::Link(false));
    for _ in 0..SKIPPED {
        pause(&mut seen, &["all"], None);
        seen.pass(MINUTE, SECOND);
        resume(&mut seen, &["all"], OnResume::Skip);
        seen.pass(MINUTE, SECOND);
    }
    pause(&mut seen, &["all", "latest"], None);
    assert_eq!((seen.too_many.clone(), seen.without_room.clone()), (vec![1], vec!["all".into()]));
    let paused = |seen: &Seen, name: &str| seen.engine.paused_by_name(name).is_some();
    assert!(!paused(&seen, "all") && paused(&seen, "latest"));
    seen.step(Input::Link(true));
    seen.pass(MINUTE, SECOND);
    pause(&mut seen, &["all"], None);
    assert!(paused(&seen, "all"));
}

#[test]
fn pauses_that_begin_or_end_together_go_down_in_writes_of_a_bounded_size_and_are_one_notice() {
    let mut seen = Seen::of(5);
    let names: Vec<String> = (0..200).map(|number| format!("s{number:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    seen.step(Input::Load(names.iter().map(|name| Packed::build(&every(name, "1m")).unwrap()).collect()));
    seen.step(Input::Link(true));
    seen.pass(MINUTE + 10_000, MINUTE);
    let until = seen.now + 5 * MINUTE;
    for some in names.chunks(4) {
        pause(&mut seen, some, Some((until, OnResume::Skip)));
    }
    assert_eq!(seen.engine.count_paused_by_name(), 200);
    seen.pass(4 * MINUTE, SECOND);
    (seen.saves, seen.most_pauses, seen.wakeups) = (0, 0, 0);
    seen.notices.clear();
    seen.pass(2 * MINUTE, SECOND);
    assert_eq!(seen.engine.count_paused_by_name(), 0);
    assert!((1..=5).contains(&seen.most_pauses), "{} in one write", seen.most_pauses);
    assert!(seen.wakeups < 2_000, "{} wake-ups", seen.wakeups);
    let ended = |notice: &&Notice| matches!(notice, Notice::ResumedByName { .. });
    let others = |notice: &Notice| match notice {
        Notice::ResumedByName { others, .. } => *others + 1,
        _ => 0,
    };
    let count = seen.notices.iter().filter(ended).count();
    assert!(count <= 12, "{count} notices");
    assert_eq!(seen.notices.iter().map(others).sum::<usize>(), 200);
}

#[test]
fn while_a_write_is_full_of_pauses_those_that_come_wait_for_it() {
    let mut seen = Seen::of(2);
    let names = ["a", "b", "c", "d", "e", "f"];
    seen.step(Input::Load(names.iter().map(|name| Packed::build(&every(name, "1m")).unwrap()).collect()));
    seen.pass(SECOND, SECOND);
    // The disk is slow from now on.
    let reading = Reading { wall: Timestamp::from_millis(seen.now), boot: seen.now - START };
    let (mut writes, mut durable, mut under_way) = (Vec::new(), 0, None);
    let step = |engine: &mut Engine, input: Input, writes: &mut Vec<usize>, durable: &mut usize| {
        let mut write = None;
        for action in engine.step(reading, input) {
            match action {
                Action::Save { ticket, commit } => {
                    writes.push(commit.named_pauses.len());
                    write = Some(ticket);
                }
                Action::Durable(commands) => *durable += commands.len(),
                _ => {}
            }
        }
        write
    };
    for (command, name) in (10..).zip(names) {
        let request = PauseRequest { by: "ann".into(), note: "x".into(), until: None };
        let input = Input::Pause { command, scope: Scope::Named([name.into()].into()), request };
        under_way = step(&mut seen.engine, input, &mut writes, &mut durable).or(under_way);
    }
    assert_eq!((seen.engine.count_paused_by_name(), durable), (3, 0), "two more than are under way");
    assert_ne!(seen.engine.next_wakeup(), Some(reading.wall), "it waits for the disk");
    while let Some(ticket) = under_way {
        under_way = step(&mut seen.engine, Input::Saved(ticket), &mut writes, &mut durable);
        if under_way.is_none() && seen.engine.next_wakeup() == Some(reading.wall) {
            under_way = step(&mut seen.engine, Input::Tick, &mut writes, &mut durable);
        }
    }
    assert_eq!((writes, durable, seen.engine.count_paused_by_name()), (vec![1, 2, 2, 1], 6, 6));
}

/// After a crash a run that is parked may lie in a span of which an older occurrence rests.
#[test]
fn what_is_parked_within_a_span_that_rests_is_not_looked_at_again_and_again_and_can_be_released() {
    let mut seen = running(&["all"]);
    seen.refuses = |one| one.stands_for.last.millis() > START + 320 * SECOND;
    seen.pass(35 * SECOND, SECOND);
    let number = *seen.engine.parked().keys().next().unwrap();
    seen.refuses = |_| false;
    let mut kept = seen.snapshot();
    // W was behind that.
    kept.settled = Some(Timestamp::from_millis(START + 301 * SECOND));
    pause(&mut seen, &["all"], None);
    kept.named_pauses = seen.by_name.clone().into_iter().collect();
    seen.start(kept);
    seen.step(Input::Link(true));
    seen.pass(SECOND, SECOND);
    assert!(!seen.engine.is_being_sent(number) && !seen.engine.is_droppable(number), "it stands in the span");
    seen.wakeups = 0;
    seen.pass(10 * MINUTE, 10 * MINUTE);
    assert!(seen.wakeups < 20, "{} wake-ups", seen.wakeups);
    seen.step(Input::Release(vec![number]));
    seen.pass(MINUTE, SECOND);
    assert_eq!((sent_of(&seen, "all"), seen.engine.parked().len()), (32, 1));
    resume(&mut seen, &["all"], OnResume::Skip);
    seen.pass(MINUTE, SECOND);
    assert_eq!((seen.engine.parked().len(), seen.engine.outstanding()), (0, 0));
}

/// Of what is sent again by itself the oldest has the turn: not one that rests.
#[test]
fn what_is_asked_for_of_one_that_is_paused_is_tried_again_though_an_occurrence_that_was_refused_rests() {
    let mut seen = running(&["all"]);
    seen.refuses = |_| true;
    seen.pass(11 * SECOND, SECOND);
    pause(&mut seen, &["all"], None);
    seen.pass(MINUTE, SECOND);
    assert_eq!(seen.engine.parked().values().map(|one| one.is_asked_for()).collect::<Vec<_>>(), [false]);
    trigger(&mut seen, 1, "all", "1");
    let refused = |seen: &Seen| seen.engine.parked().values().map(|one| one.refused).max();
    assert_eq!((refused(&seen), seen.engine.parked().len()), (Some(1), 2));
    seen.refuses = |_| false;
    seen.pass(5 * MINUTE, SECOND);
    assert_eq!(seen.engine.parked().values().map(|one| one.is_asked_for()).collect::<Vec<_>>(), [false]);
    resume(&mut seen, &["all"], OnResume::Skip);
    seen.pass(MINUTE, SECOND);
    assert_eq!((seen.engine.parked().len(), sent_of(&seen, "all")), (0, 30 + 1 + 1 + 6));
}

#[test]
fn what_rests_is_not_late_whichever_revision_it_is_of_and_whether_it_had_its_turn() {
    let mut seen = running(&["all"]);
    pause(&mut seen, &["all"], None);
    seen.pass(MINUTE, SECOND);
    seen.step(Input::Load(vec![Packed::build(&every("all", "20s")).unwrap()]));
    seen.pass(MINUTE, SECOND);
    assert_eq!((seen.engine.outstanding(), seen.engine.oldest_after(None, 9).oldest), (2, None));
    // Nobody waits for what rests.
    seen.step(Input::Write { command: 9 });
    seen.restart();
    assert_eq!((seen.engine.outstanding(), seen.engine.oldest_after(None, 9).oldest), (2, None));
    resume(&mut seen, &["all"], OnResume::CatchUp);
    assert!(seen.engine.oldest_after(None, 9).oldest.is_some());
}
