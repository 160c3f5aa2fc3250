//! One member, and a database that says what the test wants.

mod followers;
mod leaders;

use super::*;
use crate::{Reading, faults::plant};
use ponos_event::Timestamp;

const WALL: i64 = 1_772_323_200_000;
const ME: MemberId = MemberId(1);
const OTHER: MemberId = MemberId(2);
const TIMES: LeaseTimes = LeaseTimes { poll: 100, ..DEFAULT };
const DEFAULT: LeaseTimes = LeaseTimes {
    ttl: 1_200,
    margin: 300,
    renew: 300,
    poll: 150,
    call: 400,
    retry: 100,
    skew: 250,
    unproven: 3_000,
    probed: 2_000,
    rest: 10_000,
    probe: 1_000,
    drain: 2_000,
    leave: 4_000,
};
/// What a call takes.
const TAKES: i64 = 4;

struct One {
    member: Member,
    now: i64,
    /// By how much its wall clock is ahead of the database's.
    ahead: i64,
    row: LeaseRow,
    call: Option<(u64, LeaseCall)>,
    fresh: bool,
    told: Vec<LeaseAction>,
}

impl One {
    fn new() -> Self {
        plant(None);
        let row = LeaseRow {
            term: 7,
            holder: Some(OTHER),
            beat: 1,
            writes: 40,
            left: 1_000,
            wanted_by: None,
            schema: 1,
            now: Timestamp::from_millis(WALL),
            in_recovery: false,
            timeline: 0,
            saved_on: 0,
        };
        let reading = Reading { wall: Timestamp::from_millis(WALL), boot: 0 };
        let member = Member::new(ME, 1, TIMES, reading);
        Self { member, now: 0, ahead: 0, row, call: None, fresh: false, told: Vec::new() }
    }

    /// One that leads, under term 8.
    fn leading() -> Self {
        let mut one = Self::new();
        (one.row.holder, one.row.left) = (None, -1);
        one.run_until(3_000, |one| one.member.leads().is_some());
        assert_eq!(one.member.leads(), Some(8));
        one.told.clear();
        one
    }

    fn step(&mut self, input: LeaseInput) {
        let reading = Reading { wall: Timestamp::from_millis(WALL + self.now + self.ahead), boot: self.now };
        for action in self.member.step(reading, input) {
            match action {
                LeaseAction::Call { number, fresh, call } => {
                    assert!(fresh || self.call.is_none(), "two calls at once");
                    (self.call, self.fresh) = (Some((number, call)), fresh);
                }
                other => self.told.push(other),
            }
        }
    }

    /// What the database would answer.
    fn reply(&mut self, call: LeaseCall) -> LeaseReply {
        let row = &mut self.row;
        row.now = Timestamp::from_millis(WALL + self.now);
        let is_mine =
            |row: &LeaseRow, term, writes| (row.term, row.holder, row.writes) == (term, Some(ME), writes);
        match call {
            LeaseCall::Look => LeaseReply::Looked(*row),
            LeaseCall::Acquire { term, beat } if (row.term, row.beat) == (term, beat) => {
                (row.term, row.holder, row.beat, row.left) =
                    ((row.term + 1).max(u64::from(row.timeline) << 32), Some(ME), row.beat + 1, 1_200);
                LeaseReply::Acquired { term: row.term, writes: row.writes, timeline: row.timeline }
            }
            LeaseCall::Save { term, writes, .. } if is_mine(row, term, writes) => {
                (row.writes, row.beat, row.saved_on) = (row.writes + 1, row.beat + 1, row.timeline);
                LeaseReply::Saved { wanted_by: row.wanted_by, timeline: row.timeline }
            }
            LeaseCall::Resign { term, writes } if is_mine(row, term, writes) => {
                (row.holder, row.beat) = (None, row.beat + 1);
                LeaseReply::Resigned
            }
            LeaseCall::Acquire { .. } | LeaseCall::Save { .. } | LeaseCall::Resign { .. } => {
                LeaseReply::Unfit
            }
            LeaseCall::Ask { .. } => LeaseReply::Asked(true),
            LeaseCall::Report { .. } | LeaseCall::Want { .. } => LeaseReply::Done,
        }
    }

    fn answer(&mut self) {
        let (number, call) = self.call.take().unwrap();
        let reply = self.reply(call);
        self.step(LeaseInput::Replied { number, reply });
    }

    /// The next thing happens: an answer, or what it wakes up for.
    fn turn(&mut self) {
        if self.call.is_some() {
            self.now += TAKES;
            return self.answer();
        }
        self.now = self.now.max(self.member.next_wakeup().unwrap());
        self.step(LeaseInput::Tick);
    }

    fn run_until(&mut self, limit: i64, is_so: impl Fn(&Self) -> bool) {
        let end = self.now + limit;
        while !is_so(self) {
            assert!(self.now < end, "not within {limit} ms: {:?}", self.member);
            self.turn();
        }
    }

    fn run(&mut self, millis: i64) {
        let end = self.now + millis;
        while self.now < end {
            self.turn();
        }
    }

    /// Turns until this one is asked, and does not answer it.
    fn await_call(&mut self, is_it: impl Fn(&LeaseCall) -> bool) -> LeaseCall {
        self.run_until(5_000, |one| one.call.is_some_and(|(_, call)| is_it(&call)));
        self.call.unwrap().1
    }

    fn has_told(&self, action: &LeaseAction) -> bool {
        self.told.contains(action)
    }
}

const fn is_save(call: &LeaseCall) -> bool {
    matches!(call, LeaseCall::Save { .. })
}

#[test]
fn the_usual_times_are_those_that_were_measured() {
    assert_eq!(LeaseTimes::default(), DEFAULT);
}

#[test]
fn a_lease_that_ran_out_is_taken_only_once_it_was_seen_unchanged_for_its_whole_time() {
    let mut one = One::new();
    one.row.left = -1;
    one.run(1_100);
    one.row.beat += 1;
    let begun = one.now;
    one.run_until(2_000, |one| one.member.leads().is_some());
    assert!((1_200..1_400).contains(&(one.now - begun)), "{}", one.now - begun);
    assert!(one.has_told(&LeaseAction::Lead { term: 8, timeline: 0 }));
}

#[test]
fn a_lease_that_has_not_run_out_is_not_taken_unless_the_databases_clock_was_set_back() {
    let mut one = One::new();
    one.row.left = 2_400;
    one.run(5_000);
    assert_eq!(one.member.leads(), None);
    one.row.left = 2_401;
    one.run(300);
    assert_eq!(one.member.leads(), Some(8));
}

#[test]
fn a_lease_without_a_holder_is_taken_at_once_on_a_connection_that_is_not_new() {
    let mut one = One::new();
    one.run(2_000);
    (one.row.holder, one.row.beat) = (None, 2);
    one.step(LeaseInput::Hint);
    one.turn();
    one.turn();
    assert_eq!(one.member.leads(), Some(8));
    // The same after a promotion: the row may have gone back.
    let mut one = One::new();
    one.run(2_000);
    one.await_call(|call| *call == LeaseCall::Look);
    (one.row.holder, one.row.beat) = (None, 2);
    one.now += TIMES.call;
    one.call = None;
    one.step(LeaseInput::Tick);
    assert!(one.fresh);
    one.run(1_100);
    assert_eq!(one.member.leads(), None);
    one.run(400);
    assert_eq!(one.member.leads(), Some(8));
}

#[test]
fn what_was_seen_on_another_timeline_or_of_a_standby_does_not_count() {
    let changes: [fn(&mut LeaseRow); 2] = [|row| row.timeline = 2, |row| row.in_recovery = true];
    for change in changes {
        let mut one = One::new();
        one.run(1_900);
        change(&mut one.row);
        one.row.left = -1;
        one.run(300);
        one.row.in_recovery = false;
        one.run(600);
        assert_eq!(one.member.leads(), None);
        one.run(1_000);
        assert!(one.member.leads().is_some());
    }
}

#[test]
fn who_has_another_time_or_is_older_than_the_row_is_no_candidate() {
    let mut one = One::new();
    (one.row.holder, one.ahead) = (None, 260);
    one.run(3_000);
    assert_eq!(one.member.leads(), None);
    let skews =
        one.told.iter().filter(|told| matches!(told, LeaseAction::Notice(LeaseNotice::Skewed { .. })));
    assert_eq!(skews.count(), 1, "{:?}", one.told);
    (one.ahead, one.row.schema) = (0, 2);
    one.run(3_000);
    assert_eq!(one.member.leads(), None);
    one.row.schema = 1;
    one.run(300);
    assert!(one.member.leads().is_some());
}

#[test]
fn a_lease_that_was_taken_by_a_call_without_an_answer_is_gone_on_with() {
    let mut one = One::new();
    (one.row.holder, one.row.term) = (None, 7);
    let call = one.await_call(|call| matches!(call, LeaseCall::Acquire { .. }));
    one.reply(call);
    one.call = None;
    one.now += TIMES.call;
    one.step(LeaseInput::Tick);
    one.run_until(100, |one| one.member.leads() == Some(8));
    assert_eq!(one.row.writes, 41, "by a save of its own");
}

#[test]
fn a_follower_probes_and_reports_what_was_confirmed() {
    let mut one = One::new();
    one.run(3_500);
    let probes = one.told.iter().filter(|told| **told == LeaseAction::Probe).count();
    assert_eq!(probes, 4);
    one.step(LeaseInput::Confirmed);
    let confirmed = one.now;
    let call = one.await_call(|call| matches!(call, LeaseCall::Report { .. }));
    assert_eq!(call, LeaseCall::Report { age: one.now - confirmed });
    one.turn();
    one.run(1_000);
    assert!(!matches!(one.call, Some((_, LeaseCall::Report { .. }))), "once");
}

#[test]
fn who_tries_to_lead_after_a_promotion_says_so_before_anything_is_saved_and_once() {
    let mut one = One::new();
    (one.row.timeline, one.row.saved_on, one.row.left) = (2, 1, -1);
    let call = one.await_call(|call| matches!(call, LeaseCall::Acquire { .. }));
    let promoted = LeaseAction::Notice(LeaseNotice::Promoted { from: 1, to: 2 });
    assert!(one.has_told(&promoted));
    // Somebody else was faster.
    (one.row.term, one.row.beat) = (2 << 32, 9);
    one.turn();
    one.await_call(|other| matches!(other, LeaseCall::Acquire { .. }) && *other != call);
    one.run_until(100, |one| one.member.leads().is_some());
    assert_eq!(one.told.iter().filter(|told| **told == promoted).count(), 1);
    one.run(1_000);
    assert_eq!(one.row.saved_on, 2);
}

#[test]
fn who_was_fenced_after_a_promotion_leaves_the_lease_alone_until_it_has_run_out() {
    let mut one = One::leading();
    (one.row.timeline, one.row.left) = (2, 1_000);
    one.run_until(500, |one| one.member.leads().is_none());
    let writes = one.row.writes;
    one.run(3_000);
    assert_eq!((one.member.leads(), one.row.writes), (None, writes), "nor is it renewed");
    one.row.left = 0;
    one.run(300);
    assert_eq!(one.member.leads(), Some(2 << 32));
}

#[test]
fn a_lease_that_was_taken_on_another_timeline_than_was_watched_is_left_alone_until_it_has_run_out() {
    for is_answered in [true, false] {
        let mut one = One::new();
        (one.row.term, one.row.timeline, one.row.left) = (1 << 32 | 3, 1, -1);
        one.await_call(|call| matches!(call, LeaseCall::Acquire { .. }));
        // Behind a pooler the connection outlives the promotion.
        one.row.timeline = 2;
        if is_answered {
            one.turn();
        } else {
            let (_, call) = one.call.take().unwrap();
            one.reply(call);
            one.now += TIMES.call;
            one.step(LeaseInput::Tick);
        }
        assert_eq!((one.row.term, one.row.holder), (2 << 32, Some(ME)));
        let begun = one.now;
        one.run(1_100);
        assert_eq!((one.member.leads(), one.row.writes), (None, 40), "nor is it renewed");
        one.row.left = -1;
        one.run_until(500, |one| one.member.leads().is_some());
        assert!(one.now - begun >= 1_200);
    }
}

#[test]
fn a_row_that_was_brought_from_another_database_is_led_under_a_term_above_its_own() {
    for timeline in [0, 1] {
        let mut one = One::new();
        (one.row.term, one.row.timeline, one.row.holder) = (5 << 32 | 3, timeline, None);
        one.run_until(2_000, |one| one.member.leads() == Some(5 << 32 | 4));
        one.run(2_000);
        assert!(one.member.trusts(one.now), "{:?}", one.member);
        let promoted = |told: &LeaseAction| {
            matches!(told, LeaseAction::Notice(LeaseNotice::Promoted { .. } | LeaseNotice::Ended(_)))
        };
        assert!(!one.told.iter().any(promoted), "{:?}", one.told);
    }
}

#[test]
fn a_hint_that_comes_while_the_row_is_looked_at_has_it_looked_at_again() {
    let mut one = One::new();
    one.run(2_000);
    one.await_call(|call| *call == LeaseCall::Look);
    let before = one.reply(LeaseCall::Look);
    (one.row.holder, one.row.beat) = (None, 2);
    one.step(LeaseInput::Hint);
    let (number, _) = one.call.take().unwrap();
    one.step(LeaseInput::Replied { number, reply: before });
    assert_eq!(one.call.map(|(_, call)| call), Some(LeaseCall::Look), "at once");
    one.turn();
    one.turn();
    assert_eq!(one.member.leads(), Some(8));
}

#[test]
fn who_would_not_lead_reports_no_probe() {
    let mut one = One::new();
    one.ahead = 260;
    one.run(1_000);
    one.step(LeaseInput::Confirmed);
    let begun = one.now;
    while one.now < begun + 1_000 {
        assert!(!matches!(one.call, Some((_, LeaseCall::Report { .. }))));
        one.turn();
    }
    one.ahead = 0;
    one.await_call(|call| matches!(call, LeaseCall::Report { .. }));
}
