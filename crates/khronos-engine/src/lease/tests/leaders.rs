//! One that leads.

use super::*;

#[test]
fn a_leader_that_has_nothing_to_write_renews_and_is_trusted_from_before_it_sent() {
    let mut one = One::leading();
    for _ in 0..5 {
        one.await_call(is_save);
        let sent = one.now;
        one.turn();
        assert!(one.has_told(&LeaseAction::Trust { until: sent + 900 }));
        assert!(one.member.trusts(sent + 899) && !one.member.trusts(sent + 900));
        let next = one.member.next_wakeup().unwrap();
        assert_eq!(next, sent + 300);
    }
    assert_eq!(one.row.writes, 45);
}

#[test]
fn jobs_are_written_in_their_order_and_a_renewal_that_is_due_goes_first() {
    let mut one = One::leading();
    one.step(LeaseInput::Write { job: 1 });
    one.step(LeaseInput::Write { job: 2 });
    assert_eq!(one.await_call(is_save), LeaseCall::Save { term: 8, writes: 40, job: Some(1) });
    one.now += 310;
    one.answer();
    assert_eq!(one.await_call(is_save), LeaseCall::Save { term: 8, writes: 41, job: None });
    one.turn();
    assert_eq!(one.await_call(is_save), LeaseCall::Save { term: 8, writes: 42, job: Some(2) });
    one.turn();
    let written: Vec<_> =
        one.told.iter().filter(|told| matches!(told, LeaseAction::Written { .. })).collect();
    assert_eq!(written, [&LeaseAction::Written { job: 1 }, &LeaseAction::Written { job: 2 }]);
}

#[test]
fn a_save_without_an_answer_is_repeated_as_it_was_if_it_was_not_kept() {
    let mut one = One::leading();
    one.step(LeaseInput::Write { job: 1 });
    let save = one.await_call(is_save);
    one.step(LeaseInput::Write { job: 2 });
    one.now += TIMES.call;
    one.call = None;
    one.step(LeaseInput::Tick);
    assert_eq!((one.call.map(|(_, call)| call), one.fresh), (Some(LeaseCall::Look), true));
    one.turn();
    assert_eq!(one.call.map(|(_, call)| call), Some(save));
    // Now the first one comes to pass, and the other does not fit.
    one.row.writes += 1;
    one.turn();
    assert_eq!(one.call.map(|(_, call)| call), Some(LeaseCall::Look));
    one.turn();
    assert!(!one.has_told(&LeaseAction::Written { job: 1 }), "not before a later one is acknowledged");
    assert_eq!(one.call.map(|(_, call)| call), Some(LeaseCall::Save { term: 8, writes: 41, job: None }));
    one.turn();
    assert!(one.has_told(&LeaseAction::Written { job: 1 }));
    assert_eq!(one.member.leads(), Some(8));
}

#[test]
fn a_lapse_is_no_resignation() {
    let mut one = One::leading();
    one.await_call(is_save);
    one.call = None;
    for _ in 0..20 {
        one.now = one.member.next_wakeup().unwrap().max(one.now);
        one.step(LeaseInput::Tick);
        one.call = None;
    }
    assert!(one.has_told(&LeaseAction::Notice(LeaseNotice::Lapsed)) && !one.member.trusts(one.now));
    one.run(600);
    assert_eq!(one.member.leads(), Some(8));
    assert!(one.has_told(&LeaseAction::Notice(LeaseNotice::Regained)) && one.member.trusts(one.now));
    assert!(!one.has_told(&LeaseAction::Follow));
}

#[test]
fn a_leader_whose_row_is_another_ones_drops_everything() {
    let changes: [fn(&mut LeaseRow); 4] = [
        |row| row.holder = Some(OTHER),
        |row| row.term += 1,
        |row| row.writes -= 1,
        // The row survived a promotion: another leader's may not have.
        |row| row.timeline = 1,
    ];
    for change in changes {
        let mut one = One::leading();
        one.run(1_000);
        change(&mut one.row);
        one.run_until(500, |one| one.member.leads().is_none());
        assert!(one.has_told(&LeaseAction::Follow) && !one.member.trusts(one.now));
    }
}

#[test]
fn a_leader_whose_server_lost_its_newest_writes_begins_anew_at_once() {
    // (the timeline, whether the connection outlives the crash)
    for (timeline, outlives, again) in [(1, true, true), (1, false, true), (0, true, false)] {
        let mut one = One::new();
        (one.row.holder, one.row.left, one.row.timeline) = (None, -1, timeline);
        one.run_until(3_000, |one| one.member.leads().is_some());
        one.run(1_000);
        let (term, begun) = (one.member.leads().unwrap(), one.now);
        one.await_call(is_save);
        one.row.writes -= 2;
        one.row.beat -= 2;
        if !outlives {
            one.now += TIMES.call;
            one.call = None;
            one.step(LeaseInput::Tick);
        }
        one.run_until(500, |one| one.member.leads() != Some(term));
        assert!(one.has_told(&LeaseAction::Follow) && !one.member.trusts(one.now));
        if again {
            one.turn();
            assert!(one.member.leads() > Some(term), "what was lost is read anew, under another term");
            assert!(one.now - begun < 900, "{}", one.now - begun);
        } else {
            // Where the server does not tell its timeline it may be another one, and somebody may have led on the other.
            one.run(1_000);
            assert_eq!(one.member.leads(), None);
        }
    }
}

#[test]
fn who_is_told_to_stop_drains_resigns_and_ends() {
    let mut one = One::leading();
    one.step(LeaseInput::Stop);
    assert!(one.has_told(&LeaseAction::Drain));
    one.step(LeaseInput::Write { job: 1 });
    one.run(700);
    assert_eq!((one.member.leads(), one.row.holder), (Some(8), Some(ME)), "it goes on saving");
    one.step(LeaseInput::Drained);
    one.await_call(|call| matches!(call, LeaseCall::Resign { .. }));
    assert!(!one.member.trusts(one.now), "before it asks");
    one.run_until(100, |one| one.member.next_wakeup().is_none());
    assert_eq!(one.row.holder, None);
    assert!(one.has_told(&LeaseAction::End));
    // Without a database, in time.
    let mut one = One::leading();
    one.step(LeaseInput::Stop);
    let begun = one.now;
    while let Some(at) = one.member.next_wakeup() {
        one.call = None;
        one.now = one.now.max(at);
        one.step(LeaseInput::Tick);
    }
    assert_eq!(one.now - begun, TIMES.leave);
    let mut one = One::new();
    one.step(LeaseInput::Stop);
    assert!(one.has_told(&LeaseAction::End));
}

#[test]
fn who_leads_in_vain_resigns_for_a_while_if_another_one_would_not() {
    let mut one = One::leading();
    one.step(LeaseInput::Work { due: true });
    one.run(2_000);
    one.step(LeaseInput::Confirmed);
    one.run(2_900);
    assert!(!one.has_told(&LeaseAction::Drain));
    one.step(LeaseInput::Work { due: false });
    one.run(5_000);
    one.step(LeaseInput::Work { due: true });
    let begun = one.now;
    one.run_until(4_000, |one| one.has_told(&LeaseAction::Drain));
    assert!((3_000..3_400).contains(&(one.now - begun)));
    one.step(LeaseInput::Drained);
    one.run_until(500, |one| one.member.leads().is_none());
    one.run(9_500);
    assert_eq!(one.member.leads(), None);
    one.run(700);
    assert!(one.member.leads().is_some());
}

#[test]
fn a_leader_that_is_given_a_hint_looks_at_once_whether_somebody_is_wanted() {
    let mut one = One::leading();
    one.await_call(is_save);
    // The save under way saw nothing yet.
    let (number, before) =
        (one.call.unwrap().0, one.reply(LeaseCall::Save { term: 8, writes: 40, job: None }));
    one.row.wanted_by = Some(OTHER);
    one.step(LeaseInput::Hint);
    one.call = None;
    one.step(LeaseInput::Replied { number, reply: before });
    assert_eq!(one.call.map(|(_, call)| call), Some(LeaseCall::Save { term: 8, writes: 41, job: None }));
    one.turn();
    assert!(one.has_told(&LeaseAction::Drain));
    // Who is about to go need not be told.
    one.step(LeaseInput::Hint);
    one.step(LeaseInput::Drained);
    assert!(matches!(one.call, Some((_, LeaseCall::Resign { .. }))), "{:?}", one.call);
}

#[test]
fn who_is_wanted_comes_next() {
    let mut one = One::leading();
    one.row.wanted_by = Some(OTHER);
    one.run_until(400, |one| one.has_told(&LeaseAction::Drain));
    one.step(LeaseInput::Drained);
    one.run_until(100, |one| one.member.leads().is_none());
    // Nobody comes.
    one.run(1_100);
    assert_eq!(one.member.leads(), None);
    one.run(400);
    assert_eq!(one.member.leads(), Some(9));

    let mut one = One::new();
    one.step(LeaseInput::Want);
    assert_eq!(one.await_call(|call| *call != LeaseCall::Look), LeaseCall::Want { term: 7 });
    one.run(2_000);
    (one.row.holder, one.row.wanted_by, one.row.beat) = (None, Some(ME), 9);
    one.run(200);
    assert_eq!(one.member.leads(), Some(8));
}

#[test]
fn more_jobs_than_there_is_room_for_are_not_taken() {
    let mut one = One::leading();
    for job in 0..1_100 {
        one.step(LeaseInput::Write { job });
    }
    let full = one.told.iter().filter(|told| matches!(told, LeaseAction::Full { .. })).count();
    assert!((70..80).contains(&full), "{full}");
}

#[test]
fn while_nothing_may_be_handed_over_nobody_leads_in_vain() {
    let mut one = One::leading();
    one.step(LeaseInput::Work { due: true });
    one.run(2_000);
    let begun = one.now;
    while one.now < begun + 5_000 {
        one.now = one.member.next_wakeup().unwrap().max(one.now);
        one.step(LeaseInput::Tick);
        one.call = None;
    }
    assert!(one.has_told(&LeaseAction::Notice(LeaseNotice::Lapsed)));
    one.run_until(600, |one| one.member.trusts(one.now));
    let back = one.now;
    one.run(2_900);
    assert!(!one.has_told(&LeaseAction::Drain), "it has had no time to get anything confirmed");
    one.run_until(700, |one| one.has_told(&LeaseAction::Drain));
    assert!(one.now - back >= 3_000);
}

#[test]
fn a_standby_says_nothing_of_a_save_and_is_not_asked_again_and_again() {
    let mut one = One::leading();
    one.await_call(is_save);
    one.now += TIMES.call;
    one.call = None;
    one.row.in_recovery = true;
    one.row.writes -= 1;
    let begun = one.now;
    one.step(LeaseInput::Tick);
    let mut looks = 0;
    while one.now < begun + 1_000 {
        if let Some((_, call)) = one.call {
            assert!(call == LeaseCall::Look && one.fresh, "{call:?}");
            looks += 1;
        }
        one.turn();
    }
    assert!((8..14).contains(&looks), "{looks}");
    assert_eq!(one.member.leads(), Some(8));
    (one.row.in_recovery, one.row.writes) = (false, one.row.writes + 1);
    one.run_until(300, |one| one.member.trusts(one.now));
}

#[test]
fn who_leads_with_a_clock_that_was_set_resigns_if_another_one_would_not() {
    let mut one = One::leading();
    one.ahead = -300;
    one.run(2_000);
    one.ahead = 0;
    one.run(2_000);
    one.ahead = -300;
    let begun = one.now;
    one.run_until(4_000, |one| one.has_told(&LeaseAction::Drain));
    assert!((3_000..3_400).contains(&(one.now - begun)), "{}", one.now - begun);
    one.step(LeaseInput::Drained);
    one.run_until(500, |one| one.member.leads().is_none());
    assert!(one.has_told(&LeaseAction::Notice(LeaseNotice::Ended(Why::Skewed))));
    one.run(3_000);
    assert_eq!(one.member.leads(), None);
    one.ahead = 0;
    one.run(300);
    assert!(one.member.leads().is_some(), "at once, when it is right again");
}
