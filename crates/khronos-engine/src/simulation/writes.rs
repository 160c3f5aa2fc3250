//! What is written, how often and how much at once.

use super::super::{
    Action, Answer, ClockRules, ClockState, Engine, Handover, Input, Outcome, Pauses, Prepared, Reading,
    Resends, Row, Rules, SkipReason, Snapshot,
};
use khronos_schedule::{Definition, Packed};
use ponos_event::Timestamp;
use std::{collections::BTreeMap, sync::Arc};

mod finished;
mod loads;
mod pauses;

const START: i64 = 1_772_323_200_000;
const MINUTE: i64 = 60_000;

/// What was seen of an engine that runs alone, and whose writes and events succeed at once.
struct Seen {
    engine: Engine,
    now: i64,
    wakeups: usize,
    saves: usize,
    rows: Vec<Row>,
    /// Spans in the largest write.
    largest: usize,
    /// Rows in the largest write.
    most_rows: usize,
    pauses: Pauses,
    too_many: Vec<u64>,
    /// For how many occurrences events were sent, by schedule.
    sent: BTreeMap<Arc<str>, u64>,
    /// How far the wall clock was set back.
    ahead: i64,
}

impl Seen {
    fn engine(piece: usize, resume_backward: bool) -> Engine {
        let clock = ClockRules { settle: 0, max_forward: MINUTE, max_backward: MINUTE, resume_backward };
        let resends = Resends { count: 3, over: MINUTE };
        let rules = Rules { clock, resends, in_flight: 4, piece, parked: 100, record_first: false };
        let reading = Reading { wall: Timestamp::from_millis(START), boot: 0 };
        Engine::start(rules, Snapshot::default(), reading)
    }

    fn of(piece: usize) -> Self {
        let engine = Self::engine(piece, false);
        Self {
            engine,
            now: START,
            wakeups: 0,
            saves: 0,
            rows: Vec::new(),
            largest: 0,
            most_rows: 0,
            pauses: Pauses::default(),
            too_many: Vec::new(),
            sent: BTreeMap::new(),
            ahead: 0,
        }
    }

    fn step(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let boot = self.now - START + self.ahead;
            let reading = Reading { wall: Timestamp::from_millis(self.now), boot };
            for action in self.engine.step(reading, input) {
                match action {
                    Action::Save { ticket, commit } => {
                        self.saves += 1;
                        self.largest = self.largest.max(commit.spans.len());
                        self.most_rows = self.most_rows.max(commit.rows.len());
                        self.rows.extend(commit.rows);
                        self.pauses = commit.pauses.unwrap_or(std::mem::take(&mut self.pauses));
                        inputs.push(Input::Saved(ticket));
                    }
                    Action::Publish(handovers) => {
                        for one in handovers {
                            *self.sent.entry(one.schedule.name.clone()).or_default() += one.stands_for.count;
                            let answer = Answer::Confirmed { returned: false };
                            inputs.push(Input::Settled(vec![(one.token, answer)]));
                        }
                    }
                    Action::TooMany(many) | Action::TooManyPauses(many) => self.too_many.extend(many),
                    Action::Durable(_) | Action::Record { .. } | Action::Notice(_) => {}
                }
            }
        }
    }

    /// Steps until W has reached the time that it is; the one write is not durable meanwhile. How many steps it took, each of
    /// them at once after the one before; and the write.
    fn steps_until_now_is_settled(&mut self, input: impl Fn(u64) -> Input) -> (u64, u64) {
        let now = Timestamp::from_millis(self.now);
        let reading = Reading { wall: now, boot: self.now - START + self.ahead };
        let (mut turns, mut write) = (0, 0);
        while turns == 0 || self.engine.next_wakeup() == Some(now) {
            turns += 1;
            for action in self.engine.step(reading, input(turns)) {
                if let Action::Save { ticket, commit } = action {
                    self.rows.extend(commit.rows);
                    write = ticket;
                }
            }
            assert!(self.engine.settled() <= now);
        }
        assert_eq!(self.engine.settled(), now);
        (turns, write)
    }

    /// Lets so many milliseconds pass; the engine is woken when it wants to be, and at least every `beat`.
    fn pass(&mut self, span: i64, beat: i64) {
        let end = self.now + span;
        while self.now < end {
            let wish = self.engine.next_wakeup().map_or(i64::MAX, Timestamp::millis);
            self.now = wish.clamp(self.now + 1, (self.now + beat).min(end));
            self.wakeups += 1;
            self.step(Input::Tick);
        }
    }
}

#[test]
fn a_paused_schedule_that_is_often_due_is_recorded_without_many_writes() {
    for beat in [1_000, MINUTE] {
        let mut seen = Seen::of(100);
        let often = Definition { paused: Some(true), ..every("often", "100ms") };
        seen.step(Input::Load(vec![Packed::build(&often).unwrap()]));
        seen.step(Input::Link(true));
        seen.pass(MINUTE, beat);
        let (wakeups, saves) = (seen.wakeups, seen.saves);
        seen.pass(10 * MINUTE, beat);
        let beats = usize::try_from(10 * MINUTE / beat).unwrap();
        assert!(seen.saves - saves <= 61, "{} writes in ten minutes", seen.saves - saves);
        assert!(seen.wakeups - wakeups <= beats + 130, "{} wake-ups", seen.wakeups - wakeups);
        // And yet all of it stands there, one run after the other, up to a moment ago.
        assert!(seen.rows.iter().all(|row| row.outcome == Outcome::Skipped(SkipReason::Paused)));
        assert!(seen.rows.windows(2).all(|pair| pair[1].first.since(pair[0].last) == 100), "{:?}", seen.rows);
        let last = seen.rows.last().unwrap().last;
        assert!(seen.now - last.millis() <= 11_000, "{} behind", seen.now - last.millis());
        let count: u64 = seen.rows.iter().map(|row| row.count).sum();
        let first = seen.rows[0].first;
        assert_eq!(i64::try_from(count).unwrap(), last.since(first) / 100 + 1);
    }
}

#[test]
fn what_is_caught_up_with_goes_down_in_writes_of_a_bounded_size() {
    let mut seen = Seen::of(5);
    let many = (0..200).map(|number| Packed::build(&every(&format!("s{number:03}"), "1m")).unwrap());
    seen.step(Input::Load(many.collect()));
    seen.step(Input::Link(true));
    seen.pass(2 * MINUTE + 10_000, MINUTE);
    seen.step(Input::Link(false));
    seen.pass(10 * MINUTE, MINUTE);
    seen.step(Input::Link(true));
    seen.pass(MINUTE, MINUTE);
    // What was in flight may come on top.
    assert!((1..=5 + 4).contains(&seen.largest), "{} spans in one write", seen.largest);
    assert!(seen.sent.len() == 200 && seen.sent.values().all(|count| *count == 13), "{:?}", seen.sent);
}

#[test]
fn what_is_on_time_does_not_wait_for_what_is_caught_up_with() {
    let mut seen = Seen::of(5);
    let now = Timestamp::from_millis(START + 12 * MINUTE);
    let many = (0..200).map(|number| every(&format!("s{number:03}"), "1m"));
    let on_time = Definition { every: None, at: Some(now.to_string()), ..every("z", "1m") };
    let all = many.chain([on_time]).map(|definition| Packed::build(&definition).unwrap());
    seen.step(Input::Load(all.collect()));
    seen.pass(12 * MINUTE, MINUTE);
    // The first step asks for the reservation, the next may hand over.
    let mut sent = Vec::new();
    let mut inputs = vec![Input::Link(true)];
    for _ in 0..2 {
        let input = inputs.pop().unwrap();
        for action in seen.engine.step(Reading { wall: now, boot: 12 * MINUTE }, input) {
            match action {
                Action::Save { ticket, .. } => inputs.push(Input::Saved(ticket)),
                Action::Publish(handovers) => sent.extend(handovers),
                _ => {}
            }
        }
    }
    assert!(sent.iter().any(|one| &*one.schedule.name == "z"), "{sent:?}");
    assert!(seen.engine.outstanding() <= 10, "{} joined", seen.engine.outstanding());
}

#[test]
fn what_is_put_waits_for_its_own_write_and_no_other_schedule_does() {
    let mut seen = Seen::of(100);
    seen.step(Input::Load(vec![Packed::build(&every("a", "100ms")).unwrap()]));
    seen.step(Input::Link(true));
    seen.pass(10_050, 1_000);
    // From now on the disk is slow: it has what was reserved ahead.
    let definition = Packed::build(&every("b", "100ms")).unwrap();
    let (mut saves, mut sent, mut durable) = (Vec::new(), Vec::new(), Vec::new());
    let mut inputs = vec![Input::Put { command: 7, definition }];
    for turn in 0..8 {
        if turn == 4 {
            assert!(sent.len() >= 3 && sent.iter().all(|name| name == "a"), "{sent:?}");
            assert!(durable.is_empty() && saves.len() == 1, "{saves:?}");
            inputs.extend(saves.pop().map(Input::Saved));
        }
        inputs.push(Input::Tick);
        for input in std::mem::take(&mut inputs) {
            let reading = Reading { wall: Timestamp::from_millis(seen.now), boot: seen.now - START };
            for action in seen.engine.step(reading, input) {
                match action {
                    Action::Save { ticket, .. } => saves.push(ticket),
                    Action::Durable(commands) => durable.extend(commands),
                    Action::Publish(handovers) => {
                        sent.extend(handovers.iter().map(|one| one.schedule.name.to_string()));
                        let answer = |one: &Handover| (one.token, Answer::Confirmed { returned: false });
                        inputs.push(Input::Settled(handovers.iter().map(answer).collect()));
                    }
                    _ => {}
                }
            }
        }
        if turn >= 4 {
            inputs.extend(saves.drain(..).map(Input::Saved));
        }
        seen.now += 100;
    }
    assert_eq!(durable, [7]);
    assert!(sent.iter().any(|name| name == "b"), "{sent:?}");
}

#[test]
fn paused_schedules_that_are_due_at_one_instant_are_passed_over_some_at_a_time() {
    let mut seen = Seen::of(10_000);
    let paused = |number: i64| Definition { paused: Some(true), ..every(&format!("p{number:04}"), "1m") };
    let all = (0..3_000).map(|number| Packed::build(&paused(number)).unwrap());
    seen.step(Input::Load(all.collect()));
    seen.step(Input::Link(true));
    // Not before the last of them is, so that all are due at once.
    seen.now += MINUTE + 30_000;
    let (turns, ticket) = seen.steps_until_now_is_settled(|_| Input::Tick);
    assert_eq!(turns, 3, "a thousand in a step");
    seen.step(Input::Saved(ticket));
    seen.pass(MINUTE, MINUTE);
    assert_eq!(seen.rows.iter().map(|row| row.count).sum::<u64>(), 6_000);
}

#[test]
fn after_a_step_back_no_step_takes_all_schedules_back() {
    let mut seen = Seen::of(10_000);
    seen.engine = Seen::engine(10_000, true);
    let all = (0..3_000).map(|number| Packed::build(&every(&format!("s{number:04}"), "10m")).unwrap());
    seen.step(Input::Load(all.collect()));
    seen.step(Input::Link(true));
    seen.pass(11 * MINUTE, MINUTE);
    assert_eq!(seen.sent.values().sum::<u64>(), 3_000);
    let (wall, back) = (seen.now, 5 * MINUTE);
    // The time since the start goes on.
    seen.ahead += back;
    seen.now -= back;
    let definition = Packed::build(&every("z", "1d")).unwrap();
    let (turns, ticket) = seen.steps_until_now_is_settled(|turn| match turn {
        1 => Input::Tick,
        _ => Input::Put { command: turn, definition: definition.clone() },
    });
    assert_eq!(turns, 3_000 / crate::set_back::AT_ONCE as u64, "so many in a step");
    seen.step(Input::Saved(ticket));
    assert!(seen.engine.running("z").is_some());
    seen.pass(wall - seen.now + MINUTE, MINUTE);
    assert!(seen.sent.len() == 3_000 && seen.sent.values().all(|count| *count == 2), "{:?}", seen.sent);
}

#[test]
fn a_put_of_what_is_laid_out_leaves_the_others_prepared() {
    let mut seen = Seen::of(100);
    let all = ["a", "b", "c"].map(|name| Packed::build(&every(name, "10s")).unwrap());
    seen.step(Input::Load(all.into()));
    seen.step(Input::Link(true));
    seen.pass(9_600, 1_000);
    assert_eq!(seen.engine.prepare(10).len(), 3);
    let changed = Definition { data: Some(1.into()), ..every("b", "10s") };
    seen.step(Input::Put { command: 1, definition: Packed::build(&changed).unwrap() });
    assert!(!seen.engine.can_prepare(), "what is laid out is prepared");
    seen.now = START + 10_000;
    let reading = Reading { wall: Timestamp::from_millis(seen.now), boot: 10_000 };
    let mut sent = BTreeMap::new();
    for action in seen.engine.step(reading, Input::Tick) {
        if let Action::Publish(handovers) = action {
            sent.extend(
                handovers.into_iter().map(|one| (one.schedule.name.to_string(), one.prepared.is_some())),
            );
        }
    }
    assert_eq!(
        sent,
        [("a", true), ("b", false), ("c", true)].map(|(name, one)| (name.to_owned(), one)).into()
    );
    assert!(seen.engine.settled() < reading.wall, "W lies below what is in flight");
}

#[test]
fn what_was_prepared_and_passed_over_is_void_once_something_else_is_prepared() {
    let mut seen = Seen::of(100);
    let all = ["a", "b"].map(|name| Packed::build(&every(name, "10s")).unwrap());
    seen.step(Input::Load(all.into()));
    seen.step(Input::Link(true));
    seen.pass(9_600, 1_000);
    let mut kept = Prepared::default();
    let mut prepare = |engine: &mut Engine| {
        let numbers = engine.prepare(10).into_iter().filter_map(|one| one.prepared);
        numbers.for_each(|number| kept.put(number, ()));
        kept.len()
    };
    assert_eq!(prepare(&mut seen.engine), 2);
    seen.step(Input::Link(false));
    seen.pass(10 * MINUTE, MINUTE);
    seen.step(Input::Link(true));
    assert_eq!(prepare(&mut seen.engine), 2);
}

#[test]
fn a_command_that_changes_nothing_is_answered_once_what_it_found_is_durable() {
    let mut seen = Seen::of(100);
    let reading = Reading { wall: Timestamp::from_millis(START), boot: 0 };
    let definition = Packed::build(&every("b", "100ms")).unwrap();
    let put = |command| Input::Put { command, definition: definition.clone() };
    let mut tickets = Vec::new();
    let mut answers = |engine: &mut Engine, input| -> Vec<u64> {
        let mut durable = Vec::new();
        for action in engine.step(reading, input) {
            match action {
                Action::Save { ticket, .. } => tickets.push(ticket),
                Action::Durable(commands) => durable.extend(commands),
                _ => {}
            }
        }
        durable
    };
    let remove = |command, name: &str| Input::Remove { command, name: name.into() };
    assert_eq!(answers(&mut seen.engine, remove(1, "b")), [1], "nothing was ever there");
    assert_eq!(answers(&mut seen.engine, put(2)), [0; 0]);
    assert_eq!(answers(&mut seen.engine, put(3)), [0; 0], "it is there, and not durable yet");
    assert_eq!(answers(&mut seen.engine, Input::Saved(1)), [2, 3]);
    assert_eq!(answers(&mut seen.engine, put(4)), [4]);
    assert_eq!(answers(&mut seen.engine, remove(5, "b")), [0; 0]);
    assert_eq!(answers(&mut seen.engine, remove(6, "b")), [0; 0], "it is gone, and the disk has it still");
    assert_eq!(answers(&mut seen.engine, Input::Saved(2)), [5, 6]);
    assert_eq!(tickets, [1, 2]);
    assert!(seen.engine.is_empty());
}

#[test]
fn more_commands_than_there_is_room_for_are_refused_while_the_clock_is_held_or_the_disk_is_slow() {
    let most = crate::load::COMMANDS as u64;
    for held in [false, true] {
        let mut engine = Seen::engine(100, false);
        let mut reading = Reading { wall: Timestamp::from_millis(START), boot: 0 };
        let definition = Packed::build(&every("b", "1d")).unwrap();
        let put = |command| Input::Put { command, definition: definition.clone() };
        let mut step = |reading, input| -> [Vec<u64>; 3] {
            let [mut saves, mut durable, mut too_many] = <[Vec<u64>; 3]>::default();
            for action in engine.step(reading, input) {
                match action {
                    Action::Save { ticket, .. } => saves.push(ticket),
                    Action::Durable(commands) => durable.extend(commands),
                    Action::TooMany(commands) => too_many.extend(commands),
                    _ => {}
                }
            }
            [saves, durable, too_many]
        };
        // The first reading is believed, whatever it is.
        assert_eq!(step(reading, Input::Tick), <[Vec<u64>; 3]>::default());
        for command in 1..=most {
            if held {
                // Each reading leaps ahead of the one before.
                reading.wall = reading.wall.plus(2 * MINUTE);
            }
            let [saves, durable, too_many] = step(reading, put(command));
            let first = !held && command == 1;
            assert_eq!((saves.len(), durable, too_many), (usize::from(first), vec![], vec![]));
        }
        reading.wall = reading.wall.plus(if held { 2 * MINUTE } else { 0 });
        assert_eq!(step(reading, put(most + 1)), [vec![], vec![], vec![most + 1]]);
        if held {
            assert_eq!(step(reading, Input::Tick), [vec![1], vec![], vec![]], "it is believed");
        }
        assert_eq!(step(reading, Input::Saved(1)), [vec![], (1..=most).collect(), vec![]]);
        assert_eq!(step(reading, put(most + 2)), [vec![], vec![most + 2], vec![]]);
    }
}

fn every(name: &str, every: &str) -> Definition {
    Definition {
        name: name.into(),
        event: Some("test.often.passed".into()),
        every: Some(every.into()),
        ..Definition::default()
    }
}
