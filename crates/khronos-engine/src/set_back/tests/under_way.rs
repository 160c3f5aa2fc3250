//! What comes while the clock is being set back, which takes several steps.

use super::*;

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

impl Clock {
    /// More schedules than one step takes back were behind for years. What the broker was given of the first got lost, and it
    /// does not answer to the last. The clock is set back, and the first step of that is made; its write is not durable.
    fn half_set_back() -> Self {
        let mut clock = Self::new();
        NAMES.iter().for_each(|name| clock.put(name, 1));
        clock.pass(MINUTE);
        clock.step(Input::Link(false));
        clock.pass(20 * MINUTE);
        let there = clock.wall;
        clock.wall = FAR;
        clock.pass(2 * MINUTE);
        clock.answer = |name| (name < "e").then_some(Answer::Lost);
        clock.step(Input::Link(true));
        clock.pass(SECOND);
        assert_eq!(clock.unanswered.len(), 2);
        assert!(clock.spans().iter().any(|through| *through > FAR), "{:?}", clock.spans());
        clock.answer = |_| Some(Answer::Confirmed { returned: false });
        (clock.slow, clock.wall) = (true, there);
        clock.step(Input::Tick);
        assert!(clock.engine.setting_back.is_some());
        clock
    }

    /// Up to where the spans on the disk reach.
    fn spans(&mut self) -> Vec<i64> {
        let kept = self.store.load().unwrap();
        kept.spans.iter().map(|(_, span)| span.through.max(span.after).millis()).collect()
    }

    /// The disk writes what waits, and all that follows.
    fn write_all(&mut self) {
        self.slow = false;
        for (ticket, commit) in std::mem::take(&mut self.waiting) {
            self.store.save(0, &commit).unwrap();
            self.step(Input::Saved(ticket));
        }
    }

    /// Whether all schedules go on from here.
    fn all_go_on(&mut self) -> bool {
        let (before, from) = (self.sent.len(), self.wall + MINUTE);
        self.pass(3 * MINUTE);
        let due = |name: &&str| self.due(name, before);
        NAMES.iter().map(due).all(|due| due.ends_with(&tens(from, self.wall)))
    }
}

#[test]
fn a_leader_has_no_work_while_it_is_set_back() {
    let clock = Clock::half_set_back();
    let oldest = clock.engine.oldest_after(None, 100).oldest;
    assert!(oldest.is_some_and(|oldest| oldest.millis() <= clock.wall), "{oldest:?} is due");
    assert!(!clock.engine.has_work() && !clock.engine.may_hand_over());
}

#[test]
fn a_crash_before_all_is_taken_back_silences_nothing() {
    let told = |fault| {
        plant(fault);
        let mut clock = Clock::half_set_back();
        let (_, commit) = clock.waiting.pop().unwrap();
        clock.store.save(0, &commit).unwrap();
        clock.crash();
        clock.slow = false;
        let go_on = clock.all_go_on();
        plant(None);
        assert!(!clock.unreserved);
        go_on
    };
    assert!(told(None));
    assert!(!told(Some(Fault::LeaveWhatWasNotTakenBack)));
}

#[test]
fn a_clean_end_takes_all_back_that_is_left() {
    let mut clock = Clock::half_set_back();
    clock.step(Input::Drain);
    assert!(clock.engine.setting_back.is_none());
    clock.step(Input::Flush);
    clock.write_all();
    assert!(clock.engine.is_written());
    let now = clock.wall;
    assert!(clock.spans().iter().all(|through| *through <= now), "{:?}", clock.spans());
    clock.crash();
    assert!(clock.all_go_on());
}

#[test]
fn a_second_step_back_gives_up_what_the_first_gave_up() {
    let mut clock = Clock::half_set_back();
    clock.wall -= 10 * MINUTE;
    clock.step(Input::Tick);
    clock.write_all();
    let lost = std::mem::take(&mut clock.unanswered).into_iter().map(|token| (token, Answer::Lost));
    clock.step(Input::Settled(lost.collect()));
    clock.pass(15 * MINUTE);
    assert!(clock.all_go_on());
    assert!(!clock.unreserved);
}

/// What was refused years ahead: after a step back it is called for again when it is due, and once the clock is there, nothing
/// waits for years.
#[test]
fn what_was_refused_far_ahead_waits_no_longer_than_until_it_is_due_again() {
    for crash in [false, true] {
        let mut clock = Clock::new();
        clock.put("a", 1);
        clock.pass(MINUTE);
        let there = clock.wall;
        clock.wall += 8 * MINUTE;
        clock.pass(2 * MINUTE);
        clock.answer = |_| Some(Answer::Refused("a full queue".into()));
        clock.pass(30 * SECOND);
        let retried =
            |clock: &Clock| clock.engine.parked().values().filter(|one| one.retry_at.is_some()).count();
        assert_eq!(retried(&clock), 1);
        let refused = clock.wall;
        clock.answer = |_| Some(Answer::Confirmed { returned: false });
        clock.wall = there;
        clock.step(Input::Tick);
        if crash {
            clock.crash();
        }
        clock.pass(refused - there);
        let before = clock.sent.len();
        clock.pass(2 * MINUTE);
        assert_eq!(retried(&clock), 0);
        assert!(clock.sent.len() > before);
    }
}

/// What was put stays what a person wanted, also where an older version is started for a while.
#[test]
fn a_load_leaves_alone_what_was_put_and_is_not_understood() {
    let door = khronos_schedule::DoorKind::Http;
    let created = khronos_schedule::Created { number: 3, owner: "ann".into(), door };
    for (created, taken) in [(None, false), (Some(created), true)] {
        let memory = Memory::default();
        let definition = Definition {
            name: "a".into(),
            every: Some("of a later version".into()),
            created,
            ..Definition::default()
        };
        let revision = Era::first(1, Timestamp::EPOCH).of(Packed::kept(&definition));
        let (mut store, _) = start(&memory, START, 0);
        store.save(0, &Commit { revisions: vec![revision], ..Commit::default() }).unwrap();
        let mut clock = Clock::on(memory);
        let every = Definition {
            every: Some("10s".into()),
            event: Some("test.often.passed".into()),
            created: None,
            ..definition
        };
        clock.step(Input::Load(vec![Packed::build(&every).unwrap()]));
        let kept = clock.store.load().unwrap();
        assert_eq!(
            (kept.revisions[0].ended.is_none(), kept.revisions.len() == 1),
            (taken, taken),
            "{kept:?}"
        );
    }
}

#[test]
fn what_paused_schedules_skip_does_not_grow_while_a_write_takes_long_and_none_is_lost() {
    let paused = |number: usize| Definition {
        name: format!("s{number:03}"),
        event: Some("test.often.passed".into()),
        every: Some("10s".into()),
        paused: Some(true),
        ..Definition::default()
    };
    let mut clock = Clock::new();
    clock.step(Input::Load((0..200).map(|number| Packed::build(&paused(number)).unwrap()).collect()));
    clock.pass(SECOND);
    let from = clock.wall - SECOND;
    clock.slow = true;
    clock.put("a", 1);
    clock.pass(10 * MINUTE);
    let (ticket, commit) = clock.waiting.pop().unwrap();
    clock.store.save(0, &commit).unwrap();
    // One step passes a thousand over.
    clock.step(Input::Saved(ticket));
    let (ticket, commit) = clock.waiting.pop().unwrap();
    assert!(commit.rows.len() <= 300, "{}", commit.rows.len());
    clock.waiting.push((ticket, commit));
    clock.write_all();
    clock.pass(MINUTE);
    clock.step(Input::Flush);
    let rows = clock.store.read(0, usize::MAX).unwrap().rows;
    let skipped =
        rows.iter().map(|row| &row.row).filter(|row| matches!(row.outcome, crate::Outcome::Skipped(_)));
    let skipped: u64 = skipped.map(|row| row.count).sum();
    assert_eq!(skipped, 200 * tens(from, clock.wall).len() as u64);
}
