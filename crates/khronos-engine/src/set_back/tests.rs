//! A clock that is set back and goes on, told as it happens to an operator; the simulation has all the rest.

use crate::{
    store::{Limits, Memory, MemoryStore, Store},
    {
        Action, Answer, ClockRules, ClockState, Commit, Engine, Era, Handover, Input, Reading, Resends,
        Rules,
        content::occurrence_event,
        faults::{Fault, plant},
    },
};
use khronos_schedule::{Definition, Packed};
use ponos_event::Timestamp;
use std::collections::BTreeMap;

const START: i64 = 1_772_323_200_000;
const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
/// 2030-01-01.
const FAR: i64 = 1_893_456_000_000;

mod among_others;
mod delayed;
mod edits;
mod under_way;

/// A clock whose broker confirms at once, and its disk.
struct Clock {
    memory: Memory,
    store: MemoryStore,
    engine: Engine,
    wall: i64,
    boot: i64,
    /// Writes are kept waiting.
    slow: bool,
    waiting: Vec<(u64, Box<Commit>)>,
    /// What the broker says to an event of this schedule, and to which it says nothing.
    answer: fn(&str) -> Option<Answer>,
    unanswered: Vec<u64>,
    /// Schedule, due time, body.
    sent: Vec<(String, i64, Vec<u8>)>,
    /// Somewhat was sent above the H that is on the disk.
    unreserved: bool,
    /// What the disk makes of what it gets.
    distort: fn(&mut Commit),
}

impl Clock {
    fn new() -> Self {
        Self::on(Memory::default())
    }

    fn on(memory: Memory) -> Self {
        let (store, engine) = start(&memory, START, 0);
        let mut clock = Self {
            memory,
            store,
            engine,
            wall: START,
            boot: 0,
            slow: false,
            waiting: Vec::new(),
            answer: |_| Some(Answer::Confirmed { returned: false }),
            unanswered: Vec::new(),
            sent: Vec::new(),
            unreserved: false,
            distort: |_| {},
        };
        clock.step(Input::Link(true));
        clock
    }

    /// One that ran `a`, read 2030 for two minutes, and was set back from there a minute ago.
    fn back_from_far() -> Self {
        let mut clock = Self::new();
        clock.put("a", 1);
        clock.pass(MINUTE);
        let there = clock.wall;
        clock.wall = FAR;
        clock.pass(2 * MINUTE);
        clock.wall = there;
        clock.pass(MINUTE);
        clock
    }

    /// The process dies, and another one comes.
    fn crash(&mut self) {
        self.waiting.clear();
        (self.store, self.engine) = start(&self.memory, self.wall, self.boot);
        self.step(Input::Link(true));
    }

    fn step(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let reading = Reading { wall: Timestamp::from_millis(self.wall), boot: self.boot };
            for action in self.engine.step(reading, input) {
                match action {
                    Action::Triggered(_) | Action::Calendars { .. } => {}
                    Action::Save { ticket, commit } if self.slow => self.waiting.push((ticket, commit)),
                    Action::Save { ticket, mut commit } => {
                        (self.distort)(&mut commit);
                        self.store.save(0, &commit).unwrap();
                        inputs.push(Input::Saved(ticket));
                    }
                    Action::Publish(handovers) => {
                        let mut answers = Vec::new();
                        for one in &handovers {
                            match (self.answer)(&one.schedule.name) {
                                Some(answer) => answers.push((one.token, answer)),
                                None => self.unanswered.push(one.token),
                            }
                        }
                        inputs.push(Input::Settled(answers));
                        let durable = self.memory.handed();
                        for Handover { era, schedule, stands_for, .. } in handovers {
                            self.unreserved |= durable < Some(stands_for.last);
                            let body = occurrence_event("khronos", era, &schedule, stands_for).data;
                            self.sent.push((schedule.name.to_string(), stands_for.last.millis(), body));
                        }
                    }
                    Action::Durable(_)
                    | Action::Decided(_)
                    | Action::TooMany(_)
                    | Action::TooManyPauses(_)
                    | Action::TooManyMessages(_)
                    | Action::Unread(_)
                    | Action::Declined(_)
                    | Action::Record { .. }
                    | Action::Notice(_) => {}
                }
            }
        }
    }

    fn pass(&mut self, span: i64) {
        for _ in 0..span / 500 {
            self.wall += 500;
            self.boot += 500;
            self.step(Input::Tick);
        }
    }

    fn put(&mut self, name: &str, data: i64) {
        let definition = Definition {
            name: name.into(),
            event: Some("test.often.passed".into()),
            every: Some("10s".into()),
            data: Some(data.into()),
            ..Definition::default()
        };
        self.step(Input::put(1, Packed::build(&definition).unwrap()));
    }

    /// Due times that were sent of a schedule since so many were.
    fn due(&self, name: &str, since: usize) -> Vec<i64> {
        self.sent[since..].iter().filter(|(sent, ..)| sent == name).map(|(_, due, _)| *due).collect()
    }

    /// Whatever was sent more than once was the same each time.
    fn bodies_agree(&self) -> bool {
        let mut first = BTreeMap::new();
        self.sent.iter().all(|(name, due, body)| *first.entry((name, due)).or_insert(body) == body)
    }
}

fn start(memory: &Memory, wall: i64, boot: i64) -> (MemoryStore, Engine) {
    let clock =
        ClockRules { settle: MINUTE, max_forward: MINUTE, max_backward: 5 * MINUTE, resume_backward: true };
    let resends = Resends { count: 3, over: MINUTE };
    let rules = Rules {
        clock,
        resends,
        in_flight: 4,
        piece: 100,
        parked: 100,
        record_first: false,
        keep_finished: 86_400_000,
        demand: crate::core::UNBOUNDED,
    };
    let mut store = memory.open("khronos", Limits::default()).unwrap();
    let kept = store.load().unwrap();
    let engine =
        Engine::start(rules, kept, Reading { wall: Timestamp::from_millis(wall), boot }).having_read();
    (store, engine)
}

/// Every ten seconds of (from, through].
fn tens(from: i64, through: i64) -> Vec<i64> {
    (from / (10 * SECOND) + 1..=through / (10 * SECOND)).map(|ten| ten * 10 * SECOND).collect()
}

#[test]
fn nothing_goes_out_by_an_h_that_a_step_back_lowers_and_a_crash_in_between_loses_nothing() {
    for crash in [false, true] {
        let mut clock = Clock::new();
        clock.put("a", 1);
        clock.pass(10 * MINUTE);
        (clock.slow, clock.wall) = (true, clock.wall - 8 * MINUTE);
        let (before, from) = (clock.sent.len(), clock.wall);
        clock.pass(30 * SECOND);
        assert_eq!(clock.due("a", before), [0; 0], "the lower H is not durable");
        clock.slow = false;
        let (ticket, commit) = clock.waiting.pop().unwrap();
        if crash {
            clock.crash();
        } else {
            clock.store.save(0, &commit).unwrap();
            clock.step(Input::Saved(ticket));
        }
        // Another process goes on from where it finds the clock.
        let from = if crash { clock.wall } else { from };
        clock.pass(10 * MINUTE);
        assert_eq!(clock.due("a", before), tens(from, clock.wall), "all of it comes again, once");
        assert!(clock.bodies_agree());
    }
}

#[test]
fn after_a_step_back_an_edit_counts_from_what_may_have_been_sent() {
    let told = |distort: fn(&mut Commit)| {
        let mut clock = Clock { distort, ..Clock::new() };
        clock.put("a", 1);
        clock.pass(10 * MINUTE);
        let reached = clock.wall;
        clock.wall -= 8 * MINUTE;
        clock.pass(MINUTE);
        // Another process knows it from the disk.
        clock.crash();
        let (before, from) = (clock.sent.len(), clock.wall);
        clock.put("a", 2);
        let far = clock.engine.was_set_back_from().is_some_and(|from| from.millis() >= reached - 10 * SECOND);
        clock.pass(10 * MINUTE);
        (clock.bodies_agree(), clock.due("a", before) == tens(from, clock.wall), far)
    };
    assert_eq!(told(|_| {}), (true, true, true));
    assert_eq!(told(|commit| commit.reached = commit.handed), (false, true, false), "R goes back with H");
}

#[test]
fn after_a_reading_of_2030_a_new_name_counts_from_now() {
    let mut clock = Clock::back_from_far();
    let (before, from) = (clock.sent.len(), clock.wall);
    clock.put("b", 1);
    clock.pass(MINUTE);
    for name in ["a", "b"] {
        assert_eq!(clock.due(name, before), tens(from, clock.wall), "{name}");
    }
}

#[test]
fn what_began_since_a_step_back_is_edited_and_removed_from_now_on() {
    let mut clock = Clock::back_from_far();
    clock.put("b", 1);
    clock.pass(MINUTE);
    // Another process knows it from the disk.
    clock.crash();
    // Before it takes changes it takes back, and sends again, what may have been sent: at once.
    while clock.engine.next_wakeup().is_some_and(|wake| wake.millis() <= clock.wall) {
        clock.step(Input::Tick);
    }
    let put = |clock: &mut Clock, data| {
        let (before, from) = (clock.sent.len(), clock.wall);
        clock.put("b", data);
        clock.pass(MINUTE);
        let data = format!("\"data\":{data}");
        let has_it = |body: &Vec<u8>| String::from_utf8_lossy(body).contains(&data);
        let all = clock.sent[before..].iter().filter(|(name, ..)| name == "b").all(|one| has_it(&one.2));
        all && clock.due("b", before) == tens(from, clock.wall)
    };
    let edited = put(&mut clock, 2);
    clock.step(Input::delete(2, "b"));
    let before = clock.sent.len();
    clock.pass(MINUTE);
    let removed = clock.due("b", before).is_empty();
    let again = put(&mut clock, 3);
    assert_eq!((edited, removed, again), (true, true, true));
    assert!(clock.bodies_agree() && !clock.unreserved);
}

#[test]
fn what_was_sent_singly_before_a_step_back_is_caught_up_with_singly() {
    let told = |fault| {
        plant(fault);
        let mut clock = Clock::new();
        clock.put("a", 1);
        clock.pass(10 * MINUTE);
        clock.wall -= 8 * MINUTE;
        let (before, from) = (clock.sent.len(), clock.wall);
        clock.pass(MINUTE);
        clock.step(Input::Link(false));
        clock.pass(4 * MINUTE);
        clock.step(Input::Link(true));
        clock.pass(10 * MINUTE);
        plant(None);
        assert!(!clock.unreserved);
        (clock.bodies_agree(), clock.due("a", before) == tens(from, clock.wall))
    };
    assert_eq!(told(None), (true, true));
    assert_eq!(told(Some(Fault::CoalesceWhatWasSentBefore)), (false, false));
}

#[test]
fn what_an_ended_revision_left_is_handed_over_below_a_durable_h_after_a_step_back() {
    let told = |fault| {
        plant(fault);
        let mut clock = Clock::new();
        clock.put("a", 1);
        // Something is due in half a second, and reserved.
        clock.pass(10 * MINUTE - 500);
        clock.crash();
        clock.put("a", 2);
        clock.wall -= 6 * MINUTE;
        clock.pass(10 * MINUTE);
        plant(None);
        (clock.bodies_agree(), !clock.unreserved)
    };
    assert_eq!(told(None), (true, true));
    assert_eq!(told(Some(Fault::SendSpansAboveTheReservation)), (true, false));
}

#[test]
fn a_revision_calls_for_nothing_before_it_takes_effect() {
    let told = |fault| {
        plant(fault);
        let mut clock = Clock::new();
        clock.put("a", 1);
        clock.pass(20 * MINUTE);
        clock.put("a", 2);
        let edited = clock.wall;
        clock.pass(MINUTE);
        // Back to where the edit had not happened.
        clock.wall -= 10 * MINUTE;
        let before = clock.sent.len();
        clock.pass(15 * MINUTE);
        plant(None);
        clock.due("a", before).iter().all(|due| *due > edited) && clock.bodies_agree()
    };
    assert!(told(None));
    assert!(!told(Some(Fault::CallForWhatWasBefore)));
}

#[test]
fn a_clean_end_after_a_step_back_keeps_what_was_reached_and_hands_nothing_over_by_it() {
    let mut clock = Clock::new();
    clock.put("a", 1);
    clock.pass(10 * MINUTE);
    let reached = clock.due("a", 0).last().copied().unwrap();
    clock.wall -= 8 * MINUTE;
    clock.pass(MINUTE);
    let handed = clock.due("a", 0).last().copied().unwrap();
    clock.step(Input::Drain);
    clock.step(Input::Flush);
    let kept = clock.store.load().unwrap();
    assert!(kept.reached.unwrap().millis() >= reached, "{kept:?}");
    assert!(kept.handed.unwrap().millis() < handed + MINUTE, "{kept:?}");
}

#[test]
fn a_name_that_is_forgotten_and_comes_back_in_one_write_is_there_after_a_restart() {
    let mut clock = Clock::new();
    clock.put("a", 1);
    clock.pass(MINUTE);
    clock.put("b", 1);
    clock.step(Input::delete(2, "a"));
    clock.pass(MINUTE);
    (clock.wall, clock.boot) = (clock.wall + 40 * 24 * 60 * MINUTE, clock.boot + 40 * 24 * 60 * MINUTE);
    clock.pass(MINUTE);
    // A write is under way: what is forgotten and what comes back gather for the next one.
    clock.slow = true;
    while clock.waiting.is_empty() {
        clock.pass(SECOND);
    }
    clock.put("x", 1);
    clock.put("a", 1);
    clock.slow = false;
    let (ticket, commit) = clock.waiting.pop().unwrap();
    clock.store.save(0, &commit).unwrap();
    clock.step(Input::Saved(ticket));
    clock.crash();
    assert!(["b", "x", "a"].iter().all(|name| clock.engine.running(name).is_some()));
}

#[test]
fn a_definition_that_this_version_does_not_understand_is_removed_for_good() {
    let memory = Memory::default();
    let created = Some(khronos_schedule::Created::default());
    let every = Some("of a later version".into());
    let definition = Definition { name: "a".into(), every, created, ..Definition::default() };
    let revision = Era::first(1, Timestamp::EPOCH).of(Packed::kept(&definition));
    let (mut store, _) = start(&memory, START, 0);
    store.save(0, &Commit { revisions: vec![revision], ..Commit::default() }).unwrap();
    let mut clock = Clock::on(memory);
    clock.step(Input::delete(1, "a"));
    let kept = clock.store.load().unwrap();
    assert!(kept.revisions[0].ended.is_some(), "{kept:?}");
}
