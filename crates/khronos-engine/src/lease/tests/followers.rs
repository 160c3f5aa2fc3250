//! One that follows, and is told to stop or asks a standby.

use super::*;

/// One that was told to stop while its call for the lease is under way.
fn stopped_while_it_acquires() -> One {
    let mut one = One::new();
    one.row.holder = None;
    one.await_call(|call| matches!(call, LeaseCall::Acquire { .. }));
    one.step(LeaseInput::Stop);
    assert!(!one.has_told(&LeaseAction::End), "the answer may be that it has the lease");
    one
}

#[test]
fn who_is_told_to_stop_while_it_acquires_gives_the_lease_back_and_ends() {
    let mut one = stopped_while_it_acquires();
    one.turn();
    assert_eq!(one.call.map(|(_, call)| call), Some(LeaseCall::Resign { term: 8, writes: 40 }));
    assert!(!one.has_told(&LeaseAction::End) && one.member.leads().is_none());
    one.turn();
    assert_eq!((one.row.holder, one.member.next_wakeup()), (None, None));
    let has_led = |told: &LeaseAction| matches!(told, LeaseAction::Lead { .. } | LeaseAction::Trust { .. });
    assert!(one.has_told(&LeaseAction::End) && !one.told.iter().any(has_led), "{:?}", one.told);
}

#[test]
fn who_is_told_to_stop_while_it_acquires_in_vain_ends() {
    let mut one = stopped_while_it_acquires();
    // Somebody else was faster.
    (one.row.holder, one.row.term, one.row.beat) = (Some(OTHER), 8, 9);
    one.turn();
    assert_eq!((one.call, one.member.next_wakeup()), (None, None));
    assert!(one.has_told(&LeaseAction::End));
}

#[test]
fn who_is_told_to_stop_while_it_acquires_waits_no_longer_than_a_call_may_take() {
    for resigns in [false, true] {
        let mut one = stopped_while_it_acquires();
        if resigns {
            one.turn();
        }
        let begun = one.now;
        while let Some(at) = one.member.next_wakeup() {
            one.now = one.now.max(at);
            one.step(LeaseInput::Tick);
        }
        assert!(one.has_told(&LeaseAction::End));
        assert!((TIMES.call - TAKES..=TIMES.call).contains(&(one.now - begun)), "{}", one.now - begun);
    }
}

#[test]
fn a_lease_that_was_taken_on_another_timeline_than_was_watched_is_not_given_back_either() {
    let mut one = stopped_while_it_acquires();
    one.row.timeline = 2;
    one.turn();
    assert_eq!((one.row.holder, one.call, one.member.next_wakeup()), (Some(ME), None, None));
}

#[test]
fn who_is_told_to_stop_while_it_goes_on_with_a_lease_gives_that_back() {
    let mut one = One::new();
    one.row.holder = None;
    let (_, call) = {
        one.await_call(|call| matches!(call, LeaseCall::Acquire { .. }));
        one.call.take().unwrap()
    };
    // It comes to pass, without an answer.
    one.reply(call);
    one.now += TIMES.call;
    one.step(LeaseInput::Tick);
    one.await_call(is_save);
    one.step(LeaseInput::Stop);
    one.run_until(100, |one| one.member.next_wakeup().is_none());
    assert_eq!((one.row.holder, one.row.writes), (None, 41));
    assert!(one.has_told(&LeaseAction::End) && !one.has_told(&LeaseAction::Lead { term: 8, timeline: 0 }));
}

#[test]
fn a_follower_that_a_standby_answers_tries_another_connection_each_time_with_pauses() {
    let mut one = One::new();
    one.run(2_000);
    (one.row.in_recovery, one.row.left) = (true, -1);
    one.await_call(|call| *call == LeaseCall::Look);
    assert!(!one.fresh);
    one.turn();
    let (begun, mut looks) = (one.now, 0);
    while one.now < begun + 1_000 {
        if let Some((_, call)) = one.call {
            assert!(call == LeaseCall::Look && one.fresh, "{call:?}");
            looks += 1;
        }
        one.turn();
    }
    assert!((8..14).contains(&looks), "{looks}");
    // The next connection leads to the primary.
    (one.row.in_recovery, one.row.holder) = (false, None);
    one.run_until(1_500, |one| one.member.leads().is_some());
}
