//! The clock is set back while everything rests, or after that: what is skipped then, and what is due anew.

use super::{
    pauses::{SECOND, all, once_at, pause, put, resume, run, sent_of, skipped},
    *,
};

/// Its clock may be set back.
pub(super) fn running_backward(policies: &[&str]) -> Seen {
    run(Seen { engine: Seen::engine(100, true), ..Seen::of(100) }, policies)
}

pub(super) fn set_back(seen: &mut Seen, by: i64) {
    seen.now -= by;
    seen.ahead += by;
    seen.step(Input::Tick);
}

#[test]
fn what_comes_again_after_the_clock_was_set_back_is_not_skipped_by_a_pause_that_has_ended() {
    let mut seen = running_backward(&["all"]);
    seen.step(Input::Link(false));
    pause(&mut seen, None);
    seen.pass(10 * MINUTE, MINUTE);
    resume(&mut seen, OnResume::Skip);
    seen.pass(5 * MINUTE, MINUTE);
    set_back(&mut seen, 12 * MINUTE);
    put(&mut seen, &every("new", "10s"));
    seen.step(Input::Link(true));
    seen.pass(10 * MINUTE, SECOND);
    assert_eq!(skipped(&seen, SkipReason::Paused), [("all".into(), 18, 310, 480)]);
    assert_eq!((sent_of(&seen, "all"), sent_of(&seen, "new")), (30 + 60, 60));
}

#[test]
fn a_clock_that_was_set_back_while_it_was_down_skips_nothing_that_is_due_anew() {
    let mut seen = running_backward(&["all"]);
    seen.step(Input::Link(false));
    pause(&mut seen, None);
    seen.pass(10 * MINUTE, MINUTE);
    resume(&mut seen, OnResume::Skip);
    // W stands where the pause began.
    let settled = Some(seen.engine.settled());
    let snapshot = Snapshot { settled, handed: settled, pauses: seen.pauses.clone(), ..Snapshot::default() };
    seen.engine =
        Engine::start(seen.engine.rules, snapshot, Reading { wall: Timestamp::EPOCH, boot: 0 }).having_read();
    set_back(&mut seen, 5 * MINUTE);
    put(&mut seen, &every("new", "10s"));
    seen.step(Input::Link(true));
    seen.pass(MINUTE, SECOND);
    assert_eq!((sent_of(&seen, "new"), skipped(&seen, SkipReason::Paused)), (6, vec![]));
    assert_eq!(seen.pauses.set_backs, [(1, Timestamp::from_millis(START + 600_500))]);
}

#[test]
fn a_pause_in_which_the_clock_was_set_back_skips_what_was_never_sent() {
    let mut seen = running_backward(&["all"]);
    pause(&mut seen, None);
    seen.pass(10 * MINUTE, MINUTE);
    set_back(&mut seen, 5 * MINUTE);
    put(&mut seen, &every("new", "10s"));
    seen.pass(MINUTE, SECOND);
    resume(&mut seen, OnResume::Skip);
    seen.pass(MINUTE, SECOND);
    let mut found = skipped(&seen, SkipReason::Paused);
    found.sort();
    assert_eq!(found, [("all".into(), 36, 310, 660), ("new".into(), 6, 610, 660)]);
    assert_eq!((sent_of(&seen, "all"), sent_of(&seen, "new")), (30 + 6, 6));
}

#[test]
fn what_is_put_in_a_pause_in_which_the_clock_was_set_back_is_sent_where_it_was_due_before() {
    for restarts in [false, true] {
        let mut seen = running_backward(&["all"]);
        pause(&mut seen, None);
        set_back(&mut seen, 2 * MINUTE);
        if restarts {
            seen.restart();
            seen.step(Input::Link(true));
            seen.step(Input::Load(all(&["all"])));
        }
        put(&mut seen, &once_at("before", 170));
        put(&mut seen, &once_at("meanwhile", 200));
        seen.pass(MINUTE, SECOND);
        resume(&mut seen, OnResume::Skip);
        seen.pass(MINUTE, SECOND);
        assert_eq!((sent_of(&seen, "before"), sent_of(&seen, "meanwhile")), (1, 0), "{restarts}");
        assert_eq!(seen.pauses.set_backs.len(), 1, "as long as something is skipped");
    }
}

/// Nothing is left of a reading that was lost with its write: the pause goes on from that to which the clock is set back next.
#[test]
fn what_is_put_in_a_pause_is_sent_where_it_was_due_before_a_reading_though_a_crash_has_undone_a_lower_one() {
    let mut seen = running_backward(&["all"]);
    pause(&mut seen, None);
    (seen.now, seen.ahead) = (seen.now - 3 * MINUTE, 3 * MINUTE);
    let reading = Reading { wall: Timestamp::from_millis(seen.now), boot: seen.now - START + seen.ahead };
    let lost = seen.engine.step(reading, Input::Tick);
    assert!(
        matches!(lost[..], [Action::Notice(Notice::ClockResumed { .. }), Action::Save { .. }]),
        "{lost:?}"
    );
    seen.now += MINUTE;
    seen.restart();
    seen.step(Input::Load(all(&["all"])));
    seen.step(Input::Link(true));
    put(&mut seen, &once_at("before", 170));
    put(&mut seen, &once_at("meanwhile", 200));
    seen.pass(MINUTE, SECOND);
    resume(&mut seen, OnResume::Skip);
    seen.pass(MINUTE, SECOND);
    assert_eq!((sent_of(&seen, "before"), sent_of(&seen, "meanwhile")), (1, 0));
    assert_eq!(seen.pauses.set_backs, [(1, Timestamp::from_millis(START + 180_500))]);
}
