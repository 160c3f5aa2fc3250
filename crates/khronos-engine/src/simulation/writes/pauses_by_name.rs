//! Single schedules rest and go on, and the others go on as they were.

use super::{
    pauses::{SECOND, all, put, running, sent_of, skipped},
    pauses_set_back::{running_backward, set_back},
    *,
};
use crate::{OnResume, PauseEnd, PauseRequest, Scope};

pub(super) fn pause(seen: &mut Seen, names: &[&str], until: Option<(i64, OnResume)>) {
    let until = until.map(|(at, on_resume)| PauseEnd { at: Timestamp::from_millis(at), on_resume });
    let request = PauseRequest { by: "ann".into(), note: "its disks".into(), until };
    seen.step(Input::Pause { command: 1, scope: of(names), request });
}

pub(super) fn resume(seen: &mut Seen, names: &[&str], how: OnResume) {
    seen.step(Input::Resume { command: 2, scope: of(names), how });
}

fn of(names: &[&str]) -> Scope {
    Scope::Named(names.iter().map(|name| (*name).into()).collect())
}

fn is_paused(seen: &Seen, name: &str) -> bool {
    let paused = seen.engine.running(name).is_some_and(|status| status.paused.is_some());
    assert_eq!(paused, seen.engine.paused_by_name(name).is_some());
    paused
}

fn of_pause(name: &str, count: u64, first: i64, last: i64) -> (String, u64, i64, i64) {
    (name.to_owned(), count, first, last)
}

#[test]
fn one_that_is_paused_rests_while_w_and_the_others_go_on() {
    let mut seen = running(&["all", "latest"]);
    pause(&mut seen, &["all"], None);
    let saves = seen.saves;
    seen.pass(10 * MINUTE, SECOND);
    assert_eq!((sent_of(&seen, "all"), sent_of(&seen, "latest")), (30, 90));
    assert!(is_paused(&seen, "all") && !is_paused(&seen, "latest"));
    let behind = seen.now - seen.engine.settled().millis();
    assert!(behind < 11_000, "W is {behind} behind");
    assert!(seen.saves - saves < 3 * 61, "{} writes: those of the other", seen.saves - saves);
    assert_eq!((seen.engine.states().active, seen.engine.states().paused), (1, 1));
    assert_eq!(seen.engine.oldest_after(None, 9).oldest, None, "it is not late");
    resume(&mut seen, &["all"], OnResume::CatchUp);
    seen.pass(10 * SECOND, SECOND);
    assert_eq!((sent_of(&seen, "all"), sent_of(&seen, "latest")), (91, 91));
    assert_eq!((skipped(&seen, SkipReason::Paused), seen.by_name.len()), (vec![], 0));
}

#[test]
fn of_one_that_is_resumed_by_skipping_what_fell_due_meanwhile_is_skipped_and_nothing_else() {
    let mut seen = running(&["all", "latest"]);
    seen.step(Input::Link(false));
    seen.pass(MINUTE, SECOND);
    pause(&mut seen, &["all"], None);
    seen.pass(MINUTE, SECOND);
    seen.step(Input::Link(true));
    seen.pass(MINUTE, SECOND);
    resume(&mut seen, &["all"], OnResume::Skip);
    seen.pass(MINUTE, SECOND);
    // Six that were missed before it, and six since.
    assert_eq!((sent_of(&seen, "all"), sent_of(&seen, "latest")), (30 + 6 + 6, 54));
    assert_eq!(skipped(&seen, SkipReason::Paused), [of_pause("all", 12, 370, 480)]);
    assert_eq!(seen.by_name.len(), 0, "it runs: nothing of it can come back");
}

#[test]
fn one_that_only_is_paused_costs_hardly_any_writes() {
    let mut seen = running(&["all"]);
    pause(&mut seen, &["all"], None);
    seen.saves = 0;
    seen.pass(10 * 60 * MINUTE, SECOND);
    assert!(seen.saves <= 12, "{} writes in ten hours", seen.saves);
    assert_eq!(seen.engine.settled().millis(), seen.now);
}

#[test]
fn however_often_those_are_due_that_are_paused_each_costs_one_span_and_nothing_at_a_restart() {
    let mut seen = Seen::of(100);
    let names: Vec<String> = (0..300).map(|number| format!("s{number:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    seen.step(Input::Load(names.iter().map(|name| Packed::build(&every(name, "1s")).unwrap()).collect()));
    seen.step(Input::Link(true));
    seen.pass(500, 500);
    pause(&mut seen, &names, None);
    (seen.saves, seen.spans) = (0, 0);
    seen.pass(60 * MINUTE, SECOND);
    assert_eq!((seen.spans, seen.sent.len(), seen.engine.outstanding()), (300, 0, 300));
    assert_eq!((seen.engine.settled().millis(), seen.engine.states().paused), (seen.now, 300));
    let status = seen.engine.running("s007").unwrap();
    let through = status.outstanding[0].through;
    assert_eq!((through.millis(), status.next), (START + 3_600_000, Some(through.plus(SECOND))));
    assert!(!status.finished && seen.engine.oldest_after(None, 9).oldest.is_none());
    seen.restart();
    let now = Timestamp::from_millis(seen.now);
    assert_eq!(seen.engine.outstanding.backlogs.next_ready(now), None, "no step looks at what rests");
    seen.step(Input::Link(true));
    (seen.saves, seen.spans) = (0, 0);
    seen.pass(10 * MINUTE, SECOND);
    assert!(seen.saves <= 2 && seen.spans == 0, "{} writes, {} spans", seen.saves, seen.spans);
    resume(&mut seen, &names, OnResume::Skip);
    seen.pass(MINUTE, SECOND);
    assert!(seen.sent.len() == 300 && seen.sent.values().all(|count| *count == 60), "{:?}", seen.sent);
    let skipped = skipped(&seen, SkipReason::Paused);
    assert!(skipped.len() == 300 && skipped.iter().all(|(_, count, ..)| *count == 70 * 60), "{skipped:?}");
}

#[test]
fn what_falls_due_only_once_more_rests_and_is_sent_when_it_goes_on() {
    let mut seen = Seen::of(100);
    let often = |name: &str| Definition { limit: Some(2), ..every(name, "10s") };
    let once = |name: &str| Definition {
        every: None,
        at: Some(Timestamp::from_millis(START + 15 * SECOND).to_string()),
        ..every(name, "1s")
    };
    seen.step(Input::Load([often("two"), once("one")].map(|one| Packed::build(&one).unwrap()).into()));
    seen.step(Input::Link(true));
    pause(&mut seen, &["one", "two"], None);
    seen.pass(MINUTE, SECOND);
    seen.restart();
    seen.step(Input::Link(true));
    seen.pass(MINUTE, SECOND);
    assert!(seen.sent.is_empty());
    resume(&mut seen, &["one", "two"], OnResume::CatchUp);
    seen.pass(MINUTE, SECOND);
    assert_eq!((sent_of(&seen, "one"), sent_of(&seen, "two"), seen.engine.outstanding()), (1, 2, 0));
}

#[test]
fn it_ends_by_itself_at_its_instant() {
    for how in [OnResume::CatchUp, OnResume::Skip] {
        let mut seen = running(&["all", "latest"]);
        let until = seen.now + 2 * MINUTE;
        pause(&mut seen, &["all", "latest"], Some((until, how)));
        seen.pass(MINUTE, 10 * MINUTE);
        assert!(is_paused(&seen, "all") && is_paused(&seen, "latest"));
        // Put off for one of them.
        pause(&mut seen, &["latest"], Some((until + MINUTE, how)));
        seen.pass(MINUTE + SECOND, 10 * MINUTE);
        assert!(!is_paused(&seen, "all") && is_paused(&seen, "latest"));
        seen.pass(MINUTE, 10 * MINUTE);
        assert!(!is_paused(&seen, "latest"));
        let count: u64 = skipped(&seen, SkipReason::Paused).iter().map(|(_, count, ..)| count).sum();
        assert_eq!(count, if how == OnResume::Skip { 12 + 18 } else { 0 });
    }
}

#[test]
fn it_stays_with_the_name_whatever_the_files_say_and_never_overrides_them() {
    let mut seen = running(&["all", "latest"]);
    pause(&mut seen, &["all"], None);
    let paused = Definition { paused: Some(true), ..all(&["all"])[0].definition() };
    let away = all(&["latest"]);
    let changed = Definition { data: Some(1.into()), ..all(&["all"])[0].definition() };
    let with = |definition: &Definition| [Packed::build(definition).unwrap()].into_iter().chain(away.clone());
    for wanted in [vec![], with(&changed).collect(), away.clone(), with(&paused).collect(), all(&["all"])] {
        seen.step(Input::Load(wanted));
        seen.pass(MINUTE, SECOND);
        assert_eq!(sent_of(&seen, "all"), 30);
        assert!(seen.engine.paused_by_name("all").is_some());
    }
    // What its definition said was skipped, of the minute in which it did.
    assert_eq!(skipped(&seen, SkipReason::Paused).iter().map(|(_, count, ..)| count).sum::<u64>(), 6);
    resume(&mut seen, &["all"], OnResume::CatchUp);
    seen.pass(MINUTE, SECOND);
    // Three minutes in which it was there, and one since: while it was away nothing was due of it.
    assert_eq!(sent_of(&seen, "all"), 30 + 6 + 6 + 6);
    seen.step(Input::Load(with(&paused).collect()));
    pause(&mut seen, &["all"], None);
    resume(&mut seen, &["all"], OnResume::CatchUp);
    seen.pass(MINUTE, SECOND);
    assert_eq!(sent_of(&seen, "all"), 48, "its definition has it paused");
}

#[test]
fn what_was_refused_of_it_is_not_tried_and_what_is_released_rests() {
    let mut seen = running(&["all"]);
    seen.now += 9 * SECOND + 500;
    let reading = |now: i64| Reading { wall: Timestamp::from_millis(now), boot: now - START };
    let publish = |seen: &mut Seen, input| -> Vec<u64> {
        let (mut tokens, mut inputs) = (Vec::new(), vec![input]);
        while let Some(input) = inputs.pop() {
            for action in seen.engine.step(reading(seen.now), input) {
                match action {
                    Action::Save { ticket, .. } => inputs.push(Input::Saved(ticket)),
                    Action::Publish(all) => tokens.extend(all.iter().map(|one| one.token)),
                    _ => {}
                }
            }
        }
        tokens
    };
    let tokens = publish(&mut seen, Input::Tick);
    pause(&mut seen, &["all"], None);
    seen.step(Input::Settled(vec![(tokens[0], Answer::Refused("full".into()))]));
    seen.pass(20 * MINUTE, SECOND);
    assert_eq!((sent_of(&seen, "all"), seen.engine.parked().len()), (30, 1));
    let number = *seen.engine.parked().keys().next().unwrap();
    seen.step(Input::Release(vec![number]));
    seen.pass(MINUTE, SECOND);
    assert_eq!((sent_of(&seen, "all"), seen.engine.parked().len()), (30, 1));
    resume(&mut seen, &["all"], OnResume::Skip);
    seen.pass(SECOND, SECOND);
    assert_eq!((sent_of(&seen, "all"), seen.engine.parked().len()), (31, 0));
}

#[test]
fn pauses_of_everything_and_of_one_lie_within_each_other() {
    let everything = |seen: &mut Seen, how: Option<OnResume>| {
        let request = PauseRequest { by: "ann".into(), note: "all".into(), until: None };
        seen.step(match how {
            None => Input::Pause { command: 3, scope: Scope::All, request },
            Some(how) => Input::Resume { command: 4, scope: Scope::All, how },
        });
    };
    // That of one goes on while everything rests and is skipped.
    let mut seen = running(&["all"]);
    pause(&mut seen, &["all"], None);
    seen.pass(MINUTE, SECOND);
    everything(&mut seen, None);
    seen.pass(MINUTE, SECOND);
    everything(&mut seen, Some(OnResume::Skip));
    seen.pass(MINUTE, SECOND);
    assert_eq!((sent_of(&seen, "all"), is_paused(&seen, "all")), (30, true));
    resume(&mut seen, &["all"], OnResume::CatchUp);
    seen.pass(MINUTE, SECOND);
    assert_eq!(sent_of(&seen, "all"), 30 + 6 + 6 + 6);
    assert_eq!(skipped(&seen, SkipReason::Paused), [of_pause("all", 6, 370, 420)]);
    // And the other way round.
    everything(&mut seen, None);
    seen.pass(MINUTE, SECOND);
    pause(&mut seen, &["all"], None);
    seen.pass(MINUTE, SECOND);
    resume(&mut seen, &["all"], OnResume::Skip);
    seen.pass(MINUTE, SECOND);
    everything(&mut seen, Some(OnResume::CatchUp));
    seen.pass(MINUTE, SECOND);
    assert_eq!(sent_of(&seen, "all"), 48 + 6 + 6 + 6);
    assert_eq!(skipped(&seen, SkipReason::Paused)[1..], [of_pause("all", 6, 610, 660)]);
}

#[test]
fn a_restart_knows_what_is_paused_and_what_was_skipped() {
    let mut seen = running(&["all", "latest"]);
    pause(&mut seen, &["all", "latest"], None);
    seen.pass(MINUTE, SECOND);
    let restart = |seen: &mut Seen| {
        let revisions = ["all", "latest"].map(|name| seen.engine.running(name).unwrap().revision);
        let named_pauses = seen.by_name.clone().into_iter().collect();
        let settled = Some(Timestamp::from_millis(START + 300_500));
        let snapshot = Snapshot {
            settled,
            handed: settled,
            revisions: revisions.into(),
            named_pauses,
            ..Snapshot::default()
        };
        let reading = Reading { wall: Timestamp::from_millis(seen.now), boot: seen.now - START };
        seen.engine = Engine::start(seen.engine.rules, snapshot, reading).having_read();
        seen.step(Input::Link(true));
    };
    restart(&mut seen);
    seen.pass(MINUTE, SECOND);
    assert_eq!((sent_of(&seen, "all"), seen.engine.count_paused_by_name()), (30, 2));
    seen.step(Input::Link(false));
    resume(&mut seen, &["all"], OnResume::Skip);
    restart(&mut seen);
    seen.pass(MINUTE, SECOND);
    assert_eq!((sent_of(&seen, "all"), sent_of(&seen, "latest")), (36, 30));
    assert_eq!(skipped(&seen, SkipReason::Paused), [of_pause("all", 12, 310, 420)]);
}

#[test]
fn after_the_clock_was_set_back_it_rests_on_and_what_is_due_anew_is_not_skipped() {
    let mut seen = running_backward(&["all", "latest"]);
    pause(&mut seen, &["all", "latest"], None);
    seen.pass(10 * MINUTE, SECOND);
    resume(&mut seen, &["latest"], OnResume::Skip);
    seen.pass(SECOND, SECOND);
    set_back(&mut seen, 5 * MINUTE);
    seen.pass(MINUTE, SECOND);
    assert_eq!((sent_of(&seen, "all"), sent_of(&seen, "latest")), (30, 36));
    resume(&mut seen, &["all"], OnResume::Skip);
    seen.pass(MINUTE, SECOND);
    assert_eq!((sent_of(&seen, "all"), sent_of(&seen, "latest")), (36, 42));
}

#[test]
fn a_name_that_is_away_when_its_pause_ends_comes_back_without_what_is_skipped_and_is_kept_that_long() {
    let mut seen = running(&["all"]);
    pause(&mut seen, &["all"], None);
    seen.pass(MINUTE, SECOND);
    seen.step(Input::Load(vec![]));
    seen.pass(MINUTE, SECOND);
    resume(&mut seen, &["all"], OnResume::Skip);
    seen.pass(MINUTE, SECOND);
    assert_eq!(seen.by_name["all"].skipped.len(), 1);
    seen.step(Input::Load(all(&["all"])));
    seen.pass(SECOND, SECOND);
    assert_eq!(sent_of(&seen, "all"), 36, "what was due since it was resumed");
    seen.pass(2 * SECOND, SECOND);
    assert_eq!(seen.by_name.len(), 0);
    // A pause goes with the last that is known of its name.
    pause(&mut seen, &["all", "never-was"], None);
    seen.step(Input::Load(vec![]));
    assert_eq!(seen.by_name.len(), 1);
    for (days, kept) in [(29, 1), (2, 0)] {
        seen.pass(MINUTE, SECOND);
        seen.now += days * 24 * 60 * MINUTE;
        put(&mut seen, &every("other", "10s"));
        put(&mut seen, &every("other", "20s"));
        assert_eq!((seen.by_name.len(), seen.engine.count_paused_by_name()), (kept, kept), "{days}");
    }
}
