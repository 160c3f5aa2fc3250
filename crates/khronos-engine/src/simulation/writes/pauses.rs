//! Everything rests and goes on: what is sent, what is written, and when.

use super::*;
use crate::{OnResume, PauseEnd, PauseRequest, Pauses, Scope};
use khronos_schedule::CatchUpDefinition;

pub(super) const SECOND: i64 = 1_000;

pub(super) fn pause(seen: &mut Seen, until: Option<(i64, OnResume)>) {
    let until = until.map(|(at, on_resume)| PauseEnd { at: Timestamp::from_millis(at), on_resume });
    let request = PauseRequest { by: "ann".into(), note: "new disks".into(), until };
    seen.step(Input::Pause { command: 1, scope: Scope::All, request });
    assert!(seen.engine.paused().is_some());
}

pub(super) fn resume(seen: &mut Seen, how: OnResume) {
    seen.step(Input::Resume { command: 2, scope: Scope::All, how });
    assert!(seen.engine.paused().is_none());
}

/// One schedule each that is caught up with in one of the ways, every ten seconds.
pub(super) fn all(policies: &[&str]) -> Vec<Packed> {
    let each = policies.iter().map(|policy| {
        let (word, grace) = (Some((*policy).to_owned()), Some("1s".into()));
        let catch_up = Some(CatchUpDefinition { policy: word, grace, ..Default::default() });
        Packed::build(&Definition { catch_up, ..every(policy, "10s") }).unwrap()
    });
    each.collect()
}

pub(super) fn running(policies: &[&str]) -> Seen {
    run(Seen::of(100), policies)
}

pub(super) fn run(mut seen: Seen, policies: &[&str]) -> Seen {
    seen.step(Input::Load(all(policies)));
    seen.step(Input::Link(true));
    seen.pass(5 * MINUTE + 500, SECOND);
    seen
}

/// For how many occurrences events were sent.
pub(super) fn sent(seen: &Seen) -> Vec<u64> {
    seen.sent.values().copied().collect()
}

/// What the record has as skipped: schedule, count, first and last in seconds since the start.
pub(super) fn skipped(seen: &Seen, reason: SkipReason) -> Vec<(String, u64, i64, i64)> {
    let second = |at: Timestamp| (at.millis() - START) / SECOND;
    let rows = seen.rows.iter().filter(|row| row.outcome == Outcome::Skipped(reason));
    rows.map(|row| (row.schedule.to_string(), row.count, second(row.first), second(row.last))).collect()
}

#[test]
fn a_pause_that_ends_by_catching_up_is_as_an_outage() {
    let mut seen = running(&["all", "latest", "none"]);
    assert_eq!(sent(&seen), [30, 30, 30]);
    pause(&mut seen, None);
    let saves = seen.saves;
    seen.pass(10 * MINUTE, MINUTE);
    assert_eq!(sent(&seen), [30, 30, 30]);
    assert!(seen.saves <= saves + 1, "it costs no writes");
    assert!(seen.engine.settled().millis() < START + 310 * SECOND && seen.engine.outstanding() == 0);
    resume(&mut seen, OnResume::CatchUp);
    seen.pass(10 * SECOND, SECOND);
    // The last that fell due is not missed, and one is on time.
    assert_eq!(sent(&seen), [91, 91, 32]);
    assert_eq!(skipped(&seen, SkipReason::Missed), [("none".into(), 59, 310, 890)]);
    assert_eq!(skipped(&seen, SkipReason::Paused), []);
}

#[test]
fn a_pause_that_ends_by_skipping_skips_what_fell_due_in_it_and_nothing_else() {
    let mut seen = running(&["all", "latest", "none"]);
    // From here on nothing could be sent: that is an outage, and the pause begins later.
    seen.step(Input::Link(false));
    seen.pass(MINUTE, MINUTE);
    pause(&mut seen, None);
    seen.step(Input::Link(true));
    seen.pass(10 * MINUTE, MINUTE);
    assert_eq!(sent(&seen), [30, 30, 30]);
    resume(&mut seen, OnResume::Skip);
    seen.pass(10 * SECOND, SECOND);
    // Six that were missed before it, and one that is on time.
    assert_eq!(sent(&seen), [37, 37, 31]);
    assert_eq!(skipped(&seen, SkipReason::Missed), [("none".into(), 6, 310, 360)]);
    let of_pause = ["all", "latest", "none"].map(|name| (name.to_owned(), 60, 370, 960));
    let mut found = skipped(&seen, SkipReason::Paused);
    found.sort();
    assert_eq!(found, of_pause);
    // Once no name can come back that was away when it ended, nothing is kept of it.
    seen.step(Input::Load(vec![]));
    for (days, kept) in [(29, 1), (2, 0)] {
        seen.pass(MINUTE, SECOND);
        seen.now += days * 24 * 60 * MINUTE;
        seen.step(Input::Tick);
        assert_eq!((seen.engine.outstanding(), seen.pauses.skipped.len()), (0, kept), "{days}");
    }
    assert_eq!(seen.pauses, Pauses::default());
}

#[test]
fn a_pause_ends_by_itself_at_its_instant_whenever_that_is_noticed() {
    for (beat, how) in [(SECOND, OnResume::Skip), (7 * MINUTE, OnResume::Skip), (SECOND, OnResume::CatchUp)] {
        let mut seen = running(&["all"]);
        let until = seen.now + 2 * MINUTE;
        pause(&mut seen, Some((until, how)));
        // A machine that sleeps.
        if beat > SECOND {
            seen.now += beat;
        }
        seen.pass(MINUTE, SECOND);
        assert_eq!(seen.engine.paused().is_some(), beat == SECOND);
        seen.pass(3 * MINUTE, SECOND);
        assert!(seen.engine.paused().is_none());
        let count: u64 = skipped(&seen, SkipReason::Paused).iter().map(|(_, count, ..)| count).sum();
        assert_eq!(count, if how == OnResume::Skip { 12 } else { 0 });
        let due = (seen.now - START) / (10 * SECOND);
        assert_eq!(sent(&seen), [due as u64 - count], "what fell due after that instant is caught up with");
    }
}

#[test]
fn what_is_in_flight_when_a_pause_begins_finishes_and_what_comes_back_rests() {
    for answer in [Answer::Confirmed { returned: false }, Answer::Lost, Answer::Refused("full".into())] {
        let mut seen = running(&["all"]);
        seen.now = START + 310 * SECOND;
        let mut tokens = Vec::new();
        let mut at_once = vec![Input::Tick];
        while let Some(input) = at_once.pop() {
            let reading = Reading { wall: Timestamp::from_millis(seen.now), boot: seen.now - START };
            for action in seen.engine.step(reading, input) {
                match action {
                    Action::Save { ticket, .. } => at_once.push(Input::Saved(ticket)),
                    Action::Publish(all) => tokens.extend(all.iter().map(|one| one.token)),
                    _ => {}
                }
            }
        }
        assert_eq!(tokens.len(), 1);
        pause(&mut seen, None);
        seen.step(Input::Settled(vec![(tokens[0], answer.clone())]));
        seen.pass(20 * MINUTE, MINUTE);
        assert_eq!(sent(&seen), [30], "{answer:?}: nothing is tried again");
        resume(&mut seen, OnResume::Skip);
        seen.pass(MINUTE, SECOND);
        let again = u64::from(answer != Answer::Confirmed { returned: false });
        assert_eq!(sent(&seen), [30 + again + 6], "{answer:?}: what was handed over is not skipped");
        assert_eq!(skipped(&seen, SkipReason::Paused)[0].2, 320);
    }
}

#[test]
fn what_is_skipped_of_many_goes_down_in_writes_of_a_bounded_size() {
    let mut seen = Seen::of(5);
    let many = (0..200).map(|number| Packed::build(&every(&format!("s{number:03}"), "1m")).unwrap());
    seen.step(Input::Load(many.collect()));
    seen.step(Input::Link(true));
    seen.pass(2 * MINUTE + 10_000, MINUTE);
    pause(&mut seen, None);
    seen.pass(10 * MINUTE, MINUTE);
    (seen.largest, seen.most_rows) = (0, 0);
    resume(&mut seen, OnResume::Skip);
    seen.pass(MINUTE, MINUTE);
    assert!((1..=5 + 4).contains(&seen.largest), "{} spans in one write", seen.largest);
    assert!(seen.most_rows <= 5 + 4, "{} rows in one write", seen.most_rows);
    let skipped = skipped(&seen, SkipReason::Paused);
    assert!(skipped.len() == 200 && skipped.iter().all(|(_, count, ..)| *count == 10), "{skipped:?}");
    assert!(seen.sent.len() == 200 && seen.sent.values().all(|count| *count == 3), "{:?}", seen.sent);
}

#[test]
fn while_what_earlier_pauses_skip_is_not_settled_only_so_many_more_can_begin() {
    let mut seen = running(&["all"]);
    seen.step(Input::Link(false));
    for _ in 0..crate::pause::SKIPPED {
        pause(&mut seen, None);
        seen.pass(MINUTE, MINUTE);
        resume(&mut seen, OnResume::Skip);
        seen.pass(MINUTE, MINUTE);
    }
    let request = PauseRequest { by: "ann".into(), note: "x".into(), until: None };
    seen.step(Input::Pause { command: 9, scope: Scope::All, request });
    assert!(seen.engine.paused().is_none() && seen.too_many == [9]);
    seen.step(Input::Link(true));
    seen.pass(MINUTE, SECOND);
    let between = 6 * crate::pause::SKIPPED as u64;
    assert_eq!(sent(&seen), [30 + between + 6], "what fell due between them is caught up with");
    pause(&mut seen, None);
    assert_eq!(seen.pauses.skipped.len(), crate::pause::SKIPPED - 1, "the oldest has made room");
}

pub(super) fn put(seen: &mut Seen, definition: &Definition) {
    seen.step(Input::put(3, Packed::build(definition).unwrap()));
}

pub(super) fn sent_of(seen: &Seen, name: &str) -> u64 {
    seen.sent.get(name).copied().unwrap_or_default()
}

#[test]
fn a_name_that_is_away_when_a_pause_ends_comes_back_without_what_is_skipped_whenever_that_is() {
    for broker_is_away in [false, true] {
        let mut seen = running(&["all"]);
        pause(&mut seen, None);
        seen.pass(2 * MINUTE, SECOND);
        seen.step(Input::Load(vec![]));
        seen.pass(3 * MINUTE, SECOND);
        seen.step(Input::Link(!broker_is_away));
        resume(&mut seen, OnResume::Skip);
        seen.pass(5 * MINUTE, SECOND);
        seen.step(Input::Load(all(&["all"])));
        seen.pass(SECOND, SECOND);
        seen.step(Input::Link(true));
        seen.pass(SECOND, SECOND);
        let found: u64 = skipped(&seen, SkipReason::Paused).iter().map(|(_, count, ..)| count).sum();
        assert_eq!((sent(&seen), found), (vec![30 + 30], 30), "away: {broker_is_away}");
    }
}

/// Due once, so many seconds after the start, also if that is gone.
pub(super) fn once_at(name: &str, second: i64) -> Definition {
    Definition {
        every: None,
        at: Some(Timestamp::from_millis(START + second * SECOND).to_string()),
        past: Some("send".into()),
        ..every(name, "1s")
    }
}

#[test]
fn what_is_put_after_a_pause_for_an_instant_in_it_is_sent() {
    let mut seen = running(&["all"]);
    seen.step(Input::Link(false));
    let once = |name: &str, data: u64| Definition { data: Some(data.into()), ..once_at(name, 400) };
    put(&mut seen, &once("again", 1));
    pause(&mut seen, None);
    seen.step(Input::delete(4, "again"));
    seen.pass(3 * MINUTE, MINUTE);
    put(&mut seen, &once("meanwhile", 1));
    seen.pass(MINUTE, MINUTE);
    resume(&mut seen, OnResume::Skip);
    seen.pass(MINUTE, MINUTE);
    put(&mut seen, &once("new", 1));
    put(&mut seen, &once("again", 2));
    seen.step(Input::Link(true));
    seen.pass(MINUTE, SECOND);
    assert_eq!(["new", "again", "meanwhile"].map(|name| sent_of(&seen, name)), [1, 1, 0]);
}

#[test]
fn a_restart_in_a_pause_of_days_is_not_taken_for_a_wrong_clock() {
    let mut seen = running(&["all"]);
    pause(&mut seen, None);
    let hour = 60 * MINUTE;
    seen.saves = 0;
    seen.pass(36 * hour, hour);
    assert!((35..=37).contains(&seen.saves), "{} writes in 36 hours", seen.saves);
    assert!(seen.engine.settled().millis() < START + 310 * SECOND, "W stands still");
    let settled = Some(seen.engine.settled());
    for (down, state) in [(hour, ClockState::Steady), (25 * hour, ClockState::Held { since: 7 })] {
        let now = Timestamp::from_millis(seen.now + down);
        let pauses = seen.pauses.clone();
        let snapshot = Snapshot { settled, handed: settled, pauses, ..Snapshot::default() };
        let mut engine =
            Engine::start(seen.engine.rules, snapshot, Reading { wall: now, boot: 7 }).having_read();
        engine.step(Reading { wall: now, boot: 7 }, Input::Tick);
        assert_eq!(engine.clock(), state, "down for {down} ms");
    }
}

#[test]
fn a_look_that_has_found_all_outstanding_ends_and_the_next_begins_a_second_later() {
    let mut seen = Seen::of(100);
    let names = ["a", "b", "c", "d", "e"];
    let load = |names: &[&str]| {
        Input::Load(names.iter().map(|name| Packed::build(&every(name, "10s")).unwrap()).collect())
    };
    seen.step(load(&names));
    seen.pass(MINUTE, SECOND);
    // What a to d have outstanding lies before the pause.
    seen.step(load(&names[4..]));
    pause(&mut seen, None);
    seen.pass(MINUTE, SECOND);
    seen.step(load(&[]));
    resume(&mut seen, OnResume::Skip);
    let mut looks = |steps: usize| -> Vec<bool> {
        let look = |_| {
            seen.step(Input::Flush);
            seen.engine.pausing.is_looking()
        };
        let looks = (0..steps).map(look).collect();
        seen.now += SECOND;
        looks
    };
    let _ = looks(9);
    for _ in 0..2 {
        let found = looks(20);
        assert!(found.contains(&true) && !found[10..].contains(&true), "{found:?}");
    }
}
